r"""What a batch of pairs is worth, as a function of which pairs are in it.

Two kinds serve all criteria so far:

- a plain sum, f(C) = Σ_{m∈C} s_m;
- an information gain, f(C) = ½ log det(I + Σ_{m∈C} w_m v_m v_mᵀ) in nats, with v_m = u_i − u_j the difference
  of two whitened responses. Whitened by the prior this is D-optimality, by the posterior the entropy that the
  posterior is expected to lose. It is concave in w and submodular in C.

Scores of pairs come from one row a response, ‖u_i − u_j‖², so nothing of size pairs × d × d exists. A score is a
function of a block of pairs, and works for lists and for tiles alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.covariance import Covariance
from bayesrm.design.objectives.information import pair_information
from bayesrm.design.objectives.screening import PairFunction, PairWeight, SpreadCap, weighted_distance
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import ListedPairs, PairBlock
from bayesrm.utils.linalg import cholesky_factor


class Batch(ABC):
    """A growing batch. Scores order pairs by their marginal gain given what is in it; adding never raises them."""

    @abstractmethod
    def score(self) -> PairFunction:
        """An increasing function of f(C ∪ {m}) − f(C), for the batch as it is now."""

    def gain(self, score: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """The marginal gains that scores stand for."""
        return score

    @abstractmethod
    def track(self, pairs: PairBlock) -> None:
        """Keep the scores of these pairs up to date from here on."""

    @property
    @abstractmethod
    def tracked(self) -> Float[Tensor, "pair"]:
        """Current scores of the tracked pairs."""

    @abstractmethod
    def add(self, index: int) -> None:
        """Put the tracked pair at ``index`` into the batch."""

    @abstractmethod
    def remove(self, index: int) -> None:
        """Take the tracked pair at ``index`` out of the batch again; scores rise."""


def batch_gains(batch: Batch, pairs: PairBlock) -> Float[Tensor, "pair"]:
    """What each pair adds to those before it, by putting them into an empty batch one after the other."""
    batch.track(pairs)
    gains = []
    for index in range(len(pairs)):
        gains.append(batch.gain(batch.tracked)[index])
        batch.add(index)
    return torch.stack(gains)


def occurring(u: Float[Tensor, "response rank"], pairs: PairBlock) -> tuple[Float[Tensor, "some rank"], PairBlock]:
    """Only those rows that occur in the pairs, where these are few of many; and the pairs, of what is left."""
    if 2 * len(pairs) >= len(u):
        return u, pairs
    used, ends = torch.unique(torch.stack([pairs.first, pairs.second]), return_inverse=True)
    return u[used], ListedPairs(*ends)


class Differences:
    """The differences of some pairs, of which only products with a vector are wanted.

    Parameters
    ----------
    u
        (response, rank) rows; only those are kept that occur in the pairs, where these are few of many.
    pairs
        The pairs.
    """

    def __init__(self, u: Float[Tensor, "response rank"], pairs: PairBlock) -> None:
        self._rows, self._pairs = occurring(u, pairs)

    def along(self, a: Float[Tensor, "rank"]) -> Float[Tensor, "pair"]:
        """Each difference's product with a."""
        return self._pairs.difference(self._rows @ a)


class Objective(ABC):
    """The worth f of a batch."""

    @abstractmethod
    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """∂f/∂w_m at w = 1, all candidates included (paper, eq. 9–10)."""

    @abstractmethod
    def batch(self) -> Batch:
        """The empty batch."""

    @abstractmethod
    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """What each pair of a batch adds to those before it; they sum to f."""

    @abstractmethod
    def slope(self, pairs: PairBlock) -> PairFunction:
        """∂f/∂w_m where w indicates this batch; by concavity it bounds every other batch."""


