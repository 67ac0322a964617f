r"""β ~ Normal(β̂, Λ⁻¹) over fixed features: what Laplace returns.

Entropy H = d/2 · log(2πe) − ½ log det Λ. With Λ = L Lᵀ the rows u = L⁻¹φ give Cov(r_i, r_j) = u_iᵀu_j.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import ResponsePool


class GaussianPosterior(LastLayerPosterior):
    """A Gaussian over the last layer, features fixed."""

    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """E r = φᵀβ̂ and u = L⁻¹φ."""
        features = self.features(pool, responses)
        return RewardMoments(features @ self.location, self.whiten(features))

    @property
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """L⁻ᵀ, since Λ⁻¹ = L⁻ᵀ L⁻¹."""
        identity = torch.eye(len(self.location), dtype=torch.float64, device=self.location.device)
        return torch.linalg.solve_triangular(self.information_cholesky, identity, upper=False).T

    def entropy(self) -> float:
        """Entropy of β in nats."""
        d = len(self.location)
        return d / 2 * math.log(2 * math.pi * math.e) - float(self.information_cholesky.diagonal().log().sum())

    def sample_last_layer(
        self, draws: int, generator: np.random.Generator
    ) -> tuple[Float[Tensor, "draw feature"], Float[Tensor, "draw"]]:
        """β̂ + L⁻ᵀε with ε ~ Normal(0, I), and log q(β)."""
        d = len(self.location)
        noise = torch.from_numpy(generator.standard_normal((draws, d))).to(self.location.device)
        spread = torch.linalg.solve_triangular(self.information_cholesky.T, noise.T, upper=True).T
        log_normaliser = self.information_cholesky.diagonal().log().sum() - d / 2 * math.log(2 * math.pi)
        return self.location + spread, log_normaliser - 0.5 * noise.square().sum(dim=1)
