r"""The paper's information designs as its released code computes them, so that studies can compare.

    score of m = w_m z_mᵀ M⁻¹ z_m,    M = 1e-6 I + Σ_{all candidates} w z zᵀ (+ Σ_{past} w z zᵀ),

the gradient of log det M at the batch of all candidates (paper, eq. 8–10); the k largest are taken. w = p̂(1 − p̂)
is plugged in at one point, the posterior's mean where there is one, and the ridge stands for the prior, whatever prior
the model has. The paper's other designs are in ``paper_others.py``: all eight are ``paper-`` and their name.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import InformationObjective, Objective
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.models.features import labelled_differences
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior, with_features
from bayesrm.posteriors.pairs import PairBlock
from bayesrm.utils.linalg import cholesky_factor

RIDGE = 1e-6


class PaperDOptimal(Criterion):
    """D-opt as the paper's code has it: ridge 1e-6, information of the whole pool, top of the gradient."""

    name: ClassVar[str] = "paper-dopt"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    default_selector: ClassVar[str] = "gradient"

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Features whitened by the ridge, weights plugged in."""
        posterior = with_features(posterior)
        features = posterior.features(candidates.pool, candidates.responses)
        return InformationObjective(features / RIDGE**0.5, _plugged_in(posterior, candidates))


class PaperPastAwareDOptimal(Criterion):
    """PA D-opt as the paper's code has it: D-opt's matrix plus the information of past labels."""

    name: ClassVar[str] = "paper-pa-dopt"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    default_selector: ClassVar[str] = "gradient"

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Features whitened by ridge and past, weights plugged in."""
        posterior = with_features(posterior)
        features = posterior.features(candidates.pool, candidates.responses)
        lower = cholesky_factor(_past_information(posterior))
        whitened = torch.linalg.solve_triangular(lower, features.T, upper=False).T.contiguous()
        return InformationObjective(whitened, _plugged_in(posterior, candidates))


class PaperDesignMatrix(Criterion):
    """det(XtX) as the paper's code has it: ridge 1e-6, the design matrix of the whole pool, top of the gradient."""

    name: ClassVar[str] = "paper-xtx"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    default_selector: ClassVar[str] = "gradient"

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Features whitened by the ridge, all weights 1."""
        posterior = with_features(posterior)
        features = posterior.features(candidates.pool, candidates.responses)
        return InformationObjective(
            features / RIDGE**0.5,
            lambda pairs: torch.ones(len(pairs), dtype=pairs.dtype, device=features.device),
        )


def _plugged_in(posterior: LastLayerPosterior, candidates: CandidateSet) -> PairFunction:
    """w at the mean of each logit."""
    moments, likelihood = posterior.reward_moments(candidates.pool, candidates.responses), posterior.likelihood

    def weight(pairs: PairBlock) -> Tensor:
        return likelihood.fisher_weight(moments.of(pairs).mean)

    return weight


def _past_information(posterior: LastLayerPosterior) -> Float[Tensor, "feature feature"]:
    """1e-6 I + Σ_past w z zᵀ, weights at the posterior's location."""
    data = labelled_differences(posterior.model, posterior.pool, posterior.preferences, posterior.location.device)
    z = data.difference
    information = (z * posterior.likelihood.fisher_weight(z @ posterior.location)[:, None]).T @ z
    information.diagonal().add_(RIDGE)
    return information
