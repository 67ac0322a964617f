"""The highest scores: the best batch of a plain sum."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.search.constrained import first_gain, take_best
from bayesrm.design.search.contenders import Near, take_next


class Top(Selector):
    """The pairs of highest gain on their own, blind to what they share."""

    name: ClassVar[str] = "top"
    first_is_best: ClassVar[bool] = True

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Rank by what they add to an empty batch."""
        return take_best(candidates, first_gain(objective, candidates), size, generator)

    def next(
        self,
        objective: Objective,
        candidates: CandidateSet,
        generator: np.random.Generator,
        near: Near | None = None,
    ) -> PairIndex:
        """The highest score."""
        return take_next(candidates, first_gain(objective, candidates), generator, near)
