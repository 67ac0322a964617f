"""NUTS against quadrature, and draws as a posterior: every tolerance is a multiple of a Monte Carlo standard error."""

from __future__ import annotations

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import bayesrm as brm
from bayesrm import rng
from bayesrm.diagnostics.arviz_lines import load_arviz
from bayesrm.errors import InvalidInputError
from bayesrm.inference.fitting.newton import maximise
from bayesrm.inference.nuts import Nuts, Sampling, WhitenedPotential
from bayesrm.posteriors import draws as draws_module
from bayesrm.posteriors.draws import shrunk_information

SHORT = {"chains": 2, "draws": 40, "warmup": 30}


def position_bias(features, first, second, outcome=None):
    """A bias towards what is shown first; β comes before the nuisance parameter, and is skewed by few labels."""
    beta = pyro.sample("beta", dist.Normal(0.0, 1.0).expand([features.shape[-1]]).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome)


def _fit(world, preferences=None, prior_scale=1.0, seed=0, **settings):
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=prior_scale)
    preferences = world.preferences if preferences is None else preferences
    return brm.fit(model, world.pool, preferences, Nuts(**(settings or SHORT)), seed=seed)


def quadrature(joint, width=9.0, nodes=37):
    """Mean and covariance of exp f over two dimensions, on a grid around the mode, half an sd of Laplace wide."""
    mode = maximise(joint)
    root = torch.linalg.inv(mode.joint_cholesky).T
    axis = torch.linspace(-width, width, nodes, dtype=torch.float64)
    x = mode.latent + torch.cartesian_prod(axis, axis) @ root.T
    weight = torch.softmax(torch.stack([joint(point) for point in x]), dim=0)
    square = weight.reshape(nodes, nodes)
    assert square[[0, -1]].sum() + square[:, [0, -1]].sum() < 1e-6, "the grid holds all of the posterior"
    mean = weight @ x
    return mean.numpy(), ((x - mean).T * weight @ (x - mean)).numpy()


def _assert_moments(latent, mean, covariance, standard_errors=4.5):
    """Of (chain, draw, dimension) draws, each within so many standard errors by the effective sample size."""
    for j in range(latent.shape[-1]):
        x, sd = latent[..., j], np.sqrt(covariance[j, j])
        squares = (x - mean[j]) ** 2
        assert abs(x.mean() - mean[j]) < standard_errors * sd / np.sqrt(load_arviz().ess(x))
        error = squares.std() / np.sqrt(load_arviz().ess(squares))
        assert abs(squares.mean() - covariance[j, j]) < standard_errors * error


@pytest.fixture(scope="module")
def skewed(make_world):
    """Two features, eight labels: a posterior that no Gaussian fits."""
    return make_world(2, dim=2, comparisons=8, spread=4.0)


@pytest.fixture(scope="module")
def long_run(skewed):
    return _fit(skewed, prior_scale=2.0, chains=2, draws=500, warmup=200)


@pytest.fixture(scope="module")
def short_run(world):
    return _fit(world)


# --- the sampler -------------------------------------------------------------------------------------------------


def test_moments_by_quadrature(long_run):
    mean, covariance = quadrature(long_run.log_joint)
    _assert_moments(long_run.drawn.latent.numpy(), mean, covariance)
    mode = maximise(long_run.log_joint).beta.numpy()
    assert (np.abs(mode - mean) > 0.1 * np.sqrt(np.diag(covariance))).any(), "the test is of a skewed posterior"


def test_nuisance_parameters_by_quadrature(make_world):
    world = make_world(1, dim=1, comparisons=12, spread=3.0)
    model = brm.RewardModel(1, encoder="linear", program=position_bias)
    posterior = brm.fit(model, world.pool, world.preferences, Nuts(chains=2, draws=120, warmup=60))
    mean, covariance = quadrature(posterior.log_joint)
    _assert_moments(posterior.drawn.latent.numpy(), mean, covariance)
    tree = posterior.to_datatree(1000)
    np.testing.assert_allclose(tree["posterior"]["bias"], posterior.drawn.latent[..., 0])
    np.testing.assert_allclose(tree["posterior"]["beta"][..., 0], posterior.drawn.latent[..., 1])


@pytest.mark.parametrize("program", [None, position_bias])
def test_the_potential_is_the_log_joint(world, program):
    settings = {"prior_scale": 0.7} if program is None else {"program": program}
    r = np.random.default_rng(0)
    preferences = brm.Preferences(
        world.preferences.first, world.preferences.second, world.preferences.outcome, weight=r.uniform(0, 2, 150)
    )
    model = brm.RewardModel(world.pool.dim, encoder="linear", **settings)
    joint = brm.fit(model, world.pool, preferences).log_joint
    mode = maximise(joint)
    potential = WhitenedPotential(joint, mode.latent, mode.joint_cholesky)
    for _ in range(3):
        epsilon = torch.from_numpy(r.normal(size=potential.size)).requires_grad_(True)
        x = potential.latent(epsilon)
        torch.testing.assert_close(mode.joint_cholesky.T @ (x - mode.latent), epsilon)
        value = potential({"epsilon": epsilon})
        assert float(value.detach()) == pytest.approx(-float(joint(x).detach()), abs=1e-9)
        got = torch.autograd.grad(value, epsilon)[0]
        torch.testing.assert_close(got, torch.autograd.grad(-joint(x), epsilon)[0], rtol=1e-9, atol=1e-9)


