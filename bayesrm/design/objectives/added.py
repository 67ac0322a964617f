"""The weighted sum of two objectives; concave and submodular where both are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Objective
from bayesrm.design.objectives.screening import PairFunction, Screened
from bayesrm.posteriors.pairs import PairBlock, TiledPairs

ROUNDED_UP = 1e-9
"""Part of the largest bound in a tile that bounds are raised by, for tiles and lists to round as they like."""


@dataclass(frozen=True)
class AddedObjective(Objective):
    """f(C) = g(C) + λ h(C).

    Parameters
    ----------
    one, other
        g and h.
    weight
        λ ≥ 0.
    """

    one: Objective
    other: Objective
    weight: float

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """Of either, added."""
        return self._added(self.one.gradient(candidates), self.other.gradient(candidates))

    def batch(self) -> Batch:
        """The empty batch of both."""
        return _AddedBatch(self.one.batch(), self.other.batch(), self.weight)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """Of either, added."""
        return self.one.gains(pairs) + self.weight * self.other.gains(pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """Of either, added."""
        return self._added(self.one.slope(pairs), self.other.slope(pairs))

    def _added(self, one: PairFunction, other: PairFunction) -> PairFunction:
        return lambda pairs: one(pairs) + self.weight * other(pairs)


class _AddedBatch(Batch):
    def __init__(self, one: Batch, other: Batch, weight: float) -> None:
        self._one, self._other, self._weight = one, other, weight

    def score(self) -> PairFunction:
        one, other = self._one.score(), self._other.score()

        def gain(pairs: PairBlock) -> Tensor:
            return self._one.gain(one(pairs)) + self._weight * self._other.gain(other(pairs))

        if not isinstance(one, Screened):
            return gain
        above = one.bound

        def bound(tile: TiledPairs, threshold: float) -> Tensor:
            whole = TiledPairs(tile.rows, tile.columns, torch.float64)
            most = self._one.gain(above(tile, 0.0).double()) + self._weight * self._other.gain(other(whole))
            return most + ROUNDED_UP * most.abs().amax()

        return Screened(gain, bound)

    def track(self, pairs: PairBlock) -> None:
        self._one.track(pairs)
        self._other.track(pairs)

    @property
    def tracked(self) -> Tensor:
        return self._one.gain(self._one.tracked) + self._weight * self._other.gain(self._other.tracked)

    def add(self, index: int) -> None:
        self._one.add(index)
        self._other.add(index)

    def remove(self, index: int) -> None:
        self._one.remove(index)
        self._other.remove(index)
