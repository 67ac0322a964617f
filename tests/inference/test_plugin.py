"""The plug-in point against an independent maximisation of the likelihood, and its Fisher information."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch

import bayesrm as brm
from bayesrm import rng
from bayesrm.errors import CapabilityError
from bayesrm.inference.base import train_encoder
from bayesrm.inference.plugin import RIDGE

CPU = torch.device("cpu")


def _difference(posterior) -> np.ndarray:
    features = posterior.features(posterior.pool).numpy()
    return features[posterior.preferences.first] - features[posterior.preferences.second]


def _maximum_likelihood(z: np.ndarray, y: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
    def loss(beta):
        return (weight * (np.logaddexp(0, z @ beta) - y * (z @ beta))).sum()

    def gradient(beta):
        return z.T @ (weight * (1 / (1 + np.exp(-z @ beta)) - y))

    found = scipy.optimize.minimize(
        loss, np.zeros(z.shape[1]), jac=gradient, method="BFGS", options={"gtol": 1e-7}
    )
    return found.x


def test_the_point_maximises_the_likelihood(plugin, preferences):
    expected = _maximum_likelihood(_difference(plugin), preferences.outcome)
    np.testing.assert_allclose(plugin.location, expected, rtol=1e-5, atol=1e-6)


def test_weights_and_soft_labels_count(world):
    p = world.preferences
    r = np.random.default_rng(0)
    soft = brm.Preferences(p.first, p.second, r.random(len(p)), weight=r.uniform(0.2, 3.0, len(p)))
    posterior = brm.fit(brm.RewardModel(world.pool.dim, encoder="linear"), world.pool, soft, "plugin")
    expected = _maximum_likelihood(_difference(posterior), soft.outcome, soft.weight)
    np.testing.assert_allclose(posterior.location, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_fisher_information_at_the_point(world, weighted):
    """Λ = ridge · I + Σ_k v_k E_y[s sᵀ], the score s of both outcomes enumerated."""
    p = world.preferences
    weight = np.random.default_rng(0).uniform(0.2, 3.0, len(p)) if weighted else np.ones(len(p))
    preferences = brm.Preferences(p.first, p.second, p.outcome, weight=weight if weighted else None)
    posterior = brm.fit(brm.RewardModel(world.pool.dim, encoder="linear"), world.pool, preferences, "plugin")
    z = _difference(posterior)
    p = 1 / (1 + np.exp(-z @ posterior.location.numpy()))
    expected = RIDGE * np.eye(z.shape[1])
    for outcome, probability in ((1.0, p), (0.0, 1 - p)):
        score = (outcome - p)[:, None] * z
        expected += ((weight * probability)[:, None] * score).T @ score
    information = (posterior.information_cholesky @ posterior.information_cholesky.T).numpy()
    np.testing.assert_allclose(information, expected, rtol=1e-9, atol=1e-9)


def test_a_prior_scale_is_a_ridge(world):
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=0.4)
    point = brm.fit(model, world.pool, world.preferences, "plugin")
    mode = brm.fit(model, world.pool, world.preferences, "laplace")
    torch.testing.assert_close(point.location, mode.location, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(point.information_cholesky, mode.information_cholesky, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("training", ["early-stopped", "paper"])
@pytest.mark.usefixtures("short_training")
def test_with_an_encoder_to_train_the_point_is_the_network_as_it_was_trained(world, training):
    model = brm.RewardModel(world.pool.dim, hidden=(4,), training=training)
    posterior = brm.fit(model, world.pool, world.preferences, "plugin", seed=2)
    trained = train_encoder(model, world.pool, world.preferences, 2, CPU)
    assert torch.equal(posterior.location, trained.beta)
    rows = torch.from_numpy(world.pool.rows(np.arange(len(world.pool))))
    with torch.inference_mode():
        reward = (trained.model.encoder(rows).double() @ trained.beta).numpy()
    np.testing.assert_allclose(posterior.reward(world.pool)[0], reward - reward.mean(), rtol=1e-9, atol=1e-12)


def test_condition_is_a_fresh_fit(world, plugin):
    model = brm.RewardModel(world.pool.dim, encoder="linear")
    early = brm.fit(model, world.pool, world.preferences[:90], "plugin")
    late = early.condition(world.preferences[90:])
    torch.testing.assert_close(late.location, plugin.location, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(late.information_cholesky, plugin.information_cholesky, rtol=1e-8, atol=1e-8)
    assert len(late.preferences) == len(world.preferences)


def test_a_point_has_no_spread(plugin, pool):
    pairs = brm.Comparisons([0, 3], [5, 1])
    assert not plugin.reward(pool)[1].any()
    mean, variance = plugin.logit_moments(pool, pairs)
    assert not variance.any()
    assert not plugin.logit_covariance(pool, pairs, pairs).any()
    assert plugin.covariance_factor.shape == (pool.dim, 0)
    draws = plugin.sample_logits(pool, pairs, 4, rng.stream(0, "test"))
    torch.testing.assert_close(draws, mean.expand(4, -1))
    probability = plugin.preference_probability(pool, pairs.first, pairs.second)
    np.testing.assert_allclose(probability, torch.sigmoid(mean), atol=2e-8)


def test_a_point_has_no_entropy_and_says_so(plugin):
    with pytest.raises(CapabilityError, match=r"minus infinity.*inference='laplace'"):
        plugin.entropy()
    assert np.isnan(plugin.log_evidence)


def test_no_labels(world):
    posterior = brm.fit(brm.RewardModel(6, encoder="linear"), world.pool, brm.Preferences.none(), "plugin")
    assert not posterior.location.any()
    information = posterior.information_cholesky @ posterior.information_cholesky.T
    torch.testing.assert_close(information, RIDGE * torch.eye(6, dtype=torch.float64))
