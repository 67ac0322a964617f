"""The learning curve of given labels: what each point saw, its figures by hand, length, and the ceiling."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import expit

import bayesrm as brm
from bayesrm.diagnostics.annotators import agreement_of_pairs
from bayesrm.diagnostics.history import ceiling, history_finding, own_history
from bayesrm.inference.laplace import refit

PROMPTS, EACH, DIM = 50, 4, 4


@pytest.fixture(scope="module")
def told() -> brm.RewardPosterior:
    """Answers in random order, of which every fifth question has two; longer texts are better by a little."""
    generator = np.random.default_rng(0)
    embeddings = generator.standard_normal((PROMPTS * EACH, DIM)).astype(np.float32)
    length = generator.integers(10, 400, PROMPTS * EACH)
    pool = brm.ResponsePool(
        embeddings, np.repeat(np.arange(PROMPTS), EACH), texts=["x" * count for count in length]
    )
    golden = embeddings @ np.array([1.5, -1.0, 0.5, 0.0]) + 0.5 * np.log(length)
    within = brm.candidates(pool, prompts=None, size=300, scope="within-prompt")
    first, second = within.first, within.second
    annotator = brm.GoldenAnnotator(golden, 1.0, seed=1)
    once = annotator.label(brm.Comparisons(first, second))
    twice = brm.GoldenAnnotator(golden, 1.0, seed=2).label(brm.Comparisons(first[::5], second[::5]))
    labels = once.append(twice)
    names = np.array(["ann"] * len(once) + ["bob"] * len(twice))
    order = generator.permutation(len(labels))
    labels = dataclasses.replace(labels, annotator=names)[order]
    return brm.fit(brm.RewardModel(DIM, "linear", prior_scale=1.0), pool, labels)


def test_each_point_is_a_fit_to_earlier_answers_to_other_prompts(told):
    """Every probability of the last cut by brute force: a fit without the fold, of all answers told."""
    labels, group = told.preferences, told.pool.group
    seen: list[brm.Preferences] = []

    def fit(train):
        seen.append(train)
        return refit(told, train)

    class Networks(brm.RewardPosterior):
        """Not of a last layer, so that everything is fitted again."""

        reward_moments = sample_rewards = entropy = condition = to_datatree = None

    whole = Networks.__new__(Networks)
    whole.pool, whole.preferences, whole.model = told.pool, labels, told.model
    data = own_history(whole, fit=fit, cuts=3, folds=4)
    assert data["labels"].values.tolist() == [round(len(labels) * k / 3) for k in (1, 2, 3)]
    probability = np.full(len(labels), np.nan)
    for fold in range(4):
        last = seen[3 * fold + 2]
        touched = np.unique(group[last.first])
        unseen = np.setdiff1d(np.arange(PROMPTS), touched)
        rows = np.flatnonzero(np.isin(group[labels.first], unseen))
        assert len(last) == len(labels) - len(rows)
        probability[rows] = refit(told, last).preference_probability(
            told.pool, labels.first[rows], labels.second[rows]
        )
        for at, cut in enumerate(data["labels"].values.tolist()):
            assert len(seen[3 * fold + at]) == (~np.isin(np.arange(len(labels)), rows))[:cut].sum()
    assert data["probability"].values == pytest.approx(probability)
    right = (probability > 0.5) == (labels.outcome == 1)
    assert float(data["accuracy"][-1]) == pytest.approx(right.mean())
    given = np.where(labels.outcome == 1, probability, 1 - probability)
    assert float(data["log_loss"][-1]) == pytest.approx(-np.log(given).mean())


def test_the_curve_rises_above_length_and_stays_below_the_ceiling(told):
    data = own_history(told)
    assert float(data["accuracy"][-1]) > float(data["accuracy"][0]) - 0.02
    assert float(data["beyond_length_low"]) > 0
    assert float(data["accuracy"][-1]) < float(data["ceiling_high"]) + 0.05
    assert (data["accuracy_low"] <= data["accuracy"]).all()
    assert (data["accuracy"] <= data["accuracy_high"]).all()
    finding = history_finding(data)
    assert finding.status == "good"
    assert "length alone predicts" in finding.sentence
    assert "no model can predict more than" in finding.sentence
    assert own_history(told).identical(data), "the same twice"


def test_the_order_of_telling_is_what_cuts_are_made_in(told):
    order = np.random.default_rng(3).permutation(len(told.preferences))
    data = own_history(told, order=order, cuts=3)
    sorted_ = own_history(refit(told, told.preferences[order]), cuts=3)
    for name in ("accuracy", "log_loss", "probability"):
        assert data[name].values == pytest.approx(sorted_[name].values, abs=1e-5)
    assert not np.allclose(data["log_loss"][0], own_history(told, cuts=3)["log_loss"][0])


def test_the_ceiling_is_where_it_says_for_any_probabilities():
    generator = np.random.default_rng(1)
    for spread in (0.2, 1.0, 4.0):
        q = expit(spread * generator.standard_normal(2000))
        alike, best = float((q**2 + (1 - q) ** 2).mean()), float(np.maximum(q, 1 - q).mean())
        assert alike <= best <= ceiling(alike)
    assert ceiling(1.0) == 1.0
    assert ceiling(0.3) == 0.5
    assert ceiling(0.9**2 + 0.1**2) == pytest.approx(0.9), "reached where all questions are alike"


def test_repeated_questions_count_once_each():
    labels = brm.Preferences([0, 1, 0, 2, 2, 4], [1, 0, 1, 3, 3, 5], [1, 0, 0, 1, 0.5, 1])
    # (0, 1): first, first, second: one of three pairs alike; (2, 3): side and tie.
    same, repeated = agreement_of_pairs(labels)
    assert (same, repeated) == (pytest.approx(1 / 3 + 1 / 2), 2)


def test_texts_of_one_length_predict_half_of_the_answers(told):
    pool = dataclasses.replace(told.pool, texts=["x"] * len(told.pool))
    history = own_history(brm.fit(brm.RewardModel(DIM, "linear", prior_scale=1.0), pool, told.preferences))
    assert float(history["length_accuracy"]) == 0.5


def test_too_few_answers_have_no_curve(told, plugin):
    assert own_history(refit(told, told.preferences[np.arange(30)])) is None
    assert own_history(plugin) is None, "a point without a fit of its own"


def test_nothing_beyond_length_is_said():
    generator = np.random.default_rng(5)
    length = generator.integers(10, 400, 200)
    embeddings = np.log(length)[:, None].astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(50), 4), texts=["x" * count for count in length])
    labels = brm.GoldenAnnotator(2 * np.log(length), 1.0).label(brm.candidates(pool, size=200, prompts=None))
    posterior = brm.fit(brm.RewardModel(1, "linear", prior_scale=1.0), pool, labels)
    finding = history_finding(own_history(posterior))
    assert finding.status == "note"
    assert finding.sentence.endswith("So far the model may know no more than length.")


def test_calibration_is_held_against_the_answers_of_the_curve(told):
    diagnosis = brm.diagnose(told, history=own_history(told), draws=200)
    checks = {finding.check: finding for finding in diagnosis.findings}
    assert "answers to prompts that were held out" in checks["reliability"].sentence
    assert checks["history"].status == "good"
    assert diagnosis.tree["history"].attrs["status"] == "good"
