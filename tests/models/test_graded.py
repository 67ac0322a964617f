"""Grades: against the cumulative logit as it is written, automatic differentiation, and what a grade is worth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.annotators.graded import GradedAnnotator
from bayesrm.errors import InvalidInputError
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.described import make_likelihood
from bayesrm.models.likelihoods.graded import Graded

SCALES = [(3, [0.7]), (5, [0.4, 1.5]), (7, [0.3, 1.1, 2.5]), (4, [1.0]), (6, [0.8, 2.0])]
ETA = torch.linspace(-6, 6, 25, dtype=torch.float64)


@pytest.mark.parametrize(("grades", "above"), SCALES)
def test_probabilities_are_differences_of_cumulative_logits(grades, above):
    theta = np.array([*(-value for value in reversed(above)), *([] if grades % 2 else [0.0]), *above])
    cumulative = 1 / (1 + np.exp(ETA.numpy()[:, None] - theta))
    expected = np.diff(np.hstack([np.zeros((25, 1)), cumulative, np.ones((25, 1))]), axis=1)
    got = Graded(grades, above).outcome_probabilities(ETA).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-12)
    np.testing.assert_allclose(got, got[::-1, ::-1], atol=1e-12)  # turned round with the responses


@pytest.mark.parametrize(("grades", "above"), SCALES)
def test_derivatives_and_fisher_weight_by_automatic_differentiation(grades, above):
    likelihood = Graded(grades, above)
    weight = torch.zeros_like(ETA)
    for outcome in likelihood.outcomes:
        y = torch.full_like(ETA, outcome)
        eta = ETA.clone().requires_grad_(True)
        (score,) = torch.autograd.grad(likelihood.log_prob(eta, y).sum(), eta, create_graph=True)
        (second,) = torch.autograd.grad(score.sum(), eta)
        got, curvature = likelihood.derivatives(ETA, y)
        torch.testing.assert_close(got, score.detach(), rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(curvature, -second, rtol=1e-9, atol=1e-11)
        weight += likelihood.log_prob(ETA, y).exp() * score.detach().square()
    torch.testing.assert_close(likelihood.fisher_weight(ETA), weight, rtol=1e-9, atol=1e-12)


def test_two_grades_are_bradley_terry_and_more_grades_tell_more():
    torch.testing.assert_close(Graded(2).outcome_log_probs(ETA), BradleyTerry().outcome_log_probs(ETA))
    plain, five = Graded(2).fisher_weight(ETA), Graded(6, [0.8, 2.0]).fisher_weight(ETA)
    torch.testing.assert_close(plain, BradleyTerry().fisher_weight(ETA))
    assert (five > plain).all()


@pytest.mark.parametrize("grades", [5, 7])
def test_a_fit_finds_thresholds_and_reward(make_world, grades):
    world = make_world(comparisons=1500)
    above = [0.6, 1.8, 3.0][: (grades - 1) // 2]
    answers = GradedAnnotator(world.golden, 2.0, seed=1, grades=grades, thresholds=above).label(world.preferences)
    model = brm.RewardModel(world.pool.dim, "linear", likelihood=Graded(grades), prior_scale=1.0)
    posterior = brm.fit(model, world.pool, answers)
    found = posterior.likelihood.above
    torch.testing.assert_close(found, torch.tensor(above).double(), rtol=0.2, atol=0.0)
    mean, _ = posterior.reward(world.pool)
    slope = np.polyfit(world.golden, mean, 1)[0]
    assert slope == pytest.approx(2.0, rel=0.15)
    assert len(brm.select(posterior, brm.candidates(world.pool), "pa-dopt", size=5)) == 5


def test_shares_of_grades_are_those_of_the_formula():
    annotator = GradedAnnotator([0.8, 0.0], 1.5, seed=2, grades=5, thresholds=[0.5, 1.5])
    outcome = annotator.label(brm.Comparisons(np.zeros(20_000, int), np.ones(20_000, int))).outcome
    p = Graded(5, [0.5, 1.5]).outcome_probabilities(torch.tensor([1.2]).double())[0].numpy()
    for value, probability in zip((0, 0.25, 0.5, 0.75, 1), p, strict=True):
        share = (outcome == value).mean()
        assert abs(share - probability) < 4 * np.sqrt(probability * (1 - probability) / 20_000)
    assert annotator.describe()["thresholds"] == [0.5, 1.5]


def test_a_description_makes_it_again():
    for likelihood in (Graded(5), Graded(7, [0.2, 0.9, 2.0])):
        again = make_likelihood(likelihood.describe())
        assert again.describe() == likelihood.describe()
        assert again.estimated == likelihood.estimated


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1,), "between 2 and 11 grades, got 1"),
        ((7, [1.0]), "3 ascending thresholds above 0 for 7 grades"),
        ((5, [1.0, 0.5]), "2 ascending thresholds"),
        ((5, [0.0, 0.5]), "2 ascending thresholds"),
    ],
)
def test_bad_scales(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Graded(*arguments)


@pytest.mark.parametrize("likelihood", [Graded(5, [0.5, 1.5]), Graded(4, [1.0])])
def test_the_probability_of_a_preference_is_that_of_any_grade_for_it(likelihood):
    logit = torch.tensor([-2.0, 0.0, 0.7]).double()
    p = likelihood.outcome_probabilities(logit)
    half = likelihood.grades // 2
    middle = p[:, half] if likelihood.grades % 2 else torch.zeros(3).double()
    torch.testing.assert_close(likelihood.probability(logit), p[:, -half:].sum(dim=1) + middle / 2)
    torch.testing.assert_close(
        likelihood.probability(logit) + likelihood.probability(-logit), torch.ones(3).double()
    )


def test_a_saved_model_of_grades_says_the_same_probabilities(make_world, tmp_path):
    world = make_world()
    annotator = GradedAnnotator(world.golden, 2.0, seed=1, grades=5)
    labels = annotator.label(brm.candidates(world.pool, size=80, seed=2))
    model = brm.RewardModel(world.pool.dim, "linear", likelihood=Graded(5), prior_scale=1.0)
    posterior = brm.fit(model, world.pool, labels)
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    rows = world.pool.rows(np.arange(20))
    first, second = np.arange(10), np.arange(10, 20)
    expected = posterior.preference_probability(world.pool, first, second)
    assert loaded.likelihood.outcomes == (0.0, 0.25, 0.5, 0.75, 1.0)
    np.testing.assert_allclose(loaded.preference_probability(rows[first], rows[second]), expected, atol=1e-6)
    assert loaded.likelihood.describe() == Graded(5).describe()
