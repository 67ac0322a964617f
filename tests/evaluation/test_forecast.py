"""Quality and its forecast, against brute force and on worlds whose future is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import spearmanr

import bayesrm as brm
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.evaluation.forecast import _logit_sd, _Prompts, _Truth, forecast


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


def test_what_more_information_leads_to_is_the_exact_conjugate_update(laplace, pool):
    """Of ξ ~ N(0, I) with precision J of further data: E ξ'ξ'ᵀ = J (I + J)⁻¹ and Cov(ξ − ξ') = (I + J)⁻¹."""
    prompts = _Prompts.of(pool, seed=0)
    truth = _Truth.draw(laplace, prompts, 29.0, 11.0, draws=4000, seed=0)
    rank = truth.place.shape[1]
    root = np.random.default_rng(1).standard_normal((rank, rank))
    information = root @ root.T
    values, vectors = np.linalg.eigh(information)
    pulled = (truth.place @ vectors) * values + (truth.noise @ vectors) * np.sqrt(values)
    found = (pulled / (1 + values)) @ vectors.T
    left = np.linalg.inv(np.eye(rank) + information)
    error = truth.place - found
    assert np.cov(error.T) == pytest.approx(left, abs=0.1)
    assert np.cov(found.T) == pytest.approx(information @ left, abs=0.1)
    assert (error.T @ found) / 4000 == pytest.approx(np.zeros((rank, rank)), abs=0.1)


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
