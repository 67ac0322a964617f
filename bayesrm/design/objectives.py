r"""What a batch of pairs is worth, as a function of which pairs are in it.

Two kinds serve all criteria so far:

- a plain sum, f(C) = Σ_{m∈C} s_m;
- an information gain, f(C) = ½ log det(I + Σ_{m∈C} w_m v_m v_mᵀ) in nats, with v_m = u_i − u_j the difference
  of two whitened responses. Whitened by the prior this is D-optimality, by the posterior the entropy that the
  posterior is expected to lose. It is concave in w and submodular in C.

Scores of pairs come from one row a response, ‖u_i − u_j‖², so nothing of size pairs × d × d exists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.design.candidates import CandidateSet
from bayesrm.inference.newton import cholesky_factor
from bayesrm.posteriors.base import difference

PairFunction = Callable[[Int64[Tensor, "pair"], Int64[Tensor, "pair"]], Float[Tensor, "pair"]]
"""From both ends of some pairs, as rows of the candidates' responses, to a number for each."""


class Batch(ABC):
    """A growing batch. Scores order pairs by their marginal gain given what is in it; adding never raises them."""

    @abstractmethod
    def score(self) -> PairFunction:
        """An increasing function of f(C ∪ {m}) − f(C), for the batch as it is now."""

    @abstractmethod
    def track(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> None:
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


class Objective(ABC):
    """The worth f of a batch."""

    @abstractmethod
    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """∂f/∂w_m at w = 1, all candidates included (paper, eq. 9–10)."""

    @abstractmethod
    def batch(self) -> Batch:
        """The empty batch."""

    @abstractmethod
    def gains(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """What each pair of a batch adds to those before it; they sum to f."""

    @abstractmethod
    def slope(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> PairFunction:
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

    def gains(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """The scores themselves."""
        return self.score(first, second)

    def slope(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> PairFunction:
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
        total = self._information()
        for _, first, second in candidates.blocks():
            v = difference(self.whitened, first, second)
            total += (v * self.weight(first, second)[:, None]).T @ v
        return self._half_weighted_distance(total)

    def batch(self) -> Batch:
        """The empty batch, of covariance I."""
        return _InformationBatch(self)

    def gains(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """log L_mm, from the Cholesky factor L of I + W^½ V Vᵀ W^½ in the order of the batch."""
        v = difference(self.whitened, first, second) * self.weight(first, second).sqrt()[:, None]
        gram = v @ v.T
        gram.diagonal().add_(1.0)
        return cholesky_factor(gram).diagonal().log()

    def slope(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> PairFunction:
        """½ w ‖L⁻¹v‖² with L Lᵀ = I + Σ_C w v vᵀ, the information of the batch."""
        v = difference(self.whitened, first, second)
        return self._half_weighted_distance(self._information() + (v * self.weight(first, second)[:, None]).T @ v)

    def _information(self) -> Float[Tensor, "rank rank"]:
        """Of the empty batch."""
        return torch.eye(self.whitened.shape[1], dtype=torch.float64, device=self.whitened.device)

    def _half_weighted_distance(self, information: Float[Tensor, "rank rank"]) -> PairFunction:
        rows = torch.linalg.solve_triangular(cholesky_factor(information), self.whitened.T, upper=False)
        rows = rows.T.contiguous()

        def score(first: Tensor, second: Tensor) -> Tensor:
            return 0.5 * self.weight(first, second) * difference(rows, first, second).square().sum(dim=1)

        return score


class _SumBatch(Batch):
    def __init__(self, score: PairFunction) -> None:
        self._score = score
        self._tracked = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        return self._score

    def track(self, first: Tensor, second: Tensor) -> None:
        self._tracked = self._score(first, second)

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
        self._u, self._weight = objective.whitened, objective.weight
        self._covariance = torch.eye(self._u.shape[1], dtype=torch.float64, device=self._u.device)
        self._first = self._second = torch.empty(0, dtype=torch.int64)
        self._w = self._q = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        quadratic = self._quadratic()
        return lambda first, second: self._weight(first, second) * quadratic(first, second)

    def track(self, first: Tensor, second: Tensor) -> None:
        self._first, self._second = first, second
        self._w, self._q = self._weight(first, second), self._quadratic()(first, second)

    @property
    def tracked(self) -> Tensor:
        return self._w * self._q

    def add(self, index: int) -> None:
        self._update(index, float(self._w[index]))

    def remove(self, index: int) -> None:
        self._update(index, -float(self._w[index]))

    def _update(self, index: int, w: float) -> None:
        v = self._u[self._first[index]] - self._u[self._second[index]]
        a = self._covariance @ v
        c = w / (1 + w * (v @ a))
        projection = self._u @ a
        fall = c * difference(projection, self._first, self._second).square()
        self._q = (self._q - fall).clamp_(min=0.0)
        self._covariance -= c * torch.outer(a, a)

    def _quadratic(self) -> PairFunction:
        """vᵀA⁻¹v as a squared distance, ‖Lᵀv‖² with L Lᵀ = A⁻¹: one product for all responses."""
        rows = self._u @ cholesky_factor(self._covariance)
        return lambda first, second: difference(rows, first, second).square().sum(dim=1)
