"""Quality and its forecast, against brute force and on worlds whose future is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import spearmanr

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import make_design
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.evaluation.forecast import (
    REVISION,
    _Batch,
    _batch,
    _estimate,
    _logit_sd,
    _Prompts,
    _random_equivalent,
    _Truth,
    forecast,
)
from bayesrm.posteriors.base import RewardMoments


def test_quality_is_that_of_a_loop_over_prompts(pool):
    prompts = _Prompts.of(pool, seed=0)
    random = np.random.default_rng(0)
    ranked, truth = random.standard_normal((2, 3, len(prompts.responses)))
    one_minus_rho, regret = prompts.quality(ranked, truth)
    group = pool.group[prompts.responses]
    for draw in range(3):
        rho, lost = [], []
        for prompt in np.unique(group):
            at = group == prompt
            rho.append(spearmanr(ranked[draw, at], truth[draw, at]).statistic)
            lost.append(expit(truth[draw, at].max() - truth[draw, at][ranked[draw, at].argmax()]) - 0.5)
        assert one_minus_rho[draw] == pytest.approx(1 - np.mean(rho))
        assert regret[draw] == pytest.approx(np.mean(lost))


def test_responses_that_cannot_be_told_apart_count_once():
    embeddings = np.array([[0.0], [0.0], [1.0], [2.0], [2.0]], np.float32)
    prompts = _Prompts.of(brm.ResponsePool(embeddings, np.array([0, 0, 0, 1, 1])), seed=0)
    assert prompts.responses.tolist() == [0, 2]
    with pytest.raises(InvalidInputError, match="nothing to rank"):
        _Prompts.of(brm.ResponsePool(embeddings[3:], np.array([1, 1])), seed=0)


def test_agreement_fixes_the_spread_of_logits():
    random = np.random.default_rng(0)
    for sd in (0.5, 2.0, 6.0):
        p = expit(sd * random.standard_normal(400_000))
        alike = float(np.mean(p**2 + (1 - p) ** 2))
        assert _logit_sd(np.array([alike]))[0] == pytest.approx(sd, rel=0.02)
    assert _logit_sd(np.array([0.4, 0.5])).tolist() == [0.0, 0.0]


class _Standard(brm.RewardPosterior):
    """Independent rewards N(0, sd²), one direction of uncertainty a response."""

    sample_rewards = entropy = condition = to_datatree = None

    def __init__(self, sd: float) -> None:
        self.sd = sd

    def reward_moments(self, pool, responses=None):
        count = len(responses)
        return RewardMoments(
            torch.zeros(count, dtype=torch.float64), self.sd * torch.eye(count, dtype=torch.float64)
        )


@pytest.fixture(scope="module")
def two_each() -> _Prompts:
    """Two hundred prompts of two responses that differ."""
    rows = np.arange(400, dtype=np.float32)[:, None]
    return _Prompts.of(brm.ResponsePool(rows, np.repeat(np.arange(200), 2)), seed=0)


@pytest.mark.parametrize("known", [0.65, 0.725, 0.85])
@pytest.mark.parametrize("sd", [0.3, 0.7])
def test_two_annotators_of_the_drawn_rewards_agree_as_often_as_was_drawn(two_each, known, sd):
    """A Beta of 10⁶ counts fixes A; the agreement is counted over pairs of the rewards r = κ x + e themselves."""
    truth = _Truth.draw(_Standard(sd), two_each, known * 1e6, (1 - known) * 1e6, draws=400, seed=0)
    p = expit(truth.rewards[:, two_each.place[:, 0]] - truth.rewards[:, two_each.place[:, 1]])
    alike = p**2 + (1 - p) ** 2
    # 400 draws × 200 prompts are independent pairs.
    assert abs(alike.mean() - known) < 5 * alike.std() / np.sqrt(alike.size)
    assert truth.agreement == pytest.approx(known, abs=0.003)


@pytest.mark.parametrize("known", [0.65, 0.725, 0.85])
def test_drawn_rewards_are_the_expressed_ones_stretched_with_noise_of_their_own(two_each, known):
    """r = κ x + e, e ~ N(0, τ²/2): κ and τ² by regression of r on x, and κ² = 1 + π τ²/8 between them."""
    truth = _Truth.draw(_Standard(0.7), two_each, known * 1e6, (1 - known) * 1e6, draws=400, seed=0)
    expressed = truth.mean + truth.place @ truth.factor.T
    slope = (truth.rewards * expressed).sum() / np.square(expressed).sum()
    own = truth.rewards - slope * expressed
    tau2, share = 2 * own.var(), slope**2 * expressed.var() / truth.rewards.var()
    # 80,000 responses: a relative standard error of √(2/80,000) = 0.005 of each variance.
    assert slope**2 == pytest.approx(1 + np.pi / 8 * tau2, rel=0.02)
    assert truth.explained.mean() == pytest.approx(share, abs=0.02)
    assert (truth.explained > 0).all()
    assert (truth.explained < 1).all()


def test_annotators_as_consistent_as_the_model_leave_nothing_unexplained(two_each):
    """Two that agree less often than the model's own rewards imply: no noise is added, and κ = 1."""
    truth = _Truth.draw(_Standard(3.0), two_each, 0.6e6, 0.4e6, draws=50, seed=0)
    np.testing.assert_allclose(truth.rewards, truth.mean + truth.place @ truth.factor.T)
    np.testing.assert_array_equal(truth.explained, 1.0)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_answers_to_the_drawn_rewards_look_like_answers_to_the_expressed_ones(tau):
    """What a fit without e sees: E σ(κ x + e) over e ~ N(0, τ²) is σ(x) up to the error of the approximation."""
    x, noise = np.linspace(-4, 4, 81), np.linspace(-8, 8, 4001)
    density = np.exp(-0.5 * noise**2)
    seen = expit(np.sqrt(1 + np.pi / 8 * tau**2) * x[:, None] + tau * noise) @ density / density.sum()
    np.testing.assert_allclose(seen, expit(x), atol=0.02)


