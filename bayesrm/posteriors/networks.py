r"""Draws of whole networks, f_1, …, f_S: what a deep ensemble, Monte Carlo dropout and a Bayesian network return.

Each draw has weights of its own in the body of the encoder and a last layer β_s of its own; the standardisation of
embeddings is shared. With R_is = f_s(ψ_i) the moments are those of the draws,

    m_i = (1/S) Σ_s R_is,        Cov(r_i, r_j) = 1/(S − 1) Σ_s (R_is − m_i)(R_js − m_j),

and every expectation of a function of rewards is an average over the draws. There are no features that all draws
share. The networks are held as one stack and evaluated together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64, Shaped
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bayesrm import rng
from bayesrm.errors import CapabilityError
from bayesrm.models.context import Context
from bayesrm.models.features import RESPONSE_BLOCK, difference, labelled_differences
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardMoments, RewardPosterior, local_pairs
from bayesrm.posteriors.chains import chains_for, chosen_responses, in_chains
from bayesrm.posteriors.datatree import Gaussian, beta_first, last_layer_draws, moment_factor
from bayesrm.types import Preferences, ResponsePool, require_within
from bayesrm.utils.checked import Count, Seed, checked
from bayesrm.utils.linalg import lower_root

DRAWS_AT_ONCE = 8
"""Networks that are evaluated together on a block of responses: bounds the memory of their hidden layers."""
CENTRE_RESPONSES = 2048

State = dict[str, Tensor]
"""Name in the body's ``state_dict`` → (draw, …) the values of all draws."""


@dataclass(frozen=True, eq=False)
class NetworkDraws(RewardPosterior):
    """A posterior that consists of draws of encoder and last layer together.

    Parameters
    ----------
    model, pool, preferences
        What it was fitted with. The encoder of ``model`` gives the architecture and the standardisation; its own
        weights are not used.
    state
        Weights and buffers of the encoder's body, stacked over draws.
    beta
        (draw, feature) the last layers, float64.
    nuisance
        (draw, nuisance) unconstrained nuisance parameters of the likelihood, float64.
    prior_precision
        (feature,) diagonal of the prior's precision of each β.
    refit
        The inference's fit to other preferences of the same pool, from the same seed; used by :meth:`condition`.
    inference
        The name of the inference.
    """

    model: RewardModel
    pool: ResponsePool
    preferences: Preferences
    state: State
    beta: Float[Tensor, "draw feature"]
    nuisance: Float[Tensor, "draw nuisance"]
    prior_precision: Float[Tensor, "feature"]
    refit: Callable[[Preferences], NetworkDraws]
    inference: str = field(kw_only=True)

    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """Moments of the draws."""
        index = np.arange(len(pool)) if responses is None else responses
        return RewardMoments.from_draws(self._rewards(pool, index))

    def sample_rewards(
        self,
        pool: ResponsePool,
        responses: Int64[np.ndarray, "response"],
        draws: int,
        generator: np.random.Generator,
    ) -> Float[Tensor, "draw response"]:
        """Rewards under draws picked at random: each at most once, or with replacement if more are asked for."""
        return self._rewards(pool, responses).T[self._pick(draws, generator)]

    def entropy(self) -> float:
        """Draws of networks have no density: raises CapabilityError."""
        raise CapabilityError(
            "the entropy of draws of whole networks is not defined: fit with inference='laplace' to get a posterior "
            "of the last layer that has one"
        )

    @checked
    def condition(self, preferences: Preferences) -> NetworkDraws:
        """A fit to all preferences from the same seed: weights of a network cannot be updated exactly."""
        require_within(preferences, self.pool)
        return self.refit(self.preferences.append(preferences))

    @checked
    def to_datatree(
        self,
        draws: Count = 1024,
        seed: Seed = 0,
        log_likelihood: bool = False,
        responses: ArrayLike | None = None,
    ) -> xr.DataTree:
        """Last layers in ArviZ's groups; ``lp`` is their log joint density given their draw's features.

        Weights of the encoders are not in it, and ``approximation`` has the moments of all last layers. Where their
        number is a multiple of four and at least 16, networks come in four chains; else, and where all of them have the
        same last layer, in one.

        Parameters
        ----------
        draws : int
            The largest number of networks, see :meth:`sample_rewards`; each is taken once at most.
        seed : int
            Root of the choice among them.
        log_likelihood : bool
            Whether to add log p(y_k | network) of every comparison and draw.
        responses : array_like of int, optional
            Responses of the pool whose rewards are wanted under each network, as ``reward`` in the group
            ``posterior``: each less its mean over the pool, or over evenly spaced responses of a large one.

        Raises
        ------
        InvalidInputError
            Where a response is none of the pool's.
        """
        index = None if responses is None else chosen_responses(responses, self.pool)
        picked = self._pick(min(draws, len(self.beta)), rng.stream(seed, "posterior draws"))
        used, first, second = local_pairs(self.preferences)
        reward = self._rewards(self.pool, used).T[picked]
        networks = torch.cat([self.nuisance, self.beta], dim=1)
        order = beta_first(networks.shape[1], self.nuisance.shape[1])
        # R̂ of what does not vary, such as the last layer of networks that dropout makes, does not exist.
        varying = bool((networks != networks[0]).any(dim=0).all())
        chains = chains_for(len(picked)) if varying else 1
        data = labelled_differences(self.model, self.pool, self.preferences, self.beta.device)
        parts = last_layer_draws(
            self.model.log_joint(data, self.prior_precision),
            self.model.blocks,
            in_chains(networks[picked][None], chains),
            rng.child(seed, "predictive draws"),
            logit=in_chains((reward[:, first] - reward[:, second])[None], chains),
        )
        if index is not None:
            wanted = self._rewards(self.pool, index).T[picked]
            parts = parts.with_rewards(in_chains(wanted[None], chains), index)
        return parts.tree(
            self.preferences,
            stats={},
            log_q=None,
            approximation=Gaussian(networks.mean(dim=0)[order], lower_root(moment_factor(networks)[order])),
            prior_precision=self.prior_precision.cpu().numpy(),
            log_likelihood=log_likelihood,
            attributes={
                "inference": self.inference,
                "model": json.dumps(self.model.describe(), sort_keys=True),
                "posterior_seed": seed,
            },
        )

    @cached_property
    def likelihood(self) -> Likelihood:
        """The likelihood with nuisance parameters at their mean, for comparisons by nobody in particular."""
        space = self.model.nuisance_space(Context.of(self.preferences, self.beta.device), self.beta.device)
        return self.model.likelihood.given(space.values(self.nuisance.mean(dim=0)))

    def _pick(self, draws: int, generator: np.random.Generator) -> Int64[Tensor, "draw"]:
        picked = generator.choice(len(self.beta), draws, replace=draws > len(self.beta))
        return torch.from_numpy(picked).to(self.beta.device)

    def _rewards(self, pool: ResponsePool, index: Int64[np.ndarray, "response"]) -> Float[Tensor, "response draw"]:
        """Each draw's rewards less its average over the pool of the fit, in blocks, float64."""
        return self._raw_rewards(pool, index) - self._centre

    @cached_property
    def _centre(self) -> Float[Tensor, "draw"]:
        """Rewards are known up to a constant a draw; without it spreads are those of differences, not of levels."""
        n = min(len(self.pool), CENTRE_RESPONSES)
        index = np.linspace(0, len(self.pool) - 1, n).round().astype(np.int64)
        return self._raw_rewards(self.pool, index).mean(dim=0)

    def _raw_rewards(
        self, pool: ResponsePool, index: Int64[np.ndarray, "response"]
    ) -> Float[Tensor, "response draw"]:
        self.model.require_pool(pool)
        device = self.beta.device
        rewards = torch.empty((len(index), len(self.beta)), dtype=torch.float64, device=device)
        body, beta = self.model.encoder.body, self.beta.float()
        with torch.inference_mode():
            for start in range(0, len(index), RESPONSE_BLOCK):
                x, onehot = inputs(self.model, pool, index[start : start + RESPONSE_BLOCK], device)
                rewards[start : start + len(x)] = network_rewards(
                    body, self.state, beta, x, onehot, DRAWS_AT_ONCE
                ).T
        return rewards


