"""BALD against brute-force integration, its limit, and what it needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, xlogy

import bayesrm as brm
from bayesrm.errors import CapabilityError


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
