r"""A posterior without its pool and labels: what is needed to score responses that nobody has seen yet.

A reward is known up to a constant, so the spread of a single one depends on what it is measured from. Here it is the
average response of the pool that the posterior was fitted on: with φ̄ the mean feature of that pool and C Cᵀ the
posterior covariance of β,

    m(ψ) = (φ − φ̄)ᵀ E β,      u(ψ) = Cᵀ(φ − φ̄),      sd(ψ) = ‖u‖,      Var(r_a − r_b) = ‖u_a − u_b‖²,

which is ``posterior.reward(pool)``. It does not depend on what else is scored.

Covariates stand beside the features of the encoder as in the fit. A covariate that is left out is held at its mean over
the pool of the fit, so that a score goes on depending on nothing else that is scored.

Intercepts of prompts are left out: they say how hard a prompt was, of prompts that were compared, and cancel within a
prompt. Across prompts the spread leaves out what is not known of how hard each is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.models.covariates import CovariateFeatures
from bayesrm.models.encoders import Encoder
from bayesrm.models.features import RESPONSE_BLOCK
from bayesrm.posteriors.base import RewardMoments, RewardPosterior
from bayesrm.posteriors.draws import MOST_REWARD_DRAWS, DrawsPosterior, evenly
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.networks import DRAWS_AT_ONCE, NetworkDraws, State, network_rewards
from bayesrm.types import ResponsePool
from bayesrm.utils.factors import SpannedFactor


@dataclass(frozen=True, eq=False)
class RewardFunction(ABC):
    """From embeddings to what is known of their rewards.

    Parameters
    ----------
    encoder
        Trained; it no longer changes.
    covariates
        What is read beside embeddings, none where there are no names.
    """

    encoder: Encoder
    covariates: CovariateFeatures

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it computes."""

    @abstractmethod
    def moments_of(
        self, rows: Float[Tensor, "response embedding"], beside: Float[Tensor, "response covariate"] | None = None
    ) -> RewardMoments:
        """Moments of rewards of one block, on the device.

        Parameters
        ----------
        rows
            Embeddings, float32.
        beside
            Covariates as the last layer sees them, float64; None where there are none.
        """

    def moments(
        self,
        embeddings: Float[np.ndarray, "response embedding"],
        covariates: Float[np.ndarray, "response covariate"] | None = None,
        without: Sequence[str] = (),
    ) -> RewardMoments:
        """Moments of rewards, measured from the average response of the pool of the fit; computed block by block.

        Parameters
        ----------
        embeddings
            As the pool's.
        covariates
            In the order of the names; None where the model reads none.
        without
            Covariates that are held at their mean over the pool of the fit.
        """
        if embeddings.shape[1] != self.encoder.dim:
            raise InvalidInputError(
                f"expected embeddings of dimension {self.encoder.dim}, as the model was fitted with, "
                f"got {embeddings.shape[1]}: were these embedded with another model?"
            )
        if covariates is None and len(self.covariates):
            raise InvalidInputError(
                f"expected the covariates {', '.join(self.covariates.names)} of each response beside its embedding: "
                "give a ResponsePool that has them, or texts"
            )
        values = np.empty((len(embeddings), 0)) if covariates is None else covariates
        held = [self.covariates.names.index(name) for name in self.covariates.chosen(without)]
        with torch.inference_mode():
            parts = []
            for start in range(0, max(1, len(embeddings)), RESPONSE_BLOCK):
                block = slice(start, start + RESPONSE_BLOCK)
                beside = self.covariates(torch.from_numpy(values[block]).to(self.device), held)
                parts.append(self.moments_of(torch.from_numpy(embeddings[block]).to(self.device), beside))
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
        (feature,) mean of β, of the encoder's features and then of covariates.
    covariance
        (feature, rank) C with Cov(β) = C Cᵀ, of rank 0 for a point; or the factor of the precision, where features are
        many more than labels.
    centre
        (feature,) φ̄.
    draws
        (draw, feature) draws of β, where the posterior consists of draws; else it is Gaussian.
    """

    location: Float[Tensor, "feature"]
    covariance: Float[Tensor, "feature rank"] | SpannedFactor
    centre: Float[Tensor, "feature"]
    draws: Float[Tensor, "draw feature"] | None = None

    @property
    def device(self) -> torch.device:
        """That of β."""
        return self.location.device

    def moments_of(
        self, rows: Float[Tensor, "response embedding"], beside: Float[Tensor, "response covariate"] | None = None
    ) -> RewardMoments:
        """Linear in features."""
        features = _joined(self.encoder(rows), beside) - self.centre
        draws = None if self.draws is None else features @ self.draws.T
        known = self.covariance
        spread = known.whiten(features) if isinstance(known, SpannedFactor) else features @ known
        return RewardMoments(features @ self.location, spread, draws)


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

    def moments_of(
        self, rows: Float[Tensor, "response embedding"], beside: Float[Tensor, "response covariate"] | None = None
    ) -> RewardMoments:
        """Of the draws."""
        return RewardMoments.from_draws(self.rewards(rows, beside).double() - self.centre)

    def rewards(
        self, rows: Float[Tensor, "response embedding"], beside: Float[Tensor, "response covariate"] | None = None
    ) -> Float[Tensor, "response draw"]:
        """Each network's rewards, as they are."""
        columns = rows.new_empty((len(rows), 0)) if beside is None else beside.to(rows)
        prepared = self.encoder.prepare(rows)
        return network_rewards(
            self.encoder.body, self.state, self.beta.float(), prepared, columns, DRAWS_AT_ONCE
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
    encoder, d = posterior.model.encoder, posterior.model.scored
    draws = None
    if isinstance(posterior, DrawsPosterior):
        draws = posterior.beta[evenly(len(posterior.beta), MOST_REWARD_DRAWS), :d]
    device = posterior.location.device
    covariates = posterior.model.covariates
    centre = _pool_mean(
        posterior.pool, covariates, lambda rows, beside: _joined(encoder(rows.to(device)), beside.to(device))
    )
    return FeatureReward(
        encoder,
        covariates,
        posterior.location[:d].clone(),
        _covariance(posterior, d),
        centre,
        None if draws is None else draws.clone(),
    )


def _covariance(posterior: LastLayerPosterior, d: int) -> Float[Tensor, "feature rank"] | SpannedFactor:
    """Of the first d weights; in the span of the labels where the fit is, and all weights are wanted."""
    factor = posterior.information
    if isinstance(posterior, GaussianPosterior) and isinstance(factor, SpannedFactor) and len(factor) == d:
        return factor
    columns = posterior.covariance_factor[:d]
    # Intercepts make it wider than it has to be: with Cᵀ = Q R, C Cᵀ = Rᵀ R.
    return torch.linalg.qr(columns.T, mode="r").R.T.contiguous() if columns.shape[1] > d else columns


def _network_reward(posterior: NetworkDraws) -> NetworkReward:
    encoder, covariates = posterior.model.encoder, posterior.model.covariates
    beta = posterior.beta[:, : posterior.model.scored].clone()
    reward = NetworkReward(encoder, covariates, posterior.state, beta, beta.new_zeros(len(beta)))
    centre = _pool_mean(
        posterior.pool,
        covariates,
        lambda rows, beside: reward.rewards(rows.to(beta.device), beside.to(beta.device)).double(),
    )
    return NetworkReward(encoder, covariates, posterior.state, beta, centre)


def _joined(
    features: Float[Tensor, "response feature"], beside: Float[Tensor, "response covariate"] | None
) -> Float[Tensor, "response _"]:
    features = features.double()
    return features if beside is None else torch.cat([features, beside.to(features)], dim=1)


def _pool_mean(
    pool: ResponsePool,
    covariates: CovariateFeatures,
    function: Callable[[Tensor, Tensor], Float[Tensor, "response value"]],
) -> Float[Tensor, "value"]:
    """The mean over all responses of a function of their embeddings and covariates."""
    with torch.inference_mode():
        total = sum(
            function(torch.from_numpy(rows), covariates(torch.from_numpy(values).to(covariates.mean.device))).sum(
                0
            )
            for rows, values in input_blocks(pool, covariates.names)
        )
    assert isinstance(total, Tensor)
    return (total / len(pool)).clone()


def input_blocks(
    pool: ResponsePool, names: Sequence[str]
) -> Iterator[tuple[Float[np.ndarray, "response embedding"], Float[np.ndarray, "response covariate"]]]:
    """Embeddings and covariates of a pool, a few thousand responses at a time."""
    for start in range(0, len(pool), RESPONSE_BLOCK):
        index = np.arange(start, min(start + RESPONSE_BLOCK, len(pool)))
        yield pool.rows(index), pool.covariate_rows(names, index)
