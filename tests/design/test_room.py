"""What can be saved: headroom, what lists would save, and the sentences that say it."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.design.room import Room, reading_of_lists, room, texts_for
from bayesrm.errors import InvalidInputError


@pytest.fixture(scope="module")
def posterior():
    """The prior of a linear world of forty prompts with six responses each."""
    random = np.random.default_rng(0)
    pool = brm.ResponsePool(random.standard_normal((240, 6)), np.repeat(np.arange(40), 6))
    return brm.fit(brm.RewardModel(pool.dim, "linear", prior_scale=1.0), pool, brm.Preferences.none())


def test_lists_that_reach_an_information_are_counted_in_part():
    gains = np.array([3.0, 2.0, 1.0])
    assert [texts_for(value, gains) for value in (0.0, 1.5, 3.0, 4.0, 6.0)] == pytest.approx([0, 0.5, 1, 1.5, 3])
    assert texts_for(6.1, gains) == float("inf")


def test_lists_of_two_need_the_reading_of_pairs(posterior):
    pairs = brm.candidates(posterior.pool, size=None, prompts=None)
    gains = brm.select(posterior, pairs, design="pa-dopt", size=48, seed=0).gain
    assert texts_for(float(gains.sum()), gains) == pytest.approx(48)


def test_the_reading_of_lists_is_that_of_greedy_choices(posterior):
    pairs = brm.candidates(posterior.pool, size=None, prompts=None)
    found = reading_of_lists(posterior, pairs, 4)
    of_pairs = brm.select(posterior, pairs, design="pa-dopt", size=48, seed=3).gain.sum()
    lists = brm.select(posterior, pairs, design="pa-dopt", size=36, list_size=4, seed=3).gain.cumsum()
    needed = int(np.searchsorted(lists, of_pairs)) + 1
    assert 4 * (needed - 1) / 96 <= found <= 4 * needed / 96
    # A ranking of four is worth 2.17 comparisons or more, for the reading of two.
    assert found < 1


def test_a_room_has_the_headroom_of_the_pairs_that_are_left(posterior):
    pool = posterior.pool
    found = room(posterior, pool)
    assert found.headroom == pytest.approx(brm.headroom(posterior, brm.candidates(pool, size=None, prompts=None)))
    assert (found.members, found.blocks, found.covariates) == (4, 1, 0)
    pairs = brm.candidates(pool, size=None, prompts=None)
    first, second = np.array([(a, b) for own in pool.members for k, a in enumerate(own) for b in own[k + 1 :]]).T
    assert len(first) == len(pairs)
    assert room(posterior, pool, brm.Comparisons(first, second)) is None
    few = brm.ResponsePool(pool.embeddings[:12], np.repeat(np.arange(4), 3))
    prior = brm.fit(brm.RewardModel(6, "linear", prior_scale=1.0), few, brm.Preferences.none())
    assert room(prior, few).members == 3
    two = brm.ResponsePool(pool.embeddings[:12], np.repeat(np.arange(6), 2))
    prior = brm.fit(brm.RewardModel(6, "linear", prior_scale=1.0), two, brm.Preferences.none())
    assert room(prior, two).lists is None


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (
            0.7,
            "with 70% of the reading, if people rank as Plackett and Luce have it and the model is right: lists are ",
        ),
        (
            1.02,
            "with 102% of the reading, if people rank as Plackett and Luce have it and the model is right: neither ",
        ),
        (1.3, "pairs are expected to pay more"),
        (float("inf"), "with more than 150% of the reading"),
    ],
)
def test_sentences_say_what_is_expected_to_pay(lists, said):
    sentences = Room(0.83, lists, 4).sentences()
    assert "no less than 83% of the labels" in sentences[0]
    assert said in sentences[1]
    assert "one block of embeddings" in sentences[2]
    assert "no covariates" in sentences[2]
    assert len(Room(0.83, None, 4, blocks=7, covariates=3).sentences()) == 1


@pytest.mark.parametrize("members", [-1, 0, 1, 9])
def test_lists_have_two_to_eight_members(posterior, members):
    with pytest.raises(InvalidInputError, match="expected list_size between 2"):
        room(posterior, posterior.pool, list_size=members)
