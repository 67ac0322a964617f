"""What an answer teaches, against enumeration of answers and against covariances written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design.answers import (
    better_twice,
    first_and_second,
    information_by_annotator,
    knows_annotators,
    share_of_repeat,
    worth_of_repeat,
)


@pytest.fixture(scope="module")
def crowd():
    """A posterior that knows a careful and a careless annotator."""
    r = np.random.default_rng(0)
    x = r.normal(size=(60, 3)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(12), 5))
    reward = x @ np.array([1.0, -1.0, 0.5])
    pairs = brm.candidates(pool)
    parts = []
    for name, slope in (("ana", 4.0), ("bob", 0.3)):
        own = brm.GoldenAnnotator(reward, slope, seed=len(name)).label(pairs)
        parts.append(brm.Preferences(own.first, own.second, own.outcome, np.repeat(name, len(own))))
    model = brm.RewardModel(pool, "linear", likelihood="annotators", prior_scale=1.0)
    return pool, pairs, brm.fit(model, pool, parts[0].append(parts[1]))


def test_information_equals_enumeration_of_answers_over_the_posterior_of_the_logit(crowd):
    """E over η, by quadrature, of the sum over both answers of p(y)·(∂ log p(y))², the derivative by differences.

    Of η + u that is, of which the Schur complement of u leaves w − w² / (w + 1/τ²) for η.
    """
    pool, pairs, posterior = crowd
    some = brm.Comparisons(pairs.first[:7], pairs.second[:7])
    found = information_by_annotator(posterior, pool, some, ["ana", "bob", "new"])
    values = posterior.model.nuisance_space(posterior.context, torch.device("cpu")).values(posterior.nuisance)
    temperature = dict(zip(posterior.context.annotators, values["temperature"].tolist(), strict=True)) | {
        "new": 1.0
    }
    node = np.linspace(-9, 9, 4_001)
    mass = np.exp(-(node**2) / 2)
    mean, variance = (part.numpy()[:, None] for part in posterior.logit_moments(pool, some))
    eta = mean + np.sqrt(variance) * node
    for column, name in enumerate(["ana", "bob", "new"]):
        weight, step = 0.0, 1e-5
        for sign in (1, -1):

            def log_p(eta, sign=sign, slope=temperature[name]):
                return -np.log1p(np.exp(-sign * slope * eta))

            score = (log_p(eta + step) - log_p(eta - step)) / (2 * step)
            weight = weight + np.exp(log_p(eta)) * score**2
        weight, tau = weight @ mass / mass.sum(), 2 * posterior.unexplained.variance
        expected = 0.5 * np.log1p((weight - weight**2 / (weight + 1 / tau)) * variance[:, 0])
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-4)
    assert (found[:, 0] > found[:, 1]).all()
    assert knows_annotators(posterior)


@pytest.mark.parametrize("answered", [1, 2, 5])
def test_a_repeat_is_worth_what_the_covariance_of_its_answers_leaves(answered):
    """Answers of noise 1/w that share a τ²: 1ᵀ(τ² 11ᵀ + I/w)⁻¹1 is what they say, with a matrix written out."""
    w, tau = 0.2, 3.0

    def information(n):
        noise = tau * np.ones((n, n)) + np.eye(n) / w
        return np.ones(n) @ np.linalg.solve(noise, np.ones(n))

    expected = (information(answered + 1) - information(answered)) / information(1)
    found = share_of_repeat(np.array([w * tau]), np.array([answered]))
    assert found[0] == pytest.approx(expected, rel=1e-12)
    assert share_of_repeat(np.array([0.0]), np.array([answered]))[0] == 1


def test_second_answers_agree_with_the_share_of_repeats_where_little_is_learnt(crowd):
    pool, pairs, posterior = crowd
    first, second = first_and_second(posterior, pool, pairs)
    share = worth_of_repeat(posterior, pool, pairs)
    small = first < 0.02
    assert small.any()
    np.testing.assert_allclose((second / first)[small], share[small], rtol=0.05)
    assert (second < first).all()
    assert ((share > 0) & (share < 1)).all()


def test_pairs_give_way_to_second_answers_only_as_long_as_that_teaches_more():
    r = np.random.default_rng(1)
    for _ in range(200):
        first = r.exponential(size=6)
        second = first * r.uniform(0.1, 0.9)
        out, twice = better_twice(first, second)
        assert len(out) == len(twice)
        assert not set(out.tolist()) & set(twice.tolist())
        assert (first[out] < second[twice]).all()
        kept = np.setdiff1d(np.arange(6), out)
        # No other exchange of one pair for one second answer would help.
        rest = np.setdiff1d(kept, twice)
        if len(rest) > 1:
            worst = rest[first[rest].argmin()]
            others = np.setdiff1d(rest, [worst])
            assert first[worst] >= second[others].max()
