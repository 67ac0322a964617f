r"""Choosing the prior scale σ of the last layer from the labels, one for each block of features.

On features that saw no label (a linear model) by the Laplace evidence (MacKay 1992)

    log p(y | σ) ≈ f(x̂) + D/2 log 2π − ½ log det Λ,

which is what keeps hundreds of embedding dimensions from overfitting a few hundred labels.

A trained encoder has fitted the labels already: on its features their evidence asks for hardly any prior, and
the posterior is far too sure. There σ maximises what the posterior of some labels says of held-out ones,

    Σ_folds log p(y_held-out | y_rest, σ),

with features from an encoder trained on the rest, just as the final encoder is trained on all. A few hundred labels
say little about σ: the sum is flat, and its maximum lies where chance puts it. So the smallest σ is taken that falls
short of the best by no more than one standard error of that difference over labels (the rule of one standard error,
Breiman et al. 1984).

Beside linear features, whose σ evidence chooses without the network, the network's σ is chosen without them. Together
they share the prior variance of a reward: σ² of the network is multiplied by ρ, that of the linear features by 1 − ρ.
Labels across prompts teach a network about prompts before they teach it about responses, so ρ is larger within.

Several blocks of one embedding, such as its hidden layers, and covariates are alike, and a few labels cannot tell which
of them matters: there log σ has a prior, see :mod:`bayesrm.inference.fitting.scale_prior`, and what is maximised is the
evidence plus its log density.

The search is over the prior standard deviation of a typical reward, σ · rms‖φ − φ̄‖, between 1/30 and 30
logits, so that neither no labels nor separable ones lead to a degenerate prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from bayesrm.inference.fitting.evidence_slope import evidence_slope
from bayesrm.inference.fitting.nested import ROUGHLY, find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.scale_prior import scale_prior
from bayesrm.inference.fitting.trained import Split, Trained, select_blocks
from bayesrm.models.features import encode
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool

LOG_RANGE = math.log(30.0)
LOG_TOLERANCE = 0.02
CAUTIOUS_STEP = 0.1
"""In log σ, between the scales that are tried below the best one."""
SHARE_WITHIN, SHARE_ACROSS = 0.9, 0.5
"""ρ where all labels are within prompts, and where none is; chosen among ½, ¾ and 0.9 on AlpacaEval's pool."""
BLOCK_TOLERANCE = 0.1
"""Several blocks are searched in turn, each more coarsely: one scale makes up for another."""
SCALE_RESPONSES = 2048
MOST_UPDATES = 50


Score = Callable[[Float[Tensor, "feature"]], Float[Tensor, "_"]]
"""From a prior precision to the log probabilities whose sum is maximised, in nats: one, or one for each label."""


def prior_precision(trained: Trained, pool: ResponsePool) -> Float[Tensor, "feature"]:
    """1/σ² for each feature: as the model was told, or chosen from the labels and written into the trained model."""
    model, device = trained.model, trained.beta.device
    if model.program is None:
        chosen = model.prior_scale
        if chosen is None:
            model.prior_scale = scales_of_blocks(trained, pool)
        elif not isinstance(chosen, dict) and (model.prompt_intercept or len(model.covariates)):
            # One number is for the weights of features; the spread of what stands beside them stays open.
            model.prior_scale = choose_prior_scale(trained, pool, dict.fromkeys(model.encoder.blocks, chosen))
    return model.prior_sd().to(device).pow(-2)


