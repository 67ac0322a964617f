r"""Annotators who flip answers, each at a rate of their own, partially pooled (Dawid & Skene 1979, for preferences).

    logit(2 ε_a) = m + s u_a,   u_a ~ Normal(0, 1),   m ~ Normal(−1.5, 1),   s ~ HalfNormal(1),

and the answer of a is that of :mod:`~bayesrm.models.likelihoods.flips` with ε_a. An annotator of whom little is known
is like the others; the typical one, who answers where nobody is named, has u = 0.
"""

from __future__ import annotations

from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.context import Context
from bayesrm.models.likelihoods.flips import PRIOR_LOGIT, PRIOR_SPREAD, Flips, half_sigmoid

SPREAD = 1.0
"""Scale of the half-normal prior of s."""


class AnnotatorFlips(Flips):
    """Flips at a rate for each annotator, partially pooled; needs Preferences with annotators."""

    name: ClassVar[str] = "annotator-flips"
    spread: ClassVar[str | None] = "rate_spread"
    annotator_rate: Tensor | None = None

    def __init__(self) -> None:
        super().__init__()

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """The typical rate ½σ(m), and those of the annotators."""
        zero = torch.zeros(len(context.annotators), dtype=torch.float64)
        location = pyro.sample("rate_logit", dist.Normal(zero.new_full((), PRIOR_LOGIT), PRIOR_SPREAD))
        values = {"rate": half_sigmoid(location)}
        if context.annotators:
            spread = pyro.sample("rate_spread", dist.HalfNormal(zero.new_full((), SPREAD)))
            effect = pyro.sample("annotator_effect", dist.Normal(zero, 1.0).to_event(1))
            values["annotator_rate"] = half_sigmoid(location + spread * effect)
        return values

    def _rate(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*comparison"]:
        return self.context.of_each(self.annotator_rate, torch.as_tensor(self.rate)).to(logit)
