r"""Laplace: β ~ Normal(β̂, Λ⁻¹), β̂ the exact MAP on the features of the trained encoder, Λ the full Hessian.

The prior scale σ, unless given, is chosen from the labels, see :mod:`bayesrm.inference.prior_scale`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.base import Inference, labelled_differences, train_encoder
from bayesrm.inference.newton import LabelledDifferences, maximise
from bayesrm.inference.prior_scale import choose_prior_scale
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences, ResponsePool


class Laplace(Inference):
    """A Gaussian at the exact MAP with the full Hessian; the prior scale is chosen from the labels."""

    name: ClassVar[str] = "laplace"

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> GaussianPosterior:
        """Train the encoder, freeze it, and approximate the posterior of the last layer."""
        trained = train_encoder(model, pool, preferences, seed, device)
        fitted = trained.model
        if fitted.prior_scale is None:
            fitted.prior_scale = choose_prior_scale(trained, pool)
        prior_precision = torch.full_like(trained.beta, fitted.prior_scale**-2)
        return _posterior(fitted, pool, preferences, trained.data, prior_precision, trained.beta)


def refit(posterior: LastLayerPosterior, preferences: Preferences) -> GaussianPosterior:
    """The exact posterior with other preferences on the same features, started at the old mode."""
    data = labelled_differences(posterior.model, posterior.pool, preferences, posterior.location.device)
    return _posterior(
        posterior.model, posterior.pool, preferences, data, posterior.prior_precision, posterior.location
    )


def _posterior(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    data: LabelledDifferences,
    prior_precision: Float[Tensor, "feature"],
    start: Float[Tensor, "feature"],
) -> GaussianPosterior:
    mode = maximise(model.likelihood, data, prior_precision, start)
    return GaussianPosterior(
        model=model,
        pool=pool,
        preferences=preferences,
        location=mode.beta,
        information_cholesky=mode.cholesky,
        prior_precision=prior_precision,
        log_evidence=mode.log_evidence,
        refit=refit,
    )