def inputs(
    model: RewardModel, pool: ResponsePool, index: Int64[np.ndarray, "response"], device: torch.device
) -> tuple[Float[Tensor, "response embedding"], Float[Tensor, "response beside"]]:
    """What all networks see of some responses: standardised embeddings, and what stands beside their features."""
    rows = torch.from_numpy(pool.rows(index)).to(device)
    beside = rows.new_zeros((len(index), model.features - model.encoder.features))
    model.fill_beside(beside, pool, index)
    return model.encoder.prepare(rows), beside


def network_rewards(
    body: nn.Module,
    state: State,
    beta: Float[Tensor, "draw feature"],
    x: Float[Tensor, "response embedding"],
    beside: Float[Tensor, "response beside"],
    at_once: int | None = None,
) -> Float[Tensor, "draw response"]:
    """Rewards under each network, ``at_once`` networks at a time (default: all); differentiable."""
    weights, others = beta.split([beta.shape[1] - beside.shape[1], beside.shape[1]], dim=1)
    shared = {name: value[0] for name, value in state.items() if is_shared(value)}
    own = {name: value for name, value in state.items() if not is_shared(value)}
    if not own:
        features: Tensor = functional_call(body, shared, (x,))
        return weights @ features.T + others @ beside.T

    def one(network: State, last_layer: Tensor) -> Tensor:
        features: Tensor = functional_call(body, shared | network, (x,))
        return features @ last_layer

    rewards: Tensor = vmap(one, randomness="different", chunk_size=at_once)(own, weights)
    return rewards + others @ beside.T


def is_shared(stacked: Shaped[Tensor, "draw *_"]) -> bool:
    """Whether it is one tensor that all draws share."""
    return stacked.stride(0) == 0


def network_differences(
    model: RewardModel,
    state: State,
    draws: int,
    pool: ResponsePool,
    preferences: Preferences,
    device: torch.device,
) -> Iterator[Float[Tensor, "comparison feature"]]:
    """For each network the differences of its features between the responses of each comparison, float64."""
    used, first, second = local_pairs(preferences)
    x, beside = inputs(model, pool, used, device)
    for s in range(draws):
        with torch.no_grad():
            features = functional_call(model.encoder.body, {name: value[s] for name, value in state.items()}, (x,))
        yield difference(torch.cat([features, beside], dim=1).double(), first, second)


def stack(bodies: list[nn.Module]) -> State:
    """The weights and buffers of networks of one architecture, stacked; shared where nothing is trained."""
    states = [body.state_dict() for body in bodies]
    if not any(parameter.requires_grad for parameter in bodies[0].parameters()):
        return {name: value.detach().expand(len(bodies), *value.shape) for name, value in states[0].items()}
    return {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
