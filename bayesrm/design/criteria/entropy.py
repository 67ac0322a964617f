"""Entropy sampling: f(C) = Σ H(p_m) in nats, p the predictive probability (paper, eq. 5; Settles 2009)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates import CandidateSet
from bayesrm.design.objectives import Objective, SumObjective
from bayesrm.models.likelihoods.base import binary_entropy
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock


class Entropy(Criterion):
    """Pairs whose outcome is least certain: largest predictive entropy."""

    name: ClassVar[str] = "entropy"
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Predictive entropies; the posterior's mean probability, or the point's."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)

        def score(pairs: PairBlock) -> Tensor:
            return binary_entropy(moments.of(pairs).probability(posterior.likelihood))

        return SumObjective(score)
