r"""What it is worth, for choices between two responses, to learn more of their logits (Frazier, Powell & Dayanik 2009).

Whoever prefers by the sign of the posterior mean expects to regret E max(0, −η sign m). A batch that takes Δ off the
variance moves the mean to m' ~ Normal(m, Δ), and so is worth E max(0, −m' sign m) =

    h(m, Δ) = √Δ φ(x) − |m| Φ(−x),    x = |m| / √Δ.

For small Δ this is convex: a single answer hardly ever changes a clear choice though several together may, and greedy
would not begin (Frazier & Powell 2010). Its place takes the least concave function above it, as in their KG(*): a line
from zero to where it touches h at √Δ = |m| / x*, φ(x*) = 2 x* Φ(−x*), and h itself from there. |m| counts as at least a
hundredth of a standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.objectives.target_objective import TargetLoss

TOUCHING = 0.6120031
"""x* with φ(x*) = 2 x* Φ(−x*)."""
LEAST_MEAN = 0.01
_TINY = 1e-150


@dataclass(frozen=True)
class ChoiceLoss(TargetLoss):
    """Minus the concave value of what has been taken off the variances, as a weighted sum over targets.

    Parameters
    ----------
    mean
        (target,) |m|.
    variance
        (target,) variances before.
    share
        What each counts.
    """

    mean: Float[Tensor, "target"]
    variance: Float[Tensor, "target"]
    share: float

    def total(self, left: Float[Tensor, "*pair target"]) -> Float[Tensor, "*pair"]:
        """−Σ_t ĥ(m_t, Δ_t)."""
        return -self.share * value_of_choice(self._mean(), self._taken(left)).sum(dim=-1)

    def price(self, left: Float[Tensor, "target"]) -> Float[Tensor, "target"]:
        """∂ĥ/∂Δ = φ(x) / (2 √Δ), at least where the line touches."""
        sd = torch.maximum(self._taken(left).sqrt(), self._mean() / TOUCHING)
        return self.share * _density(self._mean() / sd) / (2 * sd)

    def _taken(self, left: Float[Tensor, "*pair target"]) -> Float[Tensor, "*pair target"]:
        return (self.variance - left).clamp(min=0.0)

    def _mean(self) -> Float[Tensor, "target"]:
        return torch.maximum(self.mean.abs(), LEAST_MEAN * self.variance.sqrt()).clamp(min=_TINY)


def value_of_choice(
    mean: Float[Tensor, "target"], taken: Float[Tensor, "*pair target"]
) -> Float[Tensor, "*pair target"]:
    """ĥ(m, Δ), the least concave function above h(m, ·), for m > 0."""
    touching = mean / TOUCHING
    value = taken * (_density(torch.full_like(mean, TOUCHING)) / (2 * touching))
    beyond = taken > touching.square()
    m, sd = mean.expand_as(taken)[beyond], taken[beyond].sqrt_()
    x = m / sd
    value[beyond] = sd * _density(x) - m * torch.special.ndtr(-x)
    return value


def _density(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)
