"""The paper's selector: the largest gradients at w = 1 (paper, eq. 8–10).

The objective is linearised around the batch of *all* candidates, so for D-optimality the score of a pair is
½ w vᵀM⁻¹v with M the information of the whole pool. It is in closed form and one pass, but blind to redundancy.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.search.constrained import per_cost, take_best
from bayesrm.design.search.contenders import Near, take_next


class Gradient(Selector):
    """The paper's: the pairs with the largest gradient where all candidates are included."""

    name: ClassVar[str] = "gradient"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Rank by ∂f/∂w at w = 1, per unit of cost."""
        return take_best(candidates, per_cost(objective.gradient(candidates), candidates), size, generator)

    def next(
        self,
        objective: Objective,
        candidates: CandidateSet,
        generator: np.random.Generator,
        near: Near | None = None,
    ) -> PairIndex:
        """The largest gradient, for which all candidates are summed up first."""
        score = per_cost(objective.gradient(candidates), candidates)
        return take_next(candidates, score, generator, near)
