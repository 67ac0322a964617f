"""What ``to_datatree`` promises for every inference: the same groups, exact densities, files that open anywhere."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import warnings

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import kstest, multivariate_normal, norm

import bayesrm as brm
from bayesrm import rng
from bayesrm.diagnostics.arviz_lines import load_arviz, psis
from bayesrm.diagnostics.draws import from_chains
from bayesrm.inference import INFERENCES, bnn, svi
from bayesrm.inference.bnn import BayesianNetwork
from bayesrm.inference.ensemble import Ensemble
from bayesrm.inference.fitting import network_stack, training
from bayesrm.inference.mc_dropout import MCDropout
from bayesrm.inference.nuts import Nuts
from bayesrm.models.context import Context
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.networks import NetworkDraws
from bayesrm.runs.results import write_results

GROUPS = {
    "posterior", "prior", "log_prior", "sample_stats", "posterior_predictive", "observed_data", "constant_data",
    "approximation",
}  # fmt: skip
SHORT = {
    "nuts": Nuts(chains=2, draws=50, warmup=40),
    "ensemble": Ensemble(members=30),
    "mc-dropout": MCDropout(rate=0.3, draws=30),
    "bnn": BayesianNetwork(draws=30),
}
NETWORKS = ("ensemble", "mc-dropout", "bnn")
APPROXIMATIONS = ("laplace", "svi")


@pytest.fixture(scope="module", autouse=True)
def short():
    """Networks and SVI take a few steps only: nothing here is about how well they learn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "MAX_STEPS", 12)
        patch.setattr(training, "PAPER_STEPS", 12)
        patch.setattr(network_stack, "HELD_OUT_NETWORKS", 2)
        patch.setattr(bnn, "MAX_STEPS", 30)
        patch.setattr(svi, "MOST_WINDOWS", 1)
        patch.setattr(svi, "WINDOW", 12)
        patch.setattr(svi, "ELBO_DRAWS", 60)
        yield


def _preferences(world, ties: bool) -> brm.Preferences:
    """With weights, names and, if asked, ties."""
    outcome = world.preferences.outcome.copy()
    outcome[::7] = 0.5 if ties else outcome[::7]
    return brm.Preferences(
        world.preferences.first,
        world.preferences.second,
        outcome,
        weight=np.linspace(0.5, 1.5, len(outcome)),
        annotator=np.where(np.arange(len(outcome)) % 2, "ann", "bob"),
    )


def _fit(world, name: str, likelihood: str = "bradley-terry") -> RewardPosterior:
    """With prompt intercepts, so that β has two blocks."""
    encoder = {"hidden": (7, 5)} if name in NETWORKS else {"encoder": "linear"}
    model = brm.RewardModel(world.pool.dim, **encoder, likelihood=likelihood, prompt_intercept=True)
    labels = _preferences(world, ties=likelihood == "davidson")
    return brm.fit(model, world.pool, labels, SHORT.get(name, name), seed=4)


@pytest.fixture(scope="module", params=sorted(INFERENCES))
def posterior(request, world) -> RewardPosterior:
    return _fit(world, request.param)


@pytest.fixture(scope="module")
def tree(posterior) -> xr.DataTree:
    return posterior.to_datatree(400, seed=1, log_likelihood=True)


@pytest.fixture(scope="module", params=["plugin", "laplace", "nuts", "ensemble"])
def davidson(request, world) -> RewardPosterior:
    """With a nuisance parameter, which is positive, and outcomes that are not integers."""
    return _fit(world, request.param, "davidson")


# --- the same for all --------------------------------------------------------------------------------------------


