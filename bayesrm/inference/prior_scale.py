r"""Choosing the prior scale σ of the last layer from the labels, one for each block of features.

On features that saw no label (a linear model) by the Laplace evidence (MacKay 1992)

    log p(y | σ) ≈ f(x̂) + D/2 log 2π − ½ log det Λ,

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
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from bayesrm.inference.nested import find_mode
from bayesrm.inference.newton import Mode
from bayesrm.inference.trained import Split, Trained
from bayesrm.models.features import encode
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import ResponsePool

LOG_RANGE = math.log(30.0)
LOG_TOLERANCE = 0.02
BLOCK_TOLERANCE = 0.1
"""Several blocks are searched in turn, each more coarsely: one scale makes up for another."""
SCALE_RESPONSES = 2048
MOST_UPDATES = 50

Score = Callable[[Float[Tensor, "feature"]], float]
"""From a prior precision to the log probability that is maximised, in nats."""


def prior_precision(trained: Trained, pool: ResponsePool) -> Float[Tensor, "feature"]:
    """1/σ² for each feature: as the model was told, or chosen from the labels and written into the trained model."""
    model, device = trained.model, trained.beta.device
    if model.program is None:
        chosen = model.prior_scale
        if chosen is None:
            model.prior_scale = choose_prior_scale(trained, pool, trained.scales)
        elif not isinstance(chosen, dict) and model.prompt_intercept:
            # One number is for the weights of features; the intercepts' spread stays open.
            model.prior_scale = choose_prior_scale(trained, pool, dict.fromkeys(model.encoder.blocks, chosen))
    return model.prior_sd().to(device).pow(-2)


def choose_prior_scale(
    trained: Trained, pool: ResponsePool, given: dict[str, float] | None = None, coarse: bool = False
) -> float | dict[str, float]:
    """σ by held-out labels where the encoder was trained, else by evidence; 1 logit of spread without labels.

    Parameters
    ----------
    trained
        Encoder and labels.
    pool
        Its responses say what a typical reward is.
    given
        Scales of blocks that are not to be chosen.
    coarse
        Whether a rough search will do.

    Returns
    -------
    float | dict[str, float]
        One scale a block; the number alone where there is one block.
    """
    model = trained.model
    fixed = given or {}
    unit = unit_scales(model, pool, trained.beta.device)
    free = [name for name in unit if name not in fixed]
    spread = dict.fromkeys(free, 0.0)

    def scales(log_spread: dict[str, float]) -> dict[str, float]:
        return fixed | {name: unit[name] * math.exp(log_spread[name]) for name in free}

    if len(trained.data.outcome) and free:
        score = _held_out(model, trained.splits) if trained.splits else _evidence(model, trained.data)

        def loss(log_spread: dict[str, float]) -> float:
            return -score(_precision(model, scales(log_spread)).to(trained.beta.device))

        if len(free) > 1 and not trained.splits:
            return _finish(scales(_fixed_point(trained, fixed, unit, free, 0.1 if coarse else 0.01)))
        common = _line_search(
            lambda x: loss(dict.fromkeys(free, x)), 0.2 if coarse or len(free) > 1 else LOG_TOLERANCE
        )
        spread = dict.fromkeys(free, common)
        if len(free) > 1:
            found = minimize(
                lambda x: loss(dict(zip(free, x.tolist(), strict=True))),
                np.full(len(free), common),
                method="Powell",
                bounds=[(-LOG_RANGE, LOG_RANGE)] * len(free),
                options={"xtol": 0.3 if coarse else BLOCK_TOLERANCE, "ftol": 1e-3 if coarse else 1e-5},
            )
            spread = dict(zip(free, np.atleast_1d(found.x).tolist(), strict=True))
    return _finish(scales(spread))


def unit_scales(model: RewardModel, pool: ResponsePool, device: torch.device) -> dict[str, float]:
    """For each block the σ at which its part of a typical response's reward has a prior sd of one logit."""
    n = min(len(pool), SCALE_RESPONSES)
    features = encode(model, pool, np.linspace(0, len(pool) - 1, n).round().astype(np.int64), device)
    units = {}
    for name, block in model.blocks.items():
        part = features[:, block]
        mean_square = float((part - part.mean(dim=0)).square().sum(dim=1).mean())
        units[name] = 1.0 / math.sqrt(mean_square) if mean_square > 1e-24 and name != "intercept" else 1.0
    return units


