"""That the default chooses at random is said, and of no other design."""

from __future__ import annotations

import pytest

import bayesrm as brm
from bayesrm.design import CRITERIA, RECOMMENDED_DESIGN, chance
from bayesrm.design.chance import chance_sentence


def test_the_default_is_said_to_choose_at_random():
    assert CRITERIA[RECOMMENDED_DESIGN].at_random
    assert chance_sentence(["epig", RECOMMENDED_DESIGN]).startswith(
        f"Pairs of {RECOMMENDED_DESIGN}, the default, are"
    )
    assert chance_sentence(["epig", "random"]) == ""


def test_nothing_is_said_of_a_default_that_does_not(monkeypatch):
    monkeypatch.setattr(chance, "RECOMMENDED_DESIGN", "epig")
    assert chance_sentence(["epig", "random"]) == ""


@pytest.mark.parametrize("design", [name for name in CRITERIA if CRITERIA[name].at_random])
def test_designs_at_random_see_no_rewards(pool, preferences, design):
    """Other answers to the same questions choose the same pairs."""
    flipped = brm.Preferences(preferences.first, preferences.second, 1 - preferences.outcome)
    batches = [
        brm.select(brm.fit(brm.RewardModel(pool.dim, "linear"), pool, labels), brm.candidates(pool), design, 8)
        for labels in (preferences, flipped, brm.Preferences.none())
    ]
    for batch in batches[1:]:
        assert batch.first.tolist() == batches[0].first.tolist()
        assert batch.second.tolist() == batches[0].second.tolist()
