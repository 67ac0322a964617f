r"""The reward model in Pyro: r(ψ) = F_θ(ψ)ᵀ β, η = r(first) − r(second), y ~ likelihood(η) (paper, eq. 1 and 11).

β ~ Normal(0, σ² I) has no bias: comparisons identify a reward up to a constant only.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float, Int64
from pyro.nn import PyroModule
from torch import Tensor, nn

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.covariates import CovariateFeatures, ordered
from bayesrm.models.encoders import AUTO, ENCODERS, RECOMMENDED_ENCODER, Encoder, make_encoder
from bayesrm.models.intercepts import PromptIntercepts
from bayesrm.models.likelihoods import LIKELIHOODS, RECOMMENDED_LIKELIHOOD
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.log_joint import CentredPrior, GaussianPrior, LabelledDifferences, LogJoint, Prior
from bayesrm.models.nuisance import NuisanceSpace
from bayesrm.models.program import PyroProgram, RewardProgram
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.columns import as_blocks
from bayesrm.utils.devices import created_on
from bayesrm.utils.identity import code_digest, settings_of


class RewardModel(PyroModule):
    """Encoder, prior and likelihood. ``fit`` copies it: one model serves many fits.

    Parameters
    ----------
    dim : ResponsePool or int
        A pool, whose blocks and covariates the model then knows; or the dimension p of an embedding alone.
    encoder : str or torch.nn.Module, default "mlp"
        A name (see ``bayesrm encoders``), "auto" (what the studies recommend), an Encoder with settings of its own,
        such as ``bayesrm.models.encoders.mlp.MLP(dim, hidden=(32,))``, or any ``nn.Module`` that maps (response,
        embedding) to (response, feature).
    hidden : tuple of int, default (64, 64, 64)
        Sizes of hidden layers, of an encoder that takes them and is asked for by name; "layers+mlp" has those of
        ``bayesrm.models.encoders.layers_mlp.LayersMLP(dim, network=...)``, and "layers+kernel+mlp" likewise.
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
        The power of that spectrum, for encoders that have one; None lets the labels choose.
    prompt_intercept : bool, optional
        Whether comparisons across prompts get a random intercept for each prompt, so that a hard prompt does not
        read as a bad response. None: with "auto" they do, else they do not.
    program : callable, optional
        Your own Pyro model for the last layer and the answers, instead of ``likelihood`` and ``prior_scale``:
        see :class:`~bayesrm.models.program.PyroProgram`.
    covariates : sequence of str, optional
        Which covariates of the pool stand beside the encoder's features, standardised and clipped, see
        :mod:`bayesrm.models.covariates`; default all, () for none.
    covariate_blocks : str, default "together"
        "together": covariates share a prior scale; "apart": each has its own.
    prior_mean : mapping of str to float, optional
        Covariate → prior mean of its weight, in logits per standard deviation: positive for the score of a judge that
        you trust. Such a covariate has a prior scale of its own.

    See Also
    --------
    fit : Learns one from preferences.
    Encoder, Likelihood : What it is made of.

    Examples
    --------
    >>> model = brm.RewardModel(pool.dim, "linear", likelihood="davidson", prior_scale=0.1)
    >>> brm.fit(model, pool, prefs).reward(pool)[0].shape
    (3580,)

    Of a pool with covariates:

    >>> told = brm.ResponsePool(np.zeros((2, 3)), [0, 0], covariates={"log_characters": [3.0, 4.0]})
    >>> list(brm.RewardModel(told, encoder="linear").blocks)
    ['features', 'covariates']
    """

    @checked
    def __init__(
        self,
        dim: int | ResponsePool,
        encoder: str | nn.Module = "mlp",
        hidden: tuple[Count, ...] = (64, 64, 64),
        likelihood: str | Likelihood = RECOMMENDED_LIKELIHOOD,
        prior_scale: float | Mapping[str, float] | None = None,
        training: str = "early-stopped",
        inputs: str | None = None,
        spectrum_power: float | None = None,
        prompt_intercept: bool | None = None,
        program: RewardProgram | None = None,
        covariates: Sequence[str] | None = None,
        covariate_blocks: str = "together",
        prior_mean: Mapping[str, float] | None = None,
    ) -> None:
        with rng.fenced(0):
            super().__init__()
        pool = dim if isinstance(dim, ResponsePool) else None
        dim = dim.dim if isinstance(dim, ResponsePool) else dim
        if dim < 1:
            raise InvalidInputError(f"expected an embedding dimension of at least 1, got {dim}")
        if dim > MOST_DIMENSIONS:
            raise InvalidInputError(f"expected an embedding dimension of at most {MOST_DIMENSIONS:,}, got {dim:,}")
        if training not in TRAININGS:
            raise InvalidInputError(f"unknown training {training!r}: there are {', '.join(TRAININGS)}")
        automatic = isinstance(encoder, str) and encoder == AUTO
        blocks = as_blocks(None if pool is None else pool.blocks, dim)
        if automatic:
            encoder = RECOMMENDED_ENCODER
        if inputs is None:
            inputs = (ENCODERS[encoder] if isinstance(encoder, str) else Encoder).default_inputs
        widest = max(at.stop - at.start for at in blocks.values())
        if inputs == "within-prompt" and widest > MOST_FEATURES:
            raise InvalidInputError(
                f"expected embeddings of at most {MOST_FEATURES} dimensions for inputs='within-prompt', got {widest}: "
                "their covariance would not fit into memory; project the embeddings first or use inputs='standardized'"
            )
        if spectrum_power is not None and not 0 <= spectrum_power < math.inf:
            raise InvalidInputError(f"expected a finite spectrum power of at least 0, got {spectrum_power}")
        self.dim, self.hidden = dim, tuple(hidden)
        self.automatic = automatic
        with rng.fenced(0):
            self.encoder = make_encoder(dim, encoder, tuple(hidden), inputs, blocks)
        if self.encoder.dim != dim:
            raise InvalidInputError(
                f"expected an encoder of embeddings of dimension {dim}, got one of {self.encoder.dim}"
            )
        if spectrum_power is not None and self.encoder.own_spectrum:
            raise InvalidInputError(
                f"expected no spectrum_power with encoder {AUTO if automatic else self.encoder.name!r}, which has "
                "powers of its own: leave it out, or use encoder='linear' or 'mlp+linear' with inputs='within-prompt'"
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
        self.input_blocks = blocks
        if covariate_blocks not in COVARIATE_BLOCKS:
            raise InvalidInputError(
                f"expected covariate_blocks to be one of {', '.join(COVARIATE_BLOCKS)}, got {covariate_blocks!r}"
            )
        self.covariates_given = covariates is not None
        named = (() if pool is None else tuple(pool.covariates)) if covariates is None else tuple(covariates)
        if pool is not None:
            pool.covariate_rows(named, np.empty(0, np.int64))
        self.covariates = CovariateFeatures(ordered(named, prior_mean), prior_mean, covariate_blocks == "apart")
        if program is not None and len(self.covariates):
            raise InvalidInputError(
                "expected no covariates with a program, whose last layer has features of the encoder alone: give "
                "covariates=()"
            )
        self.suggested_scale: dict[str, float] = {}
        """Prior scales of blocks beside the encoder's while none are chosen yet."""
        self.prior_scale = self._checked_scale(prior_scale)
        self.scale_given = prior_scale is not None
        """Whether the user did; those that labels chose are written to ``prior_scale`` of trained copies."""

    @property
    def features(self) -> int:
        """The number of features d that the last layer sees, covariates and prompt intercepts included."""
        return self.scored + (0 if self.intercepts is None else len(self.intercepts))

    @property
    def scored(self) -> int:
        """The number of features that responses of any pool have: all but prompt intercepts."""
        return int(self.encoder.features) + len(self.covariates)

    @property
    def blocks(self) -> dict[str, slice]:
        """The features in blocks that have a prior scale each: "mlp", "linear", …, covariates, and "intercept"."""
        blocks = dict(self.encoder.blocks) | self.covariates.blocks(int(self.encoder.features))
        if self.intercepts is not None and len(self.intercepts):
            blocks["intercept"] = slice(self.scored, self.features)
        return blocks

    @property
    def beside(self) -> list[str]:
        """The names of the blocks beside those of the encoder: covariates, and "intercept"."""
        return [name for name in self.blocks if name not in self.encoder.blocks]

    def fit_pool(self, pool: ResponsePool) -> None:
        """Learn what needs no labels: statistics of embeddings and of covariates."""
        self.encoder.fit_pool(pool)
        if self.encoder.named:
            self.encoder.measure()
        self.covariates.fit(pool)

    def fill_beside(
        self, columns: Float[Tensor, "response beside"], pool: ResponsePool, index: Int64[np.ndarray, "response"]
    ) -> None:
        """Write covariates, and ones of prompt intercepts, into columns of zeros after those of the encoder."""
        count = len(self.covariates)
        if count:
            columns[:, :count] = self.covariates.of(pool, index).to(columns)
        if self.intercepts is not None:
            self.intercepts.mark(columns[:, count:], pool, index)

    def require_pool(self, pool: ResponsePool) -> None:
        """Raise InvalidInputError where a pool is none that this model can read."""
        if pool.dim != self.dim:
            raise InvalidInputError(
                f"expected embeddings of dimension {self.dim}, as the model was made for, got {pool.dim}: "
                "was this pool embedded with another model?"
            )
        if len(pool.blocks) > 1 and len(self.input_blocks) > 1 and pool.blocks != self.input_blocks:
            raise InvalidInputError(
                f"expected an embedding of the blocks {', '.join(self.input_blocks)}, as the model was made for, got "
                f"{', '.join(pool.blocks)}: was this pool embedded with other layers?"
            )
        pool.covariate_rows(self.covariates.names, np.empty(0, np.int64))

    def prior_sd(self) -> Float[Tensor, "feature"]:
        """(feature,) prior standard deviation of each weight, float64; 1 where none was chosen yet."""
        sd = torch.ones(self.features, dtype=torch.float64)
        for name, block in self.blocks.items():
            if isinstance(self.prior_scale, dict):
                sd[block] = self.prior_scale.get(name, 1.0)
            elif self.prior_scale is not None and name in self.encoder.blocks:
                sd[block] = self.prior_scale
            else:
                sd[block] = self.suggested_scale.get(name, 1.0)
        return sd

    def prior_location(self) -> Float[Tensor, "feature"]:
        """(feature,) prior mean of each weight, float64: 0 but for covariates that were given one."""
        location = torch.zeros(self.features, dtype=torch.float64)
        location[int(self.encoder.features) : self.scored] = self.covariates.location.cpu()
        return location

    def prior(self, precision: Float[Tensor, "feature"], columns: Sequence[slice] | None = None) -> Prior:
        """The prior of β, or of those weights that ``columns`` has: of this precision, or the program's own."""
        if self.program is not None:
            return self.program.prior
        if self.covariates.prior_mean:
            location = self.prior_location().to(precision)
            kept = location if columns is None else torch.cat([location[at] for at in columns])
            return GaussianPrior(kept, precision)
        return CentredPrior(precision)

    def nuisance_space(self, context: Context, device: torch.device | None = None) -> NuisanceSpace:
        """The nuisance parameters of comparisons in this context, as one vector."""
        if self.program is not None:
            return self.program.nuisance_space(self.features, device)
        return NuisanceSpace(partial(self.likelihood.nuisances, context), device)

    def log_joint(
        self,
        data: LabelledDifferences,
        precision: Float[Tensor, "feature"],
        columns: Sequence[slice] | None = None,
    ) -> LogJoint:
        """The log joint density of nuisance parameters and β, given labels; ``columns``: where data has only these."""
        space = self.nuisance_space(data.context, data.difference.device)
        return LogJoint(self.likelihood, data, self.prior(precision, columns), space)

    def _checked_scale(self, scale: float | Mapping[str, float] | None) -> float | dict[str, float] | None:
        if scale is None:
            return None
        scales = dict(scale) if isinstance(scale, Mapping) else {"": scale}
        known = {
            *self.encoder.blocks,
            *self.covariates.blocks(0),
            *(["intercept"] if self.prompt_intercept else []),
        }
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
        prior: Prior | None = None,
    ) -> Float[Tensor, "comparison"]:
        """The Bayesian part alone, given features: sample sites ``beta``, nuisance parameters, and ``outcome``.

        ``prior`` stands for the model's own where the features are other coordinates of its features.
        """
        if self.program is not None:
            return self.program(features, first, second, outcome, weight)
        context = Context() if context is None else context
        if prior is None:
            scale = self.prior_sd().to(features)[: features.shape[-1]]
            location = self.prior_location().to(features)[: features.shape[-1]]
        else:
            location, precision = prior({})
            scale = precision.rsqrt()
        beta = pyro.sample("beta", dist.Normal(location, scale).to_event(1))
        with created_on(features.device):
            nuisances = self.likelihood.nuisances(context)
        likelihood = self.likelihood.given(nuisances, context)
        reward = features @ beta
        logit = reward[first] - reward[second]
        weights = torch.ones_like(logit) if weight is None else weight
        with pyro.plate("comparison", len(first)), pyro.poutine.scale(scale=weights):
            distribution: Any = likelihood.distribution(logit)
            answer: Tensor = pyro.sample("outcome", distribution, obs=outcome)
        return answer

    def fresh(self, seed: int) -> RewardModel:
        """A copy whose encoder, unless a user's own, is initialised from ``seed``, on every device with the same."""
        model = copy.deepcopy(self)
        if not self.custom_encoder:
            device = model.encoder.device
            model.encoder.cpu()
            with rng.fenced(seed):
                for module in model.encoder.modules():
                    if isinstance(module, nn.Linear):
                        module.reset_parameters()
            model.encoder.to(device)
        return model

    def with_encoder(self, encoder: str | Encoder) -> RewardModel:
        """The same model with another encoder, not yet fitted, and with open prior scales.

        By name it is one of the same ``inputs``.
        """
        twin = RewardModel(
            1,  # its encoder is replaced
            encoder if isinstance(encoder, str) else encoder.name,
            likelihood=self.likelihood,
            training=self.training_name,
            inputs=self.encoder.inputs,
            prompt_intercept=self.prompt_intercept,
        )
        with rng.fenced(0):
            twin.encoder = make_encoder(
                self.dim, encoder, self.hidden, self.encoder.inputs, self.encoder.input_blocks
            )
        twin.dim, twin.hidden = self.dim, self.hidden
        twin.input_blocks, twin.intercepts = self.input_blocks, self.intercepts
        twin.covariates, twin.covariates_given = self.covariates, self.covariates_given
        return twin

    def linear_twin(self) -> RewardModel:
        """The same model with a linear encoder; it shares what prepares inputs."""
        twin = self.with_encoder("linear")
        twin.encoder.standardize, twin.encoder.spectrum = self.encoder.standardize, self.encoder.spectrum
        if self.encoder.spectrum is not None:
            twin.encoder.set_power(self.encoder.spectrum.power)
        if isinstance(self.prior_scale, dict):
            names = {"features": "linear"} | {
                name: name for name in (*twin.blocks, "intercept") if name != "features"
            }
            twin.prior_scale = {
                name: self.prior_scale.get(own, 1.0)
                for name, own in names.items()
                if own in self.prior_scale or name in twin.encoder.blocks
            }
        elif self.prior_scale is not None and not self.prompt_intercept and not len(self.covariates):
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
            # None where there are none, as in folders of a time when there were none.
            "covariates": list(self.covariates.names) or ([] if self.covariates_given else None),
            "covariate_blocks": ("apart" if self.covariates.apart else "together")
            if len(self.covariates)
            else None,
            "prior_mean": self.covariates.prior_mean or None,
        }
        if len(self.input_blocks) > 1:
            settings["input_blocks"] = {name: [at.start, at.stop] for name, at in self.input_blocks.items()}
        if encoding:
            settings["encoder_settings"] = encoding
        if self.custom_encoder:
            settings["encoder_sha256"] = _module_digest(self.encoder.body)
        return settings


MOST_DIMENSIONS = 2**24
"""More is a number of something else."""
MOST_FEATURES = 16_384
"""The information matrix of this many features takes 2 GiB; posteriors keep a few of them."""
COVARIATE_BLOCKS = ("together", "apart")
TRAININGS = ("early-stopped", "paper")


def _module_digest(module: nn.Module) -> str:
    """Of its structure, of the code and settings of modules that are not torch's, and of its weights."""
    digest = hashlib.sha256(repr(module).encode())
    for part in module.modules():
        if not type(part).__module__.startswith("torch."):
            digest.update(repr((code_digest(type(part).forward), sorted(settings_of(part).items()))).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
