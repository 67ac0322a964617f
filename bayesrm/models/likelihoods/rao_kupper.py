r"""Rao & Kupper (1967): Bradley–Terry with ties where two responses differ by less than a threshold.

    P(first) = σ(η − δ),   P(second) = σ(−η − δ),   P(tie) = (θ² − 1) P(first) P(second),   δ = log θ ≥ 0,

so two equally good responses tie with probability (θ − 1)/(θ + 1). With a = P(first), b = P(second), t = P(tie) the
scores are 1 − a, −(1 − b) and b − a, hence w(η) = a(1 − a)² + b(1 − b)² + t(a − b)². As t = 1 − a − b,
E y = ½(σ(η − δ) + σ(η + δ)), whose expectation under a Gaussian η is Bradley–Terry's.
"""

from __future__ import annotations

import math
from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.distributions import Distribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.finite import FiniteOutcomes, shares
from bayesrm.utils.checked import checked


class RaoKupper(Likelihood):
    """Ties as outcomes ½: preferred only if better by a threshold log θ, estimated unless given.

    Parameters
    ----------
    threshold
        θ > 1; None to estimate it, with the prior log log θ ~ Normal(−½, 1): a tie of equals has probability 0.29 in
        its middle, and between 0.06 and 0.92 with 90%.
    """

    name: ClassVar[str] = "rao-kupper"
    outcomes: ClassVar[tuple[float, ...]] = (0.0, 0.5, 1.0)

    @checked
    def __init__(self, threshold: float | None = None) -> None:
        if threshold is not None and not 1 < threshold < math.inf:
            raise InvalidInputError(
                f"expected a finite threshold above 1, got {threshold}: without ties use bradley-terry"
            )
        self.estimated = threshold is None
        self.log_threshold: float | Tensor = math.exp(-0.5) if threshold is None else math.log(threshold)

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """δ = log θ, unless it is known."""
        if not self.estimated:
            return {}
        middle = torch.full((), -0.5, dtype=torch.float64)
        return {"log_threshold": pyro.sample("log_threshold", dist.LogNormal(middle, 1.0))}

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Over second, tie, first."""
        return FiniteOutcomes(self.outcomes, self.outcome_log_probs(logit))

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """log P of second, tie and first."""
        delta = self._delta(logit)
        first, second = logsigmoid(logit - delta), logsigmoid(-logit - delta)
        return torch.stack([second, torch.log(torch.expm1(2 * delta)) + first + second, first], dim=-1)

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """A tie counts as first and second preferred at once: 1 − a and −(1 − b); a(1 − a) and b(1 − b)."""
        delta = self._delta(logit)
        not_first, not_second = torch.sigmoid(delta - logit), torch.sigmoid(delta + logit)
        second, tie, first = shares(outcome, self.outcomes).unbind(dim=-1)
        score = (first + tie) * not_first - (second + tie) * not_second
        curvature = (first + tie) * not_first * (1 - not_first) + (second + tie) * not_second * (1 - not_second)
        return score, curvature

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """a(1 − a)² + b(1 − b)² + t(a − b)²."""
        delta = self._delta(logit)
        not_a, not_b = torch.sigmoid(delta - logit), torch.sigmoid(delta + logit)
        b, t, a = self.outcome_probabilities(logit).unbind(dim=-1)
        return a * not_a**2 + b * not_b**2 + t * (a - b) ** 2

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """½ E[σ(η − δ) + σ(η + δ)]."""
        delta, plain = self._delta(mean), BradleyTerry()
        preferred = plain.expected_probability(mean - delta, variance)
        return (preferred + plain.expected_probability(mean + delta, variance)) / 2

    def _delta(self, logit: Float[Tensor, "*batch"]) -> Float[Tensor, ""]:
        return torch.as_tensor(self.log_threshold).to(logit)
