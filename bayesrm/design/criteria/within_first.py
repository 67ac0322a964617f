"""Uniformly random pairs, those within a prompt before those across prompts.

Rankings within prompts are what a reward model is used for. A comparison across prompts also carries how the
prompts differ, which is noise to that end, and on the real pool measured so far it teaches less than half as much.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock


class WithinFirst(Criterion):
    """Uniformly random pairs, those within a prompt before those across prompts."""

    name: ClassVar[str] = "within-first"
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = False
    promises_gain: ClassVar[bool] = False
    at_random: ClassVar[bool] = True

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """One for a pair within a prompt, zero for others; ties are broken at random."""
        group = torch.from_numpy(candidates.pool.group[candidates.responses])

        def same_prompt(pairs: PairBlock) -> Tensor:
            left, right = pairs.ends(group)
            return (left == right).flatten().to(pairs.dtype)

        return _Unpromising(same_prompt)


class _Unpromising(SumObjective):
    """Scores that order pairs and promise no gain."""

    def gains(self, pairs: PairBlock) -> Tensor:
        return torch.zeros(len(pairs), dtype=torch.float64)
