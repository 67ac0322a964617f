"""Every likelihood against automatic differentiation, enumeration of the outcomes and dense quadrature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from pyro.distributions import Bernoulli

from bayesrm import rng
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.base import Likelihood

ETA = torch.linspace(-12, 12, 97, dtype=torch.float64)
MEANS = torch.tensor([-40.0, -6.0, -1.0, -0.1, 0.0, 0.3, 2.0, 10.0, 60.0], dtype=torch.float64)
SDS = (0.0, 1e-3, 0.5, 1.0, 3.0, 8.0, 30.0)


class _Probit(Likelihood):
    """Written as a user would: a distribution and nothing else, so that all defaults are at work."""

    name = "probit"

    def distribution(self, logit):
        log_odds = torch.special.log_ndtr(logit) - torch.special.log_ndtr(-logit)
        return Bernoulli(logits=log_odds, validate_args=False)


class _PlainBradleyTerry(Likelihood):
    name = "bradley-terry by default"

    def distribution(self, logit):
        return Bernoulli(logits=logit, validate_args=False)


EVERY = {name: LIKELIHOODS[name] for name in LIKELIHOODS} | {
    cls.name: cls for cls in (_Probit, _PlainBradleyTerry)
}


@pytest.fixture(params=EVERY)
def likelihood(request) -> Likelihood:
    return EVERY[request.param]()


def _expectation(function, mean: float, sd: float) -> float:
    """E f(η), η ~ Normal(mean, sd²), by the trapezoid rule on a grid fine in units of η and of sd."""
    if sd == 0:
        return float(function(torch.tensor([mean], dtype=torch.float64))[0])
    step = min(sd, 1.0) / 40
    eta = torch.arange(mean - 10 * sd, mean + 10 * sd + step, step, dtype=torch.float64)
    density = torch.exp(-0.5 * ((eta - mean) / sd) ** 2)
    return float((density * function(eta)).sum() / density.sum())


@pytest.mark.parametrize("outcome", [0.0, 1.0, 0.5, 0.2])
def test_derivatives_are_those_of_the_log_probability(likelihood, outcome):
    eta = ETA.clamp(-6, 6).clone().requires_grad_(True)
    y = torch.full_like(ETA, outcome)
    (score,) = torch.autograd.grad(likelihood.log_prob(eta, y).sum(), eta, create_graph=True)
    (second,) = torch.autograd.grad(score.sum(), eta)
    got_score, got_curvature = likelihood.derivatives(eta.detach(), y)
    torch.testing.assert_close(got_score, score.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(got_curvature, -second, rtol=1e-9, atol=1e-12)


def test_log_probability_is_that_of_the_distribution(likelihood):
    distribution = likelihood.distribution(ETA)
    mean, total = torch.zeros_like(ETA), torch.zeros_like(ETA)
    for outcome in likelihood.outcomes:
        y = torch.full_like(ETA, outcome)
        torch.testing.assert_close(likelihood.log_prob(ETA, y), distribution.log_prob(y), rtol=1e-10, atol=1e-12)
        side = 0.5 * (1 + np.sign(outcome - 0.5))  # a grade says which is better, and by how much
        mean, total = mean + side * distribution.log_prob(y).exp(), total + distribution.log_prob(y).exp()
    torch.testing.assert_close(total, torch.ones_like(ETA), rtol=1e-12, atol=0)
    p = likelihood.probability(ETA)
    torch.testing.assert_close(mean, p, rtol=1e-12, atol=1e-15)
    assert (p[1:] >= p[:-1]).all()


def test_soft_outcomes_are_the_expectation_of_hard_ones(likelihood):
    """Of the two outcomes that a label lies between, in the proportions that keep its mean."""
    for low, high in pairwise(likelihood.outcomes):
        below, above = (likelihood.log_prob(ETA, torch.full_like(ETA, y)) for y in (low, high))
        soft = likelihood.log_prob(ETA, torch.full_like(ETA, 0.7 * low + 0.3 * high))
        torch.testing.assert_close(soft, 0.7 * below + 0.3 * above, rtol=1e-12, atol=1e-12)


def test_exchanging_first_and_second_exchanges_the_outcome(likelihood):
    y = torch.full_like(ETA, 0.25)
    torch.testing.assert_close(likelihood.log_prob(ETA, y), likelihood.log_prob(-ETA, 1 - y))
    torch.testing.assert_close(likelihood.probability(ETA) + likelihood.probability(-ETA), torch.ones_like(ETA))


def test_fisher_weight_by_enumeration(likelihood):
    """E_y[(∂_η log p)²], the outcomes enumerated and the derivative automatic."""
    eta = ETA.clamp(-6, 6).clone().requires_grad_(True)
    expected = torch.zeros_like(ETA)
    for outcome in likelihood.outcomes:
        log_p = likelihood.distribution(eta).log_prob(torch.full_like(ETA, outcome))
        (score,) = torch.autograd.grad(log_p.sum(), eta)
        expected += log_p.detach().exp() * score**2
    torch.testing.assert_close(likelihood.fisher_weight(eta.detach()), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("sd", SDS)
@pytest.mark.parametrize("quantity", ["probability", "fisher_weight"])
@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_expectations_by_quadrature(name, quantity, sd):
    likelihood = LIKELIHOODS[name]()
    expected = [_expectation(getattr(likelihood, quantity), float(mean), sd) for mean in MEANS]
    got = getattr(likelihood, f"expected_{quantity}")(MEANS, torch.full_like(MEANS, sd**2))
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-8)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_expectations_without_spread_are_exact_also_far_out(name):
    """Separable labels drive a point to large logits, where designs still have to rank pairs by their weights."""
    likelihood = LIKELIHOODS[name]()
    eta = torch.tensor([-35.0, -25.0, -15.0, 0.0, 8.0, 20.0, 30.0], dtype=torch.float64)
    for quantity in ("probability", "fisher_weight"):
        got = getattr(likelihood, f"expected_{quantity}")(eta, torch.zeros_like(eta))
        torch.testing.assert_close(got, getattr(likelihood, quantity)(eta), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("sd", "tolerance"), [(0.0, 1e-8), (1e-3, 1e-8), (0.5, 1e-8), (1.0, 1e-8), (3.0, 1e-3)])
@pytest.mark.parametrize("quantity", ["probability", "fisher_weight"])
def test_default_expectations_by_quadrature(likelihood, quantity, sd, tolerance):
    """The base class has 64 nodes: accurate for posteriors of a few logits."""
    expected = [_expectation(getattr(likelihood, quantity), float(mean), sd) for mean in MEANS[1:-1]]
    default = getattr(Likelihood, f"expected_{quantity}")
    got = default(likelihood, MEANS[1:-1], torch.full_like(MEANS[1:-1], sd**2))
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_closed_forms_equal_the_defaults(name):
    likelihood = LIKELIHOODS[name]()
    y = torch.linspace(0, 1, len(ETA), dtype=torch.float64)
    for method, arguments in [("log_prob", (ETA, y)), ("probability", (ETA,)), ("fisher_weight", (ETA,))]:
        default = getattr(Likelihood, method)(likelihood, *arguments)
        torch.testing.assert_close(getattr(likelihood, method)(*arguments), default, rtol=1e-9, atol=1e-12)
    for got, default in zip(
        likelihood.derivatives(ETA, y), Likelihood.derivatives(likelihood, ETA, y), strict=True
    ):
        torch.testing.assert_close(got, default, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sd", SDS[:5])
def test_expected_outcome_probabilities_by_quadrature(likelihood, sd):
    expected = [
        [
            _expectation(lambda eta, k=k: likelihood.outcome_probabilities(eta)[..., k], float(mean), sd)
            for mean in MEANS
        ]
        for k in range(len(likelihood.outcomes))
    ]
    got = likelihood.expected_outcome_probabilities(MEANS, torch.full_like(MEANS, sd**2))
    np.testing.assert_allclose(got.T, expected, rtol=0, atol=2e-8)


def test_held_out_labels_are_scored_by_the_logarithm_of_their_probability(likelihood):
    mean, variance = MEANS[1:-1], torch.full_like(MEANS[1:-1], 2.0)
    p = likelihood.expected_outcome_probabilities(mean, variance)
    for k, value in enumerate(likelihood.outcomes):
        got = likelihood.expected_log_prob(mean, variance, torch.full_like(mean, value))
        torch.testing.assert_close(got, p[:, k].log())


def test_entropy_of_the_answer_by_enumeration(likelihood):
    eta = ETA.clamp(-6, 6)
    log_p = torch.stack([likelihood.log_prob(eta, torch.full_like(eta, y)) for y in likelihood.outcomes])
    torch.testing.assert_close(likelihood.answer_entropy(eta), -(log_p.exp() * log_p).sum(dim=0))


def test_simulated_outcomes_have_the_probabilities(likelihood):
    """Each frequency within five standard errors, at logits from clear to open."""
    eta = torch.tensor([-3.0, -0.4, 0.0, 1.5], dtype=torch.float64)
    draws = 20_000
    simulated = likelihood.simulate(eta.expand(draws, -1), np.random.default_rng(0))
    p = likelihood.outcome_probabilities(eta)
    for k, value in enumerate(likelihood.outcomes):
        error = (p[:, k] * (1 - p[:, k]) / draws).sqrt()
        assert (((simulated == value).double().mean(dim=0) - p[:, k]).abs() < 5 * error).all()


def test_distributions_sample_what_they_say(likelihood):
    """Pyro's own sampling, as prior and posterior predictive draws of a traced model use it."""
    eta = torch.tensor([-1.0, 0.0, 0.7], dtype=torch.float64)
    draws = 20_000
    with rng.fenced(3):
        sampled = likelihood.distribution(eta).sample((draws,))
    p = likelihood.outcome_probabilities(eta)
    for k, value in enumerate(likelihood.outcomes):
        error = (p[:, k] * (1 - p[:, k]) / draws).sqrt()
        assert (((sampled == value).double().mean(dim=0) - p[:, k]).abs() < 5 * error).all()


