r"""What an answer is expected to tell: the entropy of the predictive, and the entropy that is left given the logit.

Both are one-dimensional expectations under the posterior of η, averages over draws or Gaussian integrals. The entropy
H(p(η)) changes over some logits around zero and has settled at either end, so for a standard deviation s ≥ 2 it is
integrated over η itself,

    E g(η) = g(−R) + (g(R) − g(−R)) E σ(η) + h Σ_k [g(η_k) − g(−R) − (g(R) − g(−R)) σ(η_k)] N(η_k; m, s²),

whatever the s, and for smaller s in units of s. Both are trapezoidal rules of analytic functions: the singularities of
log σ(η) lie at ±iπ, so at h = ½ the error is of order exp(−2π²/h), far below 1e-9 nats (Trefethen & Weideman 2014).
Functions that have not settled at ±R, as under links with heavy tails, are integrated in units of s, whatever it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.likelihoods.base import Likelihood, binary_entropy, gaussian_expectation
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.posteriors.base import PairLogits, RewardMoments
from bayesrm.posteriors.pairs import PairBlock

Function = Callable[[Float[Tensor, "pair"]], Float[Tensor, "pair"]]

REACH = 40.0
"""Beyond this logit the likelihoods that come with bayesrm are constant to rounding."""
SETTLED = 1e-9
"""What a function that has settled may still change by beyond it."""
SPACING = 0.5
WIDE = 2.0
STANDARD_REACH = 8.5
STANDARD_SPACING = 0.25


def answer_entropy(moments: RewardMoments, likelihood: Likelihood, pairs: PairBlock) -> Float[Tensor, "pair"]:
    """Entropy of each pair's outcome under the posterior predictive, in nats."""
    logits = moments.of(pairs)
    if len(likelihood.outcomes) == 2:
        return binary_entropy(logits.probability(likelihood))
    outcomes = (_outcome(likelihood, k) for k in range(len(likelihood.outcomes)))
    expected = (_expectation(moments, logits, outcome).clamp(min=0.0) for outcome in outcomes)
    return reduce(torch.add, map(torch.special.entr, expected))


def answer_information(moments: RewardMoments, likelihood: Likelihood, pairs: PairBlock) -> Float[Tensor, "pair"]:
    """I(y; η) = H(E p(η)) − E H(p(η)) of each pair, in nats."""
    logits = moments.of(pairs)
    left = _expectation(moments, logits, lambda logit: entropy_given(likelihood, logit))
    return (answer_entropy(moments, likelihood, pairs) - left).clamp(min=0.0)


def entropy_given(likelihood: Likelihood, logit: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Entropy of the outcome given η, in nats."""
    if len(likelihood.outcomes) == 2:
        return binary_entropy(likelihood.probability(logit))
    return likelihood.answer_entropy(logit)


def settling_expectation(
    function: Function, mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"]
) -> Float[Tensor, "pair"]:
    """E g(η) for η ~ Normal(mean, variance) and a bounded g, fastest if it is constant beyond :data:`REACH` logits."""
    here, beyond = function(mean.new_tensor([-REACH, REACH, -2 * REACH, 2 * REACH])).chunk(2)
    if not torch.allclose(here, beyond, rtol=0, atol=SETTLED):
        return gaussian_expectation(function, mean, variance)
    sd = variance.sqrt()
    total, wide = torch.empty_like(mean), sd >= WIDE
    total[wide] = _over_logits(function, mean[wide], sd[wide])
    total[~wide] = _over_standard_units(function, mean[~wide], sd[~wide])
    return total


def _expectation(moments: RewardMoments, logits: PairLogits, function: Function) -> Float[Tensor, "pair"]:
    if moments.draws is not None:
        return logits.expectation(function)
    return settling_expectation(function, logits.mean, logits.variance)


def _outcome(likelihood: Likelihood, k: int) -> Function:
    return lambda logit: likelihood.outcome_probabilities(logit)[..., k]


def _over_logits(
    function: Function, mean: Float[Tensor, "wide"], sd: Float[Tensor, "wide"]
) -> Float[Tensor, "wide"]:
    nodes = torch.linspace(-REACH, REACH, round(2 * REACH / SPACING) + 1, dtype=mean.dtype, device=mean.device)
    values = function(nodes)
    low, rise = values[0], values[-1] - values[0]
    settled = low + rise * torch.sigmoid(nodes)
    total = low + rise * BradleyTerry().expected_probability(mean, sd**2)
    scale = SPACING / (sd * math.sqrt(2 * math.pi))
    for node, excess in zip(nodes.tolist(), (values - settled).tolist(), strict=True):
        total = total + excess * scale * torch.exp(-0.5 * ((node - mean) / sd).square_())
    return total


def _over_standard_units(
    function: Function, mean: Float[Tensor, "narrow"], sd: Float[Tensor, "narrow"]
) -> Float[Tensor, "narrow"]:
    total = torch.zeros_like(mean)
    count = round(2 * STANDARD_REACH / STANDARD_SPACING) + 1
    for node in torch.linspace(-STANDARD_REACH, STANDARD_REACH, count, dtype=torch.float64).tolist():
        density = STANDARD_SPACING * math.exp(-0.5 * node**2) / math.sqrt(2 * math.pi)
        total += density * function(mean + node * sd)
    return total
