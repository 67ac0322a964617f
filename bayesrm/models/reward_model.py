r"""The reward model in Pyro: r(ψ) = F_θ(ψ)ᵀ β, η = r(first) − r(second), y ~ likelihood(η) (paper, eq. 1 and 11).

β ~ Normal(0, σ² I) has no bias: comparisons identify a reward up to a constant only.
"""

from __future__ import annotations

import copy
import hashlib
import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float, Int64
from pyro.nn import PyroModule
from torch import Tensor, nn

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.models.encoders import make_encoder
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.base import Likelihood


class RewardModel(PyroModule):
    """Encoder, prior and likelihood. ``fit`` copies it: one model serves many fits.

    Parameters
    ----------
    dim
        The dimension p of an embedding (``pool.dim``).
    encoder
        "mlp" (the paper's), "linear" (Bradley–Terry regression on standardised embeddings), "auto" (what the
        studies recommend) or any ``nn.Module`` that maps (response, embedding) to (response, feature).
    hidden
        Sizes of the MLP's hidden layers; the last is the number of features d.
    likelihood
        A name (see ``bayesrm likelihoods``) or a Likelihood.
    prior_scale
        σ, the prior standard deviation of each last-layer weight; None lets the inference choose it.
    training
        How an encoder with weights is trained: "early-stopped" (default: on held-out comparisons) or "paper"
        (Adam, 600 steps, never stopped early, no prior), for comparisons with the paper.
    standardize
        Whether embeddings are standardised with the pool's statistics before the encoder.
    """

    def __init__(
        self,
        dim: int,
        encoder: str | nn.Module = "mlp",
        hidden: tuple[int, ...] = (64, 64, 64),
        likelihood: str | Likelihood = "bradley-terry",
        prior_scale: float | None = None,
        training: str = "early-stopped",
        standardize: bool = True,
    ) -> None:
        with rng.fenced(0):
            super().__init__()
        if dim < 1:
            raise InvalidInputError(f"expected an embedding dimension of at least 1, got {dim}")
        if prior_scale is not None and not 0 < prior_scale < math.inf:
            raise InvalidInputError(f"expected a finite prior scale above 0, got {prior_scale}")
        if training not in TRAININGS:
            raise InvalidInputError(f"unknown training {training!r}: there are {', '.join(TRAININGS)}")
        if encoder == "auto":
            encoder = RECOMMENDED_ENCODER
        self.dim = dim
        self.encoder_name = encoder if isinstance(encoder, str) else type(encoder).__name__
        self.hidden = tuple(hidden)
        self.custom_encoder = isinstance(encoder, nn.Module)
        with rng.fenced(0):
            self.encoder = make_encoder(dim, encoder, self.hidden, standardize)
        self.likelihood = LIKELIHOODS[likelihood]() if isinstance(likelihood, str) else likelihood
        self.prior_scale = None if prior_scale is None else float(prior_scale)
        self.training_name = training

    @property
    def features(self) -> int:
        """The number of features d that the last layer sees."""
        return int(self.encoder.features)

    def forward(
        self,
        embeddings: Float[Tensor, "response embedding"],
        first: Int64[Tensor, "comparison"],
        second: Int64[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"] | None = None,
        weight: Float[Tensor, "comparison"] | None = None,
    ) -> Float[Tensor, "comparison"]:
        """The generative model; each response is encoded once, pairs are differences of rewards."""
        return self.last_layer(self.encoder(embeddings), first, second, outcome, weight)

    def last_layer(
        self,
        features: Float[Tensor, "response feature"],
        first: Int64[Tensor, "comparison"],
        second: Int64[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"] | None = None,
        weight: Float[Tensor, "comparison"] | None = None,
    ) -> Float[Tensor, "comparison"]:
        """The Bayesian part alone, given features: sample sites ``beta`` and ``outcome``."""
        scale = features.new_tensor(1.0 if self.prior_scale is None else self.prior_scale)
        beta = pyro.sample("beta", dist.Normal(features.new_zeros(features.shape[-1]), scale).to_event(1))
        reward = features @ beta
        logit = reward[first] - reward[second]
        weights = torch.ones_like(logit) if weight is None else weight
        with pyro.plate("comparison", len(first)), pyro.poutine.scale(scale=weights):
            distribution: Any = self.likelihood.distribution(logit)
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

    def describe(self) -> dict[str, Any]:
        """The settings that make this model what it is, as JSON-able values."""
        settings: dict[str, Any] = {
            "dim": self.dim,
            "encoder": self.encoder_name,
            "hidden": list(self.hidden) if self.encoder_name == "mlp" else None,
            "likelihood": self.likelihood.name,
            "prior_scale": self.prior_scale,
            "training": self.training_name,
            "standardize": self.encoder.standardize is not None,
        }
        if self.custom_encoder:
            settings["encoder_sha256"] = _state_digest(self.encoder.body)
        return settings


TRAININGS = ("early-stopped", "paper")
RECOMMENDED_ENCODER = "mlp"
"""What ``encoder="auto"`` means: stopped early, it has learnt at least as much as "linear" from 50 labels on."""


def _state_digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
