"""Laplace against automatic differentiation of the Pyro model, explicit algebra, quadrature and Monte Carlo.

Explicit algebra is NumPy with inverses; features φ are the posterior's own, in float64.
"""

from __future__ import annotations

import math

import numpy as np
import pyro
import pytest
import scipy.stats
import torch
from scipy.optimize import brentq

import bayesrm as brm
from bayesrm import rng
from bayesrm.inference.base import train_encoder
from bayesrm.inference.fitting import newton
from bayesrm.inference.fitting.prior_scale import CAUTIOUS_STEP, choose_prior_scale, unit_scales
from bayesrm.models.features import labelled_differences
from bayesrm.models.likelihoods.flips import Flips
from bayesrm.models.log_joint import CentredPrior, LabelledDifferences, LogJoint

CPU = torch.device("cpu")


def _fit(world, prior_scale=None, preferences=None, **settings):
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=prior_scale)
    return brm.fit(model, world.pool, world.preferences if preferences is None else preferences, **settings)


def _log_joint(posterior):
    """β ↦ log p(y, β), from the trace of the Pyro model in float64."""
    preferences = posterior.preferences
    columns = [torch.from_numpy(getattr(preferences, name)) for name in ("first", "second", "outcome")]
    weight = None if preferences.weight is None else torch.from_numpy(preferences.weight)
    features = posterior.features(posterior.pool)

    def log_joint(beta):
        conditioned = pyro.poutine.condition(posterior.model.last_layer, data={"beta": beta})
        return pyro.poutine.trace(conditioned).get_trace(features, *columns, weight).log_prob_sum()

    return log_joint


def _information(posterior) -> torch.Tensor:
    return posterior.information_cholesky @ posterior.information_cholesky.T


def _covariance(posterior) -> np.ndarray:
    return np.linalg.inv(_information(posterior).numpy())


def _difference(posterior, pairs) -> np.ndarray:
    features = posterior.features(posterior.pool).numpy()
    return features[pairs.first] - features[pairs.second]


def _assert_same(left, right, tolerance=1e-8):
    for name in ("location", "information_cholesky"):
        torch.testing.assert_close(getattr(left, name), getattr(right, name), rtol=tolerance, atol=tolerance)
    assert left.log_evidence == pytest.approx(right.log_evidence, abs=1e-7)


@pytest.fixture(scope="module")
def pairs(pool) -> brm.Comparisons:
    index = np.random.default_rng(5).permutation(len(pool))
    return brm.Comparisons(index[:12], index[12:24])


