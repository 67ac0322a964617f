r"""Design matrix: f(C) = ½ log det(I/σ² + Σ_C z zᵀ) − ½ log det(I/σ²) (paper, eq. 7; Mukherjee et al. 2024).

D-optimality with all weights 1: as if preferences were a linear regression with unit noise.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from bayesrm.design.base import Criterion
from bayesrm.design.candidates import CandidateSet
from bayesrm.design.objectives import InformationObjective, Objective
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import require_features


class DesignMatrix(Criterion):
    """The paper's det(XtX): most spread of feature differences, blind to the model's predictions."""

    name: ClassVar[str] = "xtx"

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Features whitened by the prior, all weights 1."""
        last_layer = require_features(posterior, "xtx")
        features = last_layer.features(candidates.pool, candidates.responses)
        return InformationObjective(
            features / last_layer.prior_precision.sqrt(),
            lambda first, second: torch.ones(len(first), dtype=torch.float64, device=features.device),
        )
