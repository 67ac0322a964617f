r"""A posterior without its pool and labels: what is needed to score responses that nobody has seen yet.

A reward is known up to a constant, so the spread of a single one depends on what it is measured from. Here it is the
average response of the pool that the posterior was fitted on: with φ̄ the mean feature of that pool and C Cᵀ the
posterior covariance of β,

    m(ψ) = (φ − φ̄)ᵀ E β,      u(ψ) = Cᵀ(φ − φ̄),      sd(ψ) = ‖u‖,      Var(r_a − r_b) = ‖u_a − u_b‖²,

which is ``posterior.reward(pool)``. It does not depend on what else is scored.

Intercepts of prompts are left out: they say how hard a prompt was, of prompts that were compared, and cancel within a
prompt. Across prompts the spread leaves out what is not known of how hard each is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.models.encoders import Encoder
from bayesrm.models.features import RESPONSE_BLOCK
from bayesrm.posteriors.base import RewardMoments, RewardPosterior
from bayesrm.posteriors.draws import MOST_REWARD_DRAWS, DrawsPosterior, evenly
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.networks import DRAWS_AT_ONCE, NetworkDraws, State, network_rewards
from bayesrm.types import ResponsePool


@dataclass(frozen=True, eq=False)
class RewardFunction(ABC):
    """From embeddings to what is known of their rewards.

    Parameters
    ----------
    encoder
        Trained; it no longer changes.
    """

    encoder: Encoder

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it computes."""

    @abstractmethod
    def moments_of(self, rows: Float[Tensor, "response embedding"]) -> RewardMoments:
        """Moments of rewards of one block, float32, on the device."""

    def moments(self, embeddings: Float[np.ndarray, "response embedding"]) -> RewardMoments:
        """Moments of rewards, measured from the average response of the pool of the fit; computed block by block."""
        if embeddings.shape[1] != self.encoder.dim:
            raise InvalidInputError(
                f"expected embeddings of dimension {self.encoder.dim}, as the model was fitted with, "
                f"got {embeddings.shape[1]}: were these embedded with another model?"
            )
        with torch.inference_mode():
            parts = [
                self.moments_of(torch.from_numpy(embeddings[start : start + RESPONSE_BLOCK]).to(self.device))
                for start in range(0, max(1, len(embeddings)), RESPONSE_BLOCK)
            ]
        draws = [part.draws for part in parts if part.draws is not None]
        return RewardMoments(
            torch.cat([part.mean for part in parts]),
            torch.cat([part.factor for part in parts]),
            torch.cat(draws) if draws else None,
        )


@dataclass(frozen=True, eq=False)
class FeatureReward(RewardFunction):
    """A reward that is linear in fixed features.

    Parameters
    ----------
    location
        (feature,) mean of β.
    covariance_factor
        (feature, rank) C with Cov(β) = C Cᵀ; rank 0 for a point.
    centre
        (feature,) φ̄.
    draws
        (draw, feature) draws of β, where the posterior consists of draws; else it is Gaussian.
    """

    location: Float[Tensor, "feature"]
    covariance_factor: Float[Tensor, "feature rank"]
    centre: Float[Tensor, "feature"]
    draws: Float[Tensor, "draw feature"] | None = None

    @property
    def device(self) -> torch.device:
        """That of β."""
        return self.location.device

    def moments_of(self, rows: Float[Tensor, "response embedding"]) -> RewardMoments:
        """Linear in features."""
        features = self.encoder(rows).double() - self.centre
        draws = None if self.draws is None else features @ self.draws.T
        return RewardMoments(features @ self.location, features @ self.covariance_factor, draws)


@dataclass(frozen=True, eq=False)
class NetworkReward(RewardFunction):
    """Draws of whole networks.

    Parameters
    ----------
    state
        Weights of the encoder's body, stacked over draws.
    beta
        (draw, feature) last layers.
    centre
        (draw,) the average reward of the pool of the fit under each.
    """

    state: State
    beta: Float[Tensor, "draw feature"]
    centre: Float[Tensor, "draw"]

    @property
    def device(self) -> torch.device:
        """That of β."""
        return self.beta.device

    def moments_of(self, rows: Float[Tensor, "response embedding"]) -> RewardMoments:
        """Of the draws."""
        return RewardMoments.from_draws(self.rewards(rows).double() - self.centre)

    def rewards(self, rows: Float[Tensor, "response embedding"]) -> Float[Tensor, "response draw"]:
        """Each network's rewards, as they are."""
        nothing = rows.new_empty((len(rows), 0))
        prepared = self.encoder.prepare(rows)
        return network_rewards(
            self.encoder.body, self.state, self.beta.float(), prepared, nothing, DRAWS_AT_ONCE
        ).T


def reward_function(posterior: RewardPosterior) -> RewardFunction:
    """What a posterior says of rewards, on the CPU; the whole pool of the fit is read once, for its average.

    Raises
    ------
    CapabilityError
        For a posterior of another kind than bayesrm's own.
    """
    if isinstance(posterior, LastLayerPosterior):
        return _feature_reward(posterior)
    if isinstance(posterior, NetworkDraws):
        return _network_reward(posterior)
    raise CapabilityError(
        f"expected a posterior of the last layer or of whole networks, got {type(posterior).__name__}: there is no "
        "format to save it in; fit with one of `bayesrm inferences`"
    )


def _feature_reward(posterior: LastLayerPosterior) -> FeatureReward:
    encoder, d = posterior.model.encoder, posterior.model.encoder.features
    factor = posterior.covariance_factor[:d]
    if factor.shape[1] > d:
        # Intercepts make it wider than it has to be: with Cᵀ = Q R, C Cᵀ = Rᵀ R.
        factor = torch.linalg.qr(factor.T, mode="r").R.T.contiguous()
    draws = None
    if isinstance(posterior, DrawsPosterior):
        draws = posterior.beta[evenly(len(posterior.beta), MOST_REWARD_DRAWS), :d]
    device = posterior.location.device
    centre = _pool_mean(posterior.pool, lambda rows: encoder(rows.to(device)).double())
    return FeatureReward(
        encoder, posterior.location[:d].clone(), factor, centre, None if draws is None else draws.clone()
    )


def _network_reward(posterior: NetworkDraws) -> NetworkReward:
    encoder = posterior.model.encoder
    beta = posterior.beta[:, : encoder.features].clone()
    reward = NetworkReward(encoder, posterior.state, beta, beta.new_zeros(len(beta)))
    centre = _pool_mean(posterior.pool, lambda rows: reward.rewards(rows.to(beta.device)).double())
    return NetworkReward(encoder, posterior.state, beta, centre)


def _pool_mean(
    pool: ResponsePool, function: Callable[[Tensor], Float[Tensor, "response value"]]
) -> Float[Tensor, "value"]:
    """The mean over all responses of a function of their embeddings."""
    with torch.inference_mode():
        total = sum(function(torch.from_numpy(rows)).sum(dim=0) for rows in embedding_blocks(pool))
    assert isinstance(total, Tensor)
    return (total / len(pool)).clone()


def embedding_blocks(pool: ResponsePool) -> Iterator[Float[np.ndarray, "response embedding"]]:
    """The embeddings of a pool, a few thousand at a time."""
    for start in range(0, len(pool), RESPONSE_BLOCK):
        yield pool.rows(np.arange(start, min(start + RESPONSE_BLOCK, len(pool))))
