"""What a fit finds of held-out answers, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.findings import FOLDS, HeldOut, held_out, predict_held_out


@pytest.fixture(scope="module")
def posterior(make_world):
    world = make_world(sizes=(4,) * 10, dim=3)
    outcome = np.array([1.0] * 30 + [0.0] * 20 + [0.5] * 10)
    first, second = world.preferences.first[:60], world.preferences.second[:60]
    model = brm.RewardModel(3, "linear", likelihood="davidson")
    return brm.fit(model, world.pool, brm.Preferences(first, second, outcome))


def test_shares_and_their_error_are_counts(posterior):
    predicted = np.array([0.9] * 20 + [0.2] * 10 + [0.4] * 16 + [0.5] * 4 + [0.7] * 10)
    # Right: 20 of the first 30, 16 of the next 16, half of the 4 without a prediction; ties do not count.
    found = held_out(posterior, predicted)
    right = np.array([1.0] * 20 + [0.0] * 10 + [1.0] * 16 + [0.5] * 4)
    assert found.answers == 50
    assert found.right == pytest.approx(38 / 50)
    assert found.error == pytest.approx(np.sqrt(((right - 38 / 50) ** 2).sum() / 49 / 50))
    assert found.expected == pytest.approx((20 * 0.9 + 10 * 0.8 + 16 * 0.6 + 4 * 0.5) / 50)


def test_each_answer_is_predicted_by_a_fit_to_the_other_folds(posterior):
    predicted = predict_held_out(posterior, seed=3)
    labels = posterior.preferences
    fold = brm.rng.stream(3, "held out").permutation(60) % FOLDS
    for number in (0, FOLDS - 1):
        unseen = np.flatnonzero(fold == number)
        assert len(unseen) == 60 // FOLDS
        others = posterior.refit(posterior, labels[np.flatnonzero(fold != number)])
        expected = others.preference_probability(posterior.pool, labels.first[unseen], labels.second[unseen])
        np.testing.assert_allclose(predicted[unseen], expected)


@pytest.mark.parametrize(
    ("right", "expected", "said"),
    [
        (0.70, 0.79, "it knows what it does not know"),
        (0.70, 0.61, "it knows what it does not know"),
        (0.70, 0.81, "it is overconfident"),
        (0.70, 0.59, "it is underconfident"),
    ],
)
def test_two_standard_errors_are_over_or_underconfident(right, expected, said):
    assert said in str(HeldOut(84, right, 0.05, expected))
