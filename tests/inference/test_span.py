"""More features than labels: mode, evidence, slope and posterior in the span of the labels, against p × p algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.inference.fitting import span
from bayesrm.inference.fitting.evidence_slope import evidence_slope
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.models.log_joint import CentredPrior, GaussianPrior, LabelledDifferences, LogJoint
from bayesrm.utils.factors import DenseFactor, SpannedFactor

P, RESPONSES, LABELS = 300, 24, 40


def _pool(seed: int = 0, responses: int = RESPONSES) -> brm.ResponsePool:
    r = np.random.default_rng(seed)
    return brm.ResponsePool(
        r.normal(size=(responses, P)).astype(np.float32), np.repeat(np.arange(responses // 4), 4)
    )


def _labels(pool: brm.ResponsePool, count: int = LABELS, across: bool = False) -> brm.Preferences:
    r = np.random.default_rng(1)
    first = r.integers(len(pool), size=count)
    second = (first + 5) % len(pool) if across else first // 4 * 4 + (first + 1) % 4
    return brm.Preferences(first, second, (r.random(count) < 0.7).astype(float))


@pytest.fixture
def dense(monkeypatch):
    """Runs something with p × p matrices."""

    def run(function):
        with monkeypatch.context() as patched:
            patched.setattr("bayesrm.utils.span.FEWEST", 10**9)
            return function()

    return run


def _joint(model: brm.RewardModel, responses: bool = False, mean: float = 0.0) -> LogJoint:
    r = torch.Generator().manual_seed(3)
    rows = torch.randn(12, P, generator=r, dtype=torch.float64)
    first, second = torch.randint(12, (30,), generator=r), torch.randint(12, (30,), generator=r)
    outcome = torch.randint(2, (30,), generator=r).double()
    weight = 0.5 + torch.rand(30, generator=r, dtype=torch.float64)
    data = LabelledDifferences(rows[first] - rows[second], outcome, weight, responses=rows if responses else None)
    precision = 1 + 20 * torch.rand(P, generator=r, dtype=torch.float64)
    location = mean * torch.randn(P, generator=r, dtype=torch.float64)
    prior = GaussianPrior(location, precision) if mean else CentredPrior(precision)
    return LogJoint(model.likelihood, data, prior, model.nuisance_space(data.context))


@pytest.mark.parametrize("responses", [False, True])
@pytest.mark.parametrize("mean", [0.0, 0.3])
@pytest.mark.parametrize("likelihood", ["bradley-terry", "davidson"])
def test_the_mode_in_the_span_is_that_of_all_features(likelihood, mean, responses, dense):
    """Nuisance parameters, prior means and unequal prior precisions included; and so is its evidence's slope."""
    joint = _joint(brm.RewardModel(P, "linear", likelihood=likelihood), responses, mean)
    inside = span.span_of(joint)
    assert inside is not None
    assert inside.basis.shape == (P, 12 if responses else 30)
    got, wanted = find_mode(joint), dense(lambda: find_mode(joint))
    assert isinstance(got.joint, SpannedFactor)
    assert isinstance(wanted.joint, DenseFactor)
    torch.testing.assert_close(got.latent, wanted.latent, rtol=0, atol=1e-8)
    assert got.log_evidence == pytest.approx(wanted.log_evidence, abs=1e-6 if likelihood == "davidson" else 1e-9)
    torch.testing.assert_close(got.joint.matrix, wanted.joint.matrix, rtol=0, atol=1e-5)
    same = Mode(wanted.nuisance, wanted.beta, wanted.joint, 0.0, 0.0)
    for one, other in zip(evidence_slope(joint, same), dense(lambda: evidence_slope(joint, wanted)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_a_factor_of_few_directions_is_a_factor_of_the_matrix_that_it_stands_for():
    """Rows, draws, determinant, marginals and the covariance, against inverse and determinant of Λ itself."""
    r = torch.Generator().manual_seed(0)
    n, rank, head = 9, 4, 2
    basis = torch.block_diag(
        torch.eye(head, dtype=torch.float64),
        torch.linalg.qr(torch.randn(n - head, rank - head, generator=r, dtype=torch.float64)).Q,
    )
    root = torch.cat([torch.ones(head), 0.5 + torch.rand(n - head, generator=r)]).double()
    inner = torch.linalg.cholesky(torch.cov(torch.randn(rank, 20, generator=r, dtype=torch.float64)) * 5)
    factor = SpannedFactor(root, basis, inner)
    scaled = root[:, None] * basis
    precision = torch.diag(root.square()) + scaled @ (inner @ inner.T - torch.eye(rank)) @ scaled.T
    covariance = torch.linalg.inv(precision)
    torch.testing.assert_close(factor.matrix, precision)
    torch.testing.assert_close(factor.cholesky, torch.linalg.cholesky(precision))
    assert factor.half_log_det == pytest.approx(0.5 * float(torch.logdet(precision)))
    rows = torch.randn(5, n, generator=r, dtype=torch.float64)
    u = factor.whiten(rows)
    torch.testing.assert_close(u @ u.T, rows @ covariance @ rows.T)
    torch.testing.assert_close(factor.covariance_factor @ factor.covariance_factor.T, covariance)
    spread = factor.colour(torch.eye(n, dtype=torch.float64))
    torch.testing.assert_close(spread.T @ spread, covariance)
    torch.testing.assert_close(
        factor.last(head).matrix, torch.linalg.inv(covariance[head:, head:]), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("intercepts", [False, True])
def test_a_posterior_is_that_of_all_features_and_new_responses_have_their_prior_variance(
    intercepts, across, dense
):
    """Chosen scales, rewards of the pool and of another one, entropy, refits; the part outside of the span is prior."""
    pool, new = _pool(), _pool(seed=7)
    labels = _labels(pool, across=across)
    model = brm.RewardModel(pool, "linear", prompt_intercept=intercepts)

    def fit():
        return brm.fit(model, pool, labels, seed=0)

    got, wanted = fit(), dense(fit)
    assert isinstance(got.information, SpannedFactor)
    assert isinstance(wanted.information, DenseFactor)
    assert got.prior_precision == pytest.approx(wanted.prior_precision.numpy(), rel=1e-8)
    assert got.log_evidence == pytest.approx(wanted.log_evidence, abs=1e-8)
    for other in (pool, new):
        one, two = got.reward_moments(other), wanted.reward_moments(other)
        torch.testing.assert_close(one.mean, two.mean, rtol=0, atol=1e-8)
        torch.testing.assert_close(one.factor @ one.factor.T, two.factor @ two.factor.T, rtol=0, atol=1e-8)
    assert got.entropy() == pytest.approx(wanted.entropy(), abs=1e-8)
    more = _labels(pool, 9)
    torch.testing.assert_close(
        got.condition(more).location, dense(lambda: wanted.condition(more)).location, rtol=0, atol=1e-8
    )


def test_what_is_orthogonal_to_all_labels_keeps_its_prior():
    """A response that differs from no labelled one within their span has variance φᵀφ σ², by the formula."""
    pool = _pool()
    posterior = brm.fit(brm.RewardModel(pool, "linear", prior_scale=0.2), pool, _labels(pool))
    basis = torch.linalg.qr(posterior.features(pool).T).Q
    new = torch.randn(3, P, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    outside = new - new @ basis @ basis.T
    u = posterior.whiten(outside)
    torch.testing.assert_close(u @ u.T, 0.04 * outside @ outside.T, rtol=0, atol=1e-10)
    draws = posterior.sample_last_layer(4000, np.random.default_rng(0))
    sampled = (draws @ outside[0]).std()
    expected = 0.2 * float(outside[0].norm())
    assert float(sampled) == pytest.approx(expected, abs=5 * expected / math.sqrt(2 * 4000))
