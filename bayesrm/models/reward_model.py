r"""The reward model in Pyro: r(ψ) = F_θ(ψ)ᵀ β, η = r(first) − r(second), y ~ likelihood(η) (paper, eq. 1 and 11).

β ~ Normal(0, σ² I) has no bias: comparisons identify a reward up to a constant only.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float, Int64
from pyro.nn import PyroModule
from torch import Tensor, nn

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.encoders import AUTO, ENCODERS, RECOMMENDED_ENCODER, Encoder, make_encoder
from bayesrm.models.intercepts import PromptIntercepts
from bayesrm.models.likelihoods import LIKELIHOODS, RECOMMENDED_LIKELIHOOD
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.log_joint import CentredPrior, LabelledDifferences, LogJoint, Prior
from bayesrm.models.nuisance import NuisanceSpace
from bayesrm.models.program import PyroProgram, RewardProgram


class RewardModel(PyroModule):
    """Encoder, prior and likelihood. ``fit`` copies it: one model serves many fits.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding (``pool.dim``).
    encoder : str or torch.nn.Module, default "mlp"
        A name (see ``bayesrm encoders``), "auto" (what the studies recommend), an Encoder with settings of its own,
        such as ``bayesrm.models.encoders.mlp.MLP(dim, hidden=(32,))``, or any ``nn.Module`` that maps (response,
        embedding) to (response, feature).
    hidden : tuple of int, default (64, 64, 64)
        Sizes of hidden layers, of an encoder that has them and is asked for by name.
    likelihood : str or Likelihood, default "bradley-terry"
        A name (see ``bayesrm likelihoods``) or a Likelihood.
    prior_scale : float or mapping of str to float, optional
        σ, the prior standard deviation of each last-layer weight, or one for each block of features (see
        :attr:`blocks`); None lets the inference choose it.
    training : str, default "early-stopped"
        How an encoder with weights is trained: "early-stopped" (default: on held-out comparisons) or "paper"
        (Adam, 600 steps, never stopped early, no prior), for comparisons with the paper.
    inputs : str, optional
        What the encoder sees: embeddings "standardized" with the pool's statistics, also scaled by their spectrum
        "within-prompt" (see :mod:`bayesrm.models.spectrum`), or "raw". None: what is recommended for the encoder.
    spectrum_power : float, optional
        The power of that spectrum; None lets the labels choose.
    prompt_intercept : bool, optional
        Whether comparisons across prompts get a random intercept for each prompt, so that a hard prompt does not
        read as a bad response. None: with "auto" they do, else they do not.
    program : callable, optional
        Your own Pyro model for the last layer and the answers, instead of ``likelihood`` and ``prior_scale``:
        see :class:`~bayesrm.models.program.PyroProgram`.

    See Also
    --------
    fit : Learns one from preferences.
    Encoder, Likelihood : What it is made of.

    Examples
    --------
    >>> model = brm.RewardModel(pool.dim, "linear", likelihood="davidson", prior_scale=0.1)
    >>> brm.fit(model, pool, prefs).reward(pool)[0].shape
    (3580,)
    """

    def __init__(
        self,
        dim: int,
        encoder: str | nn.Module = "mlp",
        hidden: tuple[int, ...] = (64, 64, 64),
        likelihood: str | Likelihood = RECOMMENDED_LIKELIHOOD,
        prior_scale: float | Mapping[str, float] | None = None,
        training: str = "early-stopped",
        inputs: str | None = None,
        spectrum_power: float | None = None,
        prompt_intercept: bool | None = None,
        program: RewardProgram | None = None,
    ) -> None:
        with rng.fenced(0):
            super().__init__()
        if dim < 1:
            raise InvalidInputError(f"expected an embedding dimension of at least 1, got {dim}")
        if training not in TRAININGS:
            raise InvalidInputError(f"unknown training {training!r}: there are {', '.join(TRAININGS)}")
        automatic = isinstance(encoder, str) and encoder == AUTO
        if automatic:
            encoder = RECOMMENDED_ENCODER
        if inputs is None:
            inputs = (ENCODERS[encoder] if isinstance(encoder, str) else Encoder).default_inputs
        if inputs == "within-prompt" and dim > MOST_FEATURES:
            raise InvalidInputError(
                f"expected embeddings of at most {MOST_FEATURES} dimensions for inputs='within-prompt', got {dim}: its "
                "covariance would not fit into memory; project the embeddings first or use inputs='standardized'"
            )
        if spectrum_power is not None and not 0 <= spectrum_power < math.inf:
            raise InvalidInputError(f"expected a finite spectrum power of at least 0, got {spectrum_power}")
        self.dim = dim
        self.automatic = automatic
        with rng.fenced(0):
            self.encoder = make_encoder(dim, encoder, tuple(hidden), inputs)
        if self.encoder.dim != dim:
            raise InvalidInputError(
                f"expected an encoder of embeddings of dimension {dim}, got one of {self.encoder.dim}"
            )
        self.custom_encoder = not self.encoder.named
        self.encoder_name = (
            AUTO if automatic else type(encoder).__name__ if self.custom_encoder else self.encoder.name
        )
        self.likelihood = LIKELIHOODS[likelihood]() if isinstance(likelihood, str) else likelihood
        self.program = None
        if program is not None:
            if likelihood != RECOMMENDED_LIKELIHOOD or prior_scale is not None:
                raise InvalidInputError(
                    "expected either a program, which has its own prior and likelihood, or likelihood and prior_scale"
                )
            self.program = PyroProgram(program)
            self.likelihood = self.program.likelihood
        self.training_name = training
        self.spectrum_power = spectrum_power
        self.prompt_intercept = automatic if prompt_intercept is None else prompt_intercept
        self.intercepts: PromptIntercepts | None = None
        self.prior_scale = self._checked_scale(prior_scale)

    @property
    def features(self) -> int:
        """The number of features d that the last layer sees, prompt intercepts included."""
        return int(self.encoder.features) + (0 if self.intercepts is None else len(self.intercepts))

    @property
    def blocks(self) -> dict[str, slice]:
        """The features in blocks that have a prior scale each: "mlp", "linear", …, and "intercept"."""
        blocks = dict(self.encoder.blocks)
        if self.intercepts is not None and len(self.intercepts):
            blocks["intercept"] = slice(self.encoder.features, self.features)
        return blocks

    def prior_sd(self) -> Float[Tensor, "feature"]:
        """(feature,) prior standard deviation of each weight, float64; 1 where none was chosen yet."""
        sd = torch.ones(self.features, dtype=torch.float64)
        for name, block in self.blocks.items():
            if isinstance(self.prior_scale, dict):
                sd[block] = self.prior_scale.get(name, 1.0)
            elif self.prior_scale is not None and name != "intercept":
                sd[block] = self.prior_scale
        return sd

    def prior(self, precision: Float[Tensor, "feature"]) -> Prior:
        """The prior of β: of this precision, or the program's own."""
        return CentredPrior(precision) if self.program is None else self.program.prior

    def nuisance_space(self, context: Context, device: torch.device | None = None) -> NuisanceSpace:
        """The nuisance parameters of comparisons in this context, as one vector."""
        if self.program is not None:
            return self.program.nuisance_space(self.features, device)
        return NuisanceSpace(partial(self.likelihood.nuisances, context), device)

    def log_joint(self, data: LabelledDifferences, precision: Float[Tensor, "feature"]) -> LogJoint:
        """The log joint density of nuisance parameters and β, given labels."""
        space = self.nuisance_space(data.context, data.difference.device)
        return LogJoint(self.likelihood, data, self.prior(precision), space)

    def _checked_scale(self, scale: float | Mapping[str, float] | None) -> float | dict[str, float] | None:
        if scale is None:
            return None
        scales = dict(scale) if isinstance(scale, Mapping) else {"": scale}
        known = {*self.encoder.blocks, *(["intercept"] if self.prompt_intercept else [])}
        if isinstance(scale, Mapping) and set(scales) != known:
            raise InvalidInputError(
                f"expected a prior scale for each of the blocks {', '.join(sorted(known))}, got {sorted(scales)}"
            )
        for value in scales.values():
            if not 0 < value < math.inf:
                raise InvalidInputError(f"expected a finite prior scale above 0, got {value}")
        return (
            {name: float(value) for name, value in scales.items()} if isinstance(scale, Mapping) else float(scale)
        )

    def forward(
        self,
        embeddings: Float[Tensor, "response embedding"],
        first: Int64[Tensor, "comparison"],
        second: Int64[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"] | None = None,
        weight: Float[Tensor, "comparison"] | None = None,
        context: Context | None = None,
    ) -> Float[Tensor, "comparison"]:
        """The generative model; each response is encoded once, pairs are differences of rewards."""
        return self.last_layer(self.encoder(embeddings), first, second, outcome, weight, context)

    def last_layer(
        self,
        features: Float[Tensor, "response feature"],
        first: Int64[Tensor, "comparison"],
        second: Int64[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"] | None = None,
        weight: Float[Tensor, "comparison"] | None = None,
        context: Context | None = None,
    ) -> Float[Tensor, "comparison"]:
        """The Bayesian part alone, given features: sample sites ``beta``, nuisance parameters, and ``outcome``."""
        if self.program is not None:
            return self.program(features, first, second, outcome, weight)
        context = Context() if context is None else context
        scale = self.prior_sd().to(features)[: features.shape[-1]]
        beta = pyro.sample("beta", dist.Normal(torch.zeros_like(scale), scale).to_event(1))
        likelihood = self.likelihood.given(self.likelihood.nuisances(context), context)
        reward = features @ beta
        logit = reward[first] - reward[second]
        weights = torch.ones_like(logit) if weight is None else weight
        with pyro.plate("comparison", len(first)), pyro.poutine.scale(scale=weights):
            distribution: Any = likelihood.distribution(logit)
            answer: Tensor = pyro.sample("outcome", distribution, obs=outcome)
        return answer

    def fresh(self, seed: int) -> RewardModel:
        """A copy whose encoder, unless a user's own, is initialised from ``seed``."""
        model = copy.deepcopy(self)
        if not self.custom_encoder:
            with rng.fenced(seed):
                for module in model.encoder.modules():
                    if isinstance(module, nn.Linear):
                        module.reset_parameters()
        return model

    def linear_twin(self) -> RewardModel:
        """The same model with a linear encoder on inputs prepared the same way; it shares what prepares them."""
        twin = RewardModel(
            self.dim,
            "linear",
            likelihood=self.likelihood,
            inputs=self.encoder.inputs,
            prompt_intercept=self.prompt_intercept,
        )
        twin.encoder.standardize, twin.encoder.spectrum = self.encoder.standardize, self.encoder.spectrum
        if self.encoder.spectrum is not None:
            twin.encoder.set_power(self.encoder.spectrum.power)
        twin.intercepts = self.intercepts
        if isinstance(self.prior_scale, dict):
            scales = {"features": self.prior_scale.get("linear", 1.0)}
            if "intercept" in self.prior_scale:
                scales["intercept"] = self.prior_scale["intercept"]
            twin.prior_scale = scales
        elif self.prior_scale is not None and not self.prompt_intercept:
            twin.prior_scale = self.prior_scale
        return twin

    def describe(self) -> dict[str, Any]:
        """The settings that make this model what it is, as JSON-able values."""
        encoding = dict(self.encoder.settings)
        settings: dict[str, Any] = {
            "dim": self.dim,
            "encoder": self.encoder_name,
            "hidden": encoding.pop("hidden", None),
            "likelihood": self.likelihood.describe(),
            "prior_scale": self.prior_scale,
            "training": self.training_name,
            "inputs": self.encoder.inputs,
            "spectrum_power": self.spectrum_power,
            "prompt_intercept": self.prompt_intercept,
        }
        if encoding:
            settings["encoder_settings"] = encoding
        if self.custom_encoder:
            settings["encoder_sha256"] = _state_digest(self.encoder.body)
        return settings


MOST_FEATURES = 16_384
"""The information matrix of this many features takes 2 GiB; posteriors keep a few of them."""
TRAININGS = ("early-stopped", "paper")


def _state_digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
