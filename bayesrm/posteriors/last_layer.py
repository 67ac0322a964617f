r"""Posteriors whose rewards are linear in fixed features: r = φᵀβ.

What they share: features, a location of β, and an information matrix Λ = I/σ² + Σ_k w_k z_k z_kᵀ with its
Cholesky factor L. For a Gaussian posterior Λ is the precision; for a point it is the Fisher information that
frequentist designs use.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RESPONSE_BLOCK, RewardPosterior, local_pairs
from bayesrm.posteriors.datatree import LastLayerDraws
from bayesrm.types import Preferences, ResponsePool, require_within


@dataclass(frozen=True, eq=False)
class LastLayerPosterior(RewardPosterior):
    """A posterior of β over the features of a trained encoder.

    Parameters
    ----------
    model, pool, preferences
        What it was fitted with; the encoder is trained and no longer changes.
    location
        (feature,) the point or the mean of β, float64.
    information_cholesky
        (feature, feature) lower-triangular L with Λ = L Lᵀ, float64.
    prior_precision
        (feature,) diagonal of the prior's precision, 1/σ².
    log_evidence
        Log marginal likelihood in nats where the inference estimates one, else NaN.
    refit
        The inference's own fit of the last layer, used by :meth:`condition`.
    """

    offers: ClassVar[frozenset[str]] = frozenset({"spread", "features"})

    model: RewardModel
    pool: ResponsePool
    preferences: Preferences
    location: Float[Tensor, "feature"]
    information_cholesky: Float[Tensor, "feature feature"]
    prior_precision: Float[Tensor, "feature"]
    log_evidence: float
    refit: Callable[[LastLayerPosterior, Preferences], LastLayerPosterior]

    @property
    @abstractmethod
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """C with Cov(β) = C Cᵀ."""

    def features(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> Float[Tensor, "response feature"]:
        """Features φ of some responses of a pool (default: of all), float64; only their rows are read."""
        if pool.dim != self.model.dim:
            raise InvalidInputError(
                f"expected embeddings of dimension {self.model.dim}, as the model was fitted with, "
                f"got {pool.dim}: was this pool embedded with another model?"
            )
        index = np.arange(len(pool)) if responses is None else responses
        return encode(self.model, pool, index, self.location.device)

    def information_factor(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"]
    ) -> Float[Tensor, "response rank"]:
        """u = L⁻¹φ."""
        return self.whiten(self.features(pool, responses))

    def whiten(self, features: Float[Tensor, "response feature"]) -> Float[Tensor, "response feature"]:
        """Rows L⁻¹φ."""
        return torch.linalg.solve_triangular(self.information_cholesky, features.T, upper=False).T.contiguous()

    def condition(self, preferences: Preferences) -> LastLayerPosterior:
        """The exact refit with more preferences, warm-started; features and prior scale stay fixed."""
        require_within(preferences, self.pool)
        refitted = self.refit(self, self.preferences.append(preferences))
        assert isinstance(refitted, type(self))
        return refitted

    def to_datatree(self, draws: int = 1000, seed: int = 0, log_likelihood: bool = False) -> xr.DataTree:
        """The posterior in ArviZ's groups, one chain.

        Parameters
        ----------
        draws
            Number of posterior draws of β (one for a point).
        seed
            Root of the draws.
        log_likelihood
            Whether to add log p(y_k | β) of every comparison and draw: 8 bytes × draws × comparisons.
        """
        beta, log_q = self.sample_last_layer(
            draws if "spread" in self.offers else 1, rng.stream(seed, "posterior draws")
        )
        parts = LastLayerDraws(
            preferences=self.preferences,
            beta=beta,
            log_q=log_q,
            log_likelihood=self._log_likelihood(beta),
            prior_precision=self.prior_precision,
            location=self.location,
            covariance_factor=self.covariance_factor,
            information=self.information_cholesky @ self.information_cholesky.T,
        )
        return parts.tree(
            log_likelihood,
            {
                "inference": type(self).__name__,
                "model": json.dumps(self.model.describe(), sort_keys=True),
                "posterior_seed": seed,
                "log_evidence": float(self.log_evidence),
            },
        )

    def _log_likelihood(self, beta: Float[Tensor, "draw feature"]) -> Float[Tensor, "draw comparison"]:
        used, first, second = local_pairs(self.preferences)
        rewards = beta @ self.features(self.pool, used).T
        logit = rewards[:, first] - rewards[:, second]
        outcome = torch.from_numpy(self.preferences.outcome).to(logit.device)
        return self.likelihood.log_prob(logit, outcome.expand_as(logit))

    @abstractmethod
    def sample_last_layer(
        self, draws: int, generator: np.random.Generator
    ) -> tuple[Float[Tensor, "draw feature"], Float[Tensor, "draw"]]:
        """Draws of β and their log density under this posterior (zero for a point)."""

    def sample_rewards(
        self,
        pool: ResponsePool,
        responses: Int64[np.ndarray, "response"],
        draws: int,
        generator: np.random.Generator,
    ) -> Float[Tensor, "draw response"]:
        """Joint draws of the rewards: one draw of β for all responses."""
        beta, _ = self.sample_last_layer(draws, generator)
        return beta @ self.features(pool, responses).T


def encode(
    model: RewardModel, pool: ResponsePool, index: Int64[np.ndarray, "response"], device: torch.device
) -> Float[Tensor, "response feature"]:
    """Features in float64, encoded in blocks so that only the features of all responses are held."""
    features = torch.empty((len(index), model.features), dtype=torch.float64, device=device)
    with torch.inference_mode():
        for start in range(0, len(index), RESPONSE_BLOCK):
            rows = torch.from_numpy(pool.rows(index[start : start + RESPONSE_BLOCK])).to(device)
            features[start : start + len(rows)] = model.encoder(rows).double()
    return features
