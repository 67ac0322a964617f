"""Users' own Pyro models: posteriors against automatic differentiation of the model itself, and every misuse."""

from __future__ import annotations

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from torch.distributions import biject_to

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference import Nuts
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.davidson import Davidson
from bayesrm.models.likelihoods.finite import FiniteOutcomes
from bayesrm.models.nuisance import NuisanceSpace


def _weights(features, scale=0.7):
    return pyro.sample("beta", dist.Normal(0.0, scale).expand([features.shape[-1]]).to_event(1))


def plain(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second]), obs=outcome)


def position_bias(features, first, second, outcome=None):
    reward = features @ _weights(features)
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome)


def hierarchical(features, first, second, outcome=None):
    sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
    middle = pyro.sample("middle", dist.Normal(0.0, 0.5))
    beta = pyro.sample("beta", dist.Normal(middle, sigma).expand([features.shape[-1]]).to_event(1))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second]), obs=outcome)


def ties(features, first, second, outcome=None):
    reward = features @ _weights(features)
    tie = pyro.sample("tie", dist.LogNormal(0.0, 1.0))
    with pyro.plate("comparison", len(first)):
        half = (reward[first] - reward[second]) / 2
        log_probs = torch.stack([-half, tie.log().expand_as(half), half], dim=-1).log_softmax(dim=-1)
        return pyro.sample("outcome", FiniteOutcomes((0.0, 0.5, 1.0), log_probs), obs=outcome)


def groups(features, first, second, outcome=None):
    """A plate of its own beside that of the comparisons, and a site that branches on another."""
    reward = features @ _weights(features)
    with pyro.plate("kind", 2):
        offset = pyro.sample("offset", dist.Normal(0.0, 1.0))
    slope = offset[0] if offset[0] > offset[1] else offset[1]
    with pyro.plate("comparison", len(first)):
        logit = reward[first] - reward[second] + slope
        return pyro.sample("outcome", dist.Bernoulli(logits=logit), obs=outcome)


PROGRAMS = (plain, position_bias, hierarchical, ties, groups)


def _preferences(world, with_ties=False):
    given = world.preferences
    logit = torch.from_numpy(world.golden[given.first] - world.golden[given.second])
    r = np.random.default_rng(0)
    likelihood = Davidson(1.0) if with_ties else BradleyTerry()
    outcome = likelihood.simulate(2 * logit + (not with_ties) * 0.5, r).numpy()
    return brm.Preferences(given.first, given.second, outcome, weight=r.uniform(0.5, 2, len(given)))


def _fit(world, program, inference="laplace"):
    model = brm.RewardModel(world.pool.dim, encoder="linear", program=program)
    return brm.fit(model, world.pool, _preferences(world, program is ties), inference)


@pytest.mark.parametrize("inference", ["plugin", "laplace", "svi", Nuts(chains=2, draws=60, warmup=60)])
@pytest.mark.parametrize("program", PROGRAMS)
def test_without_labels_there_is_the_prior_of_the_program(world, program, inference):
    if program is hierarchical and inference == "plugin":
        pytest.skip("the density of weights and their scale has no maximum")
    model = brm.RewardModel(world.pool.dim, encoder="linear", program=program)
    posterior = brm.fit(model, world.pool, brm.Preferences.none(), inference)
    assert len(posterior.preferences) == 0
    probability = posterior.preference_probability(world.pool, [0, 1], [2, 3])
    if program is plain and inference != "plugin":
        np.testing.assert_allclose(posterior.reward(world.pool)[0], 0, atol=1)
    if program is plain and inference == "laplace":
        expected = 0.7 * torch.linalg.vector_norm(posterior.features(world.pool), dim=1)
        np.testing.assert_allclose(posterior.reward(world.pool)[1], expected, rtol=1e-6)
    assert np.isfinite(probability).all()


def test_a_run_and_a_replay_begin_without_labels(world):
    model = brm.RewardModel(world.pool.dim, encoder="linear", program=position_bias)
    annotator = brm.GoldenAnnotator(world.golden)
    tree = brm.run(world.pool, annotator, model=model, design="bald", batch_size=5, rounds=2, draws=4)
    assert tree["trajectory"]["labels"].values.tolist() == [5, 10]
    pairs = brm.candidates(world.pool)
    asked = annotator.label(pairs)
    votes = brm.Votes(asked.first, asked.second, asked.outcome)
    replayed = brm.replay(
        world.pool,
        votes,
        designs=["random", "epig"],
        budget=10,
        batch_size=5,
        seeds=1,
        model=model,
        progress=False,
    )
    assert np.isfinite(replayed["trajectory"]["vote_log_loss"]).all()


