"""Fisher weights of candidate pairs under a posterior."""

from __future__ import annotations

from torch import Tensor

from bayesrm.design.candidates import CandidateSet
from bayesrm.design.objectives import PairFunction
from bayesrm.posteriors.base import RewardPosterior


def fisher_weight(posterior: RewardPosterior, candidates: CandidateSet) -> PairFunction:
    """E[w(η)] over the posterior of η: w at η̂ for a point, which has no spread."""
    moments = posterior.reward_moments(candidates.pool, candidates.responses)

    def weight(first: Tensor, second: Tensor) -> Tensor:
        return moments.fisher_weight(posterior.likelihood, first, second)

    return weight
