r"""Bradley–Terry through a noisy channel: with probability ε an answer is flipped (Chowdhury et al. 2024, §3).

    q = P(first) = (1 − ε) p + ε (1 − p),   p = σ(η).

With c = log((1 − ε)/ε), log q = s(η + c) − s(η) − s(c) for s = softplus, from which

    ∂ log q = σ(η + c) − σ(η),   ∂ log(1 − q) = σ(η − c) − σ(η),   w(η) = [(1 − 2ε) p(1 − p)]² / (q(1 − q)).

The score is bounded and returns to zero for answers that are against all expectation: they are taken for flips. So log
q is not concave.
"""

from __future__ import annotations

from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.distributions import Bernoulli, Distribution
from torch import Tensor
from torch.nn.functional import softplus

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.utils.checked import checked

PRIOR_LOGIT, PRIOR_SPREAD = -1.5, 1.0
"""Mean and standard deviation of logit(2ε) under the prior: ε is 0.09 in its middle, 0.02 to 0.27 with 90%."""


class Flips(Likelihood):
    """Bradley–Terry whose answers are flipped with a rate ε, estimated unless given.

    Parameters
    ----------
    rate
        0 < ε < ½; None to estimate it, with the prior logit(2ε) ~ Normal(−1.5, 1).
    """

    name: ClassVar[str] = "flips"

    @checked
    def __init__(self, rate: float | None = None) -> None:
        if rate is not None and not 0 < rate < 0.5:
            raise InvalidInputError(
                f"expected a flip rate above 0 and below ½, got {rate}: without flips use bradley-terry"
            )
        self.estimated = rate is None
        typical = torch.sigmoid(torch.tensor(PRIOR_LOGIT, dtype=torch.float64)) / 2
        self.rate: float | Tensor = float(typical) if rate is None else float(rate)

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """ε, unless it is known."""
        if not self.estimated:
            return {}
        location = torch.full((), PRIOR_LOGIT, dtype=torch.float64)
        return {"rate": half_sigmoid(pyro.sample("rate_logit", dist.Normal(location, PRIOR_SPREAD)))}

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Bernoulli(q), by its log odds."""
        second, first = self.outcome_log_probs(logit).unbind(dim=-1)
        return Bernoulli(logits=first - second, validate_args=False)

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """log(1 − q) and log q."""
        c, own = self._log_odds(logit), softplus(logit)
        return torch.stack(
            [softplus(logit - c) - own - softplus(-c), softplus(logit + c) - own - softplus(c)], dim=-1
        )

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """ε + (1 − 2ε) p."""
        rate = self._rate(logit)
        return rate + (1 - 2 * rate) * torch.sigmoid(logit)

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """y σ(η + c) + (1 − y) σ(η − c) − σ(η), and minus its derivative."""
        c = self._log_odds(logit)
        up, down, own = torch.sigmoid(logit + c), torch.sigmoid(logit - c), torch.sigmoid(logit)
        slope = outcome * up * (1 - up) + (1 - outcome) * down * (1 - down)
        return outcome * up + (1 - outcome) * down - own, own * (1 - own) - slope

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """[(1 − 2ε) p(1 − p)]² / (q(1 − q))."""
        rate, p = self._rate(logit), torch.sigmoid(logit)
        q = self.probability(logit)
        return ((1 - 2 * rate) * p * torch.sigmoid(-logit)) ** 2 / (q * (1 - q))

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """ε + (1 − 2ε) E p."""
        rate = self._rate(mean)
        return rate + (1 - 2 * rate) * BradleyTerry().expected_probability(mean, variance)

    def _rate(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*comparison"]:
        """ε of these comparisons."""
        return torch.as_tensor(self.rate).to(logit)

    def _log_odds(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*comparison"]:
        """The c of the formulas."""
        rate = self._rate(logit)
        return torch.log((1 - rate) / rate)


def half_sigmoid(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """½ σ(x): from any number to a rate between 0 and ½."""
    return torch.sigmoid(x) / 2
