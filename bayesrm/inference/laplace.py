r"""Laplace: β ~ Normal(β̂, Λ⁻¹), β̂ the exact MAP on the features of the trained encoder, Λ the full Hessian.

The prior scale σ, unless given, maximises the Laplace evidence (MacKay 1992)

    log p(y | σ) ≈ ℓ(β̂) − ‖β̂‖² / 2σ² − d log σ − ½ log det Λ,

which is what keeps a linear model on hundreds of embedding dimensions from overfitting a few hundred labels.
The search is over the prior standard deviation of a typical reward, σ · rms‖φ − φ̄‖, between 1/30 and 30
logits, so that neither no labels nor separable ones lead to a degenerate prior.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from bayesrm.inference.base import Inference, labelled_differences, train_encoder
from bayesrm.inference.newton import LabelledDifferences, Mode, maximise
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior, encode
from bayesrm.types import Preferences, ResponsePool

LOG_RANGE = math.log(30.0)
LOG_TOLERANCE = 0.02
SCALE_RESPONSES = 2048


class Laplace(Inference):
    """A Gaussian at the exact MAP with the full Hessian; prior scale by evidence unless given."""

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
        fitted, start = train_encoder(model, pool, preferences, seed, device)
        data = labelled_differences(fitted, pool, preferences, device)
        if fitted.prior_scale is None:
            fitted.prior_scale = choose_prior_scale(fitted, pool, data)
        prior_precision = torch.full_like(start, fitted.prior_scale**-2)
        return _posterior(fitted, pool, preferences, data, prior_precision, start)


def refit(posterior: LastLayerPosterior, preferences: Preferences) -> GaussianPosterior:
    """The exact posterior with other preferences on the same features, started at the old mode."""
    data = labelled_differences(posterior.model, posterior.pool, preferences, posterior.location.device)
    return _posterior(
        posterior.model, posterior.pool, preferences, data, posterior.prior_precision, posterior.location
    )


def choose_prior_scale(model: RewardModel, pool: ResponsePool, data: LabelledDifferences) -> float:
    """σ of largest Laplace evidence; one logit of prior spread where there is no label yet."""
    unit = _unit_scale(model, pool, data.outcome.device)
    if len(data.outcome) == 0:
        return unit
    best: list[Mode] = []

    def negative_evidence(log_spread: float) -> float:
        precision = (unit * math.exp(log_spread)) ** -2
        start = best[-1].beta if best else None
        mode = _mode_at(model.likelihood, data, precision, start)
        best[:] = [mode]
        return -mode.log_evidence

    found = minimize_scalar(
        negative_evidence, bounds=(-LOG_RANGE, LOG_RANGE), method="bounded", options={"xatol": LOG_TOLERANCE}
    )
    return unit * math.exp(float(found.x))


def _mode_at(
    likelihood: Likelihood,
    data: LabelledDifferences,
    precision: float,
    start: Float[Tensor, "feature"] | None,
) -> Mode:
    d = data.difference.shape[1]
    prior_precision = torch.full((d,), precision, dtype=torch.float64, device=data.outcome.device)
    return maximise(likelihood, data, prior_precision, start)


def _unit_scale(model: RewardModel, pool: ResponsePool, device: torch.device) -> float:
    """The σ at which the reward of a typical response of the pool has a prior standard deviation of one logit."""
    n = min(len(pool), SCALE_RESPONSES)
    features = encode(model, pool, np.linspace(0, len(pool) - 1, n).round().astype(np.int64), device)
    mean_square = float((features - features.mean(dim=0)).square().sum(dim=1).mean())
    return 1.0 / math.sqrt(mean_square) if mean_square > 1e-24 else 1.0


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
