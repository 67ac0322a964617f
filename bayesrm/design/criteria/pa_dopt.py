r"""Past-aware D-optimality: f(C) = ½ log det(Λ + Σ_C w z zᵀ) − ½ log det Λ in nats (paper, section 3.1).

Λ is the information of all labels so far, so under a Gaussian posterior f is the entropy that β is expected to
lose. For any posterior with covariance K of the pairs' logits it is ½ log det(I + W^½ K W^½).
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import InformationObjective, Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.narrow import narrow
from bayesrm.posteriors.base import RewardPosterior


class PastAwareDOptimal(Criterion):
    """The paper's PA D-opt: most Fisher information given past labels, the largest loss of posterior entropy."""

    name: ClassVar[str] = "pa-dopt"
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Responses whitened by the posterior, posterior-averaged Fisher weights."""
        (whitened,) = narrow(posterior.information_factor(candidates.pool, candidates.responses))
        return InformationObjective(whitened, fisher_weight(posterior, candidates))