def _density(posterior, program):
    """(ν, β) ↦ log density of the program's own trace, weighted, plus Jacobians; nothing of bayesrm in it."""
    preferences, features = posterior.preferences, posterior.features(posterior.pool)
    first, second, outcome, weight = (
        torch.from_numpy(getattr(preferences, name)) for name in ("first", "second", "outcome", "weight")
    )
    torch.set_default_dtype(torch.float64)
    free = pyro.poutine.trace(program).get_trace(features, first, second)
    torch.set_default_dtype(torch.float32)
    sites = [
        (name, biject_to(node["fn"].support), node["value"].shape)
        for name, node in free.nodes.items()
        if node["type"] == "sample" and name not in ("beta", "outcome", "comparison", "kind")
    ]

    def density(x):
        data, at, total = {"beta": x[-features.shape[1] :]}, 0, 0.0
        for name, transform, shape in sites:
            flat = x[at : at + shape.numel()].reshape(shape)
            data[name], at = transform(flat), at + shape.numel()
            total = total + transform.log_abs_det_jacobian(flat, data[name]).sum()
        trace = pyro.poutine.trace(pyro.poutine.condition(program, data=data)).get_trace(
            features, first, second, outcome
        )
        trace.compute_log_prob()
        for name, node in trace.nodes.items():
            if node["type"] == "sample":
                total = total + (weight * node["log_prob"] if name == "outcome" else node["log_prob"]).sum()
        return total

    return density


@pytest.mark.parametrize("program", PROGRAMS)
def test_gradient_and_hessian_are_those_of_the_program(world, program):
    posterior = _fit(world, program)
    density, joint = _density(posterior, program), posterior.log_joint
    mode = torch.cat([posterior.nuisance, posterior.location])
    for x in (mode, mode + 0.2 * torch.from_numpy(np.random.default_rng(1).normal(size=len(mode)))):
        # Constants of the programs, as in Normal(0.0, 0.7), are float32 where nobody says otherwise.
        torch.testing.assert_close(joint(x), density(x), rtol=1e-6, atol=1e-5)
        gradient, information = joint.curvature(x)
        torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(density, x), rtol=1e-6, atol=1e-5)
        hessian = torch.autograd.functional.hessian(density, x)
        torch.testing.assert_close(information, -hessian, rtol=1e-6, atol=1e-5)
    assert joint.curvature(mode)[0][len(posterior.nuisance) :].abs().max() < 1e-5


def test_the_plain_program_is_the_built_in_model(world):
    by_program = _fit(world, plain)
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=0.7)
    built_in = brm.fit(model, world.pool, _preferences(world))
    torch.testing.assert_close(by_program.location, built_in.location, rtol=1e-6, atol=1e-7)
    assert by_program.log_evidence == pytest.approx(built_in.log_evidence, abs=1e-4)
    eta = torch.linspace(-5, 5, 11, dtype=torch.float64)
    for quantity in ("probability", "fisher_weight", "answer_entropy"):
        expected = getattr(built_in.likelihood, quantity)(eta)
        torch.testing.assert_close(getattr(by_program.likelihood, quantity)(eta), expected, rtol=1e-6, atol=1e-8)


def test_a_program_with_ties_is_davidsons_model(world):
    by_program = _fit(world, ties)
    model = brm.RewardModel(world.pool.dim, encoder="linear", prior_scale=0.7, likelihood="davidson")
    built_in = brm.fit(model, world.pool, _preferences(world, with_ties=True))
    assert by_program.likelihood.outcomes == (0.0, 0.5, 1.0)
    torch.testing.assert_close(by_program.location, built_in.location, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_program.nuisance, built_in.nuisance, rtol=1e-5, atol=1e-6)
    assert by_program.log_evidence == pytest.approx(built_in.log_evidence, abs=1e-4)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("inference", ["laplace", "plugin"])
def test_designs_and_results_need_nothing_more(world, program, inference):
    posterior = _fit(world, program, inference)
    candidates = brm.candidates(world.pool, prompts=None, size=None)
    for design in ("dopt", "xtx", "random"):
        assert len(brm.select(posterior, candidates, design, 3).first) == 3
    tree = posterior.to_datatree(draws=8, log_likelihood=True)
    names = set(posterior.log_joint.nuisance.at(posterior.nuisance).sites) | {"beta"}
    assert names == set(tree["posterior"]) == set(tree["prior"]) == set(tree["log_prior"])
    assert tree["log_likelihood"]["outcome"].shape[-1] == len(world.preferences)
    assert posterior.condition(_preferences(world, program is ties)[:2]).location.isfinite().all()


def test_a_fit_draws_nothing_from_the_global_generator(world):
    before = torch.random.get_rng_state()
    _fit(world, hierarchical).to_datatree(draws=4)
    assert torch.equal(before, torch.random.get_rng_state())


# --- misuse ---------------------------------------------------------------------------------------------------------


def _no_beta(features, first, second, outcome=None):
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([features.shape[-1]]).to_event(1))
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=(features @ w)[first]), obs=outcome)