def test_leading_axes_of_draws_change_nothing(likelihood):
    eta = torch.stack([ETA, -ETA / 3])
    y = torch.tensor(likelihood.outcomes, dtype=torch.float64)[torch.arange(len(ETA)) % len(likelihood.outcomes)]
    rows = torch.stack([likelihood.log_prob(row, y) for row in eta])
    torch.testing.assert_close(likelihood.log_prob(eta, y.expand_as(eta)), rows, rtol=1e-12, atol=0)


def test_probabilities_stay_probabilities(likelihood):
    extreme = torch.tensor([-1e6, -700.0, 0.0, 700.0, 1e6], dtype=torch.float64)
    for variance in (0.0, 1.0, 1e6):
        p = likelihood.expected_probability(extreme, torch.full_like(extreme, variance))
        assert ((p >= 0) & (p <= 1)).all()
        assert float(p[2]) == pytest.approx(0.5, abs=1e-9)
        w = likelihood.expected_fisher_weight(extreme, torch.full_like(extreme, variance))
        assert torch.isfinite(w).all()
        assert (w >= 0).all()


def test_works_inside_inference_mode(likelihood):
    """Where designs compute: no automatic derivative may depend on the mode of the caller."""
    outside = (
        likelihood.fisher_weight(MEANS[1:-1]),
        likelihood.expected_fisher_weight(MEANS[1:-1], MEANS[1:-1] ** 2),
    )
    with torch.inference_mode():
        mean = MEANS[1:-1] * 1.0
        inside = likelihood.fisher_weight(mean), likelihood.expected_fisher_weight(mean, mean**2)
        likelihood.derivatives(mean, torch.full_like(mean, 0.3))
    for left, right in zip(outside, inside, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=0)
