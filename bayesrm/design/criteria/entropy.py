"""Entropy sampling: f(C) = Σ H(p_m) in nats, p the predictive distribution (paper, eq. 5; Settles 2009).

Over all outcomes that the likelihood knows: with ties, that a pair is likely to tie counts for what it is.
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.answer_entropy import answer_entropy
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior


class Entropy(Criterion):
    """Pairs whose outcome is least certain: largest predictive entropy."""

    name: ClassVar[str] = "entropy"
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Predictive entropies; the posterior's mean probabilities, or the point's."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        likelihood = posterior.likelihood
        return SumObjective(lambda pairs: answer_entropy(moments, likelihood, pairs))
