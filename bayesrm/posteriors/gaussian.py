r"""x = (ν, β) ~ Normal(x̂, Λ⁻¹) over fixed features: what Laplace and variational inference return.

Entropy of β: H = d/2 · log(2πe) − ½ log det Λ_β, with Λ_β its marginal precision. With Λ_β = F Fᵀ the rows u = F⁻¹φ
give Cov(r_i, r_j) = u_iᵀu_j. As ν stands before β, F is the last block of the factor of Λ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.datatree import beta_first
from bayesrm.posteriors.last_layer import LastLayerPosterior, LatentDraws
from bayesrm.types import ResponsePool
from bayesrm.utils.factors import Factor


@dataclass(frozen=True, eq=False)
class GaussianPosterior(LastLayerPosterior):
    """A Gaussian over the last layer and the nuisance parameters, features fixed.

    Parameters
    ----------
    joint
        The factor of Λ, nuisance parameters before β.
    """

    joint: Factor

    @property
    def joint_cholesky(self) -> Float[Tensor, "latent latent"]:
        """The Cholesky factor of Λ."""
        return self.joint.cholesky

    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """E r = φᵀβ̂ and u = F⁻¹φ."""
        return RewardMoments(self.features(pool, responses) @ self.location, self.whitened(pool, responses))

    @property
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """F⁻ᵀ, since Λ_β⁻¹ = F⁻ᵀ F⁻¹."""
        return self.information.covariance_factor

    def scale_tril(self) -> Float[Tensor, "latent latent"]:
        """By the factor of Λ."""
        return self.joint.covariance_tril(beta_first(len(self.joint), len(self.nuisance)))

    def entropy(self) -> float:
        """Entropy of β in nats."""
        d = len(self.location)
        return d / 2 * math.log(2 * math.pi * math.e) - self.information.half_log_det

    def latent_draws(self, draws: int, generator: np.random.Generator) -> LatentDraws:
        """x̂ + F⁻ᵀε, one chain."""
        location = torch.cat([self.nuisance, self.location])
        latent, log_q = gaussian_draws(location, self.joint, draws, generator)
        return LatentDraws(latent[None], log_q[None])


def gaussian_draws(
    location: Float[Tensor, "latent"], factor: Factor, draws: int, generator: np.random.Generator
) -> tuple[Float[Tensor, "draw latent"], Float[Tensor, "draw"]]:
    """x̂ + F⁻ᵀε, and their log density in nats."""
    size = len(location)
    noise = torch.from_numpy(generator.standard_normal((draws, size))).to(location.device)
    latent = location + factor.colour(noise)
    return latent, factor.half_log_det - 0.5 * (noise.square().sum(dim=1) + size * math.log(2 * math.pi))
