"""Pairs within prompts come first, and among each kind the choice is uniform."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm


@pytest.fixture
def posterior(world):
    return brm.fit(brm.RewardModel(world.pool.dim, "linear"), world.pool, world.preferences)


def within(pool, pairs) -> np.ndarray:
    return pool.group[pairs.first] == pool.group[pairs.second]


def test_pairs_within_prompts_come_first(world, posterior):
    candidates = brm.candidates(world.pool, "cross-prompt", size=200)
    available = int(within(world.pool, candidates).sum())
    assert 0 < available < 100
    batch = brm.select(posterior, candidates, "within-first", 100)
    np.testing.assert_array_equal(within(world.pool, batch), np.arange(100) < available)
    assert (batch.gain == 0).all(), "it promises nothing"


def test_the_choice_is_uniform(world, posterior):
    candidates = brm.candidates(world.pool, "within-prompt", size=20)
    counts = np.zeros(len(world.pool))
    for seed in range(400):
        batch = brm.select(posterior, candidates, "within-first", 5, seed=seed)
        counts[batch.first] += 1
    chosen = counts[candidates.first[np.unique(candidates.first, return_index=True)[1]]]
    expected = 100 * np.unique(candidates.first, return_counts=True)[1]
    assert (np.abs(chosen - expected) < 5 * np.sqrt(expected)).all(), "within five standard errors"


def test_it_is_what_design_none_means(world, posterior):
    assert brm.select(posterior, brm.candidates(world.pool), size=3).design == "within-first"