@dataclass(frozen=True)
class SumObjective(Objective):
    """f(C) = Σ_{m∈C} s_m.

    Parameters
    ----------
    score
        s as a function of pairs.
    """

    score: PairFunction

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """The scores themselves."""
        return self.score

    def batch(self) -> Batch:
        """Scores do not depend on the batch."""
        return _SumBatch(self.score)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The scores themselves."""
        return self.score(pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """The scores themselves."""
        return self.score


@dataclass(frozen=True)
class InformationObjective(Objective):
    """f(C) = ½ log det(I + Σ_{m∈C} w_m v_m v_mᵀ), in nats.

    Parameters
    ----------
    whitened
        (response, rank) rows u, one for each of the candidates' responses.
    weight
        The Fisher weight w of a pair.
    """

    whitened: Float[Tensor, "response rank"]
    weight: PairFunction

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """½ w ‖L⁻¹v‖² with L Lᵀ = I + Σ_all w v vᵀ, the information of all candidates together."""
        total = self._information() + pair_information(self.whitened, self.weight, candidates)
        return self._half_weighted_distance(total)

    def batch(self) -> Batch:
        """The empty batch, of covariance I."""
        return _InformationBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """log L_mm, from the Cholesky factor L of I + W^½ V Vᵀ W^½ in the order of the batch."""
        v = self._differences(pairs) * self.weight(pairs).sqrt()[:, None]
        gram = v @ v.T
        gram.diagonal().add_(1.0)
        return cholesky_factor(gram).diagonal().log()

    def slope(self, pairs: PairBlock) -> PairFunction:
        """½ w ‖L⁻¹v‖² with L Lᵀ = I + Σ_C w v vᵀ, the information of the batch."""
        v = self._differences(pairs)
        return self._half_weighted_distance(self._information() + (v * self.weight(pairs)[:, None]).T @ v)

    def _differences(self, pairs: PairBlock) -> Float[Tensor, "pair rank"]:
        return difference(self.whitened, pairs.first, pairs.second)

    def _information(self) -> Float[Tensor, "rank rank"]:
        """Of the empty batch."""
        return torch.eye(self.whitened.shape[1], dtype=torch.float64, device=self.whitened.device)

    def _half_weighted_distance(self, information: Float[Tensor, "rank rank"]) -> PairFunction:
        rows = torch.linalg.solve_triangular(cholesky_factor(information), self.whitened.T, upper=False)
        return weighted_distance(rows.T.contiguous(), self.weight, 0.5, self.cap)

    @cached_property
    def cap(self) -> SpreadCap | None:
        """The weight's bound by variance, where u are the rows that it is about.

        Information only takes distances away, so each is at most a variance, also in a batch that has grown.
        """
        spread = self.weight.spread if isinstance(self.weight, PairWeight) else None
        if spread is None:
            return None
        if spread.factor is not self.whitened and not torch.equal(spread.factor, self.whitened):
            return None
        return replace(spread, factor=self.whitened)


class _SumBatch(Batch):
    def __init__(self, score: PairFunction) -> None:
        self._score = score
        self._tracked = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        return self._score

    def track(self, pairs: PairBlock) -> None:
        self._tracked = self._score(pairs)

    @property
    def tracked(self) -> Tensor:
        return self._tracked

    def add(self, index: int) -> None:
        """Nothing changes for the others."""

    def remove(self, index: int) -> None:
        """Nothing changes for the others."""


class _InformationBatch(Batch):
    """Scores w vᵀA⁻¹v, of which the gain is ½ log(1 + score), kept up to date by rank-one updates.

    With a = A⁻¹v and c = w / (1 + w vᵀa), where w < 0 takes a pair out, A⁻¹ loses c a aᵀ and q_m = v_mᵀA⁻¹v_m
    loses c (v_mᵀa)², where v_mᵀa is again a difference of two responses (Guo et al. 2019).
    """

    def __init__(self, objective: InformationObjective) -> None:
        self._u, self._weight, self._cap = objective.whitened, objective.weight, objective.cap
        self._covariance = Covariance(self._u)
        self._pairs: PairBlock = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))
        self._tracked_rows = Differences(self._u, self._pairs)
        self._w = self._q = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        return weighted_distance(self._covariance.rooted(self._u), self._weight, cap=self._cap)

    def gain(self, score: Tensor) -> Tensor:
        """½ log(1 + w vᵀA⁻¹v)."""
        return 0.5 * score.log1p()

    def track(self, pairs: PairBlock) -> None:
        self._pairs, self._tracked_rows = pairs, Differences(self._u, pairs)
        u, those = occurring(self._u, pairs)
        self._w, self._q = self._weight(pairs), those.squared_distance(self._covariance.rooted(u))

    @property
    def tracked(self) -> Tensor:
        return self._w * self._q

    def add(self, index: int) -> None:
        self._update(index, float(self._w[index]))

    def remove(self, index: int) -> None:
        self._update(index, -float(self._w[index]))

    def _update(self, index: int, w: float) -> None:
        v = self._u[self._pairs.first[index]] - self._u[self._pairs.second[index]]
        a = self._covariance.times(v)
        c = w / (1 + w * (v @ a))
        fall = c * self._tracked_rows.along(a).square()
        self._q = (self._q - fall).clamp_(min=0.0)
        self._covariance.subtract(c * torch.outer(a, a))
