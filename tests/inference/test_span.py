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
    order = torch.randperm(n, generator=r)
    tril = factor.covariance_tril(order)
    assert torch.equal(tril, tril.tril())
    torch.testing.assert_close(tril @ tril.T, covariance[order][:, order])
    torch.testing.assert_close(tril, DenseFactor(torch.linalg.cholesky(precision)).covariance_tril(order))
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


@pytest.mark.parametrize("largest", [1.0, 1e6])
def test_a_root_in_blocks_is_that_of_the_whole_covariance(largest):
    """More rows than a block has, and posterior variances from the prior's down to a part in 1e12 of it."""
    r = torch.Generator().manual_seed(1)
    n, rank = 150, 20
    root = 0.5 + torch.rand(n, generator=r, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(n, rank, generator=r, dtype=torch.float64)).Q
    inner = torch.linalg.cholesky(torch.cov(torch.randn(rank, 90, generator=r, dtype=torch.float64)))
    inner = inner * torch.logspace(0, math.log10(largest), rank, dtype=torch.float64)[:, None]
    factor = SpannedFactor(root, basis, inner)
    torch.testing.assert_close(factor.cholesky @ factor.cholesky.T, factor.matrix, rtol=1e-10, atol=1e-10)
    tril = factor.covariance_tril(torch.arange(n))
    # The covariance in the span, of which the smallest part is to be right too: it is the inverse of Λ̃.
    whitened = inner.T @ (root[:, None] * basis).T @ tril
    torch.testing.assert_close(whitened @ whitened.T, torch.eye(rank).double(), rtol=0, atol=1e-6)


