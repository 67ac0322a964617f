"""The highest scores: the best batch of a plain sum."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates import CandidateSet, PairIndex
from bayesrm.design.objectives import Objective
from bayesrm.design.ranking import top


class Top(Selector):
    """The pairs of highest gain on their own, blind to what they share."""

    name: ClassVar[str] = "top"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Rank by what they add to an empty batch."""
        return top(candidates, objective.batch().score(), size, generator)
