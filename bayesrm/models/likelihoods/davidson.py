r"""Davidson (1970): Bradley–Terry with ties.

    P(first) : P(tie) : P(second) = e^{η/2} : ν : e^{−η/2},

so two equally good responses tie with probability ν/(2 + ν). The outcome y ∈ {0, ½, 1} is the sufficient statistic of
η, hence the score is y − E y and both the Fisher weight and the curvature are Var y.
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

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.finite import FiniteOutcomes
from bayesrm.utils.checked import checked


class Davidson(Likelihood):
    """Ties as outcomes ½: P(tie) ∝ ν √(p_first p_second), ν estimated unless given.

    Parameters
    ----------
    tie
        ν > 0; None to estimate it, with the prior log ν ~ Normal(0, 1): a tie of equals has probability ⅓ in its
        middle, and between 0.09 and 0.72 with 90%.
    """

    name: ClassVar[str] = "davidson"
    outcomes: ClassVar[tuple[float, ...]] = (0.0, 0.5, 1.0)

    @checked
    def __init__(self, tie: float | None = None) -> None:
        if tie is not None and not 0 < tie < math.inf:
            raise InvalidInputError(f"expected a finite tie parameter above 0, got {tie}")
        self.estimated = tie is None
        self.tie: float | Tensor = 1.0 if tie is None else float(tie)

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """ν, unless it is known."""
        if not self.estimated:
            return {}
        return {"tie": pyro.sample("tie", dist.LogNormal(torch.zeros((), dtype=torch.float64), 1.0))}

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Over second, tie, first."""
        return FiniteOutcomes(self.outcomes, self.outcome_log_probs(logit))

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """log P of second, tie and first."""
        log_tie = torch.log(torch.as_tensor(self.tie).to(logit)).expand_as(logit)
        return torch.stack([-logit / 2, log_tie, logit / 2], dim=-1).log_softmax(dim=-1)

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """y − E y, and Var y."""
        return outcome - self.probability(logit), self.fisher_weight(logit)

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """Var y = P₀P₁ + P_½ (P₀ + P₁)/4, every term positive."""
        second, tie, first = self.outcome_probabilities(logit).unbind(dim=-1)
        return second * first + tie * (second + first) / 4
