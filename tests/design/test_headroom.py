"""Headroom against its definition, against brute force, and against simulated designs in a linear world."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import CapabilityError


def _brute_force(posterior, pool, first, second, targets):
    """(E h)² / E h² with every matrix written out, from logit moments alone."""
    pairs = brm.Comparisons(first, second)
    across = posterior.logit_covariance(pool, pairs, targets).numpy()  # zᵀΣt
    mean, variance = posterior.logit_moments(pool, pairs)
    node, mass = np.polynomial.hermite_e.hermegauss(40)
    p = 1 / (1 + np.exp(-(mean.numpy()[:, None] + variance.sqrt().numpy()[:, None] * node)))
    w = (p * (1 - p)) @ (mass / mass.sum())
    h = np.sqrt(w * np.mean(across**2, axis=1))
    return np.mean(h) ** 2 / np.mean(h**2)


@pytest.fixture(scope="module")
def targets(pool):
    drawn = brm.candidates(pool, size=50, seed=5)
    return brm.Comparisons(drawn.first, drawn.second)


@pytest.mark.parametrize("scope", ["within-prompt", "cross-prompt"])
def test_explicit_candidates_equal_brute_force(laplace, pool, targets, scope):
    candidates = brm.candidates(pool, scope=scope, size=120, seed=3)
    expected = _brute_force(laplace, pool, candidates.first, candidates.second, targets)
    assert brm.headroom(laplace, candidates, targets) == pytest.approx(expected, rel=1e-6)


def test_implicit_candidates_equal_a_list_of_them(make_world):
    """Tiles, small groups and pairs left out: the same as all of them listed."""
    world = make_world(seed=2, sizes=(70, 3, 90, 5), comparisons=60)
    posterior = brm.fit(brm.RewardModel(6, "linear"), world.pool, world.preferences)
    for scope in ("within-prompt", "cross-prompt"):
        implicit = brm.candidates(world.pool, scope, None, None, exclude=world.preferences, identical=True)
        first, second = implicit.pairs_at(np.arange(len(implicit)))
        own = brm.Comparisons(implicit.responses[first], implicit.responses[second])
        listed = brm.candidates(world.pool, pairs=own, identical=True)
        assert len(listed) == len(implicit)
        assert brm.headroom(posterior, implicit) == pytest.approx(brm.headroom(posterior, listed), rel=1e-9)


def test_pairs_that_are_all_alike_leave_no_room():
    """On a line of two points every pair has the same h: random is the best there is."""
    embeddings = np.tile([[0.0], [1.0]], (20, 1))
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(20), 2))
    prior = brm.fit(brm.RewardModel(1, "linear", prior_scale=1.0), pool, brm.Preferences.none())
    assert brm.headroom(prior, brm.candidates(pool)) == pytest.approx(1.0)


def test_a_point_has_none(plugin, pool):
    with pytest.raises(
        CapabilityError, match="headroom needs a posterior with spread, and PointPosterior is a point"
    ):
        brm.headroom(plugin, brm.candidates(pool))


def test_the_optimal_unbiased_design_reaches_it_in_a_linear_world():
    """Weighted fits to answers of pairs drawn with density ∝ h need that share of random's labels.

    The ratio of the mean squared errors of target logits over 8,000 simulated data sets of 400 answers each, against
    the headroom of a posterior that has seen very many random pairs; three standard errors of the ratio.
    """
    r = np.random.default_rng(0)
    beta = np.array([0.6, -0.4, 0.2])
    embeddings = r.standard_t(df=2.5, size=(60, 3)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(10), 6))
    candidates = brm.candidates(pool)
    difference = embeddings[candidates.first].astype(float) - embeddings[candidates.second]
    many = np.tile(np.arange(len(difference)), 200)
    answers = (r.random(len(many)) < 1 / (1 + np.exp(-difference[many] @ beta))).astype(float)
    seen = brm.Preferences(candidates.first[many], candidates.second[many], answers)
    posterior = brm.fit(brm.RewardModel(3, "linear", inputs="raw", prior_scale=100.0), pool, seen)
    pairs = brm.Comparisons(candidates.first, candidates.second)
    expected = brm.headroom(posterior, candidates, pairs)
    assert expected < 0.9, "a world that leaves a design some room"

    p = 1 / (1 + np.exp(-difference @ beta))
    w = p * (1 - p)
    inverse = np.linalg.inv((difference * w[:, None]).T @ difference / len(difference))
    across = difference @ inverse @ difference.T
    h = np.sqrt(w * np.mean(across**2, axis=1))

    def errors(density: np.ndarray, repeats: int = 8_000, labels: int = 400) -> np.ndarray:
        """(repeat,) mean squared error of the target logits after one weighted fit each, all by one Newton method."""
        drawn = r.choice(len(difference), size=(repeats, labels), p=density)
        z, y = difference[drawn], (r.random((repeats, labels)) < p[drawn]).astype(float)
        weight = 1 / (len(difference) * density[drawn])
        estimate = np.tile(beta, (repeats, 1))
        for _ in range(12):
            q = 1 / (1 + np.exp(-np.einsum("nkd,nd->nk", z, estimate)))
            gradient = np.einsum("nk,nkd->nd", weight * (y - q), z)
            curvature = np.einsum("nk,nkd,nke->nde", weight * q * (1 - q), z, z)
            estimate = estimate + np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        return np.mean(((estimate - beta) @ difference.T) ** 2, axis=1)

    best, random = errors(h / h.sum()), errors(np.full(len(h), 1 / len(h)))
    ratio = best.mean() / random.mean()
    error = ratio * np.hypot(best.std() / best.mean(), random.std() / random.mean()) / np.sqrt(len(best))
    assert ratio == pytest.approx(expected, abs=3 * error + 0.02)  # 0.02: 400 answers are not infinitely many
    assert error < 0.02


@pytest.mark.usefixtures("short_variational")
def test_draws_have_headroom_too(pool, preferences):
    posterior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, preferences, "svi")
    assert 0 < brm.headroom(posterior, brm.candidates(pool)) <= 1
    assert torch.is_inference_mode_enabled() is False
