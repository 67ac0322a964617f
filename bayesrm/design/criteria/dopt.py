r"""D-optimality: f(C) = ½ log det(I/σ² + Σ_C w z zᵀ) − ½ log det(I/σ²) in nats (paper, eq. 4).

The information of the batch alone, on top of the prior: past labels enter only through the weights w, which are
p(1−p) at a point and its posterior mean E w(η) under a posterior.
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import InformationObjective, Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.narrow import narrow
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import with_features


class DOptimal(Criterion):
    """The paper's D-opt: most Fisher information in the batch, without regard to past labels."""

    name: ClassVar[str] = "dopt"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Features whitened by the prior, posterior-averaged Fisher weights."""
        posterior = with_features(posterior)
        features = posterior.features(candidates.pool, candidates.responses)
        (rows,) = narrow(features / posterior.prior_precision.sqrt())
        return InformationObjective(rows, fisher_weight(posterior, candidates))