def test_groups_and_their_dimensions(tree, posterior):
    assert set(tree.children) == GROUPS | {"log_likelihood"}
    assert set(posterior.to_datatree(2).children) == GROUPS
    assert tree.attrs["inference"] == posterior.inference in INFERENCES
    features, prompts = posterior.model.encoder.features, 10
    chains, draws = tree["posterior"].sizes["chain"], tree["posterior"].sizes["draw"]
    n = len(posterior.preferences)
    outer = {"chain": chains, "draw": draws}
    expected = {
        "posterior": outer | {"feature": features, "prompt": prompts},
        "prior": {"chain": 1, "draw": 500, "feature": features, "prompt": prompts},
        "log_prior": outer,
        "sample_stats": outer,
        "posterior_predictive": outer | {"comparison": n},
        "log_likelihood": outer | {"comparison": n},
        "observed_data": {"comparison": n},
        "constant_data": {"comparison": n, "feature": features, "prompt": prompts},
    }
    assert {name: dict(tree[name].sizes) for name in expected} == expected
    approximation = tree["approximation"]
    assert approximation["location"].dims == ("latent",)
    assert approximation["scale_tril"].dims == ("latent", "latent_factor")
    assert approximation["location"].size == features + prompts
    assert list(approximation["latent"].values[[0, features]]) == ["beta[0]", "intercept[0]"]


def test_numbers_are_finite_and_dimensions_have_coordinates(tree):
    for group in tree.children.values():
        assert set(group.dims) <= set(group.coords), group.name
        for name, variable in group.data_vars.items():
            assert variable.dtype.kind in "iufbUT", (group.name, name, variable.dtype)
            if variable.dtype.kind == "f":
                assert np.isfinite(variable).all(), (group.name, name)


def test_attributes_are_numbers_and_text(tree):
    for node in tree.subtree:
        for name, value in node.attrs.items():
            assert type(value) in (str, int, float), (node.name, name, value)
            assert value != "", (node.name, name)
    assert json.loads(tree.attrs["model"])["prompt_intercept"] is True


def test_data_is_what_was_observed(tree, posterior):
    labels, constant = posterior.preferences, tree["constant_data"]
    np.testing.assert_array_equal(tree["observed_data"]["outcome"], labels.outcome)
    for name in ("first", "second", "weight", "annotator"):
        np.testing.assert_array_equal(constant[name], getattr(labels, name))
    features = posterior.model.encoder.features
    assert tree["observed_data"]["outcome"].dtype == tree["posterior_predictive"]["outcome"].dtype == np.int8
    np.testing.assert_array_equal(constant["prior_precision"], posterior.prior_precision[:features])
    np.testing.assert_array_equal(constant["intercept_prior_precision"], posterior.prior_precision[features:])


def test_prior_draws_are_of_the_prior(tree):
    constant = tree["constant_data"]
    for name, precision in (("beta", "prior_precision"), ("intercept", "intercept_prior_precision")):
        white = (tree["prior"][name] * np.sqrt(constant[precision])).values.ravel()
        assert kstest(white, norm.cdf).pvalue > 1e-3


def test_log_joint_is_prior_and_likelihood(tree):
    weighted = (tree["log_likelihood"]["outcome"] * tree["constant_data"]["weight"]).sum("comparison")
    np.testing.assert_allclose(tree["log_prior"]["beta"] + weighted, tree["sample_stats"]["lp"], rtol=1e-9)
    total = 0.0
    for name, precision in (("beta", "prior_precision"), ("intercept", "intercept_prior_precision")):
        sd = 1 / np.sqrt(tree["constant_data"][precision].values)
        total = total + norm.logpdf(tree["posterior"][name].values, scale=sd).sum(axis=-1)
    np.testing.assert_allclose(tree["log_prior"]["beta"], total, rtol=1e-9)


def test_simulated_outcomes_have_their_probabilities(tree):
    """P(y | draw) of the observed outcome, from the log-likelihood, against how often that outcome was simulated."""
    observed = tree["observed_data"]["outcome"]
    probability = np.exp(tree["log_likelihood"]["outcome"])
    hit = tree["posterior_predictive"]["outcome"] == observed
    error = np.sqrt(float((probability * (1 - probability)).sum())) / hit.size
    assert float(hit.mean() - probability.mean()) == pytest.approx(0, abs=4 * error)


def test_the_same_seed_gives_the_same_file(tree, posterior, tmp_path):
    again = posterior.to_datatree(400, seed=1, log_likelihood=True)
    xr.testing.assert_identical(tree, again)
    for name, each in (("one", tree), ("two", again)):
        write_results(each, tmp_path / f"{name}.nc")
    assert (tmp_path / "one.nc").read_bytes() == (tmp_path / "two.nc").read_bytes()
    other = posterior.to_datatree(400, seed=2)
    assert not np.array_equal(other["posterior_predictive"]["outcome"], tree["posterior_predictive"]["outcome"])


