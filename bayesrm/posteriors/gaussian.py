r"""x = (ν, β) ~ Normal(x̂, Λ⁻¹) over fixed features: what Laplace and variational inference return.

Entropy of β: H = d/2 · log(2πe) − ½ log det Λ_β, with Λ_β its marginal precision. With Λ_β = L Lᵀ the rows u = L⁻¹φ
give Cov(r_i, r_j) = u_iᵀu_j. As ν stands before β, L is the last block of the factor of Λ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.last_layer import LastLayerPosterior, LatentDraws
from bayesrm.types import ResponsePool


@dataclass(frozen=True, eq=False)
class GaussianPosterior(LastLayerPosterior):
    """A Gaussian over the last layer and the nuisance parameters, features fixed.

    Parameters
    ----------
    joint_cholesky
        (latent, latent) Cholesky factor of Λ, nuisance parameters before β.
    """

    joint_cholesky: Float[Tensor, "latent latent"]

    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """E r = φᵀβ̂ and u = L⁻¹φ."""
        return RewardMoments(self.features(pool, responses) @ self.location, self.whitened(pool, responses))

    @property
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """L⁻ᵀ, since Λ_β⁻¹ = L⁻ᵀ L⁻¹."""
        identity = torch.eye(len(self.location), dtype=torch.float64, device=self.location.device)
        return torch.linalg.solve_triangular(self.information_cholesky, identity, upper=False).T

    @property
    def latent_factor(self) -> Float[Tensor, "latent rank"]:
        """Λ^(−½ᵀ), the inverse of the transposed Cholesky factor of Λ."""
        identity = torch.eye(len(self.joint_cholesky), dtype=torch.float64, device=self.location.device)
        return torch.linalg.solve_triangular(self.joint_cholesky, identity, upper=False).T

    def entropy(self) -> float:
        """Entropy of β in nats."""
        d = len(self.location)
        return d / 2 * math.log(2 * math.pi * math.e) - float(self.information_cholesky.diagonal().log().sum())

    def latent_draws(self, draws: int, generator: np.random.Generator) -> LatentDraws:
        """x̂ + Λ^(−½ᵀ) ε, one chain."""
        location = torch.cat([self.nuisance, self.location])
        size = len(location)
        noise = torch.from_numpy(generator.standard_normal((draws, size))).to(location.device)
        latent = location + torch.linalg.solve_triangular(self.joint_cholesky.T, noise.T, upper=True).T
        log_determinant = float(self.joint_cholesky.diagonal().log().sum())
        log_q = log_determinant - 0.5 * (noise.square().sum(dim=1) + size * math.log(2 * math.pi))
        return LatentDraws(latent[None], log_q[None])
