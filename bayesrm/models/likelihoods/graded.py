r"""Grades: how much better one response is, on a scale that is the same either way round (Agresti 2010, section 3.2).

With G grades and a latent η + ε, ε logistic, the grade is where the latent falls among G − 1 thresholds (the cumulative
logit model of McCullagh 1980),

    P(grade ≤ k) = σ(θ_k − η),     θ_{G−2−k} = −θ_k,

symmetric, so that swapping the responses turns a grade round. Grades stand at outcomes k / (G − 1): on seven points 0
is "second much better", ½ "about equal", 1 "first much better". With an even number there is no middle grade, and the
middle threshold is 0. The thresholds above 0 are estimated as sums of positive steps, unless they are given.

With f(x) = σ(x)(1 − σ(x)) and g = σ(b) − σ(a) the probability of grade k, a = θ_{k−1} − η and b = θ_k − η,

    ∂_η log g = σ(a) + σ(b) − 1,     −∂²_η log g = f(a) + f(b),     w(η) = E[(σ(a) + σ(b) − 1)²],

where the lowest grade has σ(a) = 0 and the highest σ(b) = 1. Two grades are Bradley–Terry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

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
from bayesrm.models.likelihoods.finite import FiniteOutcomes, shares
from bayesrm.utils.checked import Count, checked

MOST_GRADES = 11
FIRST_STEP, STEP = 0.5, 1.0
"""Prior medians of the threshold between equal and slightly better, and of the steps from one grade to the next."""


class Graded(Likelihood):
    """Answers with a strength (much better … about equal) on a symmetric scale of grades, thresholds estimated.

    Parameters
    ----------
    grades
        How many there are, at least 2: 5 for outcomes 0, ¼, ½, ¾ and 1, 7 for HelpSteer3's −3 to 3.
    thresholds
        The thresholds above 0, ascending, in logits; None to estimate them. Steps have the priors log step ~
        Normal(log ½, 1) for the first one, where a middle grade begins, and Normal(0, 1) for the others.

    Raises
    ------
    InvalidInputError
        Where there are too few or too many grades, or the thresholds do not fit them.
    """

    name: ClassVar[str] = "graded"
    outcomes: tuple[float, ...]  # type: ignore[misc]

    @checked
    def __init__(self, grades: Count = 7, thresholds: Sequence[float] | None = None) -> None:
        if not 2 <= grades <= MOST_GRADES:
            raise InvalidInputError(f"expected between 2 and {MOST_GRADES} grades, got {grades}")
        self.grades = int(grades)
        self.outcomes = tuple(k / (grades - 1) for k in range(grades))
        self.estimated = thresholds is None
        usual = [FIRST_STEP * (grades % 2) + STEP * k for k in range(1 - grades % 2, self._free + 1 - grades % 2)]
        above = usual if thresholds is None else [float(value) for value in thresholds]
        if len(above) != self._free or any(
            not low < high < math.inf for low, high in zip([0.0, *above], above, strict=False)
        ):
            raise InvalidInputError(
                f"expected {self._free} ascending thresholds above 0 for {grades} grades, got {above}"
            )
        self.above: Tensor = torch.tensor(above, dtype=torch.float64)

    @property
    def _free(self) -> int:
        """How many thresholds lie above 0."""
        return (self.grades - 1) // 2

    def describe(self) -> dict[str, Any]:
        """Grades, and thresholds where they were given."""
        known = {} if self.estimated else {"thresholds": self.above.tolist()}
        return {"name": self.name, "grades": self.grades, **known}

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """The thresholds above 0, unless they are known."""
        if not self.estimated or self._free == 0:
            return {}
        location = torch.zeros(self._free, dtype=torch.float64)
        if self.grades % 2:
            location[0] = math.log(FIRST_STEP)
        steps = pyro.sample("threshold_steps", dist.LogNormal(location, 1.0).to_event(1))
        return {"above": steps.cumsum(dim=-1)}

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Over the grades."""
        return FiniteOutcomes(self.outcomes, self.outcome_log_probs(logit))

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """log(σ(b) − σ(a)) = log σ(b) + log σ(−a) + log(1 − exp(a − b))."""
        theta = self._thresholds(logit)
        below, above = logsigmoid(theta - logit[..., None]), logsigmoid(logit[..., None] - theta)
        apart = torch.log(-torch.expm1(theta[:-1] - theta[1:]))
        inner = below[..., 1:] + above[..., :-1] + apart
        return torch.cat([below[..., :1], inner, above[..., -1:]], dim=-1)

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """σ(a) + σ(b) − 1, and f(a) + f(b)."""
        low, high = self._ends(logit)
        share = shares(outcome, self.outcomes)
        score = (share * (low + high - 1)).sum(dim=-1)
        return score, (share * (low * (1 - low) + high * (1 - high))).sum(dim=-1)

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """Σ_k g_k (σ(a) + σ(b) − 1)²."""
        low, high = self._ends(logit)
        return ((high - low).clamp(min=0.0) * (low + high - 1).square()).sum(dim=-1)

    def _ends(
        self, logit: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair outcome"], Float[Tensor, "pair outcome"]]:
        """σ(a) and σ(b) of every grade."""
        cumulative = torch.sigmoid(self._thresholds(logit) - logit[:, None])
        zero, one = torch.zeros_like(logit)[:, None], torch.ones_like(logit)[:, None]
        return torch.cat([zero, cumulative], dim=1), torch.cat([cumulative, one], dim=1)

    def _thresholds(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "threshold"]:
        """θ, ascending."""
        above = self.above.to(logit)
        middle = above.new_zeros(1 - self.grades % 2)
        return torch.cat([-above.flip(0), middle, above])