def test_a_file_is_read_as_it_was_written(tree, tmp_path):
    write_results(tree, tmp_path / "tree.nc")
    with brm.open_results(tmp_path / "tree.nc") as opened:
        xr.testing.assert_identical(opened.load(), tree)
        assert opened["sample_stats"]["lp"].dtype == np.float64


def _short(tree: xr.DataTree) -> bool:
    """Whether chains are too short for R̂ to be close to one."""
    return tree["posterior"].sizes["draw"] < 100


def test_arviz_reads_it(tree):
    """And its PSIS-LOO is the sum over comparisons of log Σ_s w_s p(y | draw s), w smoothed 1/p."""
    if tree["posterior"].sizes["draw"] == 1:
        pytest.skip("one draw has no standard deviation")
    az = load_arviz()
    legacy = az.__version__.startswith("0.")
    data = az.InferenceData.from_datatree(tree) if legacy else tree
    kind = "all" if tree["posterior"].sizes["chain"] > 1 else "stats"
    summary = az.summary(data, kind=kind)
    assert len(summary) == tree["approximation"].sizes["latent"]
    assert np.isfinite(summary.to_numpy(float)).all()
    if kind == "all":
        # Warnings are errors here: R̂ is of four chains, or of the sampler's own.
        assert summary["r_hat"].astype(float).max() < (1.5 if _short(tree) else 1.05)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
        loo = az.loo(data, reff=1.0)
    elpd = float(loo.elpd_loo if legacy else loo.elpd)
    pointwise = tree["log_likelihood"]["outcome"].values.reshape(-1, tree["observed_data"].sizes["comparison"])
    smoothed = [psis(-column)[0] for column in pointwise.T]
    own = sum(np.log(np.exp(w + column).sum()) for w, column in zip(smoothed, pointwise.T, strict=True))
    assert elpd == pytest.approx(own, abs=1e-9)


# --- what an approximation says of itself --------------------------------------------------------------------------


@pytest.mark.parametrize("name", APPROXIMATIONS)
def test_an_approximation_has_the_density_of_its_draws(world, name):
    """log_q by the group ``approximation`` alone: N(x; location, scale_tril scale_trilᵀ), ν unconstrained."""
    posterior = _fit(world, name, "davidson")
    tree = posterior.to_datatree(400, seed=1)
    q = len(posterior.nuisance)
    drawn = posterior.latent_draws(400, rng.stream(1, "posterior draws")).latent[0].numpy()
    location, tril = (tree["approximation"][part].values for part in ("location", "scale_tril"))
    np.testing.assert_array_equal(tril, np.tril(tril))
    density = multivariate_normal(location, tril @ tril.T).logpdf(np.roll(drawn, -q, axis=1))
    np.testing.assert_allclose(tree["sample_stats"]["log_q"].values.ravel(), density, rtol=1e-8)
    d = len(posterior.location)
    of_beta = (posterior.covariance_factor @ posterior.covariance_factor.T).numpy()
    np.testing.assert_allclose(tril[:d, :d] @ tril[:d, :d].T, of_beta, rtol=1e-9, atol=1e-12)
    names = tree["approximation"]["latent"].values[d:]
    assert list(names) == [site.name for site in posterior.log_joint.nuisance.sites]
    ratio = tree["sample_stats"]["log_p"] - tree["sample_stats"]["log_q"]
    assert psis(ratio.values.ravel())[1] < 0.7


