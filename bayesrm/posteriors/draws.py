r"""Exact draws of x = (ν, β) over fixed features: what NUTS returns.

Moments that are reported are those of the draws. Designs and the entropy need the inverse of a covariance, which
draws give badly or, where they are fewer than the features, not at all. For that one, in the coordinates ε in which
the Laplace approximation has covariance I, the covariance S of the draws is shrunk to it,

    C = (1 − ρ) S + ρ I,      ρ = min(1, E‖S − E S‖² / ‖S − I‖²)

(Ledoit & Wolf 2004, with the target known), and ρ at least D/(n + D), as if I were worth D draws: ρ → 0 with more
draws wherever the posterior is not Laplace's. As draws follow one another the error of S is taken from the covariances
S_b of B batches of √n successive draws, E‖S − E S‖² = Σ_b ‖S_b − S‖² / B².
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.datatree import beta_first, moment_factor
from bayesrm.posteriors.last_layer import LastLayerPosterior, LatentDraws
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import Count, Seed, checked
from bayesrm.utils.linalg import lower_root

MOST_REWARD_DRAWS = 1000
"""Expectations of nonlinear functions of rewards average over at most this many draws, evenly spaced in the chains."""


@dataclass(frozen=True, eq=False)
class DrawsPosterior(LastLayerPosterior):
    """Draws of the last layer and the nuisance parameters, features fixed.

    Parameters
    ----------
    drawn
        All draws with the statistics of their sampler.
    attributes
        What else is to be known of the sampler, for the root of :meth:`to_datatree`.
    """

    independent: ClassVar[bool] = False

    drawn: LatentDraws
    attributes: dict[str, float | int | str] = field(default_factory=dict)

    @cached_property
    def beta(self) -> Float[Tensor, "draw feature"]:
        """Draws of β, chain after chain."""
        return self.drawn.latent[..., len(self.nuisance) :].flatten(0, 1)

    @cached_property
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """As wide as there are draws, or features where these are fewer."""
        return moment_factor(self.beta)

    def scale_tril(self) -> Float[Tensor, "latent latent"]:
        """Of the covariance of the draws of x."""
        draws = self.drawn.latent.flatten(0, 1)
        return lower_root(moment_factor(draws)[beta_first(draws.shape[1], len(self.nuisance))])

    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """Mean and covariance over all draws; of the draws themselves at most MOST_REWARD_DRAWS."""
        features = self.features(pool, responses)
        some = self.beta[evenly(len(self.beta), MOST_REWARD_DRAWS)]
        return RewardMoments(features @ self.location, features @ self.covariance_factor, features @ some.T)

    def entropy(self) -> float:
        """Entropy of the Gaussian with the shrunk covariance, in nats: at least that of the draws' own distribution."""
        d = len(self.location)
        return d / 2 * math.log(2 * math.pi * math.e) - self.information.half_log_det

    def latent_draws(self, draws: int, generator: np.random.Generator) -> LatentDraws:
        """The draws as they are, or fewer, evenly spaced in each chain; never more than there are."""
        chains, count, _ = self.drawn.latent.shape
        kept = evenly(count, max(1, draws // chains))
        return LatentDraws(
            self.drawn.latent[:, kept],
            stats={name: values[:, kept.numpy()] for name, values in self.drawn.stats.items()},
        )

    def sample_last_layer(self, draws: int, generator: np.random.Generator) -> Float[Tensor, "draw feature"]:
        """Some of the draws of β at random; with replacement where more are asked for than there are."""
        stored = len(self.beta)
        chosen = generator.choice(stored, draws, replace=draws > stored)
        return self.beta[torch.from_numpy(chosen).to(self.beta.device)]

    @checked
    def to_datatree(
        self,
        draws: Count = 1024,
        seed: Seed = 0,
        log_likelihood: bool = False,
        responses: ArrayLike | None = None,
    ) -> xr.DataTree:
        """The posterior in ArviZ's groups, chains kept; of the sampler also how many draws diverged.

        Parameters
        ----------
        draws : int
            How many draws of all chains together, evenly spaced; at most all.
        seed : int
            Root of simulated outcomes and of the prior draws.
        log_likelihood : bool
            Whether to add log p(y_k | β) of every comparison and draw: 8 bytes × draws × comparisons.
        responses : array_like of int, optional
            Responses of the pool whose rewards are wanted, see :meth:`LastLayerPosterior.to_datatree`.
        """
        tree = super().to_datatree(draws, seed, log_likelihood, responses)
        tree.attrs.update(self.attributes)
        return tree


def evenly(count: int, most: int) -> Int64[Tensor, "kept"]:
    """At most this many of ``count`` positions, evenly spaced."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()


def shrunk_information(
    draws: Float[Tensor, "draw latent"],
    location: Float[Tensor, "latent"],
    whitening: Float[Tensor, "latent latent"],
) -> Float[Tensor, "latent latent"]:
    """Cholesky factor of the inverse of the draws' covariance, shrunk towards Laplace's (see the module).

    Parameters
    ----------
    draws, location
        Draws of x, chain after chain, and their mean.
    whitening
        L with Λ = L Lᵀ, Laplace's precision of x.

    Raises
    ------
    InvalidInputError
        With fewer than two draws.
    """
    n, d = draws.shape
    if n < 2:
        raise InvalidInputError(f"expected at least 2 draws to have a covariance, got {n}")
    white = (draws - location) @ whitening
    sample = white.T @ white / (n - 1)
    identity = torch.eye(d, dtype=draws.dtype, device=draws.device)
    batches = [batch for batch in white.split(math.isqrt(n)) if len(batch) == math.isqrt(n)]
    errors = [(batch.T @ batch / len(batch) - sample).square().sum() for batch in batches]
    noise = torch.stack(errors).sum() / len(batches) ** 2
    distance = (sample - identity).square().sum()
    share = min(1.0, max(float(noise / distance), d / (n + d))) if float(distance) > 0 else 1.0
    covariance = (1 - share) * sample + share * identity
    # Λ = L C⁻¹ Lᵀ with C = K Kᵀ is (L K⁻ᵀ)(L K⁻ᵀ)ᵀ; a QR turns that root into the lower-triangular one.
    root = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), whitening.T, upper=False)
    return lower_root(root.T)
