r"""A-optimality: f(C) = tr Λ⁻¹ − tr (Λ + Σ_C w z zᵀ)⁻¹, the fall of β's total variance (Chaloner & Verdinelli 1995).

Unlike D-optimality it depends on the scale of the features. β includes prompts' intercepts where the model has them.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.linear_optimality import LinearObjective
from bayesrm.design.objectives.narrow import seen_by
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import with_features


class AOptimal(Criterion):
    """Least variance of the last layer's weights summed up, given past labels."""

    name: ClassVar[str] = "aopt"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The targets are the axes of β, L⁻¹e_k."""
        posterior = with_features(posterior)
        axes = torch.eye(len(posterior.location), dtype=torch.float64, device=posterior.location.device)
        whitened = posterior.information_factor(candidates.pool, candidates.responses)
        rows, aimed = seen_by(whitened, posterior.whiten(axes))
        return LinearObjective(rows, fisher_weight(posterior, candidates), aimed)
