r"""Thurstone, case V (probit): P(first preferred) = Φ(η) (Thurstone 1927; Mosteller 1951).

A response pleases with its reward plus Normal noise of variance ½, so that the difference of two has variance 1: η is
in units of the noise of one comparison. Rewards on this scale are about 1/1.7 of those of Bradley–Terry.

With λ(η) = φ(η)/Φ(η) = √(2/π) / erfcx(−η/√2), which does not lose digits in the tails, and η ~ N(m, s²),

    ∂ log Φ = λ(η),   −∂² log Φ = λ(η) (λ(η) + η),   w(η) = φ²/(Φ(1 − Φ)) = λ(η) λ(−η),   E Φ(η) = Φ(m/√(1 + s²)).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pyro.distributions import Bernoulli, Distribution
from torch import Tensor

from bayesrm.models.likelihoods.base import Likelihood


class Thurstone(Likelihood):
    """Preferred with probability Φ(η), the probit model; η is in units of one comparison's noise."""

    name: ClassVar[str] = "thurstone"

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Bernoulli(Φ(η)), by its log odds."""
        log_odds = torch.special.log_ndtr(logit) - torch.special.log_ndtr(-logit)
        return Bernoulli(logits=log_odds, validate_args=False)

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """log Φ(−η) and log Φ(η)."""
        return torch.stack([torch.special.log_ndtr(-logit), torch.special.log_ndtr(logit)], dim=-1)

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """Φ(η)."""
        return torch.special.ndtr(logit)

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """y λ(η) − (1 − y) λ(−η), and y λ(η)(λ(η) + η) + (1 − y) λ(−η)(λ(−η) − η)."""
        up, down = _hazard(logit), _hazard(-logit)
        score = outcome * up - (1 - outcome) * down
        return score, outcome * up * (up + logit) + (1 - outcome) * down * (down - logit)

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """λ(η) λ(−η)."""
        return _hazard(logit) * _hazard(-logit)

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """Φ(m / √(1 + s²))."""
        return torch.special.ndtr(mean / (1 + variance).sqrt())


def _hazard(logit: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """λ(η) = φ(η)/Φ(η)."""
    return math.sqrt(2 / math.pi) / torch.special.erfcx(-logit / math.sqrt(2))