# --- mode and curvature ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_and_hessian_anywhere_are_those_of_the_pyro_model(world, weighted):
    preferences = world.preferences
    if weighted:
        r = np.random.default_rng(1)
        preferences = brm.Preferences(
            preferences.first,
            preferences.second,
            r.random(len(preferences)),
            weight=r.uniform(0.1, 3, len(preferences)),
        )
    posterior = _fit(world, 0.7, preferences)
    data = labelled_differences(posterior.model, world.pool, preferences, CPU)
    log_joint = _log_joint(posterior)
    for seed in range(3):
        beta = torch.from_numpy(np.random.default_rng(seed).normal(size=world.pool.dim))
        joint = posterior.model.log_joint(data, posterior.prior_precision)
        gradient, information = joint.curvature(beta)
        assert float(joint(beta)) == pytest.approx(float(log_joint(beta)), abs=1e-8)
        expected = torch.autograd.functional.jacobian(log_joint, beta)
        hessian = torch.autograd.functional.hessian(log_joint, beta)
        torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(information, -hessian, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_the_mode_is_exact_and_its_precision_the_full_hessian(make_world, seed):
    posterior = _fit(make_world(seed, spread=2.0), 1.0)
    log_joint = _log_joint(posterior)
    gradient = torch.autograd.functional.jacobian(log_joint, posterior.location)
    hessian = torch.autograd.functional.hessian(log_joint, posterior.location)
    assert gradient.abs().max() < 1e-8
    torch.testing.assert_close(_information(posterior), -hessian, rtol=1e-8, atol=1e-8)


@pytest.mark.usefixtures("short_training")
def test_the_same_over_the_features_of_an_mlp(world):
    model = brm.RewardModel(world.pool.dim, hidden=(5, 4), prior_scale=2.0)
    posterior = brm.fit(model, world.pool, world.preferences)
    log_joint = _log_joint(posterior)
    assert torch.autograd.functional.jacobian(log_joint, posterior.location).abs().max() < 1e-8
    hessian = torch.autograd.functional.hessian(log_joint, posterior.location)
    torch.testing.assert_close(_information(posterior), -hessian, rtol=1e-8, atol=1e-8)


def test_newton_from_a_far_start_finds_the_same_mode(world):
    posterior = _fit(world, 1.0)
    data = labelled_differences(posterior.model, world.pool, world.preferences, CPU)
    far = torch.full_like(posterior.location, 300.0)
    mode = newton.maximise(posterior.model.log_joint(data, posterior.prior_precision), far)
    torch.testing.assert_close(mode.beta, posterior.location, rtol=1e-8, atol=1e-8)


def test_a_mode_near_by_takes_two_factors(world, monkeypatch):
    posterior = _fit(world, 1.0)
    data = labelled_differences(posterior.model, world.pool, world.preferences, CPU)
    joint = posterior.model.log_joint(data, posterior.prior_precision)
    factors = []
    factor = newton._ascent_factor
    monkeypatch.setattr(newton, "_ascent_factor", lambda matrix: factors.append(matrix) or factor(matrix))
    monkeypatch.setattr(newton, "MANY", 1)
    near = newton.maximise(joint, posterior.location * 1.01)
    assert len(factors) == 2
    torch.testing.assert_close(near.beta, posterior.location, rtol=0, atol=1e-10)
    torch.testing.assert_close(factors[-1], joint.curvature(near.beta)[1], rtol=0, atol=0)
    there = newton.maximise(joint, near.beta)
    assert len(factors) == 3, "at the mode already: only its own"
    assert torch.equal(there.beta, near.beta)


def test_newton_leaves_a_saddle_for_a_mode():
    """Answers that contradict each other, one of them taken for a flip: two modes, and a minimum between them."""
    data = LabelledDifferences(
        torch.tensor([[1.0, 0.0]] * 12 + [[6.0, 0.0]] * 2, dtype=torch.float64),
        torch.tensor([1.0] * 12 + [0.0] * 2, dtype=torch.float64),
        torch.ones(14, dtype=torch.float64),
    )
    joint = LogJoint(Flips(0.1), data, CentredPrior(torch.full((2,), 0.01, dtype=torch.float64)))

    def slope(beta: float) -> float:
        return float(joint.curvature(torch.tensor([beta, 0.0], dtype=torch.float64))[0][0])

    grid = np.linspace(-3, 6, 400)
    slopes = np.array([slope(beta) for beta in grid])
    up = np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] > 0))
    assert len(up) == 1, "one minimum"
    bottom = torch.tensor([brentq(slope, grid[up[0]], grid[up[0] + 1], xtol=1e-14), 0.0], dtype=torch.float64)
    mode = newton.maximise(joint, bottom)
    gradient, information = joint.curvature(mode.beta)
    assert gradient.abs().max() < 1e-4
    assert torch.linalg.eigvalsh(information).min() > 0
    assert float(joint(mode.beta)) > float(joint(bottom)) + 0.01


# --- evidence ----------------------------------------------------------------------------------------------------


def test_evidence_is_the_gaussian_integral_of_the_quadratic_expansion(laplace):
    log_joint = _log_joint(laplace)
    hessian = torch.autograd.functional.hessian(log_joint, laplace.location)
    d = len(laplace.location)
    integral = d / 2 * math.log(2 * math.pi) - 0.5 * float(torch.linalg.slogdet(-hessian).logabsdet)
    assert laplace.log_evidence == pytest.approx(float(log_joint(laplace.location)) + integral, abs=1e-8)


