"""Several annotators: how often they flip, how they differ, and that without both they are the usual one."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.annotators.crowd import Crowd
from bayesrm.errors import InvalidInputError
from bayesrm.types import Comparisons

N = 40_000


@pytest.fixture(scope="module")
def pairs() -> Comparisons:
    return Comparisons(np.zeros(N, np.int64), np.ones(N, np.int64))


def test_frequencies_are_those_of_the_formula(pairs):
    crowd = Crowd([1.0, 0.0], temperature=1.5, seed=1, flip=0.1, annotators=3, spread=0.8)
    labels = crowd.label(pairs)
    who = labels.annotator.astype(int)
    assert set(who) == {0, 1, 2}
    for annotator in range(3):
        mine = labels.outcome[who == annotator]
        expected = 0.1 + 0.8 / (1 + np.exp(-crowd.temperatures[annotator]))
        assert abs(mine.mean() - expected) < 4 * 0.5 / np.sqrt(len(mine))
        assert abs(len(mine) / N - 1 / 3) < 4 * 0.5 / np.sqrt(N)
    assert np.ptp(crowd.temperatures) > 0.1


def test_without_flips_or_spread_probabilities_are_those_of_one_annotator(pairs):
    alone, crowd = brm.GoldenAnnotator([1.0, 0.0], 2.0), Crowd([1.0, 0.0], 2.0, annotators=4)
    who = np.arange(N) % 4
    np.testing.assert_allclose(crowd.answer_probability(pairs, who), alone.probability(pairs))


def test_answers_of_a_round_depend_on_seed_and_round_only(pairs):
    crowd = Crowd([1.0, 0.0], seed=3, annotators=2)
    crowd.label(pairs)
    one, again, other = (crowd.at_round(t).label(pairs) for t in (1, 1, 2))
    np.testing.assert_array_equal(one.outcome, again.outcome)
    np.testing.assert_array_equal(one.annotator, again.annotator)
    assert (one.annotator != other.annotator).any()
    assert crowd.describe()["annotators"] == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 0.5}, "flip probability .* got 0.5"),
        ({"spread": -1.0}, "finite spread"),
        ({"annotators": 0}, "at least one annotator"),
    ],
)
def test_what_is_out_of_range_is_refused(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        Crowd([0.0, 1.0], **settings)


def test_logarithms_of_temperatures_have_the_spread_asked_for():
    count = 20_000
    crowd = Crowd([0.0], temperature=1.7, seed=2, annotators=count, spread=0.6)
    deviation = np.log(crowd.temperatures / 1.7)
    assert abs(deviation.mean()) < 4 * 0.6 / np.sqrt(count)
    assert abs(deviation.std() - 0.6) < 4 * 0.6 / np.sqrt(2 * count)
    wider = Crowd([0.0], temperature=1.7, seed=2, annotators=count, spread=1.2)
    np.testing.assert_allclose(np.log(wider.temperatures / 1.7), 2 * deviation)