def _no_outcome(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        return pyro.sample("y", dist.Bernoulli(logits=reward[first] - reward[second]), obs=outcome)


def _heavy_tails(features, first, second, outcome=None):
    reward = features @ pyro.sample("beta", dist.Laplace(0.0, 1.0).expand([features.shape[-1]]).to_event(1))
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second]), obs=outcome)


def _latent_in_plate(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        noise = pyro.sample("noise", dist.Normal(0.0, 1.0))
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + noise), obs=outcome)


def _latent_of_each(features, first, second, outcome=None):
    reward = features @ _weights(features)
    noise = pyro.sample("noise", dist.Normal(0.0, 1.0).expand([len(first)]).to_event(1))
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + noise), obs=outcome)


def _length_bias(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        logit = reward[first] - reward[second] + 0.5 * features[first, 0]
        return pyro.sample("outcome", dist.Bernoulli(logits=logit), obs=outcome)


def _neighbours(features, first, second, outcome=None):
    reward = features @ _weights(features)
    logit = reward[first] - reward[second]
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=logit + 0.3 * logit.mean()), obs=outcome)


def _continuous(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Normal(reward[first] - reward[second], 1.0), obs=outcome)


def _three_classes(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        logit = reward[first] - reward[second]
        logits = torch.stack([-logit, torch.zeros_like(logit), logit], dim=-1)
        return pyro.sample("outcome", dist.Categorical(logits=logits), obs=outcome)


def _never_observed(features, first, second, outcome=None):
    reward = features @ _weights(features)
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second]))


def _other_arguments(features):
    return features


MISUSES = {
    _no_beta: "it has no 'beta'",
    _no_outcome: "it has no 'outcome'",
    _heavy_tails: "'beta' of _heavy_tails to be Normal",
    _latent_in_plate: "'noise' of _latent_in_plate outside the plate",
    _latent_of_each: "'noise' of _latent_of_each outside the plate",
    _length_bias: "depend on features through features @ beta alone",
    _neighbours: "on each comparison alone",
    _continuous: "finite support",
    _three_classes: r"got the values \(0.0, 1.0, 2.0\)",
    _never_observed: "obs=outcome",
    _other_arguments: "and it fails",
}


@pytest.mark.parametrize("program", MISUSES)
def test_misuse_is_one_sentence_that_says_what_is_missing(program):
    with pytest.raises(InvalidInputError, match=MISUSES[program]):
        brm.RewardModel(4, encoder="linear", program=program)


def test_a_program_and_a_likelihood_exclude_each_other():
    with pytest.raises(InvalidInputError, match="either a program"):
        brm.RewardModel(4, program=plain, prior_scale=1.0)


def _with_site(name):
    """A program with a bias under this name."""

    def program(features, first, second, outcome=None):
        reward = features @ _weights(features)
        bias = pyro.sample(name, dist.Normal(0.0, 1.0))
        with pyro.plate("comparison", len(first)):
            return pyro.sample(
                "outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome
            )

    return program


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("encoder/offset", "slash"), ("chain", "uses itself"), ("draw", "uses itself"), ("feature", "uses itself"),
        ("prompt", "uses itself"), ("intercept", "uses itself"), ("annotator", "uses itself"),
        ("beta_precision", "uses itself"), ("slope_dim_0", "uses itself"), (".", "no name"), ("..", "no name"),
        ("", "no name"), ("offset ", "blank"), ("off\nset", "control"), ("off\0set", "control"),
        ("\ud83d", "half a character"),
    ],
)  # fmt: skip
def test_a_site_that_no_file_holds_is_refused_before_anything_is_fitted(name, reason):
    with pytest.raises(InvalidInputError, match=f"names under which their draws can be kept.*{reason}.*such as"):
        brm.RewardModel(3, "linear", program=_with_site(name))


@pytest.mark.parametrize("name", ["offset", "größe", "a b", "lp", "first", "weight", "location", "x" * 300])
def test_a_site_of_any_other_name_comes_back_from_a_file(name, tmp_path):
    generator = np.random.default_rng(3)
    pool = brm.ResponsePool(generator.standard_normal((12, 3)), np.repeat(np.arange(3), 4))
    prefs = brm.Preferences(np.array([0, 4, 8]), np.array([1, 5, 9]), np.array([1.0, 0.0, 1.0]))
    tree = brm.fit(brm.RewardModel(3, "linear", program=_with_site(name)), pool, prefs).to_datatree(20)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back["posterior"][name], tree["posterior"][name])


def test_a_site_of_a_likelihood_is_held_to_the_same_names():
    with pytest.raises(InvalidInputError, match=r"'head/bias'.*such as 'head_bias'"):
        NuisanceSpace(lambda: {"bias": pyro.sample("head/bias", dist.Normal(0.0, 1.0))})


def test_what_fails_in_a_program_is_one_line():
    with pytest.raises(InvalidInputError, match="it fails") as caught:
        brm.RewardModel(3, "linear", program=_with_site("comparison"))
    assert "\n" not in str(caught.value)