def test_chains_are_the_same_in_one_process_and_in_two(world, short_run):
    parallel = _fit(world, **SHORT, workers=2)
    assert torch.equal(parallel.drawn.latent, short_run.drawn.latent)
    for name, values in short_run.drawn.stats.items():
        np.testing.assert_array_equal(parallel.drawn.stats[name], values)


def test_a_model_that_no_other_process_can_have_is_sampled_in_this_one(world):
    def local(*arguments):
        return position_bias(*arguments)

    model = brm.RewardModel(world.pool.dim, encoder="linear", program=local)
    one, two = (
        brm.fit(model, world.pool, world.preferences, Nuts(2, 6, 5, workers)).drawn.latent for workers in (1, 2)
    )
    assert torch.equal(one, two)


def test_the_same_seed_gives_the_same_bits_whatever_ran_before(world, short_run):
    threads = torch.get_num_threads()
    with rng.fenced(99):
        torch.rand(3)
        state = torch.get_rng_state()
        again = _fit(world)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.equal(again.drawn.latent, short_run.drawn.latent)
    assert not torch.equal(again.drawn.latent[0], again.drawn.latent[1]), "chains differ"
    assert not torch.equal(_fit(world, seed=1).drawn.latent, again.drawn.latent)


def test_without_labels_it_is_the_prior(world):
    posterior = _fit(world, brm.Preferences.none(), prior_scale=0.3, chains=2, draws=200, warmup=60)
    d = world.pool.dim
    _assert_moments(posterior.drawn.latent.numpy(), np.zeros(d), 0.09 * np.eye(d))


def _degenerate(world, case):
    first, second, golden = world.preferences.first, world.preferences.second, world.golden
    if case == "one label":
        return world.pool, world.preferences[:1]
    if case == "separable":
        return world.pool, brm.Preferences(first, second, (golden[first] > golden[second]).astype(float))
    if case == "duplicates":
        return world.pool, brm.Preferences(first[:3].repeat(40), second[:3].repeat(40), np.ones(120))
    constant = np.ones_like(world.pool.rows(np.arange(len(world.pool))))
    return brm.ResponsePool(constant, world.pool.prompt), world.preferences


@pytest.mark.parametrize("case", ["one label", "separable", "duplicates", "constant features"])
@pytest.mark.parametrize("inference", [Nuts(**SHORT), "svi"])
def test_degenerate_labels_give_finite_posteriors(world, case, inference, short_variational):
    pool, preferences = _degenerate(world, case)
    posterior = brm.fit(brm.RewardModel(pool.dim, encoder="linear"), pool, preferences, inference)
    mean, sd = posterior.reward(pool)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    assert (sd >= 0).all()
    assert np.isfinite(posterior.entropy())
    if case == "separable":
        assert np.corrcoef(mean, world.golden)[0, 1] > 0.9


