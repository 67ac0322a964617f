r"""Plackett–Luce: rankings as choices of the best among those left (Luce 1959; Plackett 1975).

The chosen response against the others of its choice set, η_j = r(chosen) − r(j), has

    p(choice) = exp r(chosen) / Σ exp r = 1 / (1 + S_K),      S_j = Σ_{i ≤ j} exp(−η_i).

Row by row, in the order given: log p(choice) = Σ_j [log(1 + S_{j−1}) − log(1 + S_j)], each the log-probability that
the chosen one also beats the j-th, given that it beats those before: σ(η_j + log(1 + S_{j−1})). With π_j = exp(−η_j) /
(1 + S_K), the probability that j would have been chosen, the score is π and −∇² = diag(π) − π πᵀ.

A choice of the worst is the same with every η turned round (Marley & Louviere 2005): with s = −1 there and 1 elsewhere,
η stands for s η, and the score for s π.

For pairs this is Bradley–Terry. Rankings come from :meth:`bayesrm.types.Preferences.from_rankings`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pyro.distributions import Distribution
from torch import Tensor
from torch.nn.functional import softplus

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import ChoiceSets
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry


class PlackettLuce(BradleyTerry):
    """Rankings of any length, whole or in part (Preferences.from_rankings); of two responses Bradley–Terry.

    What is said of a row of a choice is said given the rows before it; expectations under a Gaussian logit, which
    designs and held-out scores use, are those of two responses on their own.
    """

    name: ClassVar[str] = "plackett-luce"
    takes_rankings: ClassVar[bool] = True

    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """Bernoulli, given that the chosen one beats those before."""
        return super().distribution(self._given_before(logit))

    def log_prob(
        self, logit: Float[Tensor, "*batch pair"], outcome: Float[Tensor, "*batch pair"]
    ) -> Float[Tensor, "*batch pair"]:
        """log(1 + S_{j−1}) − log(1 + S_j): their sum over a choice is its log-probability."""
        return super().log_prob(self._given_before(logit), outcome)

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """(1 + S_{j−1}) / (1 + S_j)."""
        return super().probability(self._given_before(logit))

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """Of the log-probability of all rows in η_j: π_j, less 1 − y_j for a pair; and π_j (1 − π_j)."""
        share, sets = self._share(logit), self.context.choice_sets
        score = share - (1 - outcome)
        if sets is not None:
            score = torch.where(sets.sign < 0, -share, score)
        return score, share * (1 - share)

    def information(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
    ) -> Float[Tensor, "feature feature"]:
        """Zᵀ diag(vπ) Z − Σ_choices v (Σ_j π_j z_j)(Σ_j π_j z_j)ᵀ, whatever was chosen."""
        return self.expected_information(difference, logit, weight)

    def information_trace(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
    ) -> Float[Tensor, ""]:
        """Σ_k v_k π_k ‖z_k‖² − Σ_choices v ‖Σ_j π_j z_j‖²."""
        sets = self.context.choice_sets
        if sets is None:
            return super().information_trace(difference, logit, outcome, weight)
        shared, chosen, of_set = self._shared(difference, logit, weight, sets)
        return (weight * (shared * difference).sum(dim=1)).sum() - (of_set * chosen.square().sum(dim=1)).sum()

    def expected_information(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
    ) -> Float[Tensor, "feature feature"]:
        """The same: it does not depend on what was chosen."""
        sets = self.context.choice_sets
        if sets is None:
            return super().expected_information(difference, logit, weight)
        shared, chosen, of_set = self._shared(difference, logit, weight, sets)
        return (shared * weight[:, None]).T @ difference - (chosen * of_set[:, None]).T @ chosen

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """p(1 − p), of two responses on their own."""
        return torch.sigmoid(logit) * torch.sigmoid(-logit)

    def _given_before(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """η_j + log(1 + S_{j−1}), the log odds of beating j too."""
        sets = self.context.choice_sets
        if sets is None or sets.longest == 1:
            return logit
        sign = sets.sign.to(logit)
        logit = sign * logit
        total = log_cumulative_exp(-logit[..., sets.order], sets)
        before = torch.cat([torch.zeros_like(total[..., :1]), total[..., :-1]], dim=-1)
        shift = torch.where(sets.place > 0, softplus(before), 0.0)
        return sign * (logit + torch.zeros_like(logit).index_copy(-1, sets.order, shift))

    def _shared(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
        sets: ChoiceSets,
    ) -> tuple[Float[Tensor, "comparison feature"], Float[Tensor, "choice feature"], Float[Tensor, "choice"]]:
        """π_j z_j, their sum over each choice, and the weight of each choice."""
        of_set = weight.new_empty(sets.count).index_copy(0, sets.number.flip(0), weight.flip(0))
        if (weight != of_set[sets.number]).any():
            raise InvalidInputError("expected all comparisons of one choice to have the same weight")
        shared = difference * self._share(logit)[:, None]
        chosen = shared.new_zeros((sets.count, shared.shape[1])).index_add(0, sets.number, shared)
        return shared, chosen, of_set

    def _share(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """π_j = exp(−η_j) / (1 + S_K)."""
        sets = self.context.choice_sets
        if sets is None:
            return torch.sigmoid(-logit)
        logit = sets.sign.to(logit) * logit
        largest = logit.new_zeros(sets.count).scatter_reduce(0, sets.number, -logit, "amax")
        relative = torch.exp(-logit - largest[sets.number])
        total = torch.exp(-largest).index_add(0, sets.number, relative)
        return relative / total[sets.number]


def log_cumulative_exp(values: Float[Tensor, "*batch pair"], sets: ChoiceSets) -> Float[Tensor, "*batch pair"]:
    """log Σ_{i ≤ j} exp(values_i) within each choice, rows in the order of ``sets.place``.

    Doubling steps (Hillis & Steele 1986), as many as the longest choice has binary digits; a running sum over all
    choices would lose the small ones to rounding.
    """
    reach = 1
    while reach < sets.longest:
        inside = sets.place[reach:] >= reach
        joined = torch.logaddexp(values[..., reach:], values[..., :-reach])
        values = torch.cat([values[..., :reach], torch.where(inside, joined, values[..., reach:])], dim=-1)
        reach *= 2
    return values
