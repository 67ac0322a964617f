r"""How well a batch covers a pool: each target by its squared distance from the nearest chosen pair, or zero.

    f(C) = (1/T) Σ_t [‖t‖² − min(‖t‖², min_{m∈C} ‖t ∓ v_m‖²)],

the facility-location form of k-medoids, submodular. A pair and its reverse are the same question, so the nearer of
v and −v counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Objective, batch_gains
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import ListedPairs, PairBlock

PAIRS_AT_ONCE = 1_024
MOST_DISTANCES = 2**26
"""Between targets and tracked pairs: half a gigabyte of them is kept, more are computed again for every pick."""


@dataclass(frozen=True)
class CoverageObjective(Objective):
    """f(C), see the module.

    Parameters
    ----------
    rows
        (response, rank) rows u, of which pairs are differences.
    targets
        (target, rank) what is to be covered.
    """

    rows: Float[Tensor, "response rank"]
    targets: Float[Tensor, "target rank"]

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """What each pair covers on its own: f has no value between in and out."""
        return self.batch().score()

    def batch(self) -> Batch:
        """The empty batch: every target is as far away as zero is."""
        return _CoverageBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """What each covers beyond those before it."""
        return batch_gains(self.batch(), pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """f(C ∪ {m}) − f(C), which is zero for m in C: as f is submodular no C' exceeds f(C) + Σ_C' slope."""
        batch = self.batch()
        batch.track(pairs)
        for index in range(len(pairs)):
            batch.add(index)
        return batch.score()

    def distance(self, pairs: PairBlock) -> Float[Tensor, "pair target"]:
        """min over both orientations of ‖t ∓ v‖²."""
        v = difference(self.rows, pairs.first, pairs.second)
        product = v @ self.targets.T
        return v.square().sum(dim=1, keepdim=True) + self.targets.square().sum(dim=1) - 2 * product.abs()


class _CoverageBatch(Batch):
    def __init__(self, objective: CoverageObjective) -> None:
        self._objective = objective
        self._pairs: PairBlock = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))
        self._kept: _KeptDistances | None = None
        self._chosen: list[int] = []
        self._nearest = self._from_zero()

    def score(self) -> PairFunction:
        nearest = self._nearest.clone()

        def gain(pairs: PairBlock) -> Tensor:
            parts = zip(pairs.first.split(PAIRS_AT_ONCE), pairs.second.split(PAIRS_AT_ONCE), strict=True)
            gains = [
                (nearest - self._objective.distance(ListedPairs(first, second))).clamp_(min=0.0).mean(dim=1)
                for first, second in parts
            ]
            return torch.cat(gains) if gains else nearest[:0]

        return gain

    def track(self, pairs: PairBlock) -> None:
        self._pairs = pairs
        self._keep()

    @property
    def tracked(self) -> Tensor:
        return self.score()(self._pairs) if self._kept is None else self._kept.gains.clamp(min=0.0)

    def add(self, index: int) -> None:
        self._chosen.append(index)
        before, self._nearest = self._nearest, torch.minimum(self._nearest, self._of(index))
        if self._kept is not None:
            self._kept.move(before, self._nearest)

    def remove(self, index: int) -> None:
        self._chosen.remove(index)
        self._nearest = self._from_zero()
        for kept in self._chosen:
            self._nearest = torch.minimum(self._nearest, self._of(kept))
        self._keep()

    def _keep(self) -> None:
        fits = 0 < len(self._pairs) * len(self._nearest) <= MOST_DISTANCES
        self._kept = _KeptDistances(self._objective, self._pairs, self._nearest) if fits else None

    def _of(self, index: int) -> Float[Tensor, "target"]:
        return self._objective.distance(ListedPairs(self._pairs.first[[index]], self._pairs.second[[index]]))[0]

    def _from_zero(self) -> Float[Tensor, "target"]:
        return self._objective.targets.square().sum(dim=1)


class _KeptDistances:
    """Distances of tracked pairs from all targets, and their gains, kept up to date as targets find a nearer pair."""

    def __init__(self, objective: CoverageObjective, pairs: PairBlock, nearest: Float[Tensor, "target"]) -> None:
        self._distance = nearest.new_empty((len(nearest), len(pairs)))
        start = 0
        for first, second in zip(pairs.first.split(PAIRS_AT_ONCE), pairs.second.split(PAIRS_AT_ONCE), strict=True):
            part = objective.distance(ListedPairs(first, second))
            self._distance[:, start : start + len(first)] = part.T
            start += len(first)
        self.gains = (nearest[:, None] - self._distance).clamp_(min=0.0).mean(dim=0)

    def move(self, before: Float[Tensor, "target"], after: Float[Tensor, "target"]) -> None:
        """Targets were ``before`` away from their nearest pair, and are ``after`` now."""
        moved = (after < before).nonzero()[:, 0]
        distance = self._distance[moved]
        lost = (before[moved, None] - distance).clamp_(min=0.0) - (after[moved, None] - distance).clamp_(min=0.0)
        self.gains -= lost.sum(dim=0) / len(before)
