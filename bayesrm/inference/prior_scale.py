r"""Choosing the prior scale σ of the last layer from the labels.

On features that saw no label (a linear model) by the Laplace evidence (MacKay 1992)

    log p(y | σ) ≈ ℓ(β̂) − ‖β̂‖² / 2σ² − d log σ − ½ log det Λ,

which is what keeps hundreds of embedding dimensions from overfitting a few hundred labels.

A trained encoder has fitted the labels already: on its features their evidence asks for hardly any prior, and
the posterior is far too sure. There σ maximises what the posterior of some labels says of held-out ones,

    Σ_folds log p(y_held-out | y_rest, σ),

with features from an encoder trained on the rest, just as the final encoder is trained on all.

The search is over the prior standard deviation of a typical reward, σ · rms‖φ − φ̄‖, between 1/30 and 30
logits, so that neither no labels nor separable ones lead to a degenerate prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from bayesrm.inference.base import Split, Trained
from bayesrm.inference.newton import LabelledDifferences, Mode, maximise
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.last_layer import encode
from bayesrm.types import ResponsePool

LOG_RANGE = math.log(30.0)
LOG_TOLERANCE = 0.02
SCALE_RESPONSES = 2048


def choose_prior_scale(trained: Trained, pool: ResponsePool) -> float:
    """σ by held-out labels where the encoder was trained, else by evidence; 1 logit of spread without labels."""
    unit = unit_scale(trained.model, pool, trained.beta.device)
    if len(trained.data.outcome) == 0:
        return unit
    likelihood = trained.model.likelihood
    score = _held_out(likelihood, trained.splits) if trained.splits else _evidence(likelihood, trained.data)

    def loss(log_spread: float) -> float:
        return -score(torch.full_like(trained.beta, (unit * math.exp(log_spread)) ** -2))

    found = minimize_scalar(
        loss, bounds=(-LOG_RANGE, LOG_RANGE), method="bounded", options={"xatol": LOG_TOLERANCE}
    )
    return unit * math.exp(float(found.x))


def unit_scale(model: RewardModel, pool: ResponsePool, device: torch.device) -> float:
    """The σ at which the reward of a typical response of the pool has a prior standard deviation of one logit."""
    n = min(len(pool), SCALE_RESPONSES)
    features = encode(model, pool, np.linspace(0, len(pool) - 1, n).round().astype(np.int64), device)
    mean_square = float((features - features.mean(dim=0)).square().sum(dim=1).mean())
    return 1.0 / math.sqrt(mean_square) if mean_square > 1e-24 else 1.0


Score = Callable[[Float[Tensor, "feature"]], float]
"""From a prior precision to the log probability that is maximised, in nats."""


def _evidence(likelihood: Likelihood, data: LabelledDifferences) -> Score:
    fit = _warm_started(likelihood, data)
    return lambda prior_precision: fit(prior_precision).log_evidence


def _held_out(likelihood: Likelihood, splits: list[Split]) -> Score:
    fits = [_warm_started(likelihood, split.seen) for split in splits]

    def score(prior_precision: Float[Tensor, "feature"]) -> float:
        return sum(
            _log_predictive(likelihood, fit(prior_precision), split.unseen)
            for fit, split in zip(fits, splits, strict=True)
        )

    return score


def _log_predictive(likelihood: Likelihood, mode: Mode, data: LabelledDifferences) -> float:
    """Σ_k v_k log p(y_k) under the Gaussian posterior at the mode, each label on its own."""
    spread = torch.linalg.solve_triangular(mode.cholesky, data.difference.T, upper=False)
    p = likelihood.expected_probability(data.difference @ mode.beta, spread.square().sum(dim=0))
    p = p.clamp(1e-12, 1 - 1e-12)
    return float((data.weight * (data.outcome * p.log() + (1 - data.outcome) * (1 - p).log())).sum())


def _warm_started(likelihood: Likelihood, data: LabelledDifferences) -> Callable[[Tensor], Mode]:
    last: list[Mode] = []

    def fit(prior_precision: Tensor) -> Mode:
        last[:] = [maximise(likelihood, data, prior_precision, last[0].beta if last else None)]
        return last[0]

    return fit
