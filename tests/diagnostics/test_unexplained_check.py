"""The check of what features leave out: good where labels say it, and what to do where they do not."""

from __future__ import annotations

import re

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.diagnostics.checks.base import Subject
from bayesrm.diagnostics.checks.unexplained import Unexplained
from bayesrm.diagnostics.repeats import information, needed_sd, pairs_to_repeat


def _posterior(repeats: int, asked: int) -> brm.RewardPosterior:
    r = np.random.default_rng(0)
    x = r.normal(size=(240, 4)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(40), 6))
    golden = x.sum(axis=1) / 2 + r.normal(size=240)
    pairs = brm.candidates(pool, size=asked, seed=1)
    first, second = (np.tile(end, repeats) for end in (pairs.first, pairs.second))
    outcome = (r.random(len(first)) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    return brm.fit(brm.RewardModel(pool, encoder="linear"), pool, brm.Preferences(first, second, outcome))


def test_where_labels_say_it_the_check_is_content():
    posterior = _posterior(repeats=8, asked=300)
    finding = Unexplained().run(Subject(posterior.to_datatree(16), posterior))
    assert finding.status == "good"
    low, high = posterior.unexplained.interval()
    assert f"of {low:.2f} to {high:.2f} logits" in finding.sentence
    assert low < 1.0 < high
    assert "300 of them answered more than once" in finding.sentence
    assert 0.83 < finding.data.attrs["least_coverage"] < 0.9 < finding.data.attrs["most_coverage"] < 0.97


def test_where_labels_do_not_say_it_the_check_says_what_to_ask():
    posterior = _posterior(repeats=1, asked=300)
    finding = Unexplained().run(Subject(posterior.to_datatree(16), posterior))
    assert finding.status == "note"
    pairs = int(re.search(r"85% to 95% takes about (\d+)\.", finding.sentence)[1])
    assert 40 < pairs < 400
    low, high = map(
        int, re.search(r"--overlap 5\) would bring that to about (\d+)% to (\d+)%", finding.sentence).groups()
    )
    now = [round(100 * finding.data.attrs[name]) for name in ("least_coverage", "most_coverage")]
    assert now[0] < low < 90 < high <= now[1]
    few = _posterior(repeats=1, asked=10)
    finding = Unexplained().run(Subject(few.to_datatree(16), few))
    assert finding.data.attrs["least_coverage"] < 0.8
    assert "takes more labels of other pairs too" in finding.sentence


def test_what_was_advised_is_about_what_it_takes():
    """That many pairs answered by five people: log s becomes known as well as was asked for, within a third."""
    posterior = _posterior(repeats=1, asked=300)
    wanted = needed_sd(posterior.predictive, posterior.pool)
    pairs = pairs_to_repeat(posterior.predictive, posterior.pool)
    followed = _posterior(repeats=5, asked=pairs)
    assert followed.unexplained.log_moments[1] == pytest.approx(wanted, rel=0.35)


def test_one_answer_a_pair_says_nothing_and_many_say_all_there_is():
    """The exact difference of two u has Fisher information 2 of log s; one answer at even odds none."""
    found = [information(1.0, 0.0, people) for people in (1, 2, 5, 20, 80)]
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    assert found == sorted(found)
    assert 1.5 < found[-1] < 2.0


def test_without_labels_or_a_last_layer_it_does_not_apply(pool, preferences, short_training):
    prior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, brm.Preferences.none())
    assert Unexplained().run(Subject(prior.to_datatree(16), prior)) is None
    networks = brm.fit(brm.RewardModel(pool.dim, "mlp"), pool, preferences, "ensemble")
    assert Unexplained().run(Subject(networks.to_datatree(16), networks)) is None