def test_a_root_is_right_where_no_diagonal_element_shows_how_small_a_variance_is():
    """Labels along a direction that the first vector of the basis hardly has: λ = 1e12, and no L_ii above 1e3."""
    basis = torch.linalg.qr(torch.randn(80, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    along = torch.tensor([0.99e6, 0.99e12], dtype=torch.float64).sqrt()
    inner = torch.linalg.cholesky(torch.eye(2, dtype=torch.float64) + torch.outer(along, along))
    assert inner.diagonal().max() < 1001
    factor = SpannedFactor(torch.ones(80, dtype=torch.float64), basis, inner)
    whitened = inner.T @ basis.T @ factor.covariance_tril(torch.arange(80))
    torch.testing.assert_close(whitened @ whitened.T, torch.eye(2).double(), rtol=0, atol=1e-6)


# --- other inferences ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior_scale", [None, 0.3])
@pytest.mark.parametrize("likelihood", ["bradley-terry", "davidson"])
def test_a_point_and_its_information_are_those_of_all_features(likelihood, prior_scale, dense):
    pool, new = _pool(), _pool(seed=7)
    labels = _labels(pool, 60)
    model = brm.RewardModel(pool, "linear", likelihood=likelihood, prior_scale=prior_scale)

    def fit():
        first = brm.fit(model, pool, labels[:50], "plugin")
        return first, first.condition(labels[50:])

    for got, wanted in zip(fit(), dense(fit), strict=True):
        assert isinstance(got.information, SpannedFactor)
        assert isinstance(wanted.information, DenseFactor)
        for other in (pool, new):
            one, two = got.whitened(other), wanted.whitened(other)
            for mine, expected in (
                (got.reward_moments(other).mean, wanted.reward_moments(other).mean),
                (one @ one.T, two @ two.T),
            ):
                # Under a ridge of 1e-6 the p × p answer itself has lost nine digits of sixteen.
                largest = float(expected.abs().max())
                torch.testing.assert_close(
                    mine, expected, rtol=0, atol=(1e-7 if prior_scale is None else 1e-8) * max(1.0, largest)
                )
        torch.testing.assert_close(got.nuisance, wanted.nuisance, rtol=0, atol=1e-8)


def test_a_point_that_training_found_keeps_what_lies_outside_of_the_span(monkeypatch):
    """Its information alone is in the span."""
    monkeypatch.setattr("bayesrm.utils.span.FEWEST", 40)
    pool = brm.ResponsePool(np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32), np.arange(24) // 4)
    model = brm.RewardModel(3, hidden=(64,), training="paper")
    labels = _labels(pool, 12)
    posterior = brm.fit(model, pool, labels, "plugin")
    assert isinstance(posterior.information, SpannedFactor)
    z = posterior.log_joint.data.difference
    p = torch.sigmoid(z @ posterior.location)
    precision = posterior.prior_precision
    expected = z.T @ ((p * (1 - p))[:, None] * z) + torch.diag(precision)
    torch.testing.assert_close(posterior.information.matrix, expected, rtol=1e-8, atol=1e-12)


def test_variational_inference_in_the_span_is_the_best_gaussian_over_all_features(monkeypatch):
    """E_q ∇f = 0 over all features (Opper & Archambeau 2009), and new responses have the prior outside of the span."""
    monkeypatch.setattr("bayesrm.inference.svi.MOST_WINDOWS", 4)
    pool, new = _pool(), _pool(seed=7)
    labels = _labels(pool)
    model = brm.RewardModel(pool, "linear", likelihood="davidson", prior_scale=0.3)
    laplace, got = (brm.fit(model, pool, labels, inference) for inference in ("laplace", "svi"))
    assert isinstance(got.joint, SpannedFactor)
    assert got.inference == "svi"

    def gradient(posterior):
        latent = posterior.latent_draws(100, np.random.default_rng(0)).latent[0]
        centre = torch.cat([posterior.nuisance, posterior.location])
        draws = [posterior.log_joint.curvature(x)[0] for x in torch.cat([latent, 2 * centre - latent])]
        return float(posterior.joint.whiten(torch.stack(draws).mean(0)[None]).abs().max())

    assert gradient(got) < 0.1 < 0.3 < gradient(laplace)
    basis = torch.linalg.qr(got.features(pool).T).Q
    outside = got.features(new) - got.features(new) @ basis @ basis.T
    u = got.whiten(outside)
    torch.testing.assert_close(u @ u.T, 0.09 * outside @ outside.T, rtol=0, atol=1e-10)


@pytest.mark.parametrize("inference", ["svi", "plugin", "nuts", "laplace"])
@pytest.mark.usefixtures("short_variational")
def test_no_labels_and_many_features_are_the_prior(inference):
    pool = _pool()
    settings = brm.inference.Nuts(chains=1, draws=30, warmup=10) if inference == "nuts" else inference
    posterior = brm.fit(brm.RewardModel(pool, "linear", prior_scale=0.2), pool, brm.Preferences.none(), settings)
    assert isinstance(posterior.information, SpannedFactor)
    torch.testing.assert_close(
        posterior.prior_precision, torch.full((P,), 25.0, dtype=torch.float64), rtol=1e-9, atol=0
    )
    if inference != "nuts":
        torch.testing.assert_close(posterior.location, torch.zeros(P).double(), rtol=0, atol=1e-6)
        expected = torch.full((P,), 25.0).double().diag()
        torch.testing.assert_close(posterior.information.matrix, expected, rtol=0, atol=1e-4)


def test_chains_in_the_span_with_the_prior_beside_them(monkeypatch):
    """Draws within the span are the sampler's own; beside it they have the prior's moments, whatever those are."""
    pool = _pool()
    labels = _labels(pool, 60)
    model = brm.RewardModel(pool, "linear", likelihood="davidson", prior_scale=0.2)
    joint = brm.fit(model, pool, labels).log_joint
    inside = span.span_of(joint)
    assert inside is not None
    sampled = []
    own = brm.inference.nuts.sample
    monkeypatch.setattr(
        "bayesrm.inference.nuts.sample", lambda *given: sampled.append((given, own(*given))) or sampled[-1][1]
    )
    posterior = brm.fit(model, pool, labels, brm.inference.Nuts(chains=2, draws=60, warmup=25))
    (given, inner), latent = sampled[0], posterior.drawn.latent
    assert given[0].size == 1 + inside.basis.shape[1]
    torch.testing.assert_close(
        torch.stack([inside.latent(x) for x in latent.flatten(0, 1)]), inner.latent.flatten(0, 1)
    )
    beta = latent[..., 1:].flatten(0, 1) * inside.root_prior
    outside = beta - beta @ inside.basis @ inside.basis.T
    n, free = len(beta), P - inside.basis.shape[1]
    directions = torch.linalg.qr(inside.basis, mode="complete").Q[:, -free:]
    white = outside @ directions
    squares = white.square().mean()
    assert float(squares) == pytest.approx(1.0, abs=5 * math.sqrt(2 / (n * free)))
    assert float(white.mean(dim=0).abs().max()) < 5 / math.sqrt(n)
    with_inside = white.T @ (inner.latent.flatten(0, 1) - inner.latent.flatten(0, 1).mean(dim=0))
    scale = inner.latent.flatten(0, 1).std(dim=0)
    assert float((with_inside / n / scale).abs().max()) < 5.5 / math.sqrt(n)
    assert isinstance(posterior.information, SpannedFactor)
    tree = posterior.to_datatree(40)
    lp = [float(joint(x)) for x in posterior.latent_draws(40, np.random.default_rng(0)).latent[1]]
    np.testing.assert_allclose(tree["sample_stats"]["lp"][1], lp, rtol=1e-9)


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
def test_the_tree_is_that_of_all_features(inference, dense):
    pool = _pool()
    model = brm.RewardModel(pool, "linear", likelihood="davidson")
    got, wanted = (run(lambda: brm.fit(model, pool, _labels(pool), inference)) for run in (lambda f: f(), dense))
    one, two = (posterior.to_datatree(4)["approximation"].to_dataset() for posterior in (got, wanted))
    for name in ("location", "scale_tril", "information"):
        largest = float(np.abs(two[name]).max())
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=1e-6 * max(largest, 1e-6), err_msg=name)
