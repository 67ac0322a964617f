"""Rankings that say less than an order: best only, best and worst, ties; against sums over all orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference.nuts import Nuts
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.davidson import Davidson

CPU = torch.device("cpu")


def _reward(size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(size).normal(size=size) * 1.5)


def _log_prob(preferences: brm.Preferences, reward: torch.Tensor) -> torch.Tensor:
    """As a fit has it: the likelihood of the context, weights included."""
    likelihood = BradleyTerry().given({}, Context.of(preferences, CPU))
    weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
    logit = reward[preferences.first] - reward[preferences.second]
    return (torch.from_numpy(weight) * likelihood.log_prob(logit, torch.from_numpy(preferences.outcome))).sum()


def _log_order(reward: torch.Tensor, order) -> float:
    """Plackett–Luce as it is written."""
    left = [reward[list(order[place:])] for place in range(len(order) - 1)]
    return float(sum(rest[0] - torch.logsumexp(rest, 0) for rest in left))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("said", [1, 2])
def test_a_ranking_that_stops_is_the_sum_over_the_orders_that_begin_so(size, said):
    reward, total = _reward(size), 0.0
    for begin in permutations(range(size), min(said, size)):
        preferences = brm.Preferences.from_rankings([begin], lists=[range(size)])
        orders = [order for order in permutations(range(size)) if order[: len(begin)] == begin]
        expected = sum(np.exp(_log_order(reward, order)) for order in orders)
        assert float(_log_prob(preferences, reward).exp()) == pytest.approx(expected, rel=1e-12)
        total += expected
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize(
    "ranking", [[[0, 1]], [[2, 0], 1], [3, [0, 1], 2], [[0, 1, 2], 3], [1, [3, 0, 2]], [[0, 1, 2, 3]]]
)
def test_a_tie_counts_as_its_members_in_every_order_each_in_part(ranking):
    """The mean log-probability over the consistent orders, as an outcome of ½ is that over the two of a pair."""
    groups = [np.atleast_1d(place).tolist() for place in ranking]
    size = sum(map(len, groups))
    reward = _reward(size)
    orders = [[]]
    for group in groups:
        orders = [[*begin, *own] for begin in orders for own in permutations(group)]
    expected = np.mean([_log_order(reward, order) for order in orders])
    got = _log_prob(brm.Preferences.from_rankings([ranking]), reward)
    assert float(got) == pytest.approx(expected, abs=1e-12)


def test_a_tie_of_two_is_an_outcome_of_a_half():
    tied = brm.Preferences.from_rankings([[[4, 7]]])
    assert (tied.first, tied.second, tied.outcome) == ([4], [7], [0.5])


@pytest.mark.parametrize("size", [3, 4, 6])
def test_best_and_worst_are_a_choice_of_each(size):
    """Softmax of r over all, then of −r over those left: all answers sum to one; of three an order."""
    reward, total = _reward(size), 0.0
    for best, worst in permutations(range(size), 2):
        preferences = brm.Preferences.from_rankings([[best]], lists=[range(size)], worst=[worst])
        rest = [k for k in range(size) if k != best]
        expected = float(
            torch.log_softmax(reward, 0)[best] + torch.log_softmax(-reward[rest], 0)[rest.index(worst)]
        )
        assert float(_log_prob(preferences, reward)) == pytest.approx(expected, abs=1e-12)
        total += np.exp(expected)
        if size == 3:
            middle = 3 - best - worst
            assert expected == pytest.approx(_log_order(reward, (best, middle, worst)), abs=1e-12)
    assert total == pytest.approx(1.0)


def test_derivatives_of_best_and_worst_by_automatic_differentiation():
    r = np.random.default_rng(2)
    rankings = [r.permutation(20)[:5] for _ in range(12)]
    preferences = brm.Preferences.from_rankings(
        [ranking[:1] for ranking in rankings], lists=rankings, worst=[ranking[-1] for ranking in rankings]
    )
    preferences = preferences.append(brm.Preferences([0, 3, 1], [1, 2, 2], [0.0, 1.0, 0.5]))
    preferences = preferences.append(brm.Preferences.from_rankings([[0, [4, 5], 9]], weight=[2.0]))
    z, beta = torch.from_numpy(r.normal(size=(len(preferences), 4))), torch.from_numpy(r.normal(size=4))
    y, weight = torch.from_numpy(preferences.outcome), torch.from_numpy(preferences.weight)
    likelihood = BradleyTerry().given({}, Context.of(preferences, CPU))

    def value(beta):
        return (weight * likelihood.log_prob(z @ beta, y)).sum()

    score, _ = likelihood.derivatives(z @ beta, y)
    gradient = torch.autograd.functional.jacobian(value, beta)
    torch.testing.assert_close(z.T @ (weight * score), gradient, rtol=1e-10, atol=1e-10)
    hessian = torch.autograd.functional.hessian(value, beta)
    information = likelihood.information(z, z @ beta, y, weight)
    torch.testing.assert_close(information, -hessian, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(likelihood.information_trace(z, z @ beta, y, weight), information.trace())


def test_the_program_of_a_model_sees_choices_of_the_worst(world):
    """What NUTS samples is what Laplace maximises: the log density of the Pyro program at a point."""
    r = np.random.default_rng(4)
    lists = [r.permutation(len(world.pool))[:4] for _ in range(15)]
    said = brm.GoldenAnnotator(world.golden, 2.0, seed=3).rank(lists, "best-and-worst")
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    laplace, nuts = (
        brm.fit(model, world.pool, said, inference, seed=1) for inference in ("laplace", Nuts(1, 150, 80))
    )
    (mean, sd), (exact, _) = laplace.reward(world.pool), nuts.reward(world.pool)
    assert np.abs((mean - exact) / sd).mean() < 0.5


def test_bradley_terry_is_plackett_luce_where_there_are_rankings(world):
    r = np.random.default_rng(0)
    ranked = brm.GoldenAnnotator(world.golden, 1.5, seed=2).rank(
        [r.permutation(len(world.pool))[:4] for _ in range(30)]
    )
    posteriors = [
        brm.fit(brm.RewardModel(world.pool.dim, "linear", likelihood=name, prior_scale=0.5), world.pool, ranked)
        for name in ("bradley-terry", "plackett-luce")
    ]
    torch.testing.assert_close(posteriors[0].location, posteriors[1].location, rtol=0, atol=0)
    with pytest.raises(InvalidInputError, match=r"comparisons of two.*'davidson'.*plackett-luce"):
        brm.fit(brm.RewardModel(world.pool.dim, "linear", likelihood=Davidson()), world.pool, ranked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rankings": [[1, 2, 1]]}, "different responses.*in ranking 0"),
        ({"rankings": [[1, [2, 1]]]}, "different responses"),
        ({"rankings": [[1, 2], [5]]}, r"at least two different responses, got \[5\] in ranking 1"),
        ({"rankings": [[1]], "lists": [[1]]}, "at least two"),
        (
            {"rankings": [[1, 9]], "lists": [[1, 2, 3]]},
            "ranking 0 to be of the 3 responses that were shown, got response 9",
        ),
        ({"rankings": [[]], "lists": [[1, 2, 3]]}, "name a best or a worst"),
        ({"rankings": [[1]], "lists": [[1, 2, 2]]}, "different responses"),
        ({"rankings": [[1]], "lists": [[1, 2, 3]], "worst": [1]}, "worst response that is not ranked.*1 twice"),
        ({"rankings": [[1]], "lists": [[1, 2, 3]], "worst": [7]}, "shown, got response 7"),
        ({"rankings": [[1, 2], [3, 4]], "lists": [[1, 2]]}, "lists for each of the 2 rankings, got 1"),
        ({"rankings": [["a", "b"]]}, "indices of responses"),
        ({"rankings": [[0, -1]]}, "indices of responses"),
    ],
)
def test_bad_rankings(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.Preferences.from_rankings(**arguments)


def test_no_choice_is_of_the_best_and_the_worst_at_once():
    with pytest.raises(InvalidInputError, match=r"outcome 1.*outcome 0"):
        brm.Preferences([0, 0], [1, 2], [1, 0], choice=[0, 0])
