"""Rankings: against enumeration of all orders, automatic differentiation and Bradley–Terry."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference.fitting import training
from bayesrm.models.context import ChoiceSets, Context
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.plackett_luce import PlackettLuce, log_cumulative_exp

CPU = torch.device("cpu")


def _rankings(world, count=40, seed=0, longest=6):
    """Rankings of 2 to ``longest`` responses by golden reward plus Gumbel noise, which is Plackett–Luce."""
    r = np.random.default_rng(seed)
    rankings = []
    for _ in range(count):
        some = r.choice(len(world.pool), r.integers(2, longest + 1), replace=False)
        rankings.append(some[np.argsort(-(1.5 * world.golden[some] + r.gumbel(size=len(some))))])
    return rankings


def _log_probability(reward, ranking) -> float:
    """Plackett–Luce as it is written: the product over stages of exp r over the sum of those left."""
    total = 0.0
    for place in range(len(ranking) - 1):
        left = reward[ranking[place:]]
        total += float(left[0] - torch.logsumexp(left, 0))
    return total


def _bound(preferences):
    return PlackettLuce().given({}, Context.of(preferences, CPU))


def _logit(reward, preferences):
    return reward[preferences.first] - reward[preferences.second]


@pytest.fixture(scope="module")
def ranked(world):
    return brm.Preferences.from_rankings(_rankings(world))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_orders_have_the_probabilities_of_plackett_and_luce(size):
    reward = torch.from_numpy(np.random.default_rng(size).normal(size=size) * 2)
    total = 0.0
    for order in permutations(range(size)):
        preferences = brm.Preferences.from_rankings([order])
        log_prob = _bound(preferences).log_prob(_logit(reward, preferences), torch.ones(len(preferences)).double())
        assert float(log_prob.sum()) == pytest.approx(_log_probability(reward, np.array(order)), abs=1e-12)
        total += float(log_prob.sum().exp())
    assert total == pytest.approx(1.0, abs=1e-12)


def test_rows_in_any_order_and_extreme_logits(world):
    """Interleaved choices, rewards a thousand logits apart: sums of exponentials neither overflow nor vanish."""
    rankings = _rankings(world)
    preferences = brm.Preferences.from_rankings(rankings)
    shuffled = preferences[np.random.default_rng(1).permutation(len(preferences))]
    for scale in (1.0, 30.0, 1000.0):
        reward = torch.from_numpy(world.golden) * scale
        expected = sum(_log_probability(reward, ranking) for ranking in rankings)
        for rows in (preferences, shuffled):
            got = _bound(rows).log_prob(_logit(reward, rows), torch.ones(len(rows)).double()).sum()
            # torch's softplus leaves out exp(−20) = 2e-9 a row beyond 20.
            assert float(got) == pytest.approx(expected, rel=1e-12, abs=1e-6)


def test_cumulative_sums_within_choices():
    r = np.random.default_rng(0)
    choice = torch.from_numpy(np.repeat(np.arange(30), r.integers(1, 20, 30)))
    values = torch.from_numpy(r.normal(size=(3, len(choice))) * 20)
    got = log_cumulative_exp(values, ChoiceSets.of(choice))
    for k in range(30):
        rows = choice == k
        torch.testing.assert_close(got[:, rows], torch.logcumsumexp(values[:, rows], dim=1))


def test_pairs_are_bradley_terry(world):
    eta = torch.linspace(-5, 5, len(world.preferences), dtype=torch.float64)
    y = torch.from_numpy(world.preferences.outcome)
    alone = Context(choice=torch.arange(len(eta)).flip(0))
    for likelihood in (PlackettLuce(), PlackettLuce().given({}, alone)):
        torch.testing.assert_close(likelihood.log_prob(eta, y), BradleyTerry().log_prob(eta, y))
        for got, expected in zip(likelihood.derivatives(eta, y), BradleyTerry().derivatives(eta, y), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-15)


def test_score_and_information_by_automatic_differentiation(world, ranked):
    r = np.random.default_rng(0)
    likelihood = _bound(ranked)
    z = torch.from_numpy(r.normal(size=(len(ranked), 5)))
    beta = torch.from_numpy(r.normal(size=5))
    per_choice = r.uniform(0.5, 2, ranked.choice.max() + 1)
    weight, y = torch.from_numpy(per_choice[ranked.choice]), torch.ones(len(ranked)).double()

    def value(beta):
        return (weight * likelihood.log_prob(z @ beta, y)).sum()

    score, diagonal = likelihood.derivatives(z @ beta, y)
    gradient = torch.autograd.functional.jacobian(value, beta)
    torch.testing.assert_close(z.T @ (weight * score), gradient, rtol=1e-10, atol=1e-10)
    hessian = torch.autograd.functional.hessian(value, beta)
    information = likelihood.information(z, z @ beta, y, weight)
    torch.testing.assert_close(information, -hessian, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(likelihood.information_trace(z, z @ beta, y, weight), information.trace())
    by_row = torch.autograd.functional.hessian(lambda eta: likelihood.log_prob(eta, y).sum(), z @ beta)
    torch.testing.assert_close(diagonal, -by_row.diagonal(), rtol=1e-10, atol=1e-12)


def test_fisher_information_by_enumeration():
    """E[score scoreᵀ] over which of four is chosen, in β, against what a choice is said to carry."""
    r = np.random.default_rng(3)
    features, beta = torch.from_numpy(r.normal(size=(4, 3))), torch.from_numpy(r.normal(size=3))
    p = torch.softmax(features @ beta, 0)
    centred = features - p @ features
    expected = centred.T @ (p[:, None] * centred)
    likelihood = PlackettLuce().given({}, Context(choice=torch.zeros(3, dtype=torch.int64)))
    for chosen in range(4):
        z = features[chosen] - features[[k for k in range(4) if k != chosen]]
        got = likelihood.expected_information(z, z @ beta, torch.ones(3, dtype=torch.float64))
        torch.testing.assert_close(got, expected)


def test_simulated_rows_have_their_conditional_probability(world, ranked):
    reward = torch.from_numpy(world.golden)
    likelihood, logit = _bound(ranked), _logit(reward, ranked)
    draws = 4000
    mean = likelihood.simulate(logit.expand(draws, -1), np.random.default_rng(0)).mean(dim=0)
    p = likelihood.log_prob(logit, torch.ones_like(logit)).exp()
    assert ((mean - p).abs() < 5 * (p * (1 - p) / draws).sqrt() + 1e-9).all()


def test_weights_belong_to_choices(ranked):
    weight = torch.linspace(1, 2, len(ranked), dtype=torch.float64)
    z = torch.zeros((len(ranked), 1), dtype=torch.float64)
    with pytest.raises(InvalidInputError, match="same weight"):
        _bound(ranked).information(z, z[:, 0], torch.ones(len(ranked)).double(), weight)


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
def test_a_fit_of_rankings_finds_the_reward(world, ranked, inference):
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood="plackett-luce", prior_scale=0.5)
    posterior = brm.fit(model, world.pool, ranked, inference)
    mean, _ = posterior.reward(world.pool)
    assert np.corrcoef(mean, world.golden)[0, 1] > 0.9
    tree = posterior.to_datatree(draws=30, log_likelihood=True)
    z = posterior.features(world.pool)
    beta = torch.from_numpy(tree["posterior"]["beta"].values[0, 0])
    expected = sum(_log_probability(z @ beta, ranking) for ranking in _rankings(world))
    assert float(tree["log_likelihood"]["outcome"][0, 0].sum()) == pytest.approx(expected, abs=1e-8)


def test_laplace_is_the_mode_of_the_written_posterior(world, ranked):
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood="plackett-luce", prior_scale=0.5)
    posterior = brm.fit(model, world.pool, ranked)
    features = posterior.features(world.pool)

    def density(beta):
        reward, total = features @ beta, -2.0 * (beta**2).sum()
        for ranking in _rankings(world):
            for place in range(len(ranking) - 1):
                left = reward[ranking[place:]]
                total = total + left[0] - torch.logsumexp(left, 0)
        return total

    gradient = torch.autograd.functional.jacobian(density, posterior.location)
    assert gradient.abs().max() < 1e-6
    factor = posterior.information_cholesky
    hessian = torch.autograd.functional.hessian(density, posterior.location)
    torch.testing.assert_close(factor @ factor.T, -hessian, rtol=1e-8, atol=1e-8)


def test_more_rankings_condition_like_all_at_once(world, ranked):
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood="plackett-luce", prior_scale=0.5)
    more = brm.Preferences.from_rankings(_rankings(world, 10, seed=9))
    conditioned = brm.fit(model, world.pool, ranked).condition(more)
    together = brm.fit(model, world.pool, ranked.append(more))
    torch.testing.assert_close(conditioned.location, together.location, rtol=1e-6, atol=1e-8)


def test_folds_and_minibatches_keep_choices_together(world, ranked, monkeypatch):
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood="plackett-luce")
    data = training.TrainingData.gather(model, world.pool, ranked, CPU)
    fold = training.fold_of(data, np.random.default_rng(0)).numpy()
    assert set(fold) == set(range(training.FOLDS))
    sizes = np.bincount(ranked.choice)
    for number in range(len(sizes)):
        assert len(set(fold[ranked.choice == number])) == 1
    monkeypatch.setattr(training, "BATCH", 30)
    descent = training.Descent(model, data, seed=1)
    scaled = []
    for _ in range(400):
        batch, scale = descent._minibatch()
        counts = np.unique(batch.context.choice.numpy(), return_counts=True)
        assert (sizes[counts[0]] == counts[1]).all()
        assert 15 <= len(batch) <= 60
        scaled.append(scale * len(batch))
    assert abs(np.mean(scaled) - len(ranked)) < 5 * np.std(scaled) / np.sqrt(len(scaled))


def test_an_mlp_is_trained_on_rankings(world, short_training, monkeypatch):
    monkeypatch.setattr(training, "BATCH", 64)
    model = brm.RewardModel(world.pool.dim, hidden=(8, 4), likelihood="plackett-luce")
    posterior = brm.fit(model, world.pool, brm.Preferences.from_rankings(_rankings(world, 60)))
    mean, sd = posterior.reward(world.pool)
    assert np.isfinite(mean).all()
    assert (sd > 0).all()


def test_a_single_long_ranking_has_nothing_to_hold_out(world, short_training):
    """One choice among 20 has 19 rows, and no fold can do without it."""
    order = np.argsort(-world.golden)[:20]
    stage = brm.Preferences.from_rankings([order])[:19]
    model = brm.RewardModel(world.pool.dim, hidden=(8, 4), likelihood="plackett-luce")
    assert np.isfinite(brm.fit(model, world.pool, stage).reward(world.pool)[0]).all()
