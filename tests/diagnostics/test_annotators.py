"""Who answers at random: closed forms, brute force, and counted outcomes of simulated crowds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

import bayesrm as brm
from bayesrm.diagnostics.annotators import (
    AT_RANDOM,
    CONFUSED,
    agreement_with_others,
    annotators,
    guessing,
    predicted_by_others,
    records_of_annotators,
)
from bayesrm.diagnostics.checks import CHECKS
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.intervals import proportion_interval
from bayesrm.inference.laplace import refit
from bayesrm.plots.diagnosis import draw

PROMPTS, EACH, DIM = 60, 5, 6


def crowd(seed: int, each: int = 40, random: int = 20, temperature: float = 2.0) -> brm.RewardPosterior:
    """Four annotators who answer as they should, and a fifth with random answers, fitted as one kind of annotator."""
    generator = np.random.default_rng(seed)
    embeddings = generator.standard_normal((PROMPTS * EACH, DIM)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH))
    golden = embeddings @ generator.standard_normal(DIM)
    asked = brm.candidates(pool, size=4 * each + random, prompts=None, seed=seed)
    answers = brm.GoldenAnnotator(golden, temperature, seed=seed).label(asked)
    outcome = answers.outcome.copy()
    outcome[4 * each :] = generator.random(random) < 0.5
    names = np.array([*np.tile(["ann", "bob", "cem", "dot"], each), *["eve"] * random])
    labels = dataclasses.replace(answers, outcome=outcome, annotator=names)
    return brm.fit(brm.RewardModel(DIM, "linear", prior_scale=0.5), pool, labels)


def test_twenty_random_answers_of_a_fifth_person_are_pointed_at_and_nobody_else():
    found = [
        {record.name for record in records_of_annotators(crowd(seed)) if record.suspect} for seed in range(20)
    ]
    assert sum("eve" in names for names in found) >= 19
    assert sum(len(names - {"eve"}) for names in found) <= 2, "of eighty who answer as they should"


def test_the_first_of_the_records_says_who_and_how_sure_that_is():
    record = records_of_annotators(crowd(0))[0]
    assert record.name == "eve"
    assert record.random > 0.9
    assert str(record).startswith("eve answers next to at random: ")
    unsure = dataclasses.replace(record, random=0.4)
    assert "may answer next to at random (probability 40%)" in str(unsure)
    turned = dataclasses.replace(record, random=0.01, confused=0.95)
    assert "mixes up left and right" in str(turned)


def test_typical_annotators_are_right_as_often_as_is_expected_of_them():
    records = [
        record for seed in range(6) for record in records_of_annotators(crowd(seed)) if record.name != "eve"
    ]
    right = np.mean([record.right.estimate for record in records])
    assert np.mean([record.expected for record in records]) == pytest.approx(right, abs=0.04)


def test_who_mixes_up_the_sides_is_told_from_who_answers_at_random():
    posterior = crowd(3, random=30)
    labels = posterior.preferences
    own = labels.annotator == "dot"
    turned = dataclasses.replace(labels, outcome=np.where(own, 1 - labels.outcome, labels.outcome))
    record = next(one for one in records_of_annotators(refit(posterior, turned)) if one.name == "dot")
    assert record.confused > 0.9
    assert record.random < 0.1


def test_probabilities_are_those_of_the_mixture_written_out():
    generator = np.random.default_rng(1)
    eta = [generator.standard_normal(7), generator.standard_normal(4)]
    answers = [(generator.random(7) < 0.5).astype(float), (generator.random(4) < 0.5).astype(float)]
    weights, slope = guessing(eta, answers)
    for person in range(2):
        likelihood = [
            np.prod(
                [p if y else 1 - p for p, y in zip(expit(c * slope * eta[person]), answers[person], strict=True)]
            )
            for c in (1, 0, -1)
        ]
        joint = np.array([1 - AT_RANDOM - CONFUSED, AT_RANDOM, CONFUSED]) * likelihood
        assert weights[person] == pytest.approx(joint / joint.sum())


def test_close_calls_say_nothing_of_who_answered():
    weights, _ = guessing([np.zeros(50), np.zeros(3)], [np.ones(50), np.ones(3)])
    assert weights == pytest.approx(np.tile([1 - AT_RANDOM - CONFUSED, AT_RANDOM, CONFUSED], (2, 1)))


def test_a_model_that_is_too_sure_makes_nobody_look_random():
    """Probabilities of logits three times as large as they should be: the common slope takes it back."""
    generator = np.random.default_rng(2)
    eta = [generator.standard_normal(200) for _ in range(4)]
    answers = [(generator.random(200) < expit(e)).astype(float) for e in eta]
    weights, slope = guessing([3 * e for e in eta], answers)
    assert slope == pytest.approx(1 / 3, rel=0.35)
    assert (weights[:, 0] > 0.99).all()


def test_answers_are_predicted_without_any_of_the_same_annotator():
    posterior = crowd(5)
    before = predicted_by_others(posterior)
    labels = posterior.preferences
    own = labels.annotator == "bob"
    other = dataclasses.replace(labels, outcome=np.where(own, 1 - labels.outcome, labels.outcome))
    after = predicted_by_others(refit(posterior, other))
    assert after[own] == pytest.approx(before[own], abs=1e-6)
    assert not np.allclose(after[~own], before[~own], atol=1e-3)


def test_agreement_counts_pairs_of_answers_whichever_response_is_first():
    labels = brm.Preferences(
        [0, 1, 0, 2, 2, 4], [1, 0, 1, 3, 3, 5], [1, 0, 0, 1, 0.5, 1], annotator=["a", "b", "c", "a", "c", "a"]
    )
    # a and b agree on (0, 1), c with neither; of (2, 3) a and c agree by half.
    assert agreement_with_others(labels) == {"a": (1.5, 3), "b": (1.0, 2), "c": (0.5, 3)}


def test_intervals_of_proportions_cover_as_often_as_they_say():
    generator = np.random.default_rng(3)
    truth, count = generator.random(2000), 20
    ends = [proportion_interval(int(hits), count, 0.9) for hits in generator.binomial(count, truth)]
    covered = np.mean([one.low <= p <= one.high for one, p in zip(ends, truth, strict=True)])
    assert abs(covered - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 2000)
    nine = proportion_interval(9, 9, 0.9)
    assert (nine.low, nine.high) == (pytest.approx(beta.ppf(0.05, 9.5, 0.5)), 1.0)
    nothing = proportion_interval(0, 0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    with pytest.raises(InvalidInputError, match="at most as many hits"):
        proportion_interval(3, 2)


def test_one_annotator_or_none_is_no_crowd(laplace, plugin):
    assert annotators(laplace) is None
    assert records_of_annotators(plugin) == ()


def test_the_check_points_at_the_person_and_draws_everybody():
    diagnosis = brm.diagnose(crowd(0), draws=200)
    finding = next(one for one in diagnosis.findings if one.check == "annotators")
    assert finding.status == "bad"
    assert "eve answers next to at random" in finding.sentence
    figure = draw("annotators", finding.data)
    (axis,) = figure.axes
    assert {label.get_text() for label in axis.get_yticklabels()} == {
        "eve (20)", "ann (40)", "bob (40)", "cem (40)", "dot (40)",
    }  # fmt: skip
    assert CHECKS["annotators"].title in ("Annotators",)