@pytest.mark.parametrize("settings", [{"chains": 0}, {"draws": 1}, {"warmup": 0}, {"workers": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(
        InvalidInputError, match=f"expected {next(iter(settings))} (of at least|to be a whole number)"
    ):
        Nuts(**settings)
    with pytest.raises(InvalidInputError, match=f"expected {next(iter(settings))} of at least"):
        Sampling(**settings)


# --- draws as a posterior ----------------------------------------------------------------------------------------


def test_moments_are_those_of_the_draws(world, short_run):
    beta = short_run.drawn.latent.reshape(-1, world.pool.dim).numpy()
    rewards = short_run.features(world.pool).numpy() @ beta.T
    moments = short_run.reward_moments(world.pool)
    np.testing.assert_allclose(moments.mean, rewards.mean(axis=1), atol=1e-10)
    np.testing.assert_allclose(moments.factor @ moments.factor.T, np.cov(rewards), atol=1e-10)
    np.testing.assert_allclose(moments.draws, rewards, atol=1e-10)
    assert moments.factor.shape[1] == world.pool.dim
    probability = short_run.preference_probability(world.pool, [0, 1], [2, 3])
    np.testing.assert_allclose(probability, (1 / (1 + np.exp(rewards[2:4] - rewards[:2]))).mean(axis=1))


def test_expectations_take_a_thinned_set_of_draws(world, short_run, monkeypatch):
    monkeypatch.setattr(draws_module, "MOST_REWARD_DRAWS", 9)
    thinned = short_run.reward_moments(world.pool).draws
    everything = short_run.features(world.pool) @ short_run.beta.T
    torch.testing.assert_close(thinned, everything[:, [0, 10, 20, 30, 40, 49, 59, 69, 79]])


def test_a_sample_is_of_the_draws(short_run):
    stored = {tuple(row) for row in short_run.beta.tolist()}
    some = short_run.sample_last_layer(50, rng.stream(0, "test"))
    assert len({tuple(row) for row in some.tolist()} & stored) == 50, "without replacement"
    many = short_run.sample_last_layer(300, rng.stream(0, "test"))
    assert many.shape[0] == 300
    assert {tuple(row) for row in many.tolist()} <= stored


def test_conditioning_samples_again(world, make_world):
    early = _fit(world, world.preferences[:100], chains=2, draws=120, warmup=60)
    late = early.condition(world.preferences[100:])
    assert len(late.preferences) == 150
    exact = brm.fit(brm.RewardModel(world.pool.dim, "linear", prior_scale=1.0), world.pool, world.preferences)
    sd = exact.covariance_factor.square().sum(dim=1).sqrt()
    # Laplace is off by 0.1 sd itself at 25 labels a feature; the first hundred alone are 0.4 away.
    assert float(((late.location - exact.location) / sd).abs().mean()) < 0.25
    assert torch.equal(late.location, early.condition(world.preferences[100:]).location)


def test_the_tree_has_chains_and_what_the_sampler_did(world, short_run):
    tree = short_run.to_datatree(1000, log_likelihood=True)
    assert {
        "posterior", "prior", "log_prior", "sample_stats", "posterior_predictive", "observed_data", "constant_data",
        "approximation", "log_likelihood",
    } == set(tree.children)  # fmt: skip
    stats = tree["sample_stats"]
    assert set(stats.data_vars) == {
        "lp", "energy", "diverging", "tree_depth", "n_steps", "acceptance_rate", "step_size"
    }  # fmt: skip
    assert stats["diverging"].dtype == bool
    assert tree["posterior"]["beta"].shape == (2, 40, world.pool.dim)
    assert tree["log_likelihood"]["outcome"].shape == (2, 40, 150)
    lp = [float(short_run.log_joint(x)) for x in short_run.drawn.latent[1]]
    np.testing.assert_allclose(stats["lp"][1], lp, rtol=1e-10)
    # The energy of a trajectory is the potential at the draw before, plus a kinetic energy.
    assert (stats["energy"].values[1, 1:] + stats["lp"].values[1, :-1] > 0).all()
    assert ((stats["acceptance_rate"] >= 0) & (stats["acceptance_rate"] <= 1 + 1e-12)).all()
    assert (tree.attrs["divergences"], tree.attrs["max_treedepth_hits"]) == (0, 0)
    fewer = short_run.to_datatree(10)
    np.testing.assert_array_equal(
        fewer["posterior"]["beta"], short_run.drawn.latent[:, np.linspace(0, 39, 5).round().astype(int)]
    )
    assert fewer["sample_stats"]["energy"].shape == (2, 5)


def test_the_energy_is_conserved(long_run):
    """H where a trajectory begins and U where it ends differ by a kinetic energy: χ² with two degrees, halved."""
    stats = long_run.to_datatree(2000)["sample_stats"]
    kinetic = (stats["energy"] + stats["lp"]).values
    assert kinetic.mean() == pytest.approx(1.0, abs=0.15)


# --- the information that designs use ------------------------------------------------------------------------------


def test_the_information_is_laplaces_where_there_are_fewer_draws_than_features():
    r = np.random.default_rng(0)
    whitening = torch.linalg.cholesky(torch.from_numpy(np.cov(r.normal(size=(30, 90)))))
    few = torch.linalg.solve_triangular(whitening.T, torch.from_numpy(r.normal(size=(30, 10))), upper=True).T
    factor = shrunk_information(few, few.mean(dim=0), whitening)
    assert torch.equal(factor, factor.tril())
    root = torch.linalg.solve_triangular(whitening, factor, upper=False)
    spread = torch.linalg.svdvals(root)
    assert float(spread.min()) > 0.4
    assert float(spread.max()) < 2
    same = torch.zeros(5, 30, dtype=torch.float64)
    torch.testing.assert_close(
        shrunk_information(same, same[0], whitening), whitening * np.sqrt(35 / 30), rtol=1e-8, atol=1e-10
    )


def test_the_information_is_that_of_many_draws():
    """Draws that are twice as wide as Laplace thinks: the shrinkage is gone as 1/n."""
    r = np.random.default_rng(1)
    root = torch.from_numpy(np.linalg.cholesky(np.cov(r.normal(size=(4, 30)))))
    draws = 2 * torch.linalg.solve_triangular(root.T, torch.from_numpy(r.normal(size=(4, 20_000))), upper=True).T
    factor = shrunk_information(draws, draws.mean(dim=0), root)
    expected = torch.linalg.inv(torch.cov(draws.T))
    torch.testing.assert_close(factor @ factor.T, expected, rtol=2e-3, atol=2e-3 * float(expected.abs().max()))


def test_one_draw_has_no_covariance():
    with pytest.raises(InvalidInputError, match="at least 2 draws"):
        shrunk_information(torch.zeros(1, 3).double(), torch.zeros(3).double(), torch.eye(3).double())
