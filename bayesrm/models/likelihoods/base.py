"""What every likelihood offers, derived from its distribution where no closed form is given."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pyro.distributions import Distribution
from torch import Tensor

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.finite import shares
from bayesrm.utils.identity import plain
from bayesrm.utils.linalg import weighted_gram

_REACH = 8.5
_SPACING = 0.25
_MOST_NODES = 1200


class Likelihood(ABC):
    """The distribution of an outcome y given the linear predictor η = r(first) − r(second).

    A subclass gives :meth:`distribution` and may override the rest with closed forms; the defaults enumerate
    the outcomes and differentiate automatically. One with nuisance parameters also gives :meth:`nuisances`; what that
    returns becomes attributes of a copy, see :meth:`given`, and everything else reads them there.

    Attributes
    ----------
    name : str
        What it is asked for by.
    outcomes : tuple of float, default (0.0, 1.0)
        The values that an outcome can take, ascending: 0 second preferred, 1 first preferred, ½ a tie.
    takes_rankings : bool, default False
        Whether it knows choices among several responses; others refuse them.
    spread : str or None, default None
        The sample site that says how far effects of others, such as annotators, lie apart. Laplace finds it with these
        integrated: together with them it would be found far too large.
    context : Context, default Context()
        What is known of the comparisons that logits belong to; nothing unless bound to some.

    See Also
    --------
    bayesrm.RewardModel : Takes a likelihood by its name, or as an object with settings of its own.

    Examples
    --------
    A new likelihood: a heavy-tailed link, P(first preferred) = ½ + arctan(η) / π. All else follows from it.

    >>> import math
    >>> import bayesrm as brm
    >>> from pyro.distributions import Bernoulli
    >>> class Cauchit(brm.Likelihood):
    ...     '''Preferred with the probability of a Cauchy distribution; surprises cost less than in Bradley–Terry.'''
    ...     name = "cauchit"
    ...     def distribution(self, logit):
    ...         return Bernoulli(probs=0.5 + logit.atan() / math.pi, validate_args=False)
    >>> model = brm.RewardModel(6, likelihood=Cauchit())
    """

    name: ClassVar[str]
    outcomes: ClassVar[tuple[float, ...]] = (0.0, 1.0)
    takes_rankings: ClassVar[bool] = False
    spread: ClassVar[str | None] = None
    context: Context = Context()

    def nuisances(self, context: Context) -> dict[str, Tensor]:
        """A Pyro program that samples what else is unknown of these comparisons; by default nothing is."""
        return {}

    def given(self, values: Mapping[str, Tensor], context: Context | None = None) -> Likelihood:
        """A copy with these nuisance parameters, for the comparisons of this context (default: any)."""
        if context is not None and context.has_rankings and not self.takes_rankings:
            raise InvalidInputError(
                f"expected comparisons of two responses, which the likelihood {self.name!r} is for, got rankings: use "
                "likelihood='plackett-luce', or 'bradley-terry', which takes rankings the same way"
            )
        copied = copy.copy(self)
        for name, value in values.items():
            setattr(copied, name, value)
        copied.context = Context() if context is None else context
        return copied

    def describe(self) -> dict[str, Any]:
        """The settings that make it what it is, as JSON-able values; arrays and functions by their digests."""
        settings = {name: plain(value) for name, value in vars(self).items() if name != "context"}
        return {"name": self.name, **{name: value for name, value in settings.items() if value is not None}}

    @abstractmethod
    def distribution(self, logit: Float[Tensor, "*batch pair"]) -> Distribution:
        """The Pyro distribution of the outcome."""

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """log p(y | η) for each of :attr:`outcomes`."""
        distribution: Any = self.distribution(logit)
        return torch.stack([distribution.log_prob(torch.full_like(logit, y)) for y in self.outcomes], dim=-1)

    def log_prob(
        self, logit: Float[Tensor, "*batch pair"], outcome: Float[Tensor, "*batch pair"]
    ) -> Float[Tensor, "*batch pair"]:
        """log p(y | η) in nats; a soft label takes the expectation over the two outcomes that it lies between."""
        return self.of_outcome(self.outcome_log_probs(logit), outcome)

    def of_outcome(
        self, table: Float[Tensor, "*batch pair outcome"], outcome: Float[Tensor, "*batch pair"]
    ) -> Float[Tensor, "*batch pair"]:
        """What a table with a column for each of :attr:`outcomes` says of these; a soft label lies between two."""
        share = shares(outcome, self.outcomes)
        # Where a share is zero the table may be −∞.
        return torch.where(share > 0, share * table, 0.0).sum(dim=-1)

    def outcome_probabilities(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """P(y | η) for each of :attr:`outcomes`."""
        return self.outcome_log_probs(logit).exp()

    def probability(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """P(first preferred | η), by whatever grade, a tie counted as half."""
        sides = (torch.sign(logit.new_tensor(self.outcomes) - 0.5) + 1) / 2
        return self.outcome_probabilities(logit) @ sides

    def answer_entropy(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
        """Entropy of the outcome given η, in nats."""
        return torch.special.entr(self.outcome_probabilities(logit)).sum(dim=-1)

    def simulate(
        self, logit: Float[Tensor, "*batch pair"], generator: np.random.Generator
    ) -> Float[Tensor, "*batch pair"]:
        """Random outcomes."""
        return self.drawn(self.outcome_probabilities(logit.double()), generator).to(logit)

    def drawn(
        self, probabilities: Float[Tensor, "*batch pair outcome"], generator: np.random.Generator
    ) -> Float[Tensor, "*batch pair"]:
        """Random outcomes of these probabilities."""
        uniform = torch.from_numpy(generator.random(tuple(probabilities.shape[:-1]))).to(probabilities.device)
        index = (uniform[..., None] > probabilities[..., :-1].cumsum(dim=-1)).sum(dim=-1)
        return probabilities.new_tensor(self.outcomes)[index]

    def derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """First derivative and negative second derivative of log p(y | η) in η."""
        with torch.inference_mode(False), torch.enable_grad():
            eta = logit.detach().clone().requires_grad_(True)
            (score,) = torch.autograd.grad(self.log_prob(eta, outcome.clone()).sum(), eta, create_graph=True)
            (second,) = torch.autograd.grad(score.sum(), eta)
        return score.detach(), -second

    def differentiable_derivatives(
        self, logit: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """log p(y | η), its first and its negative second derivative in η, in a graph; the logits are part of one."""
        log_prob = self.log_prob(logit, outcome)
        (score,) = torch.autograd.grad(log_prob.sum(), logit, create_graph=True)
        (slope,) = torch.autograd.grad(score.sum(), logit, create_graph=True, materialize_grads=True)
        return log_prob, score, -slope

    def information(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
    ) -> Float[Tensor, "feature feature"]:
        """−∇² Σ_k v_k log p(y_k | z_kᵀβ) = Zᵀ diag(v ∘ c) Z, c the negative second derivatives."""
        _, curvature = self.derivatives(logit, outcome)
        return weighted_gram(difference, weight * curvature)

    def information_trace(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
    ) -> Float[Tensor, ""]:
        """The trace of :meth:`information`, differentiable in the logits; differences Z C give tr(C Cᵀ Λ) for Z."""
        eta = logit if logit.requires_grad else logit.detach().clone().requires_grad_(True)
        _, _, curvature = self.differentiable_derivatives(eta, outcome.clone())
        return (weight * difference.square().sum(dim=1) * curvature).sum()

    def expected_information(
        self,
        difference: Float[Tensor, "comparison feature"],
        logit: Float[Tensor, "comparison"],
        weight: Float[Tensor, "comparison"],
    ) -> Float[Tensor, "feature feature"]:
        """The Fisher information Zᵀ diag(v ∘ w) Z of these comparisons, w the Fisher weights."""
        return weighted_gram(difference, weight * self.fisher_weight(logit))

    def fisher_weight(self, logit: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """w(η) = E_y[(∂_η log p(y | η))²]."""
        total = torch.zeros_like(logit)
        with torch.inference_mode(False), torch.enable_grad():
            eta = logit.detach().clone().requires_grad_(True)
            columns = self.outcome_log_probs(eta).unbind(dim=-1)
            for column in columns:
                (score,) = torch.autograd.grad(column.sum(), eta, retain_graph=column is not columns[-1])
                p = column.detach().exp()
                # An impossible outcome has an infinite score and adds nothing.
                total = total + torch.where(p > 0, p * score**2, 0.0)
        return total

    def expected_probability(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """E[P(first preferred | η)] for η ~ Normal(mean, variance)."""
        return gaussian_expectation(self.probability, mean, variance)

    def expected_outcome_probabilities(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair outcome"]:
        """E[P(y | η)] of each outcome for η ~ Normal(mean, variance)."""
        if len(self.outcomes) == 2:
            first = self.expected_probability(mean, variance)
            return torch.stack([1 - first, first], dim=-1)

        def of(k: int) -> Callable[[Tensor], Tensor]:
            return lambda logit: self.outcome_probabilities(logit)[..., k]

        columns = [gaussian_expectation(of(k), mean, variance) for k in range(len(self.outcomes))]
        return torch.stack(columns, dim=-1)

    def expected_log_prob(
        self, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"], outcome: Float[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """log E[P(y | η)] for η ~ Normal(mean, variance), the score of a held-out label in nats; at least log 1e-12."""
        table = self.expected_outcome_probabilities(mean, variance).clamp(min=1e-12).log()
        return self.of_outcome(table, outcome)

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
