"""Simulated annotators who rank: probabilities of Plackett and Luce, and fits that find the reward again."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.annotators.crowd import Crowd
from bayesrm.errors import InvalidInputError

N = 20_000
GOLDEN = np.array([0.9, -0.4, 0.1, 0.0])


def _probability(reward: np.ndarray, order: tuple[int, ...]) -> float:
    odds = np.exp(reward)
    return float(np.prod([odds[order[k]] / odds[list(order[k:])].sum() for k in range(len(order))]))


def _orders(ranked: brm.Preferences, size: int) -> np.ndarray:
    """The orders that rows stand for: each member by how many it was preferred to."""
    rows = size * (size - 1) // 2
    wins = np.zeros((len(ranked) // rows, 4), np.int64)
    np.add.at(wins, (np.arange(len(ranked)) // rows, ranked.first), 1)
    return np.argsort(-wins, axis=1)[:, :size]


def test_orders_have_the_probabilities_of_plackett_and_luce():
    ranked = brm.GoldenAnnotator(GOLDEN, temperature=1.5, seed=1).rank(np.tile([2, 0, 1], (N, 1)))
    orders = _orders(ranked, 3)
    for order in permutations(range(3)):
        p = _probability(1.5 * GOLDEN[:3], order)
        share = (orders == order).all(axis=1).mean()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / N)


def test_best_and_worst_are_those_of_a_ranking():
    annotator = brm.GoldenAnnotator(GOLDEN, seed=3)
    lists = np.tile([0, 1, 2, 3], (200, 1))
    whole, best, both = (
        annotator.at_round(0).rank(lists, answer) for answer in ("ranking", "best", "best-and-worst")
    )
    orders = _orders(whole, 4)
    assert (len(whole), len(best), len(both)) == (1200, 600, 1000)
    np.testing.assert_array_equal(best.first.reshape(-1, 3)[:, 0], orders[:, 0])
    rows = both.first.reshape(-1, 5)
    np.testing.assert_array_equal(rows[:, 0], orders[:, 0])
    np.testing.assert_array_equal(rows[:, 4], orders[:, 3])
    np.testing.assert_array_equal(both.outcome.reshape(-1, 5), np.tile([1, 1, 1, 0, 0], (200, 1)))


def test_a_batch_of_lists_is_ranked_and_a_batch_of_pairs_answered(world):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    prior = brm.fit(model, world.pool, brm.Preferences.none())
    candidates = brm.candidates(world.pool, prompts=None, size=None)
    annotator = brm.GoldenAnnotator(world.golden, temperature=3.0)
    lists = brm.select(prior, candidates, "pa-dopt", size=20, list_size=4)
    ranked = annotator.label(lists)
    assert len(ranked) == 20 * 6
    assert ranked.choice is not None
    assert set(ranked.first) | set(ranked.second) == set(lists.lists.ravel())
    mean, _ = brm.fit(model, world.pool, ranked).reward(world.pool)
    assert np.corrcoef(mean, world.golden)[0, 1] > 0.8
    pairs = annotator.label(brm.select(prior, candidates, "pa-dopt", size=20, list_size=2))
    assert len(pairs) == 20
    assert pairs.choice is None


def test_a_crowd_ranks_at_the_temperatures_of_its_members():
    crowd = Crowd(GOLDEN, temperature=2.0, seed=0, annotators=2, spread=1.0)
    ranked = crowd.rank(np.tile([0, 1, 2], (N, 1)))
    who, orders = ranked.annotator[::3].astype(int), _orders(ranked, 3)
    for member in range(2):
        p = _probability(crowd.temperatures[member] * GOLDEN[:3], (0, 2, 1))
        share = (orders[who == member] == (0, 2, 1)).all(axis=1).mean()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / (who == member).sum())
    with pytest.raises(InvalidInputError, match=r"flips no answers for lists.*flip=0\.1"):
        Crowd(GOLDEN, flip=0.1).rank([[0, 1, 2]])


@pytest.mark.parametrize(
    ("lists", "answer", "message"),
    [
        ([[0, 1, 1]], "ranking", r"different responses, got \[0, 1, 1\] in list 0"),
        ([[0, 1, 9]], "ranking", "4 responses that have a golden reward, got response 9"),
        ([0, 1, 2], "ranking", r"shape \(list, member\)"),
        ([[0, 1, 2]], "second", "ranking, best or best-and-worst, got 'second'"),
    ],
)
def test_what_cannot_be_ranked(lists, answer, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.GoldenAnnotator(GOLDEN).rank(lists, answer)
