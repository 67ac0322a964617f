"""A point estimate: a posterior without spread, with the Fisher information that frequentist designs use."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.errors import CapabilityError
from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.last_layer import LastLayerPosterior, LatentDraws
from bayesrm.types import ResponsePool


class PointPosterior(LastLayerPosterior):
    """All mass at one β; ``information`` is of its Fisher information, not a precision."""

    provides: ClassVar[frozenset[str]] = frozenset({"features"})

    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """E r = φᵀβ, without spread."""
        features = self.features(pool, responses)
        return RewardMoments(features @ self.location, features.new_empty((len(features), 0)))

    @property
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """Of width zero."""
        return self.location.new_empty((len(self.location), 0))

    def scale_tril(self) -> Float[Tensor, "latent latent"]:
        """Zeros."""
        size = len(self.nuisance) + len(self.location)
        return self.location.new_zeros((size, size))

    def entropy(self) -> float:
        """A point has no entropy in nats: raises CapabilityError."""
        raise CapabilityError(
            "the entropy of a point estimate is minus infinity: "
            "fit with inference='laplace' to get a posterior that has one"
        )

    def latent_draws(self, draws: int, generator: np.random.Generator) -> LatentDraws:
        """The point, ``draws`` times."""
        return LatentDraws(torch.cat([self.nuisance, self.location]).expand(1, draws, -1).clone())