def test_what_more_information_leads_to_is_the_exact_conjugate_update(laplace, pool):
    """Of ξ ~ N(0, I) with precision J of further data: E ξ'ξ'ᵀ = J (I + J)⁻¹ and Cov(ξ − ξ') = (I + J)⁻¹."""
    prompts = _Prompts.of(pool, seed=0)
    truth = _Truth.draw(laplace, prompts, 29.0, 11.0, draws=4000, seed=0)
    rank = truth.place.shape[1]
    root = np.random.default_rng(1).standard_normal((rank, rank))
    information = root @ root.T
    # The means are m + U ξ', and U has full column rank.
    found = np.linalg.lstsq(truth.factor, (truth.means(information) - truth.mean).T)[0].T
    left = np.linalg.inv(np.eye(rank) + information)
    error = truth.place - found
    assert np.cov(error.T) == pytest.approx(left, abs=0.1)
    assert np.cov(found.T) == pytest.approx(information @ left, abs=0.1)
    assert (error.T @ found) / 4000 == pytest.approx(np.zeros((rank, rank)), abs=0.1)
    assert (truth.means(None) == truth.mean).all()


def test_the_information_of_a_batch_is_a_sum_over_pairs(laplace):
    """J = Σ w b bᵀ of the first pairs, b the difference of two rows of the factor, w the expected Fisher weight."""
    batch = _batch(laplace, make_design("pa-dopt"), "cross-prompt", None, 12, seed=3)
    pairs = brm.candidates(
        laplace.pool, "cross-prompt", None, 20_000, seed=rng.child(3, "forecast"), exclude=laplace.preferences
    )
    chosen = brm.select(laplace, pairs, "pa-dopt", 12, seed=rng.child(3, "forecast"))
    factor = laplace.reward_moments(laplace.pool).factor.numpy()
    mean, variance = laplace.logit_moments(laplace.pool, chosen)
    expected = np.zeros((factor.shape[1],) * 2)
    for k in range(7):
        b = factor[chosen.first[k]] - factor[chosen.second[k]]
        logits = mean[k].item() + variance[k].sqrt().item() * np.linspace(-8, 8, 4001)
        density = np.exp(-0.5 * np.linspace(-8, 8, 4001) ** 2)
        weight = (expit(logits) * expit(-logits) * density).sum() / density.sum()
        expected += weight * np.outer(b, b)
    # The factor is one up to a rotation, and so is J: what it does to the rewards is not.
    np.testing.assert_allclose(batch.information(7), expected, rtol=1e-6, atol=1e-9)


def test_a_refit_revises_the_ranking_by_its_relative_standard_deviation(two_each):
    truth = _Truth.draw(_Standard(1.0), two_each, 29.0, 11.0, draws=4000, seed=0)
    logs = np.log(truth.revision)
    assert logs.std() == pytest.approx(REVISION, abs=5 * REVISION / np.sqrt(2 * 4000))
    assert abs(logs.mean()) < 5 * REVISION / np.sqrt(4000)
    plain, _ = two_each.quality(truth.means(None), truth.rewards)
    np.testing.assert_allclose(truth.found(None)[0], plain * truth.revision)


