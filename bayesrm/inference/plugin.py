r"""Plug-in: the maximum-likelihood point, and its Fisher information for designs (paper, eq. 3).

With an encoder to train, the point is the network as it was trained. Without one (linear Bradley–Terry) it is
found by Newton; separable labels have no finite maximum, so a ridge of 1e-6, the one of the paper's code,
keeps it finite. The same ridge makes the information invertible, unless the model has a prior scale.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.base import Inference, labelled_differences, train_encoder
from bayesrm.inference.newton import LabelledDifferences, information_cholesky, maximise
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.point import PointPosterior
from bayesrm.types import Preferences, ResponsePool

RIDGE = 1e-6


class Plugin(Inference):
    """The maximum-likelihood point, without spread; its Fisher information serves designs."""

    name: ClassVar[str] = "plugin"

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> PointPosterior:
        """Train, or maximise where there is nothing to train."""
        trained = train_encoder(model, pool, preferences, seed, device)
        precision = RIDGE if model.prior_scale is None else model.prior_scale**-2
        prior_precision = torch.full_like(trained.beta, precision)
        beta = trained.beta
        if not model.encoder.trainable:
            beta = maximise(model.likelihood, trained.data, prior_precision).beta
        return _point(trained.model, pool, preferences, trained.data, prior_precision, beta)


def refit(posterior: LastLayerPosterior, preferences: Preferences) -> PointPosterior:
    """The maximum-likelihood last layer on fixed features."""
    model, prior_precision = posterior.model, posterior.prior_precision
    data = labelled_differences(model, posterior.pool, preferences, posterior.location.device)
    beta = maximise(model.likelihood, data, prior_precision, start=posterior.location).beta
    return _point(model, posterior.pool, preferences, data, prior_precision, beta)


def _point(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    data: LabelledDifferences,
    prior_precision: Float[Tensor, "feature"],
    beta: Float[Tensor, "feature"],
) -> PointPosterior:
    """The point with its Fisher information Σ_k v_k w_k z_k z_kᵀ + diag(τ), w the Fisher weight at β."""
    fisher = data.weight * model.likelihood.fisher_weight(data.difference @ beta)
    return PointPosterior(
        model=model,
        pool=pool,
        preferences=preferences,
        location=beta,
        information_cholesky=information_cholesky(fisher, data.difference, prior_precision),
        prior_precision=prior_precision,
        log_evidence=float("nan"),
        refit=refit,
    )
