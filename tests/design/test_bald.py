"""BALD and entropy against brute-force integration, BALD's limit, and what it needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pyro.distributions import Bernoulli
from scipy.integrate import quad
from scipy.special import expit, ndtr, xlogy

import bayesrm as brm
from bayesrm.design.objectives.answer_entropy import answer_entropy, answer_information
from bayesrm.errors import CapabilityError
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.flips import Flips
from bayesrm.models.likelihoods.rao_kupper import RaoKupper
from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.pairs import ListedPairs


def mutual_information(mean: float, sd: float) -> float:
    """I(y; η) for η ~ Normal(mean, sd²), by adaptive quadrature of both terms."""

    def expectation(function):
        def integrand(t):
            return function(expit(mean + sd * t)) * np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)

        return quad(integrand, -12, 12, limit=2000, points=[-mean / sd], epsabs=1e-12)[0]

    def entropy(p):
        return -xlogy(p, p) - xlogy(1 - p, 1 - p)

    return entropy(expectation(lambda p: p)) - expectation(entropy)


@pytest.mark.parametrize("prior_scale", [0.05, 0.5, 3.0, 12.0])
def test_gains_are_the_mutual_information_to_a_millionth_of_a_nat(world, prior_scale):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=prior_scale)
    posterior = brm.fit(model, world.pool, world.preferences[:5])
    candidates = brm.candidates(world.pool, "cross-prompt", size=12)
    batch = brm.select(posterior, candidates, "bald", 12)
    mean, variance = posterior.logit_moments(world.pool, batch)
    exact = [mutual_information(m, s) for m, s in zip(mean.tolist(), variance.sqrt().tolist(), strict=True)]
    assert variance.max() > prior_scale**2
    np.testing.assert_allclose(batch.gain, exact, atol=1e-6)
    assert (np.diff(batch.gain) <= 0).all()


def test_of_little_spread_it_is_the_gaussian_information(world):
    posterior = brm.fit(brm.RewardModel(world.pool.dim, "linear", prior_scale=0.01), world.pool, world.preferences)
    batch = brm.select(posterior, brm.candidates(world.pool, size=20), "bald", 20)
    mean, variance = posterior.logit_moments(world.pool, batch)
    weight = posterior.likelihood.fisher_weight(mean)
    np.testing.assert_allclose(batch.gain, 0.5 * torch.log1p(weight * variance).numpy(), rtol=2e-3)


def test_a_point_cannot_disagree(world):
    posterior = brm.fit(brm.RewardModel(world.pool.dim, "linear"), world.pool, world.preferences, "plugin")
    with pytest.raises(
        CapabilityError, match="'bald' needs a posterior with spread, and PointPosterior is a point"
    ):
        brm.select(posterior, brm.candidates(world.pool, size=20), "bald", 5)


MEANS = (0.0, 0.3, 5.0, 30.0, 100.0)


def _one_pair(means: tuple[float, ...], sd: float) -> tuple[RewardMoments, ListedPairs]:
    """Pairs (k, n) of responses whose logits have these means and one standard deviation."""
    n = len(means)
    factor = torch.zeros((n + 1, 1), dtype=torch.float64)
    factor[:n] = sd
    mean = torch.tensor([*means, 0.0], dtype=torch.float64)
    return RewardMoments(mean, factor), ListedPairs(torch.arange(n), torch.full((n,), n))


def _exact(likelihood: Likelihood, mean: float, sd: float) -> tuple[float, float]:
    """Entropy of the predictive and expected entropy, by quad over η where anything happens."""
    if sd == 0:
        p = likelihood.outcome_probabilities(torch.tensor([mean], dtype=torch.float64))[0].numpy()
        return float(-xlogy(p, p).sum()), float(-xlogy(p, p).sum())
    half = min(60.0, 12 * sd)
    low, high = (max(mean - 12 * sd, -60.0), min(mean + 12 * sd, 60.0)) if sd > 3 else (mean - half, mean + half)

    def given(x: float) -> np.ndarray:
        return likelihood.outcome_probabilities(torch.tensor([x], dtype=torch.float64))[0].numpy()

    def entropy(p: np.ndarray) -> float:
        return float(-xlogy(p, p).sum())

    def integral(function) -> float:
        def integrand(x: float) -> float:
            return function(given(x)) * np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))

        if high <= low:
            return 0.0
        points = [x for x in (mean, -2.0, 0.0, 2.0) if low < x < high]
        return quad(integrand, low, high, points=points, limit=2000, epsabs=1e-11)[0]

    predictive = np.array([integral(lambda p, k=k: p[k]) for k in range(len(likelihood.outcomes))])
    predictive[0] += ndtr((low - mean) / sd)
    predictive[-1] += ndtr((mean - high) / sd)
    return entropy(predictive), integral(entropy)


@pytest.mark.parametrize("likelihood", [BradleyTerry(), RaoKupper(2.5)], ids=["binary", "ties"])
@pytest.mark.parametrize("sd", [0.0, 1e-6, 1e-3, 0.1, 1.0, 1.99, 2.01, 8.0, 50.0, 1e4, 1e8])
def test_any_spread_to_a_millionth_of_a_nat(sd, likelihood):
    moments, pairs = _one_pair(MEANS, sd)
    exact = np.array([_exact(likelihood, mean, sd) for mean in MEANS])
    np.testing.assert_allclose(answer_entropy(moments, likelihood, pairs).numpy(), exact[:, 0], atol=1e-6)
    information = answer_information(moments, likelihood, pairs).numpy()
    np.testing.assert_allclose(information, exact[:, 0] - exact[:, 1], atol=1e-6)


class Cauchit(Likelihood):
    """The example of a likelihood of one's own: far from settled at forty logits."""

    name = "cauchit"

    def distribution(self, logit):
        return Bernoulli(probs=0.5 + logit.atan() / np.pi, validate_args=False)


@pytest.mark.parametrize(
    ("likelihood", "spreads"),
    [(Flips(0.1), (0.5, 5.0, 300.0)), (Cauchit(), (0.5, 3.0, 30.0))],
    ids=["flips", "own"],
)
def test_outcomes_that_never_settle_at_certainty(likelihood, spreads):
    """An annotator who errs one time in ten leaves entropy however far apart two responses are; so do heavy tails."""
    for sd in spreads:
        moments, pairs = _one_pair((0.0, 4.0, 60.0), sd)
        grid = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
        density = torch.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi) * 24 / 400_000
        for k, mean in enumerate((0.0, 4.0, 60.0)):
            q = likelihood.probability(mean + sd * grid)
            entropy = torch.special.entr(q) + torch.special.entr(1 - q)
            predictive = float((density * q).sum())
            exact = -xlogy(predictive, predictive) - xlogy(1 - predictive, 1 - predictive)
            exact -= float((density * entropy).sum())
            assert float(answer_information(moments, likelihood, pairs)[k]) == pytest.approx(exact, abs=1e-6)
