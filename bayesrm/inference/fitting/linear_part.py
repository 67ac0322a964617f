r"""The linear part of a reward: the power of the embeddings' spectrum and prior scales, by evidence.

For each power of a short list the evidence of a linear reward is maximised over the prior scale (and that of prompt
intercepts); the power of the largest evidence is taken, if it is clearly larger than that of the default power. With
a hundred labels evidences of very different powers are within a tenth of a nat of each other, and the ranking is not:
taking the largest would let noise choose. A linear reward decides also for an encoder that is not linear: its evidence
is exact up to Laplace's approximation, and no training has seen the labels before.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.prior_scale import choose_prior_scale
from bayesrm.inference.fitting.trained import Trained
from bayesrm.inference.fitting.training import MIN_COMPARISONS
from bayesrm.models.encoders import Encoder
from bayesrm.models.features import labelled_differences
from bayesrm.models.reward_model import RewardModel
from bayesrm.models.spectrum import DEFAULT_POWER
from bayesrm.types import Preferences, ResponsePool, compact

POWERS = (3.0, 2.0, 1.0, 0.0)
CLEARLY = 2.0
"""Nats of evidence that another power than the default has to bring: odds of 7 to 1."""
MOST_COMPARISONS = 1000
"""One exponent needs no more labels than this: the first ones decide."""


def fit_linear_part(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> Trained | None:
    """Set the power of the model's spectrum, if it has one; fit the linear reward, if it has one beside a network.

    A program of the user's has its own prior and nothing to choose; there the power is the default one.

    Returns
    -------
    Trained | None
        The linear reward alone, with its prior scales; None where the encoder has no linear block beside a network.
    """
    spectrum = model.encoder.spectrum
    choosing = spectrum is not None and spectrum.informative and model.spectrum_power is None
    if spectrum is not None and spectrum.informative:
        model.encoder.set_power(DEFAULT_POWER if model.spectrum_power is None else model.spectrum_power)
    if model.program is not None:
        return None
    if choosing and len(preferences) >= MIN_COMPARISONS:
        model.encoder.set_power(_best_power(model, pool, preferences[:MOST_COMPARISONS], device))
    if not model.encoder.linear_blocks:
        return None
    linear = linear_reward(model.linear_twin(), pool, preferences, device)
    if linear.model.prior_scale is None:
        linear.model.prior_scale = choose_prior_scale(linear, pool)
    return linear


def fit_encoder_to_labels(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> None:
    """Let the encoder learn settings of its own from labels, by the evidence of a reward linear in its features.

    Nothing happens where labels are few, where the encoder is final, and under a program of the user's.
    """
    if model.program is not None or model.encoder.final or len(preferences) < MIN_COMPARISONS:
        return
    labels = preferences[:MOST_COMPARISONS]

    def evidence(encoder: Encoder) -> float:
        asked = copy.deepcopy(model)
        encoder.measure()
        asked.encoder = encoder
        linear = linear_reward(asked, pool, labels, device)
        if asked.prior_scale is None:
            asked.prior_scale = choose_prior_scale(linear, pool, coarse=True)
        return find_mode(asked.log_joint(linear.data, asked.prior_sd().to(device).pow(-2))).log_evidence

    with torch.no_grad():
        model.encoder.fit_labels(pool, labels, evidence)
    if model.encoder.named:
        model.encoder.measure()


def linear_scales(linear: Trained | None) -> dict[str, float]:
    """Prior scales of the linear reward, by the names that its blocks have beside a network."""
    if linear is None:
        return {}
    sd, blocks = linear.model.prior_sd(), linear.model.blocks
    return {"linear" if name == "features" else name: float(sd[block][0]) for name, block in blocks.items()}


def suggest_scales(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> dict[str, float]:
    """Prior scales of covariates for as long as a network is trained beside them: by their evidence alone.

    Nothing where there are no covariates, few labels, or scales that were given.
    """
    covariates = model.covariates
    if not len(covariates) or isinstance(model.prior_scale, dict) or len(preferences) < MIN_COMPARISONS:
        return {}
    # A reward that is linear in covariates: one more stands for the encoder, and is zero.
    alone = RewardModel(1, "linear", likelihood=model.likelihood, inputs="raw")
    alone.covariates = covariates
    used, first, second = compact(preferences.first, preferences.second)
    nothing = ResponsePool(np.zeros((len(used), 1), np.float32), pool.prompt[used])
    nothing = nothing.with_covariates({name: pool.covariates[name][used] for name in covariates.names})
    labels = replace(preferences, first=first, second=second)
    linear = linear_reward(alone.to(device), nothing, labels, device)
    found = choose_prior_scale(linear, nothing, {"features": 1.0}, coarse=True)
    assert isinstance(found, dict)
    return {name: found[name] for name in covariates.blocks(0)}


def _best_power(model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device) -> float:
    """The power of largest evidence, which has one peak over powers, where it is clearly better than the default."""
    evidence: dict[float, float] = {}
    for power in POWERS:
        twin = copy.deepcopy(model.linear_twin())
        twin.encoder.set_power(power)
        linear = linear_reward(twin, pool, preferences, device)
        twin.prior_scale = choose_prior_scale(linear, pool, coarse=True)
        joint = twin.log_joint(linear.data, twin.prior_sd().to(device).pow(-2))
        evidence[power] = find_mode(joint).log_evidence
        if power <= DEFAULT_POWER and evidence[power] < max(evidence.values()):
            break
    best = max(evidence, key=lambda power: evidence[power])
    return best if evidence[best] > evidence[DEFAULT_POWER] + CLEARLY else DEFAULT_POWER


def linear_reward(
    twin: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> Trained:
    """A model whose encoder needs no training, with what its last layer sees of the labels."""
    data = labelled_differences(twin, pool, preferences, device)
    nuisance = twin.nuisance_space(data.context, device).start()
    return Trained(twin, torch.zeros(twin.features, dtype=torch.float64, device=device), nuisance, data, [])
