"""Predictive distributions of the consensus: worlds drawn from the prior, coverage that is known, quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import bayesrm as brm
from bayesrm.posteriors.predictive import Predictive


def _drawn(seed: int, labels: int) -> tuple[brm.ResponsePool, np.ndarray, brm.Preferences]:
    """Rewards of log R ~ Normal(0, .7²) and log s ~ Normal(0, .5²), linear in four features beside u."""
    r = np.random.default_rng(1000 + seed)
    x = r.normal(size=(240, 4)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(40), 6))
    s, size = np.exp(0.5 * r.normal()), np.exp(0.7 * r.normal())
    # A fit leaves u out and sees rewards shrunk; R is of those.
    golden = np.sqrt(1 + np.pi * s**2 / 4) * size / 2 * x @ r.normal(size=4) + s * r.normal(size=240)
    asked = brm.candidates(pool, size=min(labels, 600), seed=seed)  # all there are
    first, second = (np.resize(end, labels) for end in (asked.first, asked.second))
    outcome = (r.random(labels) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    return pool, golden, brm.Preferences(first, second, outcome)


@pytest.fixture(scope="module")
def drawn():
    worlds = [_drawn(seed, 40) for seed in range(16)]
    model = [brm.RewardModel(pool, "linear", inputs="standardized") for pool, _, _ in worlds]
    return [
        (pool, golden, brm.fit(one, pool, prefs)) for one, (pool, golden, prefs) in zip(model, worlds, strict=True)
    ]


def _held(predictive: Predictive, pool: brm.ResponsePool, golden: np.ndarray) -> float:
    low, high = predictive.interval(pool, 0.9)
    truth = golden - golden.mean()
    return float(np.mean((truth > low) & (truth < high)))


def test_intervals_of_forty_labels_cover_where_the_scale_is_drawn_too(drawn):
    """Simulation-based calibration of what a user sees: 16 worlds, 90% intervals hold 85 to 95% of their rewards."""
    held = [_held(posterior.predictive, pool, golden) for pool, golden, posterior in drawn]
    assert 0.85 < np.mean(held) < 0.95
    alone = [
        _held(Predictive(np.ones(1), (posterior,), posterior.unexplained), pool, golden)
        for pool, golden, posterior in drawn
    ]
    assert np.mean(alone) < np.mean(held), "one prior scale is narrower than all that the labels allow"


def test_coverage_lies_where_it_is_said_to_lie(drawn):
    """In 10 of 16 worlds or more it is within the 80% interval that is given for it: 13 expected, 10 two sd less."""
    inside = 0
    for pool, golden, posterior in drawn:
        said = posterior.predictive.coverage(pool, 0.9)
        error = 2 * np.sqrt(0.09 / len(pool))
        inside += (
            said.quantile(0.1) - error < _held(posterior.predictive, pool, golden) < said.quantile(0.9) + error
        )
    assert inside >= 10


def test_coverage_is_the_level_on_average_over_what_is_unknown(drawn):
    for pool, _, posterior in drawn[:3]:
        said = posterior.predictive.coverage(pool, 0.9)
        assert float(said.share @ said.probability) == pytest.approx(0.9, abs=2e-3)
        assert said.within(0.0, 1.0) == pytest.approx(1.0)


def test_intervals_are_quantiles_of_draws(drawn):
    """Of one pair's logit, 200,000 draws: the probability of a preference, and the share below 0."""
    pool, _, posterior = drawn[0]
    pairs = brm.Comparisons(np.array([0, 6]), np.array([1, 9]))
    draws = posterior.predictive.sample_logits(pool, pairs, 200_000, np.random.default_rng(0))
    found = posterior.consensus_probability(pool, pairs.first, pairs.second)
    np.testing.assert_allclose((draws > 0).mean(axis=0), found, atol=0.006)


def test_a_scale_that_was_given_is_not_doubted():
    pool, _, prefs = _drawn(0, 40)
    given = brm.fit(brm.RewardModel(pool, "linear", prior_scale=0.5), pool, prefs).predictive
    assert given.weight.tolist() == [1.0]
    chosen = brm.fit(brm.RewardModel(pool, "linear"), pool, prefs).predictive
    assert len(chosen.weight) > 2
    assert chosen.weight.sum() == pytest.approx(1.0)


def test_many_labels_leave_nothing_of_the_scale():
    """Weights that 3,000 labels determine do not depend on their prior: intervals are those of the fitted scale."""
    pool, _, prefs = _drawn(3, 3000)
    posterior = brm.fit(brm.RewardModel(pool, "linear"), pool, prefs)
    alone = Predictive(np.ones(1), (posterior,), posterior.unexplained)
    for mixed, one in zip(posterior.predictive.interval(pool, 0.9), alone.interval(pool, 0.9), strict=True):
        np.testing.assert_allclose(mixed, one, atol=0.1)


@pytest.mark.parametrize("steep", [1.0, 10.0, 20.0])
def test_the_scale_of_the_fit_is_among_those_that_are_averaged_over(steep):
    """Answers nearly without noise put rewards far apart: farther than the grid reaches by itself."""
    r = np.random.default_rng(0)
    x = r.normal(size=(400, 20)).astype(np.float32)
    pool = brm.ResponsePool(x, np.arange(400) // 4)
    golden = steep * x @ r.normal(size=20) / np.sqrt(20)
    asked = brm.candidates(pool, size=500, seed=1)
    outcome = r.random(500) < expit(golden[asked.first] - golden[asked.second])
    labels = brm.Preferences(asked.first, asked.second, outcome.astype(float))
    posterior = brm.fit(brm.RewardModel(pool, "linear"), pool, labels)
    found = posterior.predictive
    assert any(each is posterior for each in found.posteriors)
    low, high = found.interval(pool, 0.9)
    assert np.mean((low < golden - golden.mean()) & (golden - golden.mean() < high)) > 0.8