def test_others_have_no_density_and_the_moments_of_their_draws(tree, posterior):
    stats = set(tree["sample_stats"].data_vars)
    if posterior.inference in APPROXIMATIONS:
        assert {"lp", "log_p", "log_q"} == stats
        assert psis((tree["sample_stats"]["log_p"] - tree["sample_stats"]["log_q"]).values.ravel())[1] < 0.7
        return
    assert not {"log_p", "log_q"} & stats
    if posterior.inference == "plugin":
        beta, covariance = posterior.location[None], np.zeros((16, 16))
    else:
        beta = posterior.beta
        covariance = np.cov(beta.numpy().T)
    tril = tree["approximation"]["scale_tril"].values
    np.testing.assert_allclose(tree["approximation"]["location"], beta.mean(dim=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tril @ tril.T, covariance, rtol=1e-8, atol=1e-12)


def test_nuisance_parameters_are_in_every_group(davidson, tmp_path):
    tree = davidson.to_datatree(100, log_likelihood=True)
    assert set(tree.children) == GROUPS | {"log_likelihood"}
    (site,) = (
        site.name
        for site in davidson.model.nuisance_space(Context.of(davidson.preferences, torch.device("cpu"))).sites
    )
    for group in ("posterior", "prior", "log_prior"):
        assert site in tree[group], group
    assert (tree["posterior"][site] > 0).all()
    latent = tree["approximation"]["latent"].values
    assert latent[-1] == site
    stored = davidson.nuisance.mean(dim=0) if isinstance(davidson, NetworkDraws) else davidson.nuisance
    assert float(tree["approximation"]["location"][-1]) == pytest.approx(float(stored[0]), rel=1e-12)
    assert set(np.unique(tree["posterior_predictive"]["outcome"])) <= {0.0, 0.5, 1.0}
    assert tree["observed_data"]["outcome"].dtype == np.float64
    write_results(tree, tmp_path / "tree.nc")
    with brm.open_results(tmp_path / "tree.nc") as opened:
        xr.testing.assert_identical(opened.load(), tree)


# --- four chains, and rewards ------------------------------------------------------------------------------------


def test_independent_draws_come_in_four_chains_and_say_so(posterior, world):
    tree = posterior.to_datatree(400, seed=1)
    chains, draws = tree["posterior"].sizes["chain"], tree["posterior"].sizes["draw"]
    expected = {"plugin": 1, "nuts": 2, "ensemble": 1, "mc-dropout": 1, "bnn": 1}.get(posterior.inference, 4)
    assert chains == expected
    assert bool(tree["sample_stats"].attrs["independent_draws"]) is (posterior.inference != "nuts")
    assert from_chains(tree) is (posterior.inference == "nuts")
    if posterior.inference in APPROXIMATIONS:
        assert draws == 100
        drawn = posterior.latent_draws(400, rng.stream(1, "posterior draws")).latent[0]
        beta = drawn[:, : len(drawn[0])].reshape(4, 100, -1).numpy()
        together = np.concatenate(
            [tree["posterior"]["beta"].values, tree["posterior"]["intercept"].values], axis=2
        )
        np.testing.assert_array_equal(together, beta)
        assert posterior.to_datatree(50)["posterior"]["beta"].shape[:2] == (4, 13), (
            "the next number that fills four"
        )
        assert posterior.to_datatree(10)["posterior"]["beta"].shape[:2] == (1, 10), "too few for R̂"


def test_networks_come_in_four_chains_where_they_fill_them(world):
    model = brm.RewardModel(world.pool.dim, hidden=(4,))
    few, many = (brm.fit(model, world.pool, world.preferences[:20], BayesianNetwork(draws=n)) for n in (18, 20))
    assert few.to_datatree()["posterior"].sizes["chain"] == 1
    dropout = brm.fit(model, world.pool, world.preferences[:20], MCDropout(draws=20))
    assert dropout.to_datatree()["posterior"].sizes["chain"] == 1, "they share a last layer, which has no R̂"
    tree = many.to_datatree()
    assert dict(tree["posterior"]["beta"].sizes) == {"chain": 4, "draw": 5, "feature": 4}
    assert not from_chains(tree)


def test_rewards_of_chosen_responses_are_in_the_tree(posterior, tmp_path):
    """Under every draw: φᵀβ less its mean over the pool, so that mean and sd are those of ``reward``."""
    chosen = [7, 0, 11]
    tree = posterior.to_datatree(400, seed=1, responses=chosen)
    reward = tree["posterior"]["reward"]
    assert reward.dims == ("chain", "draw", "response")
    assert list(reward["response"].values) == chosen
    plain = posterior.to_datatree(400, seed=1)
    xr.testing.assert_identical(
        tree["posterior"].to_dataset()[["beta"]], plain["posterior"].to_dataset()[["beta"]]
    )
    assert "reward" not in plain["posterior"]
    if posterior.inference not in NETWORKS:
        features = posterior.features(posterior.pool).numpy()
        centred = (features - features.mean(axis=0))[chosen]
        beta = np.concatenate([tree["posterior"]["beta"].values, tree["posterior"]["intercept"].values], axis=2)
        np.testing.assert_allclose(reward.values, beta @ centred.T, rtol=1e-9, atol=1e-12)
    mean, sd = posterior.reward(posterior.pool)
    flat = reward.values.reshape(-1, len(chosen))
    # Networks compute in single precision, and all of them are in the tree.
    error = 1e-6 + 5 * sd[chosen] / np.sqrt(len(flat)) * (posterior.inference not in NETWORKS)
    assert (np.abs(flat.mean(axis=0) - mean[chosen]) <= error).all()
    if len(flat) > 1:
        np.testing.assert_allclose(flat.std(axis=0, ddof=1), sd[chosen], rtol=0.25)
    write_results(tree, tmp_path / "tree.nc")
    with brm.open_results(tmp_path / "tree.nc") as opened:
        xr.testing.assert_identical(opened.load(), tree)


@pytest.mark.parametrize(
    ("responses", "said"),
    [
        ([0, 10_000], "indices below"),
        ([1, 1], "one of them twice"),
        ([0.5], "integers"),
        ([[1]], "one-dimensional"),
    ],
)
def test_rewards_of_no_response_are_refused(laplace, responses, said):
    with pytest.raises(brm.errors.InvalidInputError, match=said):
        laplace.to_datatree(20, responses=responses)


# --- names, sizes, edges ---------------------------------------------------------------------------------------------


def test_the_name_survives_conditioning(posterior, world):
    if posterior.inference in NETWORKS:
        pytest.skip("networks are fitted again by the inference itself")
    assert posterior.condition(world.preferences[:3]).inference == posterior.inference


def test_a_new_inference_that_borrows_a_refit_keeps_its_name(laplace, world):
    """As a new one does that changes what Laplace returns: its ``refit`` puts Laplace's name on the next posterior."""
    after = dataclasses.replace(laplace, inference="mine").condition(world.preferences[:3])
    assert after.inference == "mine"
    assert after.condition(world.preferences[3:5]).inference == "mine"
    assert len(after.preferences) == len(laplace.preferences) + 3


def test_by_default_there_are_as_many_draws_as_both_lines_of_arviz_agree_on():
    """The largest 3 √S importance weights are smoothed: 0.23 rounds that up, 1.x rounds it down."""
    ours = [kind for kind in RewardPosterior.__subclasses__() if kind.__module__.startswith("bayesrm.")]
    kinds = [RewardPosterior, NetworkDraws, *ours]
    defaults = {inspect.signature(kind.to_datatree).parameters["draws"].default for kind in kinds}
    (draws,) = (value for value in defaults if value is not inspect.Parameter.empty)
    assert math.isqrt(draws) ** 2 == draws
    chains = Nuts().sampling.chains
    assert draws % chains == 0


def test_simulated_outcomes_take_little_room(laplace, tmp_path):
    tree = laplace.to_datatree(1024)
    write_results(tree, tmp_path / "tree.nc")
    with h5py.File(tmp_path / "tree.nc") as file:
        stored = file["posterior_predictive/outcome"].id.get_storage_size()
    # A bit each, or less; single precision would take 32.
    assert stored < tree["posterior_predictive"]["outcome"].size / 4


@pytest.mark.parametrize("name", ["plugin", "laplace", "ensemble"])
def test_without_labels(world, name, tmp_path):
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=0.7)
    prior = brm.fit(model, world.pool, brm.Preferences.none(), SHORT.get(name, name))
    tree = prior.to_datatree(50, log_likelihood=True)
    assert set(tree.children) == GROUPS | {"log_likelihood"}
    assert tree["posterior_predictive"]["outcome"].shape[-1] == 0
    write_results(tree, tmp_path / "tree.nc")
    with brm.open_results(tmp_path / "tree.nc") as opened:
        xr.testing.assert_identical(opened.load(), tree)
