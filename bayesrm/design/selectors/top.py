"""The highest scores: the best batch of a plain sum."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates import CandidateSet
from bayesrm.design.constrained import per_cost, take_best
from bayesrm.design.numbering import PairIndex
from bayesrm.design.objectives import Objective


class Top(Selector):
    """The pairs of highest gain on their own, blind to what they share."""

    name: ClassVar[str] = "top"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Rank by what they add to an empty batch."""
        batch = objective.batch()
        score = batch.score()
        if candidates.constraints.cost is not None:
            score = per_cost(lambda pairs: batch.gain(batch.score()(pairs)), candidates)
        return take_best(candidates, score, size, generator)
