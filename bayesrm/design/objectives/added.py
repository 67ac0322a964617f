"""The weighted sum of two objectives; concave and submodular where both are."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Objective, PairFunction
from bayesrm.posteriors.pairs import ListedPairs, PairBlock


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
            listed = ListedPairs(pairs.first, pairs.second)
            return self._one.gain(one(listed)) + self._weight * self._other.gain(other(listed))

        return gain

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
