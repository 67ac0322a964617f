"""Soft labels and weights: what they mean for every likelihood, in the posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.models.likelihoods import LIKELIHOODS

BINARY = [name for name, likelihood in LIKELIHOODS.items() if likelihood().outcomes == (0.0, 1.0)]


def _fit(world, likelihood, preferences, inference="laplace"):
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood=likelihood, prior_scale=0.5)
    return brm.fit(model, world.pool, preferences, inference)


def _assert_same(left, right):
    torch.testing.assert_close(left.location, right.location, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(left.nuisance, right.nuisance, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(left.information_cholesky, right.information_cholesky, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", BINARY)
def test_a_soft_label_is_both_hard_ones_with_its_shares_as_weights(world, likelihood):
    given, soft = world.preferences, np.random.default_rng(0).uniform(0.05, 0.95, len(world.preferences))
    # Of every comparison both answers, next to each other.
    first, second = np.repeat(given.first, 2), np.repeat(given.second, 2)
    outcome = np.tile([1.0, 0.0], len(given))
    weight = np.stack([soft, 1 - soft], axis=1).ravel()
    one = _fit(world, likelihood, brm.Preferences(given.first, given.second, soft))
    both = _fit(world, likelihood, brm.Preferences(first, second, outcome, weight=weight))
    _assert_same(one, both)


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_a_weight_of_two_is_the_pair_twice(world, likelihood, inference):
    given = world.preferences
    r = np.random.default_rng(1)
    weight = r.integers(1, 4, len(given))
    annotator = r.choice(["ann", "bob"], len(given))
    index = np.repeat(np.arange(len(given)), weight)
    once = brm.Preferences(given.first, given.second, given.outcome, annotator, weight.astype(float))
    often = brm.Preferences(given.first[index], given.second[index], given.outcome[index], annotator[index])
    _assert_same(_fit(world, likelihood, once, inference), _fit(world, likelihood, often, inference))
