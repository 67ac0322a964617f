"""What every likelihood offers, derived from its log-probability where no closed form is given."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from pyro.distributions import Distribution
from torch import Tensor

_REACH = 8.5
_SPACING = 0.25
_MOST_NODES = 1200


class Likelihood(ABC):
    """The distribution of an outcome y given the linear predictor η = r(first) − r(second).

    A subclass gives :meth:`distribution` and may override the rest with closed forms; the defaults enumerate
    the two outcomes and differentiate automatically.
    """

    name: ClassVar[str]

    @abstractmethod
    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """The Pyro distribution of the outcome."""

    def log_prob(
        self, logit: Float[Tensor, "*batch pair"], outcome: Float[Tensor, "*batch pair"]
    ) -> Float[Tensor, "*batch pair"]:
        """log p(y | η) in nats; a soft outcome takes the expectation over its two hard ones."""
        distribution = self.distribution(logit)
        one = distribution.log_prob(torch.ones_like(logit))
        zero = distribution.log_prob(torch.zeros_like(logit))
        return outcome * one + (1 - outcome) * zero

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """P(first preferred | η)."""
        return self.distribution(logit).log_prob(torch.ones_like(logit)).exp()

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """First derivative and negative second derivative of log p(y | η) in η."""
        with torch.inference_mode(False), torch.enable_grad():
            eta = logit.detach().clone().requires_grad_(True)
            (score,) = torch.autograd.grad(self.log_prob(eta, outcome.clone()).sum(), eta, create_graph=True)
            (second,) = torch.autograd.grad(score.sum(), eta)
        return score.detach(), -second

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """w(η) = E_y[(∂_η log p(y | η))²]."""
        score_one, _ = self.derivatives(logit, torch.ones_like(logit))
        score_zero, _ = self.derivatives(logit, torch.zeros_like(logit))
        p = self.probability(logit)
        return p * score_one**2 + (1 - p) * score_zero**2

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """E[P(first preferred | η)] for η ~ Normal(mean, variance)."""
        return gaussian_expectation(self.probability, mean, variance)

    def expected_fisher_weight(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """E[w(η)] for η ~ Normal(mean, variance)."""
        return gaussian_expectation(self.fisher_weight, mean, variance)


def binary_entropy(p: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """H(p) = −p log p − (1 − p) log(1 − p), the entropy of a two-valued outcome in nats."""
    return torch.special.entr(p) + torch.special.entr(1 - p)


def gaussian_expectation(
    function: Callable[[Tensor], Tensor], mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
) -> Float[Tensor, "pair"]:
    """E[f(η)] for a smooth f by the trapezoidal rule, which converges exponentially for it.

    Nodes reach 8.5 standard deviations and stand a quarter of a logit apart, up to a standard deviation of 35;
    beyond that they stand apart in proportion.
    """
    sd = variance.sqrt()
    widest = float(sd.max()) if len(sd) else 0.0
    half = min(max(32, math.ceil(_REACH * widest / _SPACING)), _MOST_NODES)
    nodes = torch.linspace(-_REACH, _REACH, 2 * half + 1, dtype=torch.float64).tolist()
    total = torch.zeros_like(mean)
    for node in nodes:
        density = math.exp(-0.5 * node**2) / math.sqrt(2 * math.pi)
        total += density * _REACH / half * function(mean + node * sd)
    return total
