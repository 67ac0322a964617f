"""Random: the baseline that every design has to beat."""

from __future__ import annotations

from typing import ClassVar

import torch

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior


class Random(Criterion):
    """Uniformly random pairs; promises no gain."""

    name: ClassVar[str] = "random"
    default_selector: ClassVar[str] = "uniform"
    selects_itself: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = False
    promises_gain: ClassVar[bool] = False
    at_random: ClassVar[bool] = True

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Every batch is worth nothing."""
        return SumObjective(lambda pairs: torch.zeros(len(pairs), dtype=pairs.dtype))