def choose_prior_scale(
    trained: Trained,
    pool: ResponsePool,
    given: dict[str, float] | None = None,
    coarse: bool = False,
    without: Sequence[str] = (),
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
    without
        Blocks, of given scale, that the labels are not predicted with.

    Returns
    -------
    float | dict[str, float]
        One scale a block; the number alone where there is one block.
    """
    model = trained.model
    fixed = given or {}
    # A network and the linear features beside it share the variance of a reward in a way of their own.
    trained_blocks = trained.splits or model.encoder.linear_blocks
    several = not trained_blocks and scale_prior(list(model.encoder.blocks), model.covariates) is not None
    unit = unit_scales(model, pool, trained.beta.device, within=several)
    free = [name for name in unit if name not in fixed]
    spread = dict.fromkeys(free, 0.0)

    def scales(log_spread: dict[str, float]) -> dict[str, float]:
        return fixed | {name: unit[name] * math.exp(log_spread[name]) for name in free}

    if len(trained.data.outcome) and free:
        columns = [block for name, block in model.blocks.items() if name not in without]
        score = _held_out(model, trained.splits, columns) if trained.splits else _evidence(model, trained.data)

        def scored(log_spread: dict[str, float]) -> Float[Tensor, "_"]:
            return score(_precision(model, scales(log_spread)).to(trained.beta.device))

        if len(free) > 1 and not trained.splits:
            return _finish(scales(_fixed_point(trained, fixed, unit, free, 0.1 if coarse else 0.01)))
        common = _line_search(
            lambda x: -float(scored(dict.fromkeys(free, x)).sum()),
            0.2 if coarse or len(free) > 1 else LOG_TOLERANCE,
        )
        spread = dict.fromkeys(free, common)
        if len(free) > 1:
            found = minimize(
                lambda x: -float(scored(dict(zip(free, x.tolist(), strict=True))).sum()),
                np.full(len(free), common),
                method="Powell",
                bounds=[(-LOG_RANGE, LOG_RANGE)] * len(free),
                options={"xtol": 0.3 if coarse else BLOCK_TOLERANCE, "ftol": 1e-3 if coarse else 1e-5},
            )
            spread = dict(zip(free, np.atleast_1d(found.x).tolist(), strict=True))
        if trained.splits:
            spread = _cautious(scored, spread, [name for name in free if name in model.encoder.blocks])
    return _finish(scales(spread))


def scales_of_blocks(trained: Trained, pool: ResponsePool) -> float | dict[str, float]:
    """σ of every block; a network and the linear features beside it share the prior variance of a reward."""
    given, linear = trained.scales, trained.model.encoder.linear_blocks
    if not linear or linear[0] not in given:
        return choose_prior_scale(trained, pool, given)
    scales = choose_prior_scale(trained, pool, given, without=linear)
    assert isinstance(scales, dict)
    for name in trained.model.encoder.blocks:
        scales[name] *= math.sqrt(1 - trained.network_share if name in linear else trained.network_share)
    return scales


def network_share(pool: ResponsePool, preferences: Preferences) -> float:
    """ρ, the network's share of the prior variance of a reward."""
    within = (
        float(np.mean(pool.group[preferences.first] == pool.group[preferences.second])) if len(preferences) else 0
    )
    return SHARE_ACROSS + (SHARE_WITHIN - SHARE_ACROSS) * within


def unit_scales(
    model: RewardModel, pool: ResponsePool, device: torch.device, within: bool = False
) -> dict[str, float]:
    """For each block the σ at which its part of a typical response's reward has a prior sd of one logit.

    About the mean of all responses; or about that of the responses to the same prompt, which is what preferences are
    about and what the prior of several scales is for.
    """
    within = within and pool.n_prompts < len(pool)
    index = _whole_prompts(pool) if within else _evenly_spaced(pool)
    features = encode(model, pool, index, device)
    centred, lost = features - features.mean(dim=0), 0
    if within:
        group = torch.from_numpy(np.unique(pool.group[index], return_inverse=True)[1]).to(device)
        sizes = torch.bincount(group)
        mean = torch.zeros((len(sizes), features.shape[1]), dtype=features.dtype, device=device)
        mean = mean.index_add_(0, group, features) / sizes[:, None]
        centred, lost = features - mean[group], len(sizes)
    units = {}
    for name, block in model.blocks.items():
        mean_square = float(centred[:, block].square().sum(dim=1).mean()) * len(index) / (len(index) - lost)
        units[name] = 1.0 / math.sqrt(mean_square) if mean_square > 1e-24 and name != "intercept" else 1.0
    return units


def _evenly_spaced(pool: ResponsePool) -> Int64[np.ndarray, "response"]:
    n = min(len(pool), SCALE_RESPONSES)
    return np.linspace(0, len(pool) - 1, n).round().astype(np.int64)


def _whole_prompts(pool: ResponsePool) -> Int64[np.ndarray, "response"]:
    """All responses to evenly spaced prompts with at least two."""
    members = [member for member in pool.members if len(member) > 1]
    keep = max(1, int(len(members) * min(1.0, SCALE_RESPONSES / sum(map(len, members)))))
    chosen = np.unique(np.linspace(0, len(members) - 1, keep).round().astype(int))
    return np.sort(np.concatenate([members[k] for k in chosen]))


def _fixed_point(
    trained: Trained, fixed: dict[str, float], unit: dict[str, float], free: list[str], tolerance: float
) -> dict[str, float]:
    """The largest evidence over several scales: σ_b² ← ‖β_b − μ_b‖² / γ_b (MacKay 1992), until it is stationary.

    γ_b counts the weights of a block that the labels determine, and how log det Λ changes as the mode moves, see
    :mod:`bayesrm.inference.fitting.evidence_slope`. Where log σ has a prior, its slope is added, see
    :mod:`bayesrm.inference.fitting.scale_prior`. Stops where the evidence, with the log prior, rises by less than
    ``tolerance`` nats.
    """
    model, blocks = trained.model, trained.model.blocks
    mode: Mode | None = None
    prior = scale_prior(list(model.encoder.blocks), model.covariates)
    if prior is not None and not set(prior.names) <= set(free):
        prior = None
    spread = dict.fromkeys(free, 0.0)
    if prior is not None:
        spread |= dict(zip(prior.names, prior.mean.tolist(), strict=True))
    best, before = dict(spread), -math.inf
    for _ in range(MOST_UPDATES):
        scales = fixed | {name: unit[name] * math.exp(spread[name]) for name in free}
        joint = model.log_joint(trained.data, _precision(model, scales).to(trained.beta.device))
        mode = find_mode(joint, mode, ROUGHLY)
        value = mode.log_evidence
        if prior is not None:
            value += prior.log_density(np.array([spread[name] for name in prior.names]))
        if value > before:
            best = dict(spread)
        if value < before + tolerance:
            break
        before = value
        squared, counted, moving = evidence_slope(joint, mode)
        squares, determined = {}, {}
        for name in free:
            block = blocks[name]
            determined[name] = float((counted[block] + moving[block]).sum())
            squares[name] = float(squared[block].sum()) * (scales[name] / unit[name]) ** 2
            if prior is None or name not in prior.names:
                target = 0.5 * math.log(max(squares[name] / max(determined[name], 1e-3), 1e-12))
                spread[name] = min(max(target, -LOG_RANGE), LOG_RANGE)
        if prior is not None:
            q, gamma, t = (
                np.array([values[name] for name in prior.names]) for values in (squares, determined, spread)
            )
            spread |= dict(zip(prior.names, prior.stationary(q, gamma, t).tolist(), strict=True))
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
    return lambda precision: torch.tensor([fit(precision).log_evidence], dtype=torch.float64)


def _held_out(model: RewardModel, splits: list[Split], columns: list[slice]) -> Score:
    parts = [Split(select_blocks(split.seen, columns), select_blocks(split.unseen, columns)) for split in splits]
    fits = [_warm_started(model, part.seen, columns) for part in parts]

    def score(precision: Float[Tensor, "feature"]) -> Float[Tensor, "comparison"]:
        kept = torch.cat([precision[at] for at in columns])
        return torch.cat(
            [log_predictive(model, fit(kept), part.unseen) for fit, part in zip(fits, parts, strict=True)]
        )

    return score


def _cautious(
    score: Callable[[dict[str, float]], Float[Tensor, "_"]], best: dict[str, float], names: list[str]
) -> dict[str, float]:
    """These blocks' spread made smaller for as long as the score is within one standard error of the best."""
    at_best, spread = score(best), best
    while True:
        smaller = spread | {name: spread[name] - CAUTIOUS_STEP for name in names}
        loss = at_best - score(smaller)
        if float(loss.sum()) > float(loss.std()) * len(loss) ** 0.5:
            return spread
        if min(smaller[name] for name in names) < -LOG_RANGE:
            return spread
        spread = smaller


def log_predictive(model: RewardModel, mode: Mode, data: LabelledDifferences) -> Float[Tensor, "comparison"]:
    """v_k log p(y_k) under the Gaussian posterior at the mode, each label on its own.

    Nuisance parameters are held at their mode.
    """
    values = model.nuisance_space(data.context, mode.beta.device).values(mode.nuisance)
    likelihood = model.likelihood.given(values, data.context)
    variance = mode.information.whiten(data.difference).square().sum(dim=1)
    log_prob = likelihood.expected_log_prob(data.difference @ mode.beta, variance, data.outcome)
    return data.weight * log_prob


def _warm_started(
    model: RewardModel, data: LabelledDifferences, columns: list[slice] | None = None
) -> Callable[[Tensor], Mode]:
    last: list[Mode] = []

    def fit(precision: Tensor) -> Mode:
        last[:] = [find_mode(model.log_joint(data, precision, columns), last[0] if last else None, ROUGHLY)]
        return last[0]

    return fit