def test_random_pairs_that_do_as_much_are_interpolated_between_batches():
    """At a regret that random batches of the grid reach, and half way between two of them."""
    prompts = _Prompts.of(brm.ResponsePool(np.arange(80.0)[:, None], np.repeat(np.arange(40), 2)), seed=0)
    truth = _Truth.draw(_Standard(2.0), prompts, 29.0, 11.0, draws=400, seed=0)
    # One pair a prompt, over and over.
    differences = np.zeros((200, 80))
    differences[np.arange(200), prompts.place[np.arange(200) % 40, 0]] = 1.0
    differences[np.arange(200), prompts.place[np.arange(200) % 40, 1]] = -1.0
    random = _Batch(differences)
    regret = {size: float(truth.found(random.information(size))[1].mean()) for size in (10, 15, 20)}
    now = float(truth.found(None)[1].mean())
    assert now > regret[10] > regret[15] > regret[20], "or the envelope of falling regrets differs from them"
    assert _random_equivalent(truth, random, 20, regret[10]) == pytest.approx(10)
    assert _random_equivalent(truth, random, 20, (regret[15] + regret[20]) / 2) == pytest.approx(17.5)
    assert _random_equivalent(truth, random, 20, (now + regret[15]) / 2) < 15
    assert _random_equivalent(truth, random, 20, now) == pytest.approx(0.0)
    assert _random_equivalent(truth, random, 20, 0.0) == float("inf")


def test_an_estimate_is_the_mean_and_the_middle_nine_tenths():
    estimate = _estimate(np.linspace(0, 1, 1001) ** 2)
    assert estimate.mean == pytest.approx(1 / 3, abs=1e-3)
    assert (estimate.low, estimate.high) == pytest.approx((0.05**2, 0.95**2))


def test_more_labels_are_expected_to_help_and_designs_beside_random(laplace):
    by_design = forecast(laplace, labels=(10, 40, 10_000), design="vopt", draws=400)
    labels = [outlook.labels for outlook in by_design.later]
    assert labels[:2] == [10, 40]
    assert labels[2] < 200, "no more than there are pairs"
    values = [by_design.now, *by_design.later]
    for name in ("regret", "one_minus_spearman"):
        means = [getattr(outlook, name).mean for outlook in values]
        assert all(after < before + 0.002 for before, after in pairwise(means)), "up to noise of the draws"
        assert means[-1] < means[0]
        assert all(getattr(outlook, name).low <= getattr(outlook, name).high for outlook in values)
    assert all(outlook.random is not None and outlook.random >= 0 for outlook in by_design.later)
    assert "40 more labels are expected to cut the regret from" in by_design.sentence(40)
    with pytest.raises(InvalidInputError, match="one of the forecast numbers"):
        by_design.sentence(11)
    at_random = forecast(laplace, labels=(10,))
    assert at_random.later[0].random is None
    assert forecast(laplace, labels=(10,)).later == at_random.later, "the same seed, the same forecast"


def test_counted_agreement_narrows_the_interval(laplace):
    unknown, known = forecast(laplace, labels=()), forecast(laplace, labels=(), agreement=(300.0, 400.0))
    assert known.agreement.high - known.agreement.low < 0.5 * (unknown.agreement.high - unknown.agreement.low)
    width = [outlook.now.regret.high - outlook.now.regret.low for outlook in (unknown, known)]
    assert width[1] < width[0]
    assert known.counted == 400.0


def test_a_point_and_bad_numbers_are_refused(plugin, laplace):
    with pytest.raises(CapabilityError, match="a forecast needs a posterior with spread"):
        forecast(plugin)
    with pytest.raises(InvalidInputError, match="at least 1"):
        forecast(laplace, labels=(0,))
    with pytest.raises(InvalidInputError, match="at most as many equal answers"):
        forecast(laplace, agreement=(3.0, 2.0))


def test_the_future_lies_in_the_interval_on_the_quickstart_pool():
    """Two replays on the first prompts; tests/benchmarks/forecast_coverage.py has more, of the recommended model."""
    folder = Path(__file__).resolve().parents[2] / "data" / "quickstart" / "pool"
    whole, rewards = brm.load_pool(folder), brm.load_golden(folder)
    kept = np.flatnonzero(whole.group < 100)
    pool, golden = brm.ResponsePool(whole.rows(kept), whole.prompt[kept]), rewards[kept]
    model = brm.RewardModel(pool.dim, "linear", inputs="within-prompt", spectrum_power=2.0)
    prompts = _Prompts.of(pool, seed=0)
    inside = []
    for seed in range(2):
        annotator = brm.GoldenAnnotator(golden, temperature=2.0, seed=seed)
        labels = annotator.label(brm.candidates(pool, prompts=None, size=750, seed=seed))
        (later,) = forecast(brm.fit(model, pool, labels[:250]), labels=(500,), seed=seed).later
        mean = brm.fit(model, pool, labels).reward_moments(pool, prompts.responses).mean.numpy()
        found = prompts.quality(mean[None], 2.0 * golden[prompts.responses][None])
        for said, value in zip((later.one_minus_spearman, later.regret), found, strict=True):
            inside.append(said.low <= value[0] <= said.high)
    assert sum(inside) >= 3, "two of four 90% intervals miss with a probability of 0.05"
