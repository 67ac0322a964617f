"""V-optimality aimed at rankings within prompts: the targets are random pairs within prompts of the pool.

The same as ``vopt`` (see there) where candidates are all pairs within prompts. Across prompts it asks for comparisons
of any two responses, for what they tell about those to one prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.criteria.vopt import VOptimal
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.targets import within_prompts
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.utils.checked import checked


@checked
@dataclass(frozen=True)
class RankVOptimal(VOptimal):
    """Least variance of the logits of pairs within prompts, whatever the candidates."""

    name: ClassVar[str] = "rank-vopt"
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The fall of the mean variance of random pairs within prompts."""
        targets = within_prompts(candidates.pool, self.size) if self.targets is None else self.targets
        return VOptimal(targets, self.size).objective(posterior, candidates)
