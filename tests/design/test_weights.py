"""A fit that weights a design's taste away: with 1 / inclusion it sees the candidates and not what was chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.design.base import Design
from bayesrm.design.selectors.gradient_sample import GradientSample

REPETITIONS = 24


@pytest.fixture(scope="module")
def bent():
    """Rewards that no linear model has: what the best linear one is depends on the pairs it is fitted to."""
    embeddings = np.random.default_rng(0).normal(size=(80, 1)).astype(np.float32)
    golden = 1.5 * np.sin(1.6 * embeddings[:, 0].astype(float))
    return brm.ResponsePool(embeddings, np.zeros(80)), golden, brm.RewardModel(1, "linear", prior_scale=10.0)


def _answers(golden, pairs) -> brm.Preferences:
    """The probabilities themselves, so that nothing but the choice of pairs is random."""
    return brm.Preferences(pairs.first, pairs.second, 1 / (1 + np.exp(golden[pairs.second] - golden[pairs.first])))


def test_weighted_fits_are_about_the_candidates(bent):
    """A design that likes pairs far apart finds a slope a fifth too small; weighted it is that of all candidates."""
    pool, golden, model = bent
    candidates = brm.candidates(pool, size=500)
    everything = brm.fit(model, pool, _answers(golden, candidates)).location.item()
    prior = brm.fit(brm.RewardModel(1, "linear", prior_scale=0.3), pool, brm.Preferences.none())
    design = Design(CRITERIA["bald"](), GradientSample())
    slopes = []
    for seed in range(REPETITIONS):
        batch = design.select(prior, candidates, 100, seed)
        answers = _answers(golden, batch)
        both = (answers, replace(answers, weight=batch.weight))
        slopes.append([brm.fit(model, pool, each).location.item() for each in both])
    error = np.std(slopes, axis=0) / REPETITIONS**0.5
    plain, weighted = np.abs(np.mean(slopes, axis=0) - everything) / error
    assert plain > 8
    assert weighted < 4


def test_weights_average_one_and_are_ones_where_nothing_was_random(bent):
    pool, _, model = bent
    prior = brm.fit(model, pool, brm.Preferences.none())
    candidates = brm.candidates(pool, size=200)
    sampled = brm.select(prior, candidates, "pa-dopt", 20, "gradient-sample")
    assert sampled.weight.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(sampled.weight * sampled.inclusion, (sampled.weight * sampled.inclusion)[0])
    assert brm.select(prior, candidates, "pa-dopt", 20).weight.tolist() == [1.0] * 20
