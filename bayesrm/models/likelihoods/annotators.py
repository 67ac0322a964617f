r"""Annotators of different reliability: Bradley–Terry with a temperature for each, partially pooled.

    P(first) = σ(T_a η),   log T_a = −s u_a,   u_a ~ Normal(0, 1),   s ~ HalfNormal(1).

The temperature is a slope, as everywhere: an annotator of a temperature below 1, whose u is above 0, answers more at
random than others. The typical annotator, who answers where nobody is named, has T = 1: a common temperature would be
the scale of the reward (the item-response view of raters; Chen et al. 2013, "Pairwise ranking aggregation in a
crowdsourced setting", eq. 1, has rates instead).
"""

from __future__ import annotations

from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.distributions import Distribution
from torch import Tensor

from bayesrm.models.context import Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry

SPREAD = 1.0
"""Scale of the half-normal prior of s."""
_PLAIN = BradleyTerry()


class Annotators(Likelihood):
    """Bradley–Terry with a temperature for each annotator, partially pooled; needs Preferences with annotators."""

    name: ClassVar[str] = "annotators"
    spread: ClassVar[str | None] = "temperature_spread"
    temperature: Tensor | None = None

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """T of each annotator."""
        if not context.annotators:
            return {}
        zero = torch.zeros(len(context.annotators), dtype=torch.float64)
        spread = pyro.sample("temperature_spread", dist.HalfNormal(zero.new_full((), SPREAD)))
        effect = pyro.sample("annotator_effect", dist.Normal(zero, 1.0).to_event(1))
        return {"temperature": torch.exp(-spread * effect)}

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Bernoulli(σ(T η))."""
        return _PLAIN.distribution(logit * self._temperature(logit))

    def log_prob(
        self, logit: Float[Tensor, "*batch pair"], outcome: Float[Tensor, "*batch pair"]
    ) -> Float[Tensor, "*batch pair"]:
        """Bradley–Terry's at T η."""
        return _PLAIN.log_prob(logit * self._temperature(logit), outcome)

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """σ(T η)."""
        return torch.sigmoid(logit * self._temperature(logit))

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """T(y − p), and T² p(1 − p)."""
        temperature = self._temperature(logit)
        score, curvature = _PLAIN.derivatives(logit * temperature, outcome)
        return score * temperature, curvature * temperature**2

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """T² p(1 − p)."""
        temperature = self._temperature(logit)
        return _PLAIN.fisher_weight(logit * temperature) * temperature**2

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """Bradley–Terry's for T η."""
        temperature = self._temperature(mean)
        return _PLAIN.expected_probability(mean * temperature, variance * temperature**2)

    def expected_fisher_weight(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """Bradley–Terry's for T η, times T²."""
        temperature = self._temperature(mean)
        return _PLAIN.expected_fisher_weight(mean * temperature, variance * temperature**2) * temperature**2

    def _temperature(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*comparison"]:
        return self.context.of_each(self.temperature, torch.ones(())).to(logit)
