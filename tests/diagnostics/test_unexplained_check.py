"""The check of what features leave out: good where labels say it, and what to do where they do not."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.diagnostics.checks.base import Subject
from bayesrm.diagnostics.checks.unexplained import Unexplained


def _posterior(repeats: int, asked: int) -> brm.RewardPosterior:
    r = np.random.default_rng(0)
    x = r.normal(size=(240, 4)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(40), 6))
    golden = x.sum(axis=1) / 2 + r.normal(size=240)
    pairs = brm.candidates(pool, size=asked, seed=1)
    first, second = (np.tile(end, repeats) for end in (pairs.first, pairs.second))
    outcome = (r.random(len(first)) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    return brm.fit(brm.RewardModel(pool, encoder="linear"), pool, brm.Preferences(first, second, outcome))


def test_repeated_answers_say_how_much_is_left_out():
    posterior = _posterior(repeats=3, asked=300)
    finding = Unexplained().run(Subject(posterior.to_datatree(16), posterior))
    assert finding.status == "good"
    low, high = posterior.unexplained.interval()
    assert f"of {low:.2f} to {high:.2f} logits" in finding.sentence
    assert low < 1.0 < high
    assert float(finding.data["probability"].sum()) == pytest.approx(1.0)


def test_where_labels_do_not_say_it_the_check_says_what_to_ask():
    posterior = _posterior(repeats=1, asked=20)
    finding = Unexplained().run(Subject(posterior.to_datatree(16), posterior))
    assert finding.status == "note"
    assert "do not say how much features leave out" in finding.sentence
    assert "--overlap 2" in finding.sentence


def test_without_labels_or_a_last_layer_it_does_not_apply(pool, preferences, short_training):
    prior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, brm.Preferences.none())
    assert Unexplained().run(Subject(prior.to_datatree(16), prior)) is None
    networks = brm.fit(brm.RewardModel(pool.dim, "mlp"), pool, preferences, "ensemble")
    assert Unexplained().run(Subject(networks.to_datatree(16), networks)) is None
