r"""Bradley–Terry: P(first preferred) = sigmoid(η) (Bradley & Terry 1952; paper, eq. 1).

Under a Gaussian η ~ N(m, s²) the predictive probability and the expected Fisher weight follow in closed form
from the Gaussian scale mixture of Monahan & Stefanski (1992), sigmoid(η) ≈ Σ_j p_j Φ(a_j η), which is exact to
2e-9 for every η and hence for every m and s > 0 (without spread the exact forms are used):

    E sigmoid(η) = Σ_j p_j Φ(a_j m / c_j),   E w(η) = Σ_j p_j (a_j / c_j) φ(a_j m / c_j),   c_j² = 1 + a_j² s².
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from pyro.distributions import Bernoulli, Distribution
from torch import Tensor
from torch.nn.functional import softplus

from bayesrm.models.context import Context
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.base import Likelihood

MIXTURE_WEIGHTS = (
    0.003246343272134,
    0.051517477033972,
    0.195077912673858,
    0.315569823632818,
    0.274149576158423,
    0.131076880695470,
    0.027912418727972,
    0.001449567805354,
)
MIXTURE_SLOPES = (
    1.365340806296348,
    1.059523971016916,
    0.830791313765644,
    0.650732166639391,
    0.508135425366489,
    0.396313345166341,
    0.308904252267995,
    0.238212616409306,
)


class BradleyTerry(Likelihood):
    """Preferred with probability sigmoid(η); ties and soft labels are outcomes between 0 and 1."""

    name: ClassVar[str] = "bradley-terry"
    takes_rankings: ClassVar[bool] = True

    def given(self, values: Mapping[str, Tensor], context: Context | None = None) -> Likelihood:
        """A copy for the comparisons of this context: Plackett–Luce, which it is of two, where there are rankings."""
        if context is not None and context.has_rankings and self.name == BradleyTerry.name:
            return LIKELIHOODS["plackett-luce"]().given(values, context)
        return super().given(values, context)

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Bernoulli(sigmoid(η)); validation is off so that soft labels are taken."""
        return Bernoulli(logits=logit, validate_args=False)

    def log_prob(
        self, logit: Float[Tensor, "*batch pair"], outcome: Float[Tensor, "*batch pair"]
    ) -> Float[Tensor, "*batch pair"]:
        """The log-likelihood y η − log(1 + exp η)."""
        return outcome * logit - softplus(logit)

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """sigmoid(η)."""
        return torch.sigmoid(logit)

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """The residual y − p, and p(1 − p)."""
        return outcome - torch.sigmoid(logit), self.fisher_weight(logit)

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """p(1 − p) (paper, eq. 3)."""
        return torch.sigmoid(logit) * torch.sigmoid(-logit)

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """Σ_j p_j Φ(a_j m / c_j)."""
        total = torch.zeros_like(mean)
        for weight, slope in zip(MIXTURE_WEIGHTS, MIXTURE_SLOPES, strict=True):
            total += weight * torch.special.ndtr(slope * mean / (1 + slope**2 * variance).sqrt())
        return torch.where(variance > 0, total.clamp(0.0, 1.0), self.probability(mean))

    def expected_fisher_weight(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """Σ_j p_j (a_j / c_j) φ(a_j m / c_j)."""
        total = torch.zeros_like(mean)
        for weight, slope in zip(MIXTURE_WEIGHTS, MIXTURE_SLOPES, strict=True):
            slope_over_c = slope / (1 + slope**2 * variance).sqrt()
            total += weight * slope_over_c * torch.exp(-0.5 * (slope_over_c * mean) ** 2)
        return torch.where(variance > 0, total / math.sqrt(2 * math.pi), self.fisher_weight(mean))
