"""Davidson and Rao–Kupper against their formulas in strengths, and fits of answers with ties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import bayesrm as brm
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.davidson import Davidson
from bayesrm.models.likelihoods.finite import FiniteOutcomes
from bayesrm.models.likelihoods.rao_kupper import RaoKupper

REWARDS = torch.tensor([[0.3, -1.2], [2.0, 2.0], [-3.0, 4.0]], dtype=torch.float64)


@pytest.mark.parametrize("tie", [0.1, 1.0, 4.0])
def test_davidson_in_strengths(tie):
    """With π = exp r: π_i, ν √(π_i π_j) and π_j over their sum (Davidson 1970, eq. 2.3)."""
    first, second = REWARDS.exp().unbind(dim=1)
    total = first + second + tie * (first * second).sqrt()
    expected = torch.stack([second / total, tie * (first * second).sqrt() / total, first / total], dim=1)
    got = Davidson(tie).outcome_probabilities(REWARDS[:, 0] - REWARDS[:, 1])
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("threshold", [1.05, 2.0, 10.0])
def test_rao_kupper_in_strengths(threshold):
    """π_i / (π_i + θ π_j), and (θ² − 1) π_i π_j / ((π_i + θ π_j)(θ π_i + π_j)) (Rao & Kupper 1967)."""
    first, second = REWARDS.exp().unbind(dim=1)
    one, two = first + threshold * second, threshold * first + second
    expected = torch.stack([second / two, (threshold**2 - 1) * first * second / (one * two), first / one], dim=1)
    got = RaoKupper(threshold).outcome_probabilities(REWARDS[:, 0] - REWARDS[:, 1])
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("likelihood", [Davidson(1e-9), RaoKupper(1 + 1e-12)])
def test_without_ties_they_are_bradley_terry(likelihood):
    eta = torch.linspace(-6, 6, 13, dtype=torch.float64)
    torch.testing.assert_close(likelihood.probability(eta), BradleyTerry().probability(eta))
    torch.testing.assert_close(
        likelihood.fisher_weight(eta), BradleyTerry().fisher_weight(eta), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("name", ["davidson", "rao-kupper"])
@pytest.mark.parametrize("outcome", [0.0, 0.5, 1.0, 0.1, 0.8])
def test_derivatives_of_ties(name, outcome):
    likelihood = LIKELIHOODS[name]()
    eta = torch.linspace(-6, 6, 25, dtype=torch.float64)
    y = torch.full_like(eta, outcome)
    for got, expected in zip(
        likelihood.derivatives(eta, y), super(type(likelihood), likelihood).derivatives(eta, y), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_finite_outcomes_enumerate_expand_and_take_soft_labels():
    log_probs = torch.log(torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], dtype=torch.float64))
    site = FiniteOutcomes((0.0, 0.5, 1.0), log_probs)
    assert site.enumerate_support().tolist() == [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    assert site.enumerate_support(expand=False).shape == (3, 1)
    torch.testing.assert_close(site.log_prob(site.enumerate_support()), log_probs.T)
    torch.testing.assert_close(site.log_prob(torch.tensor([0.75, 0.0]).double())[0], log_probs[0, 1:].mean())
    assert site.expand((4, 2)).log_prob(torch.zeros(4, 2).double()).shape == (4, 2)


@pytest.mark.parametrize("name", ["davidson", "rao-kupper"])
def test_ties_teach_about_the_tie_parameter_and_the_ranking(make_world, name):
    """Of 600 answers: the tie parameter within its 99% interval, and ties are not lost for the ranking."""
    world = make_world(seed=4, comparisons=600, spread=1.5)
    given = world.preferences
    truth = {"davidson": ("tie", 1.5), "rao-kupper": ("log_threshold", math.log(2.5))}[name]
    likelihood = Davidson(1.5) if name == "davidson" else RaoKupper(2.5)
    logit = torch.from_numpy(world.golden[given.first] - world.golden[given.second])
    outcome = likelihood.simulate(logit, np.random.default_rng(0)).numpy()
    assert 0.2 < (outcome == 0.5).mean() < 0.6
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood=name)
    posterior = brm.fit(model, world.pool, brm.Preferences(given.first, given.second, outcome))
    low, high = np.quantile(posterior.to_datatree(draws=4000)["posterior"][truth[0]], [0.005, 0.995])
    assert low < truth[1] < high
    assert high - low < truth[1]
    decided = outcome != 0.5
    without = brm.Preferences(given.first[decided], given.second[decided], outcome[decided])
    ignoring = brm.fit(brm.RewardModel(world.pool.dim, encoder="linear"), world.pool, without)
    scores = [spearmanr(fit.reward(world.pool)[0], world.golden)[0] for fit in (posterior, ignoring)]
    assert scores[0] > scores[1] - 0.01
    assert scores[0] > 0.97
