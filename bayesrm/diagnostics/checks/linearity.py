"""Whether a reward that is linear in the layers of an embedding will do."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.inference.fitting.nonlinearity import log_bayes_factor
from bayesrm.inference.fitting.shape import ENOUGH
from bayesrm.models.encoders import KERNEL, RECOMMENDED_ENCODER, WITH_A_KERNEL, WITH_A_NETWORK, WITH_BOTH
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.utils.wording import counted

CLEARLY = 3.0
"""Nats: odds of 20 to 1."""
OF_LAYERS = (RECOMMENDED_ENCODER, WITH_A_KERNEL, WITH_A_NETWORK, WITH_BOTH)
OF_NETWORKS = (
    "of the network that says nothing; encoder='auto' keeps one where held-out labels clearly speak for it"
)


class Linearity(Check):
    """Whether labels speak for a Gaussian process beside the layers; needs the posterior of an encoder of layers."""

    name: ClassVar[str] = "linearity"
    order: ClassVar[int] = 60
    title: ClassVar[str] = "Linear in the layers, or not"
    caption: ClassVar[str] = (
        "Log Bayes factor, in nats, for a Gaussian process beside the linear reward; right of the line auto takes one."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Of the encoders that auto takes, where there are labels and a prior.

        The linear part stands as it was fitted: where something is beside it, with less left for a process to say.
        """
        posterior = subject.posterior
        if not isinstance(posterior, LastLayerPosterior) or "spread" not in posterior.provides:
            return None
        model, labels = posterior.model, posterior.preferences
        of_layers = not model.custom_encoder and model.encoder.name in OF_LAYERS
        if not of_layers or model.program is not None or not len(labels):
            return None
        factor = log_bayes_factor(model, posterior.pool, labels, posterior.prior_precision)
        data = xr.Dataset({"log_bayes_factor": factor, "enough": ENOUGH})
        shapes = {"process": KERNEL in model.blocks, "network": model.encoder.learns_features}
        beside = " and ".join(f"a {shape}" for shape, there in shapes.items() if there)
        said = f"{counted(len(labels), 'label')} bring {factor:+.1f} nats for a Gaussian process beside the layers"
        if factor >= ENOUGH:
            what = "Rewards are not" if factor > CLEARLY else "Rewards may not be"
            end = f", and the reward has {beside} beside them" if beside else f"; {_advice(model)}"
            sentence = f"{what} linear in the embedding: {said}{end}."
            return Finding(self.name, "good" if beside else "note", sentence, data)
        if shapes["network"]:
            sentence = f"{said}, where the reward has {beside}; {OF_NETWORKS}."
            return Finding(self.name, "good", sentence, data)
        end = ", and the reward hardly needs the process that it has" if beside else ""
        return Finding(self.name, "good", f"A reward that is linear in the layers will do: {said}{end}.", data)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """The factor, and how much would be enough."""
        axis = canvas.axes()
        axis.barh(["process"], [float(data["log_bayes_factor"])], color=canvas.blue)
        axis.axvline(float(data["enough"]), color=canvas.grey, linestyle="--")
        axis.set(xlabel="nats for a Gaussian process beside the layers")


def _advice(model: RewardModel) -> str:
    """How a linear reward gets a process."""
    if not model.automatic:
        return f"use encoder='auto', or '{WITH_A_KERNEL}'"
    return "leave out prior_scale, which was for the linear part alone" if model.scale_given else "fit again"
