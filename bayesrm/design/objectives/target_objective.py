r"""Designs for predictions: what a batch takes off a loss of the targets' variances.

With A = I + Σ_C w v vᵀ in whitened coordinates, a target t has variance σ_t² = tᵀA⁻¹t left, and

    f(C) = ℓ(σ²(∅)) − ℓ(σ²(C)).

Adding m takes w (vᵀA⁻¹t)² / (1 + w vᵀA⁻¹v) off σ_t², so a gain costs as many steps as there are targets. Every loss
here makes f concave in w, hence the certificate; f is not submodular, so beyond the 20,000 candidates of its shortlist
greedy is no longer exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Differences, Objective, batch_gains, occurring
from bayesrm.design.objectives.covariance import Covariance
from bayesrm.design.objectives.information import pair_information
from bayesrm.design.objectives.screening import PairFunction, Screened, weighted_distance
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import ListedPairs, PairBlock
from bayesrm.utils.linalg import cholesky_factor

PAIRS_AT_ONCE = 256
ROUNDING = 1e-9
"""Part of itself that a bound may fall below what it bounds, by rounding."""


class TargetLoss(ABC):
    """ℓ of the variances left; increasing in each."""

    @abstractmethod
    def total(self, left: Float[Tensor, "*pair target"]) -> Float[Tensor, "*pair"]:
        """ℓ(σ²)."""

    @abstractmethod
    def price(self, left: Float[Tensor, "target"]) -> Float[Tensor, "target"]:
        """∂ℓ/∂σ_t²."""

    def most(self, left: Float[Tensor, "target"]) -> Float[Tensor, "target"] | None:
        """p with ℓ(σ²) − ℓ(σ² − δ) ≤ Σ_t p_t δ_t for all 0 ≤ δ ≤ σ²; None where none is known."""
        return None


@dataclass(frozen=True)
class TargetObjective(Objective):
    """f(C) = ℓ(σ²(∅)) − ℓ(σ²(C)); see the module.

    Parameters
    ----------
    whitened
        (response, rank) rows u, one for each of the candidates' responses.
    weight
        The Fisher weight w of a pair.
    targets
        (target, rank) rows t.
    loss
        ℓ.
    """

    whitened: Float[Tensor, "response rank"]
    weight: PairFunction
    targets: Float[Tensor, "target rank"]
    loss: TargetLoss

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """Σ_t ℓ_t w (vᵀA⁻¹t)², prices and A those of all candidates together."""
        return self._slope_at(self._identity() + pair_information(self.whitened, self.weight, candidates))

    def batch(self) -> Batch:
        """The empty batch, of covariance I."""
        return _TargetBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The falls of the loss, one after the other."""
        return batch_gains(self.batch(), pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """Σ_t ℓ_t w (vᵀA⁻¹t)², prices and A those of the batch."""
        v = difference(self.whitened, pairs.first, pairs.second)
        return self._slope_at(self._identity() + (v * self.weight(pairs)[:, None]).T @ v)

    def _identity(self) -> Float[Tensor, "rank rank"]:
        return torch.eye(self.whitened.shape[1], dtype=torch.float64, device=self.whitened.device)

    def _slope_at(self, information: Float[Tensor, "rank rank"]) -> PairFunction:
        solved = torch.cholesky_solve(self.targets.T, cholesky_factor(information))
        left = (self.targets.T * solved).sum(dim=0).clamp(min=0.0)
        return weighted_distance(self.whitened @ _narrowed(solved * self.loss.price(left).sqrt()), self.weight)


class _TargetBatch(Batch):
    """Keeps vᵀA⁻¹t of all tracked pairs and targets; with a = A⁻¹v it loses c (u·a)(t·a), c = w / (1 + w vᵀa)."""

    def __init__(self, objective: TargetObjective) -> None:
        self._u, self._weight, self._loss = objective.whitened, objective.weight, objective.loss
        self._targets = objective.targets
        self._covariance = Covariance(self._u)
        self._left = self._targets.square().sum(dim=1)
        self._pairs: PairBlock = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))
        self._tracked_rows = Differences(self._u, self._pairs)
        self._w = self._q = torch.empty(0, dtype=torch.float64)
        self._cross = torch.empty((0, len(self._targets)), dtype=torch.float64)

    def score(self) -> PairFunction:
        rows = self._covariance.rooted(self._u)
        aimed = self._u @ self._covariance.times(self._targets).T
        left, weight = self._left, self._weight

        def factor(pairs: PairBlock) -> Tensor:
            w = weight(pairs)
            return w / (1 + w * pairs.squared_distance(rows))

        def gain(pairs: PairBlock) -> Tensor:
            c = factor(pairs)
            ends = pairs.first.split(PAIRS_AT_ONCE), pairs.second.split(PAIRS_AT_ONCE)
            parts = zip(*ends, c.split(PAIRS_AT_ONCE), strict=True)
            gains = [self._gains(difference(aimed, first, second), part, left) for first, second, part in parts]
            return torch.cat(gains) if gains else c

        most = self._loss.most(left)
        if most is None:
            return gain
        paid = self._u @ _narrowed(self._covariance.times(self._targets).T * most.sqrt())
        bounded = weighted_distance(paid, weight)
        if not isinstance(bounded, Screened):
            return gain

        def sharp(pairs: PairBlock) -> Tensor:
            return (1 + ROUNDING) * factor(pairs) * pairs.squared_distance(paid)

        # What m takes off σ_t² is c (vᵀA⁻¹t)² with c below w.
        return Screened(gain, bounded.bound, bounded.far, sharp=sharp)

    def track(self, pairs: PairBlock) -> None:
        self._pairs, self._w, self._tracked_rows = pairs, self._weight(pairs), Differences(self._u, pairs)
        u, those = occurring(self._u, pairs)
        self._q = those.squared_distance(self._covariance.rooted(u))
        self._cross = difference(u @ self._covariance.times(self._targets).T, those.first, those.second)

    @property
    def tracked(self) -> Tensor:
        c = self._w / (1 + self._w * self._q)
        parts = zip(self._cross.split(PAIRS_AT_ONCE), c.split(PAIRS_AT_ONCE), strict=True)
        return torch.cat([self._gains(cross, part, self._left) for cross, part in parts])

    def add(self, index: int) -> None:
        self._update(index, float(self._w[index]))

    def remove(self, index: int) -> None:
        self._update(index, -float(self._w[index]))

    def _gains(
        self, cross: Float[Tensor, "pair target"], c: Float[Tensor, "pair"], left: Float[Tensor, "target"]
    ) -> Float[Tensor, "pair"]:
        after = torch.addcmul(left, cross.square(), c[:, None], value=-1.0).clamp_(min=0.0)
        return (self._loss.total(left) - self._loss.total(after)).clamp_(min=0.0)

    def _update(self, index: int, w: float) -> None:
        v = self._u[self._pairs.first[index]] - self._u[self._pairs.second[index]]
        a = self._covariance.times(v)
        c = w / (1 + w * (v @ a))
        along, aimed = self._tracked_rows.along(a), self._targets @ a
        self._cross.addr_(along, aimed, alpha=-float(c))
        self._q = (self._q - c * along.square()).clamp_(min=0.0)
        self._left = (self._left - c * aimed.square()).clamp_(min=0.0)
        self._covariance.subtract(c * torch.outer(a, a))


def _narrowed(matrix: Float[Tensor, "rank column"]) -> Float[Tensor, "rank narrow"]:
    """R no wider than the rank with R Rᵀ = M Mᵀ, so that ‖Mᵀ(u_i − u_j)‖ = ‖Rᵀ(u_i − u_j)‖."""
    return torch.linalg.qr(matrix.T, mode="r").R.T.contiguous() if matrix.shape[1] > len(matrix) else matrix
