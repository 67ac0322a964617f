"""Maximum difference: f(C) = Σ |r̂_i − r̂_j| in logits (paper, eq. 6; Muldrew et al. 2024)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock


class MaxDiff(Criterion):
    """Pairs of the best with the worst: largest difference of mean rewards (in logits)."""

    name: ClassVar[str] = "maxdiff"
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True
    promises_gain: ClassVar[bool] = False
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Absolute differences of the posterior means."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)

        def score(pairs: PairBlock) -> Tensor:
            return moments.of(pairs).mean.abs()

        return SumObjective(score)
