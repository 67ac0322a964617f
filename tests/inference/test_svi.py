"""Variational inference against the exact maximum of the ELBO: by quadrature, and by the conditions it meets."""

from __future__ import annotations

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import scipy.optimize
import torch

import bayesrm as brm
from bayesrm import rng
from bayesrm.diagnostics.arviz_lines import psis
from bayesrm.errors import InvalidInputError
from bayesrm.inference import svi
from bayesrm.inference.nuts import Nuts
from bayesrm.inference.svi import Svi

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = torch.from_numpy(WEIGHTS / WEIGHTS.sum())


def biased_second(features, first, second, outcome=None):
    """Nuisance parameters before and after β: a bias, and a positive slope."""
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    beta = pyro.sample("beta", dist.Normal(0.0, 1.0).expand([features.shape[-1]]).to_event(1))
    slope = pyro.sample("slope", dist.LogNormal(0.0, 0.5))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        logit = slope * (reward[first] - reward[second]) + bias
        return pyro.sample("outcome", dist.Bernoulli(logits=logit), obs=outcome)


def _fit(world, preferences=None, prior_scale=1.0, inference="svi", seed=0):
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=prior_scale)
    preferences = world.preferences if preferences is None else preferences
    return brm.fit(model, world.pool, preferences, inference, seed=seed)


def _stationarity(posterior, draws=4000):
    """L⁻¹ E ∇f and L⁻¹ E[−∇²f] L⁻ᵀ under the Gaussian; at the ELBO's maximum 0 and I (Opper & Archambeau 2009)."""
    joint, factor = posterior.log_joint, posterior.joint_cholesky
    latent = posterior.latent_draws(draws // 2, rng.stream(7, "test")).latent[0]
    centre = torch.cat([posterior.nuisance, posterior.location])
    gradient, information = torch.zeros_like(centre), torch.zeros_like(factor)
    for x in torch.cat([latent, 2 * centre - latent]):
        slope, curvature = joint.curvature(x)
        gradient += slope / draws
        information += curvature / draws
    white = torch.linalg.solve_triangular(factor, gradient[:, None], upper=False)[:, 0]
    left = torch.linalg.solve_triangular(factor, information, upper=False)
    return white, torch.linalg.solve_triangular(factor, left.T, upper=False)


@pytest.fixture(scope="module")
def variational(world):
    return _fit(world)


# --- the maximum of the ELBO ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcomes", ["separable", "noisy"])
def test_one_dimension_by_quadrature(make_world, outcomes):
    """Three labels and a wide prior: the posterior is skewed, and Laplace is not the best Gaussian."""
    world = make_world(4, dim=1, comparisons=3)
    direction = np.sign(world.pool.rows(world.preferences.first) - world.pool.rows(world.preferences.second))[:, 0]
    outcome = (direction > 0).astype(float)
    if outcomes == "noisy":
        outcome[0] = 1 - outcome[0]
    preferences = brm.Preferences(world.preferences.first, world.preferences.second, outcome)
    got, laplace = (_fit(world, preferences, 4.0, inference) for inference in ("svi", "laplace"))

    def negative_elbo(parameters):
        x = torch.from_numpy(parameters[0] + np.exp(parameters[1]) * NODES)
        values = torch.stack([got.log_joint(point[None]) for point in x])
        return -float(WEIGHTS @ values) - parameters[1]

    start = np.array([float(laplace.location), -np.log(float(laplace.information_cholesky))])
    best = scipy.optimize.minimize(
        negative_elbo, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9}
    )
    sd = np.exp(best.x[1])
    assert abs(start[0] - best.x[0]) > 0.2 * sd or abs(np.exp(start[1]) / sd - 1) > 0.1, "Laplace is elsewhere"
    assert float(got.location) == pytest.approx(best.x[0], abs=0.05 * sd)
    assert 1 / float(got.information_cholesky) == pytest.approx(sd, rel=0.05)
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    assert got.log_evidence == pytest.approx(-best.fun + entropy, abs=0.1)


def test_the_gradient_of_the_elbo_vanishes(variational):
    gradient, information = _stationarity(variational)
    assert gradient.abs().max() < 0.04
    torch.testing.assert_close(information, torch.eye(len(gradient)).double(), rtol=0, atol=0.05)