@pytest.mark.parametrize(("comparisons", "tolerance"), [(40, 0.1), (400, 0.01)])
def test_evidence_by_quadrature_in_two_dimensions(make_world, comparisons, tolerance):
    """The error of a Laplace approximation is of order d/n; twice that is allowed, ten times less at ten times n.

    A forgotten term of the formula, such as log σ or ½ log det Λ, would be of order 1.
    """
    posterior = _fit(make_world(2, dim=2, comparisons=comparisons), 1.0)
    axis = np.linspace(-10, 10, 161)
    steps = torch.from_numpy(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    root = torch.linalg.inv(posterior.information_cholesky).T
    beta = posterior.location + steps @ root.T
    z = torch.from_numpy(_difference(posterior, posterior.preferences))
    y = torch.from_numpy(posterior.preferences.outcome)
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(beta).sum(dim=1)
    log_joint = (y * (beta @ z.T) - torch.nn.functional.softplus(beta @ z.T)).sum(dim=1) + log_prior
    cell = (axis[1] - axis[0]) ** 2 * float(torch.linalg.det(root))
    exact = float(torch.logsumexp(log_joint, dim=0)) + math.log(cell)
    assert posterior.log_evidence == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("seed", range(4))
def test_prior_scale_has_the_largest_evidence_on_a_grid(make_world, seed):
    world = make_world(seed, spread=1.5)
    chosen = _fit(world)
    scale = chosen.model.prior_scale
    grid = [_fit(world, scale * factor).log_evidence for factor in np.exp(np.linspace(-2, 2, 41))]
    # The search stops within 2% of the best scale; evidence is flat there, to 1e-3 nats.
    assert chosen.log_evidence > max(grid) - 1e-3
    assert chosen.log_evidence == pytest.approx(grid[20], abs=1e-8)
    torch.testing.assert_close(chosen.prior_precision, torch.full_like(chosen.location, scale**-2))


def test_prior_scale_follows_the_scale_of_the_rewards(make_world):
    weak, strong = (_fit(make_world(0, comparisons=600, spread=spread)).model.prior_scale for spread in (0.3, 3.0))
    assert strong > 3 * weak


def test_prior_scale_over_a_trained_encoder_is_within_a_standard_error_of_the_best(make_world, monkeypatch):
    """Log p(held-out | rest, σ) by explicit algebra, one label at a time: the smallest σ of a grid that will do."""
    monkeypatch.setattr("bayesrm.inference.fitting.training.MAX_STEPS", 60)
    world = make_world(3, comparisons=120)
    model = brm.RewardModel(world.pool.dim, hidden=(8,))
    trained = train_encoder(model, world.pool, world.preferences, 0, CPU)
    assert [len(split.unseen.outcome) for split in trained.splits] == [30] * 4
    assert all(len(split.seen.outcome) == 90 for split in trained.splits)

    def held_out(scale):
        log_probs = []
        precision = torch.full((8,), scale**-2, dtype=torch.float64)
        for split in trained.splits:
            mode = newton.maximise(model.log_joint(split.seen, precision))
            covariance = torch.linalg.inv(mode.cholesky @ mode.cholesky.T)
            z, y = split.unseen.difference, split.unseen.outcome
            p = model.likelihood.expected_probability(z @ mode.beta, (z @ covariance @ z.T).diagonal())
            log_probs.append(torch.where(y == 1, p, 1 - p).log().numpy())
        return np.concatenate(log_probs)

    chosen = choose_prior_scale(trained, world.pool)
    best = max((held_out(chosen * factor) for factor in np.exp(np.linspace(-1, 4, 101))), key=np.sum)

    def behind(scale):
        """By how many standard errors."""
        loss = best - held_out(scale)
        return loss.sum() / (loss.std(ddof=1) * np.sqrt(len(loss)))

    assert 0.5 < behind(chosen) < 1.02
    assert behind(chosen * np.exp(-CAUTIOUS_STEP)) > 0.98
    assert brm.fit(model, world.pool, world.preferences, seed=0).model.prior_scale == chosen


# --- conditioning ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 75, 149])
def test_condition_is_a_fresh_fit_with_the_same_prior(world, cut):
    early = _fit(world, 0.8, world.preferences[:cut])
    _assert_same(early.condition(world.preferences[cut:]), _fit(world, 0.8))


def test_condition_on_nothing_changes_nothing(laplace):
    _assert_same(laplace.condition(brm.Preferences.none()), laplace)


def test_condition_keeps_features_and_prior_and_the_old_posterior(laplace, preferences):
    location = laplace.location.clone()
    more = laplace.condition(preferences[:20])
    assert more.model.prior_scale == laplace.model.prior_scale
    assert torch.equal(more.prior_precision, laplace.prior_precision)
    assert torch.equal(more.features(laplace.pool), laplace.features(laplace.pool))
    assert torch.equal(laplace.location, location)
    assert (len(laplace.preferences), len(more.preferences)) == (150, 170)


def test_labels_never_raise_the_entropy(laplace, preferences):
    assert laplace.condition(preferences[:10]).entropy() < laplace.entropy()


def test_condition_rejects_pairs_of_another_pool(laplace):
    with pytest.raises(brm.errors.InvalidInputError, match="indices below 40"):
        laplace.condition(brm.Preferences([0], [40], [1.0]))


# --- moments -----------------------------------------------------------------------------------------------------


def test_entropy_is_that_of_the_gaussian(laplace):
    gaussian = scipy.stats.multivariate_normal(laplace.location.numpy(), _covariance(laplace))
    assert laplace.entropy() == pytest.approx(gaussian.entropy(), abs=1e-10)


def test_logit_moments_and_covariance_by_explicit_algebra(laplace, pool, pairs):
    z = _difference(laplace, pairs)
    others = brm.Comparisons(pairs.second[:5], pairs.first[1:6])
    mean, variance = laplace.logit_moments(pool, pairs)
    covariance = laplace.logit_covariance(pool, pairs, others)
    np.testing.assert_allclose(mean, z @ laplace.location.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(variance, np.diag(z @ _covariance(laplace) @ z.T), rtol=1e-10)
    expected = z @ _covariance(laplace) @ _difference(laplace, others).T
    np.testing.assert_allclose(covariance, expected, rtol=1e-8, atol=1e-12)


def test_covariance_factor(laplace):
    factor = laplace.covariance_factor.numpy()
    np.testing.assert_allclose(factor @ factor.T, _covariance(laplace), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("block", [7, 8192])
def test_reward_is_centred_within_the_pool(laplace, pool, block, monkeypatch):
    monkeypatch.setattr("bayesrm.posteriors.base.RESPONSE_BLOCK", block)
    monkeypatch.setattr("bayesrm.models.features.RESPONSE_BLOCK", block)
    features = laplace.features(pool).numpy()
    centred = features - features.mean(axis=0)
    mean, sd = laplace.reward(pool)
    np.testing.assert_allclose(mean, centred @ laplace.location.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(sd, np.sqrt(np.diag(centred @ _covariance(laplace) @ centred.T)), rtol=1e-5)


def test_sampled_logits_have_the_moments(laplace, pool, pairs):
    draws = 20_000
    sample = laplace.sample_logits(pool, pairs, draws, rng.stream(0, "test")).numpy()
    mean, _ = laplace.logit_moments(pool, pairs)
    covariance = laplace.logit_covariance(pool, pairs, pairs).numpy()
    variance = np.diag(covariance)
    assert sample.shape == (draws, len(pairs))
    mean_error = np.sqrt(variance / draws)
    covariance_error = np.sqrt((np.outer(variance, variance) + covariance**2) / draws)
    assert (np.abs(sample.mean(axis=0) - mean.numpy()) < 5 * mean_error).all()
    assert (np.abs(np.cov(sample.T) - covariance) < 5 * covariance_error).all()


def test_draws_come_with_their_log_density(laplace):
    drawn = laplace.latent_draws(50, rng.stream(0, "test"))
    beta, log_q = drawn.latent[0], drawn.log_q[0]
    gaussian = scipy.stats.multivariate_normal(laplace.location.numpy(), _covariance(laplace))
    np.testing.assert_allclose(log_q, gaussian.logpdf(beta.numpy()), rtol=0, atol=1e-8)


def test_predictive_probability_by_monte_carlo(make_world):
    world = make_world(3, comparisons=12, spread=3.0)
    posterior = _fit(world, 1.0)
    pairs = brm.Comparisons(np.arange(20), np.arange(20, 40))
    draws = torch.sigmoid(posterior.sample_logits(world.pool, pairs, 40_000, rng.stream(1, "test"))).numpy()
    error = draws.std(axis=0) / np.sqrt(len(draws))
    got = posterior.preference_probability(world.pool, pairs.first, pairs.second)
    assert (np.abs(got - draws.mean(axis=0)) < 5 * error).all()
    plug_in = 1 / (1 + np.exp(-posterior.logit_moments(world.pool, pairs)[0].numpy()))
    assert (np.abs(got - 0.5) < np.abs(plug_in - 0.5)).all(), "averaging over the posterior moderates"


def test_predictive_probability_takes_lists_and_a_response_against_itself(laplace, pool):
    np.testing.assert_allclose(laplace.preference_probability(pool, [3, 0], [3, 1])[0], 0.5, atol=1e-9)
    both = laplace.preference_probability(pool, [0, 1], [1, 0])
    np.testing.assert_allclose(both.sum(), 1.0, atol=1e-8)


@pytest.mark.parametrize(("first", "second"), [([0], [40]), ([-1], [0]), ([0.5], [1]), ([0, 1], [2])])
def test_predictive_probability_rejects(laplace, pool, first, second):
    with pytest.raises(brm.errors.InvalidInputError):
        laplace.preference_probability(pool, first, second)


def test_new_pool_of_the_same_embedding(laplace, make_world):
    test = make_world(9, sizes=(3, 4)).pool
    mean, sd = laplace.reward(test)
    assert mean.shape == sd.shape == (7,)
    assert abs(mean.mean()) < 1e-9
    assert (sd > 0).all()


# --- what labels say ---------------------------------------------------------------------------------------------


def test_weight_two_is_the_comparison_twice(world):
    p = world.preferences
    weighted = brm.Preferences(p.first, p.second, p.outcome, weight=np.full(len(p), 2.0))
    _assert_same(_fit(world, 1.0, weighted), _fit(world, 1.0, p.append(p)))


def test_outcome_half_is_the_average_of_both_answers(world):
    p = world.preferences
    ties = brm.Preferences(p.first, p.second, np.full(len(p), 0.5))
    halves = [
        brm.Preferences(p.first, p.second, np.full(len(p), y), weight=np.full(len(p), 0.5)) for y in (0.0, 1.0)
    ]
    _assert_same(_fit(world, 1.0, ties), _fit(world, 1.0, halves[0].append(halves[1])))


def test_the_orientation_of_a_comparison_does_not_matter(world):
    p = world.preferences
    _assert_same(_fit(world, 1.0, brm.Preferences(p.second, p.first, 1 - p.outcome)), _fit(world, 1.0))


def test_no_labels_give_the_prior(world):
    posterior = _fit(world, preferences=brm.Preferences.none())
    d, scale = world.pool.dim, posterior.model.prior_scale
    assert not posterior.location.any()
    torch.testing.assert_close(_information(posterior), torch.eye(d, dtype=torch.float64) / scale**2)
    assert posterior.log_evidence == pytest.approx(0.0, abs=1e-9)
    _, sd = posterior.reward(world.pool)
    assert np.sqrt((sd**2).mean()) == pytest.approx(1.0, rel=1e-5), "a typical reward has a prior sd of one logit"
    np.testing.assert_allclose(posterior.preference_probability(world.pool, [0], [1]), 0.5, atol=1e-9)


def _separable(world) -> brm.Preferences:
    p = world.preferences
    reward = world.pool.embeddings[:, 0]
    return brm.Preferences(p.first, p.second, (reward[p.first] > reward[p.second]).astype(float))


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
@pytest.mark.parametrize("case", ["separable", "one label", "one pair asked 50 times", "one pair, both answers"])
def test_degenerate_labels_give_finite_posteriors(world, inference, case):
    p = world.preferences
    preferences = {
        "separable": _separable(world),
        "one label": p[:1],
        "one pair asked 50 times": brm.Preferences([0] * 50, [1] * 50, [1.0] * 50),
        "one pair, both answers": brm.Preferences([0, 0], [1, 1], [1.0, 0.0]),
    }[case]
    posterior = _fit(world, preferences=preferences, inference=inference)
    mean, sd = posterior.reward(world.pool)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    assert torch.isfinite(posterior.information_cholesky).all()
    probability = posterior.preference_probability(world.pool, p.first, p.second)
    assert ((probability >= 0) & (probability <= 1)).all()
    more = posterior.condition(p[:30])
    assert torch.isfinite(more.location).all()


def test_separable_labels_do_not_lead_to_a_boundless_prior(world):
    posterior = _fit(world, preferences=_separable(world))
    unit = unit_scales(posterior.model, world.pool, CPU)["features"]
    assert 1 / 30 <= posterior.model.prior_scale / unit <= 30


@pytest.mark.parametrize("encoder", ["linear", "mlp"])
@pytest.mark.parametrize("inference", ["laplace", "plugin"])
@pytest.mark.usefixtures("short_training")
def test_constant_embeddings_teach_nothing_and_break_nothing(world, encoder, inference):
    pool = brm.ResponsePool(np.full((len(world.pool), 3), 0.3, np.float32), world.pool.prompt)
    posterior = brm.fit(brm.RewardModel(3, encoder=encoder, hidden=(4,)), pool, world.preferences, inference)
    mean, sd = posterior.reward(pool)
    np.testing.assert_allclose(mean, 0.0, atol=1e-9)
    np.testing.assert_allclose(sd, 0.0, atol=1e-9)
    np.testing.assert_allclose(posterior.preference_probability(pool, [0], [1]), 0.5, atol=1e-9)


def test_more_features_than_labels(make_world):
    world = make_world(0, dim=64, comparisons=10)
    posterior = _fit(world)
    assert np.isfinite(posterior.entropy())
    assert _information(posterior).isfinite().all()


def test_read_only_arrays_are_taken(world):
    columns = [getattr(world.preferences, name).copy() for name in ("first", "second", "outcome")] + [np.ones(150)]
    for column in columns:
        column.flags.writeable = False
    preferences = brm.Preferences(*columns[:3], weight=columns[3])
    _fit(world, 1.0, preferences).to_datatree(draws=2)


# --- repeats to the bit, changes nothing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{"encoder": "linear"}, {"hidden": (5, 4)}, {"hidden": (4,), "training": "paper"}]
)
@pytest.mark.usefixtures("short_training")
def test_same_seed_same_posterior_to_the_bit(world, settings):
    model = brm.RewardModel(world.pool.dim, **settings)
    first = brm.fit(model, world.pool, world.preferences, seed=3)
    with rng.fenced(99):
        torch.rand(17)
        second = brm.fit(model, world.pool, world.preferences, seed=3)
    for name in ("location", "information_cholesky", "prior_precision"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert torch.equal(first.features(world.pool), second.features(world.pool))
    assert first.log_evidence == second.log_evidence
    other = brm.fit(model, world.pool, world.preferences, seed=4)
    assert torch.equal(other.location, first.location) == (settings.get("encoder") == "linear")


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
@pytest.mark.usefixtures("short_training")
def test_fit_leaves_model_pool_and_preferences_as_they_were(world, inference):
    model = brm.RewardModel(world.pool.dim, hidden=(4,))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    settings, training = model.describe(), [module.training for module in model.modules()]
    embeddings, outcome = world.pool.embeddings.copy(), world.preferences.outcome.copy()
    brm.fit(model, world.pool, world.preferences, inference)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert (model.describe(), model.prior_scale) == (settings, None)
    assert [module.training for module in model.modules()] == training
    assert np.array_equal(world.pool.embeddings, embeddings)
    assert np.array_equal(world.preferences.outcome, outcome)
