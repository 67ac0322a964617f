r"""Design matrix: f(C) = ½ log det(I/σ² + Σ_C z zᵀ) − ½ log det(I/σ²) (paper, eq. 7; Mukherjee et al. 2024).

D-optimality with all weights 1: as if preferences were a linear regression with unit noise.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import InformationObjective, Objective
from bayesrm.design.objectives.narrow import narrow
from bayesrm.design.objectives.screening import PairWeight
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import with_features


class DesignMatrix(Criterion):
    """The paper's det(XtX): most spread of feature differences, blind to the model's predictions."""

    name: ClassVar[str] = "xtx"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Features whitened by the prior, all weights 1."""
        posterior = with_features(posterior)
        features = posterior.features(candidates.pool, candidates.responses)
        (rows,) = narrow(features / posterior.prior_precision.sqrt())
        return InformationObjective(
            rows,
            PairWeight(
                lambda pairs: torch.ones(len(pairs), dtype=pairs.dtype, device=features.device), largest=1.0
            ),
        )