def _fixed_point(
    trained: Trained, fixed: dict[str, float], unit: dict[str, float], free: list[str], tolerance: float
) -> dict[str, float]:
    """The largest evidence over several scales: σ_b² ← ‖β_b‖² / γ_b, γ_b = d_b − tr(Σ_bb)/σ_b² (MacKay 1992, 1995).

    γ_b counts the weights of a block that the labels determine. Stops where the evidence rises by less than
    ``tolerance`` nats.
    """
    model, blocks = trained.model, trained.model.blocks
    fit = _warm_started(model, trained.data)
    spread = dict.fromkeys(free, 0.0)
    best, before = dict(spread), -math.inf
    for _ in range(MOST_UPDATES):
        scales = fixed | {name: unit[name] * math.exp(spread[name]) for name in free}
        mode = fit(_precision(model, scales).to(trained.beta.device))
        if mode.log_evidence > before:
            best = dict(spread)
        if mode.log_evidence < before + tolerance:
            break
        before = mode.log_evidence
        variance = torch.cholesky_inverse(mode.cholesky).diagonal()
        for name in free:
            block = blocks[name]
            determined = max(1e-3, len(variance[block]) - float(variance[block].sum()) / scales[name] ** 2)
            target = float(mode.beta[block].square().sum()) / determined
            spread[name] = min(
                max(0.5 * math.log(max(target, 1e-12)) - math.log(unit[name]), -LOG_RANGE), LOG_RANGE
            )
    return best


def _finish(scales: dict[str, float]) -> float | dict[str, float]:
    return next(iter(scales.values())) if len(scales) == 1 else scales


def _precision(model: RewardModel, scales: dict[str, float]) -> Float[Tensor, "feature"]:
    precision = torch.ones(model.features, dtype=torch.float64)
    for name, block in model.blocks.items():
        precision[block] = scales[name] ** -2
    return precision


def _line_search(loss: Callable[[float], float], tolerance: float) -> float:
    found = minimize_scalar(loss, bounds=(-LOG_RANGE, LOG_RANGE), method="bounded", options={"xatol": tolerance})
    return float(found.x)


def _evidence(model: RewardModel, data: LabelledDifferences) -> Score:
    fit = _warm_started(model, data)
    return lambda precision: fit(precision).log_evidence


def _held_out(model: RewardModel, splits: list[Split]) -> Score:
    fits = [_warm_started(model, split.seen) for split in splits]

    def score(precision: Float[Tensor, "feature"]) -> float:
        return sum(
            float(log_predictive(model, fit(precision), split.unseen).sum())
            for fit, split in zip(fits, splits, strict=True)
        )

    return score


def log_predictive(model: RewardModel, mode: Mode, data: LabelledDifferences) -> Float[Tensor, "comparison"]:
    """v_k log p(y_k) under the Gaussian posterior at the mode, each label on its own.

    Nuisance parameters are held at their mode.
    """
    values = model.nuisance_space(data.context, mode.beta.device).values(mode.nuisance)
    likelihood = model.likelihood.bound(values, data.context)
    spread = torch.linalg.solve_triangular(mode.cholesky, data.difference.T, upper=False)
    log_prob = likelihood.expected_log_prob(data.difference @ mode.beta, spread.square().sum(dim=0), data.outcome)
    return data.weight * log_prob


def _warm_started(model: RewardModel, data: LabelledDifferences) -> Callable[[Tensor], Mode]:
    last: list[Mode] = []

    def fit(precision: Tensor) -> Mode:
        last[:] = [find_mode(model.log_joint(data, precision), last[0] if last else None)]
        return last[0]

    return fit
