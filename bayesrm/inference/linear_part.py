r"""The linear part of a reward: the power of the embeddings' spectrum, prior scales by evidence, and its weights.

For each power of a short list the evidence of a linear reward is maximised over the prior scale (and that of prompt
intercepts); the power of the largest evidence is taken. A linear reward decides also for an encoder that is not
linear: its evidence is exact up to Laplace's approximation, and no training has seen the labels before.

An encoder that has a linear block beside a network takes over the linear weights as they are. The network learns what
they leave over, so with few labels, where held-out comparisons gain nothing, the model *is* the linear one.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.newton import maximise
from bayesrm.inference.prior_scale import choose_prior_scale
from bayesrm.inference.trained import Trained, seen_differences
from bayesrm.models.features import labelled_differences
from bayesrm.models.reward_model import RewardModel
from bayesrm.models.spectrum import DEFAULT_POWER
from bayesrm.models.training import MIN_COMPARISONS, TrainingData
from bayesrm.types import Preferences, ResponsePool

POWERS = (3.0, 2.0, 1.0, 0.0)
MOST_COMPARISONS = 1000
"""More labels than this are not needed for one exponent: the first so many decide."""


@dataclass(frozen=True)
class LinearPart:
    """A linear reward beside a network.

    Parameters
    ----------
    model
        The model with both.
    twin
        The linear one, with its prior scales.
    """

    model: RewardModel
    twin: RewardModel

    @property
    def scales(self) -> dict[str, float]:
        """Prior scales of those blocks of the model that are the twin's."""
        sd = self.twin.prior_sd()
        blocks = {"linear": self.twin.blocks["features"]}
        if "intercept" in self.twin.blocks:
            blocks["intercept"] = self.twin.blocks["intercept"]
        return {name: float(sd[block][0]) for name, block in blocks.items() if len(sd[block])}

    def __call__(self, data: TrainingData) -> tuple[Float[Tensor, "feature"], Float[Tensor, "nuisance"]]:
        """Its weights given labels, zero for the network's features; and nuisance parameters."""
        twin = self.twin
        precision = twin.prior_sd().to(data.embeddings.device).pow(-2)
        mode = maximise(twin.log_joint(seen_differences(twin, data), precision))
        beta = mode.beta.new_zeros(self.model.features)
        beta[self.model.blocks["linear"]] = mode.beta[twin.blocks["features"]]
        if "intercept" in twin.blocks:
            beta[self.model.blocks["intercept"]] = mode.beta[twin.blocks["intercept"]]
        return beta, mode.nuisance


def fit_linear_part(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> LinearPart | None:
    """Set the power of the model's spectrum, if it has one; the linear part, if the encoder has one beside a network.

    A program of the user's has its own prior and nothing to choose; there the power is the default one.
    """
    spectrum = model.encoder.spectrum
    if spectrum is not None and spectrum.informative:
        model.encoder.set_power(DEFAULT_POWER if model.spectrum_power is None else model.spectrum_power)
    beside = "linear" in model.blocks
    choosing = spectrum is not None and spectrum.informative and model.spectrum_power is None
    if model.program is not None or not (beside or choosing):
        return None
    twin = model.linear_twin()
    if choosing and len(preferences) >= MIN_COMPARISONS:
        model.encoder.set_power(_best_power(twin, pool, preferences[:MOST_COMPARISONS], device))
    if not beside:
        return None
    twin = model.linear_twin()
    if twin.prior_scale is None:
        _with_scales(twin, pool, preferences, device)
    return LinearPart(model, twin)


def _best_power(twin: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device) -> float:
    """The power of largest evidence, which has one peak over powers."""
    best, chosen = -float("inf"), DEFAULT_POWER
    for power in POWERS:
        linear = copy.deepcopy(twin)
        linear.encoder.set_power(power)
        evidence = _with_scales(linear, pool, preferences, device, coarse=True)
        if evidence < best:
            break
        best, chosen = evidence, power
    return chosen


def _with_scales(
    linear: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    device: torch.device,
    coarse: bool = False,
) -> float:
    """Choose its prior scales by evidence; the log evidence with them."""
    data = labelled_differences(linear, pool, preferences, device)
    nuisance = linear.nuisance_space(data.context, device).start()
    beta = torch.zeros(linear.features, dtype=torch.float64, device=device)
    linear.prior_scale = choose_prior_scale(Trained(linear, beta, nuisance, data, []), pool, coarse=coarse)
    precision = linear.prior_sd().to(device).pow(-2)
    return maximise(linear.log_joint(data, precision)).log_evidence
