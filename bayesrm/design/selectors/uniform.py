"""Uniformly random pairs, without scoring any."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates import CandidateSet, PairIndex
from bayesrm.design.objectives import Objective


class Uniform(Selector):
    """A uniform sample of the candidates."""

    name: ClassVar[str] = "uniform"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Sample without replacement."""
        return candidates.sample(size, generator)
