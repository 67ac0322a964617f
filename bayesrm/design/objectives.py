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

PairFunction = Callable[[Int64[Tensor, "pair"], Int64[Tensor, "pair"]], Float[Tensor, "pair"]]
"""From both ends of some pairs, as rows of the candidates' responses, to a number for each."""


class Batch(ABC):
    """A growing batch: marginal gains of pairs given what is in it. They never rise as it grows."""

    @abstractmethod
    def gains(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """f(C ∪ {m}) − f(C) for each pair."""

    @abstractmethod
    def track(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> None:
        """Keep the gains of these pairs up to date from here on."""

    @property
    @abstractmethod
    def tracked(self) -> Float[Tensor, "pair"]:
        """Current gains of the tracked pairs."""

    @abstractmethod
    def add(self, index: int) -> float:
        """Put the tracked pair at ``index`` into the batch; return its gain."""


class Objective(ABC):
    """The worth of a batch."""

    @abstractmethod
    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """∂f/∂w_m at w = 1, all candidates included (paper, eq. 9–10)."""

    @abstractmethod
    def batch(self) -> Batch:
        """The empty batch."""

    @abstractmethod
    def slope(self, batch: Batch) -> PairFunction:
        """∂f/∂w_m where w indicates the batch; with concavity it bounds every other batch."""


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
        """Gains do not depend on the batch."""
        return _SumBatch(self.score)

    def slope(self, batch: Batch) -> PairFunction:
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
        total = torch.eye(self.whitened.shape[1], dtype=torch.float64, device=self.whitened.device)
        for _, first, second in candidates.blocks():
            v = self.whitened[first] - self.whitened[second]
            total += (v * self.weight(first, second)[:, None]).T @ v
        rows = torch.linalg.solve_triangular(cholesky_factor(total), self.whitened.T, upper=False).T.contiguous()
        return self._half_weighted_distance(rows)

    def batch(self) -> _InformationBatch:
        """The empty batch, of covariance I."""
        return _InformationBatch(self)

    def slope(self, batch: Batch) -> PairFunction:
        """½ w vᵀA⁻¹v with A the information of the batch."""
        assert isinstance(batch, _InformationBatch)
        eigenvalues, eigenvectors = torch.linalg.eigh(batch.covariance)
        rows = self.whitened @ (eigenvectors * eigenvalues.clamp(min=0.0).sqrt())
        return self._half_weighted_distance(rows)

    def _half_weighted_distance(self, rows: Float[Tensor, "response rank"]) -> PairFunction:
        def score(first: Tensor, second: Tensor) -> Tensor:
            return 0.5 * self.weight(first, second) * (rows[first] - rows[second]).square().sum(dim=1)

        return score


class _SumBatch(Batch):
    def __init__(self, score: PairFunction) -> None:
        self._score = score
        self._tracked = torch.empty(0, dtype=torch.float64)

    def gains(self, first: Tensor, second: Tensor) -> Tensor:
        return self._score(first, second)

    def track(self, first: Tensor, second: Tensor) -> None:
        self._tracked = self._score(first, second)

    @property
    def tracked(self) -> Tensor:
        return self._tracked

    def add(self, index: int) -> float:
        return float(self._tracked[index])


class _InformationBatch(Batch):
    """Rank-one updates: with a = A⁻¹v and c = w / (1 + w vᵀa), A⁻¹ loses c a aᵀ and q_m = v_mᵀA⁻¹v_m loses
    c (v_mᵀa)², where v_mᵀa is again a difference of two responses (Guo et al. 2019).
    """

    def __init__(self, objective: InformationObjective) -> None:
        self._u, self._weight = objective.whitened, objective.weight
        self.covariance = torch.eye(self._u.shape[1], dtype=torch.float64, device=self._u.device)
        self._first = self._second = torch.empty(0, dtype=torch.int64)
        self._w = self._q = torch.empty(0, dtype=torch.float64)

    def gains(self, first: Tensor, second: Tensor) -> Tensor:
        return 0.5 * torch.log1p(self._weight(first, second) * self._quadratic(first, second))

    def track(self, first: Tensor, second: Tensor) -> None:
        self._first, self._second = first, second
        self._w, self._q = self._weight(first, second), self._quadratic(first, second)

    @property
    def tracked(self) -> Tensor:
        return 0.5 * torch.log1p(self._w * self._q)

    def add(self, index: int) -> float:
        v = self._u[self._first[index]] - self._u[self._second[index]]
        a = self.covariance @ v
        w, q = self._w[index], v @ a
        c = w / (1 + w * q)
        projection = self._u @ a
        self._q = (self._q - c * (projection[self._first] - projection[self._second]).square()).clamp(min=0.0)
        self.covariance -= c * torch.outer(a, a)
        return float(0.5 * torch.log1p(w * q))

    def _quadratic(self, first: Tensor, second: Tensor) -> Tensor:
        quadratic = torch.empty(len(first), dtype=torch.float64, device=self._u.device)
        for start in range(0, len(first), 16_384):
            part = slice(start, start + 16_384)
            v = self._u[first[part]] - self._u[second[part]]
            quadratic[part] = ((v @ self.covariance) * v).sum(dim=1)
        return quadratic.clamp(min=0.0)