def test_it_differs_from_laplace_where_few_labels_skew_the_posterior(make_world):
    world = make_world(2, dim=3, comparisons=10, spread=4.0)
    laplace, got = (_fit(world, prior_scale=2.0, inference=inference) for inference in ("laplace", "svi"))
    assert _stationarity(laplace)[0].abs().max() > 0.2
    gradient, information = _stationarity(got)
    assert gradient.abs().max() < 0.08
    torch.testing.assert_close(information, torch.eye(3).double(), rtol=0, atol=0.1)
    assert got.log_evidence > _elbo(laplace)


def _elbo(posterior):
    drawn = posterior.latent_draws(4000, rng.stream(3, "test"))
    return float((torch.stack([posterior.log_joint(x) for x in drawn.latent[0]]) - drawn.log_q[0]).mean())


def test_the_elbo_is_below_the_evidence_and_close_to_it(make_world):
    posterior = _fit(make_world(2, dim=2, comparisons=40))
    axis = torch.linspace(-9, 9, 61, dtype=torch.float64)
    root = torch.linalg.inv(posterior.joint_cholesky).T
    x = posterior.location + torch.cartesian_prod(axis, axis) @ root.T
    cell = float(axis[1] - axis[0]) ** 2 * float(torch.linalg.det(root))
    exact = float(torch.logsumexp(torch.stack([posterior.log_joint(point) for point in x]), dim=0)) + np.log(cell)
    # 400 draws of a difference whose sd is the root of twice the divergence.
    assert exact - 0.15 < posterior.log_evidence < exact + 0.05


def test_nuisance_parameters_stand_where_the_log_joint_has_them(make_world):
    world = make_world(5, dim=2, comparisons=60)
    model = brm.RewardModel(2, encoder="linear", program=biased_second)
    posterior = brm.fit(model, world.pool, world.preferences, "svi")
    gradient, information = _stationarity(posterior, draws=400)
    assert gradient.abs().max() < 0.15
    torch.testing.assert_close(information, torch.eye(4).double(), rtol=0, atol=0.2)
    tree = posterior.to_datatree(50)
    assert (tree["posterior"]["slope"] > 0).all()
    lp, log_q = tree["sample_stats"]["log_p"], tree["sample_stats"]["log_q"]
    assert float((lp - log_q).std()) < 1


def test_many_features_have_a_low_rank_guide(world, monkeypatch):
    monkeypatch.setattr(svi, "MOST_FULL", 3)
    posterior = _fit(world)
    gradient, information = _stationarity(posterior)
    assert gradient.abs().max() < 0.06
    torch.testing.assert_close(information.diagonal(), torch.ones(len(gradient)).double(), rtol=0, atol=0.08)


def test_without_labels_it_is_the_prior(world):
    posterior = _fit(world, brm.Preferences.none(), prior_scale=0.3)
    assert posterior.location.abs().max() < 1e-6
    expected = torch.eye(world.pool.dim).double() / 0.3
    torch.testing.assert_close(posterior.information_cholesky, expected, rtol=1e-6, atol=1e-6)
    assert posterior.log_evidence == pytest.approx(0.0, abs=1e-6)


# --- as an inference -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_variational")
def test_the_same_seed_gives_the_same_bits_whatever_ran_before(world):
    once = _fit(world)
    with rng.fenced(99):
        torch.rand(3)
        state = torch.get_rng_state()
        again = _fit(world)
        assert torch.equal(torch.get_rng_state(), state)
    for name in ("location", "joint_cholesky", "information_cholesky"):
        assert torch.equal(getattr(again, name), getattr(once, name))
    assert again.log_evidence == once.log_evidence
    assert not torch.equal(_fit(world, seed=1).location, once.location)


