"""Uniformly random pairs, without scoring any; within constraints, of those that are still allowed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from bayesrm.design.base import Selector
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.search.constrained import Tally, fill
from bayesrm.design.search.ranking import top

TRIES = 20
"""Pairs that are drawn for each one asked for before those still allowed are looked for one by one."""


class Uniform(Selector):
    """A uniform sample of the candidates."""

    name: ClassVar[str] = "uniform"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Sample without replacement."""
        if not candidates.constraints.limited:
            return candidates.sample(size, generator)
        tally, chosen = Tally(candidates, size), list[int]()
        drawn = candidates.sample(min(len(candidates), TRIES * size), generator)
        while True:
            fill(tally, candidates, drawn, chosen, size)
            if len(chosen) == size:
                return np.array(chosen, dtype=np.int64)
            drawn = top(
                candidates,
                lambda pairs: torch.zeros(len(pairs), dtype=torch.float64),
                TRIES * size,
                generator,
                allowed=tally.allowed,
            )
            tally.require_more(len(drawn) > 0)