def test_conditioning_is_a_fit_to_all_labels(world, variational, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(svi, "MOST_WINDOWS", 1)  # the fit to all labels ascends by itself
        early = _fit(world, world.preferences[:100])
    late = early.condition(world.preferences[100:])
    sd = variational.covariance_factor.square().sum(dim=1).sqrt()
    assert ((late.location - variational.location) / sd).abs().max() < 0.02
    torch.testing.assert_close(late.information_cholesky, variational.information_cholesky, rtol=0.03, atol=0.1)


def test_the_tree_is_an_approximations(variational, world):
    tree = variational.to_datatree(60, log_likelihood=True)
    assert tree["posterior"]["beta"].shape == (4, 15, world.pool.dim)
    assert {"lp", "log_p", "log_q"} <= set(tree["sample_stats"].data_vars)
    assert {"approximation", "log_likelihood", "prior", "log_prior"} <= set(tree.children)


@pytest.mark.usefixtures("short_training")
def test_encoder_and_guide_together(world, monkeypatch):
    model = brm.RewardModel(world.pool.dim, hidden=(5,), training="paper")
    state = {name: value.clone() for name, value in model.state_dict().items()}

    def fit(joint):
        return brm.fit(model, world.pool, world.preferences, Svi(joint=joint), seed=2)

    assert _stationarity(fit(joint=True))[0].abs().max() < 0.06
    monkeypatch.setattr(svi, "MOST_WINDOWS", 1)
    alone, together, again = fit(joint=False), fit(joint=True), fit(joint=True)
    assert not torch.equal(alone.features(world.pool), together.features(world.pool))
    assert torch.equal(again.features(world.pool), together.features(world.pool))
    assert torch.equal(again.location, together.location)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_training_on_the_elbo_raises_it(world, monkeypatch):
    from bayesrm.inference.fitting.elbo_descent import ElboDescent
    from bayesrm.inference.fitting.training import TrainingData

    model = brm.RewardModel(world.pool.dim, hidden=(5,)).fresh(0)
    model.encoder.fit_pool(world.pool)
    data = TrainingData.gather(model, world.pool, world.preferences, torch.device("cpu"))
    descent = ElboDescent(model, data, seed=0)

    def elbo():
        with rng.fenced(0), torch.no_grad():
            return -np.mean([float(descent._objective(data, 1.0)) for _ in range(50)])

    before, held_out = elbo(), descent.loss(data)
    for _ in range(150):
        descent.step()
    assert elbo() > before + 3
    assert descent.loss(data) < held_out
    beta, nuisance = descent.finish()
    assert beta.shape == (5,)
    assert nuisance.shape == (0,)


def test_particles_are_checked():
    with pytest.raises(InvalidInputError, match=r"expected particles to be a whole number from 1 to .*, got 0"):
        Svi(particles=0)


def test_laplace_and_svi_agree_with_nuts_on_a_real_pool(real_pool_folder):
    """First 64 principal components, 1,000 random labels; bounds are the project's own."""
    pool, golden = brm.load_pool(real_pool_folder / "pool"), brm.load_golden(real_pool_folder / "pool")
    embeddings = pool.rows(np.arange(len(pool))).astype(float)
    embeddings -= embeddings.mean(axis=0)
    axes = np.linalg.svd(embeddings, full_matrices=False)[2][:64]
    pool = brm.ResponsePool(embeddings @ axes.T, pool.prompt)
    asked = brm.candidates(pool, prompts=None, size=1000, seed=0)
    preferences = brm.GoldenAnnotator(golden, temperature=2.0, seed=0).label(asked)
    model = brm.RewardModel(64, encoder="linear")
    nuts = brm.fit(model, pool, preferences, Nuts(chains=2, draws=800, warmup=100))
    mean, sd = nuts.location, nuts.beta.std(dim=0)
    for inference, shift in (("laplace", 0.1), ("svi", 0.05)):
        posterior = brm.fit(model, pool, preferences, inference)
        assert float(((posterior.location - mean) / sd).abs().mean()) < shift, inference
        ratio = posterior.covariance_factor.square().sum(dim=1).sqrt() / sd
        # Squares have a third of the effective draws of means: 1,600 draws give an sd to 3%, and 64 are compared.
        assert float((ratio - 1).abs().mean()) < 0.04, inference
        assert float((ratio - 1).abs().max()) < 0.1, inference
        stats = posterior.to_datatree(2000)["sample_stats"]
        log_ratio = (stats["log_p"] - stats["log_q"]).values.reshape(-1)
        assert float(psis(log_ratio)[1]) < 0.7, inference
