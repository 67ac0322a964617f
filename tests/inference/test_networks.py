"""Draws of whole networks: ensemble, Monte Carlo dropout and Bayesian network, against loops and exact answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

import bayesrm as brm
from bayesrm import rng
from bayesrm.diagnostics.arviz_lines import load_arviz
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.inference import bnn
from bayesrm.inference.base import labelled_differences, train_encoder
from bayesrm.inference.bnn import BayesianNetwork
from bayesrm.inference.ensemble import Ensemble
from bayesrm.inference.fitting import network_stack, training
from bayesrm.inference.fitting.network_stack import NetworkStack, best_steps, prepared
from bayesrm.inference.fitting.randomised_map import randomised_map
from bayesrm.inference.fitting.training import Descent, TrainingData
from bayesrm.inference.mc_dropout import MCDropout
from bayesrm.posteriors import networks
from bayesrm.posteriors.networks import NetworkDraws

CPU = torch.device("cpu")
INFERENCES = ("ensemble", "mc-dropout", "bnn")


@pytest.fixture(scope="module", autouse=True)
def short():
    """Networks are trained for a few steps only: nothing here is about how well they learn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "MAX_STEPS", 12)
        patch.setattr(training, "PAPER_STEPS", 12)
        patch.setattr(network_stack, "HELD_OUT_NETWORKS", 2)
        patch.setattr(bnn, "MAX_STEPS", 30)
        yield


def _model(dim: int = 6, **settings) -> brm.RewardModel:
    return brm.RewardModel(dim, **({"hidden": (7, 5)} | settings))


def _short(inference: str):
    return {
        "ensemble": Ensemble(members=6),
        "mc-dropout": MCDropout(rate=0.3, draws=20),
        "bnn": BayesianNetwork(draws=20),
    }[inference]


@pytest.fixture(scope="module", params=INFERENCES)
def posterior(request, world) -> NetworkDraws:
    return brm.fit(_model(), world.pool, world.preferences, _short(request.param), seed=3)


@pytest.fixture(scope="module")
def pairs(pool) -> brm.Comparisons:
    index = np.random.default_rng(5).permutation(len(pool))
    return brm.Comparisons(index[:12], index[12:24])


def _rewards_one_by_one(posterior: NetworkDraws, pool: brm.ResponsePool) -> np.ndarray:
    """(draw, response), in a loop, without vectorisation, centring and blocks."""
    encoder = posterior.model.encoder
    rewards = []
    with torch.no_grad():
        x = encoder.standardize(torch.from_numpy(pool.rows(np.arange(len(pool)))))
        for s, beta in enumerate(posterior.beta[:, : posterior.model.encoder.features]):
            state = {name: value[s] for name, value in posterior.state.items()}
            rewards.append((functional_call(encoder.body, state, (x,)) @ beta.float()).numpy())
    return np.stack(rewards).astype(np.float64)


# --- every posterior of networks -------------------------------------------------------------------------------


def test_moments_are_those_of_the_networks_one_by_one(posterior, pool, monkeypatch):
    monkeypatch.setattr(networks, "RESPONSE_BLOCK", 7)
    rewards = _rewards_one_by_one(posterior, pool)
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    mean, sd = posterior.reward(pool)
    assert mean.sum() == pytest.approx(0.0, abs=1e-9)
    assert np.allclose(mean, centred.mean(axis=0), atol=1e-5)
    assert np.allclose(sd, centred.std(axis=0, ddof=1), atol=1e-5)
    assert sd.min() > 0
    moments = posterior.reward_moments(pool)
    assert moments.draws.dtype == torch.float64
    assert moments.draws.shape == (len(pool), len(posterior.beta))


def test_rewards_of_some_responses_are_those_of_all(posterior, pool):
    some = np.array([7, 3, 30])
    everything = posterior.reward_moments(pool).draws[some]
    assert torch.allclose(posterior.reward_moments(pool, some).draws, everything, atol=1e-5)


def test_probability_is_the_average_over_networks_and_antisymmetric(posterior, pool, pairs):
    rewards = _rewards_one_by_one(posterior, pool)
    logit = rewards[:, pairs.first] - rewards[:, pairs.second]
    p = posterior.preference_probability(pool, pairs.first, pairs.second)
    assert np.allclose(p, (1 / (1 + np.exp(-logit))).mean(axis=0), atol=1e-5)
    assert ((p > 0) & (p < 1)).all()
    assert np.allclose(p + posterior.preference_probability(pool, pairs.second, pairs.first), 1.0, atol=1e-12)


def test_sampled_logits_have_the_posteriors_moments(posterior, pool, pairs):
    count = len(posterior.beta)
    mean, _ = posterior.logit_moments(pool, pairs)
    covariance = posterior.logit_covariance(pool, pairs, pairs)
    # As many draws as there are: each network once, so the moments are exact.
    once = posterior.sample_logits(pool, pairs, count, np.random.default_rng(0))
    assert torch.allclose(once.mean(dim=0), mean, atol=1e-5)
    assert torch.allclose(once.T.cov(), covariance, atol=1e-5)
    many = posterior.sample_logits(pool, pairs, 4000, np.random.default_rng(0))
    assert many.shape == (4000, len(pairs))
    standard_error = (covariance.diagonal() / 4000).sqrt()
    assert ((many.mean(dim=0) - mean).abs() < 5 * standard_error + 1e-9).all()


def test_what_it_offers(posterior, pool):
    assert posterior.provides == {"spread"}
    with pytest.raises(CapabilityError, match="laplace"):
        posterior.entropy()
    with pytest.raises(InvalidInputError, match="dimension 6"):
        posterior.reward(brm.ResponsePool(np.ones((3, 4), np.float32), [0, 0, 1]))
    candidates = brm.candidates(pool)
    for design in ("pa-dopt", "bald", "entropy", "maxdiff"):
        batch = brm.select(posterior, candidates, size=4, design=design)
        assert len(batch) == 4
        assert np.isfinite(batch.gain).all()
    with pytest.raises(CapabilityError, match="features"):
        brm.select(posterior, candidates, size=4, design="dopt")


def test_datatree(posterior, world, tmp_path):
    tree = posterior.to_datatree(draws=5, seed=1, log_likelihood=True)
    assert tree["posterior"]["beta"].shape == (1, 5, posterior.model.features)
    assert tree["log_likelihood"]["outcome"].shape == (1, 5, len(world.preferences))
    rewards = _rewards_one_by_one(posterior, world.pool)
    logit = rewards[:, world.preferences.first] - rewards[:, world.preferences.second]
    log_prob = world.preferences.outcome * logit - np.logaddexp(0, logit)
    beta, tau = posterior.beta.numpy(), posterior.prior_precision.numpy()
    log_prior = 0.5 * (np.log(tau / (2 * np.pi)).sum() - (tau * beta**2).sum(axis=1))
    picked = [
        int(np.flatnonzero((np.isclose(own, log_prob, atol=1e-4)).all(axis=1))[0])
        for own in tree["log_likelihood"]["outcome"].values[0]
    ]
    assert len(set(picked)) == 5, "a network came twice"
    assert np.allclose(tree["posterior"]["beta"].values[0], beta[picked])
    assert np.allclose(tree["sample_stats"]["lp"].values[0], (log_prob.sum(axis=1) + log_prior)[picked], atol=1e-2)
    sizes = posterior.to_datatree(draws=1000)["posterior"].sizes
    assert sizes["chain"] * sizes["draw"] == len(posterior.beta)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    assert np.isfinite(load_arviz().summary(tree["posterior"].to_dataset(), kind="stats").to_numpy()).all()


# --- every inference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inference", INFERENCES)
def test_the_same_seed_gives_the_same_bits_whatever_the_global_generators_are(world, inference):
    torch.manual_seed(1)
    one = brm.fit(_model(), world.pool, world.preferences, _short(inference), seed=3)
    before = torch.random.get_rng_state()
    two = brm.fit(_model(), world.pool, world.preferences, _short(inference), seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    other = brm.fit(_model(), world.pool, world.preferences, _short(inference), seed=4)
    assert np.array_equal(one.reward(world.pool), two.reward(world.pool))
    assert not np.allclose(one.reward(world.pool), other.reward(world.pool))


@pytest.mark.parametrize("inference", INFERENCES)
def test_condition_fits_all_preferences_from_the_same_seed(world, inference):
    early, late = world.preferences[:60], world.preferences[60:]
    conditioned = brm.fit(_model(), world.pool, early, _short(inference), seed=3).condition(late)
    whole = brm.fit(_model(), world.pool, world.preferences, _short(inference), seed=3)
    assert len(conditioned.preferences) == len(world.preferences)
    assert np.array_equal(conditioned.reward(world.pool), whole.reward(world.pool))


@pytest.mark.parametrize("inference", INFERENCES)
@pytest.mark.parametrize("labels", [0, 1, 10])
def test_few_labels(world, inference, labels):
    posterior = brm.fit(_model(), world.pool, world.preferences[:labels], _short(inference))
    mean, sd = posterior.reward(world.pool)
    assert np.isfinite(mean).all()
    assert (sd > 1e-3).all()
    posterior.to_datatree(log_likelihood=True)
    if labels == 1:
        first, second = world.preferences.first[:1], world.preferences.second[:1]
        p = posterior.preference_probability(world.pool, first, second)[0]
        assert 0 < p < 1


@pytest.mark.parametrize("inference", INFERENCES)
def test_labels_that_all_agree_and_constant_embeddings(world, inference):
    preferences = world.preferences
    agreed = brm.Preferences(preferences.first, preferences.second, np.ones(len(preferences)))
    better = (world.golden[preferences.first] > world.golden[preferences.second]).astype(float)
    separable = brm.Preferences(preferences.first, preferences.second, better)
    constant = brm.ResponsePool(np.full((len(world.pool), 6), 0.3, np.float32), world.pool.prompt)
    for pool, labels in ((world.pool, agreed), (world.pool, separable), (constant, preferences)):
        mean, sd = brm.fit(_model(), pool, labels, _short(inference)).reward(pool)
        assert np.isfinite(mean).all()
        assert np.isfinite(sd).all()


@pytest.mark.parametrize("encoder", ["mlp", "linear"])
@pytest.mark.parametrize("inference", INFERENCES)
def test_a_pair_asked_sixty_times(world, inference, encoder, monkeypatch):
    """Answers that agree are believed, and those that do not say that it is a toss-up."""
    if encoder == "linear" and inference != "ensemble":
        pytest.skip("needs layers to drop units of, or to be uncertain of")
    monkeypatch.setattr(training, "MAX_STEPS", 200)
    monkeypatch.setattr(bnn, "MAX_STEPS", 200)
    model = brm.RewardModel(6, "linear") if encoder == "linear" else _model()
    first, second = world.preferences.first[:1].repeat(60), world.preferences.second[:1].repeat(60)
    for outcome, (low, high) in ((np.ones(60), (0.8, 1.0)), (np.arange(60) % 2, (0.4, 0.6))):
        posterior = brm.fit(model, world.pool, brm.Preferences(first, second, outcome), _short(inference))
        mean, sd = posterior.reward(world.pool)
        assert np.isfinite(mean).all()
        assert (sd > 0).all()
        assert low < posterior.preference_probability(world.pool, first[:1], second[:1])[0] < high


@pytest.mark.parametrize("inference", INFERENCES)
def test_a_users_module_is_fitted_and_left_as_it_was(world, inference):
    body = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Tanh())
    before = {name: value.clone() for name, value in body.state_dict().items()}
    for labels in (10, 150):
        posterior = brm.fit(_model(encoder=body), world.pool, world.preferences[:labels], _short(inference))
        mean, sd = posterior.reward(world.pool)
        assert np.array_equal(posterior.reward(world.pool)[0], mean), "dropout is still on"
        assert np.isfinite(mean).all()
        assert (sd > 0).all()
    assert all(torch.equal(before[name], value) for name, value in body.state_dict().items())


@pytest.mark.parametrize("inference", INFERENCES)
def test_weights_count_labels(world, inference):
    """Weight 2 is the label twice; without folds, which would be others."""
    preferences = world.preferences[:80]
    twice = preferences.append(preferences)
    weighted = brm.Preferences(
        preferences.first, preferences.second, preferences.outcome, weight=np.full(len(preferences), 2.0)
    )
    method = BayesianNetwork(draws=400) if inference == "bnn" else _short(inference)
    model = _model(training="paper", hidden=(4,), prior_scale=1.0)
    fits = [brm.fit(model, world.pool, labels, method) for labels in (twice, weighted)]
    tolerance = 0.2 if inference == "bnn" else 0.02 if inference == "ensemble" else 0.1
    assert np.allclose(fits[0].reward(world.pool)[0], fits[1].reward(world.pool)[0], atol=tolerance)


def test_prompt_intercepts_are_part_of_the_rewards(world):
    model = _model(prompt_intercept=True)
    posterior = brm.fit(model, world.pool, world.preferences, _short("ensemble"))
    width = posterior.beta.shape[1] - 5
    assert width == len(posterior.model.intercepts) > 0
    rewards = _rewards_one_by_one(posterior, world.pool)
    onehot = np.zeros((len(world.pool), width))
    column = posterior.model.intercepts.columns(world.pool, np.arange(len(world.pool)))
    onehot[np.arange(len(column))[column >= 0], column[column >= 0]] = 1
    rewards = rewards + posterior.beta[:, 5:].numpy() @ onehot.T
    rewards -= rewards.mean(axis=1, keepdims=True)
    assert np.allclose(posterior.reward(world.pool)[0], rewards.mean(axis=0), atol=1e-5)


# --- ensemble --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [2048, 40])
def test_a_member_of_the_vectorised_pass_is_the_member_trained_alone(world, monkeypatch, batch):
    monkeypatch.setattr(training, "BATCH", batch)
    model = prepared(_model(), world.pool, world.preferences, 0, CPU)
    data = TrainingData.gather(model, world.pool, world.preferences, CPU)
    seeds = [rng.child(0, "member", m) for m in range(5)]
    together = NetworkStack(model, data, seeds, data.weight.repeat(5, 1), seed=9)
    together.train(40)
    state, beta, _ = together.networks()
    for m, own in enumerate(seeds):
        alone = NetworkStack(model, data, [own], data.weight[None], seed=9)
        alone.train(40)
        own_state, own_beta, _ = alone.networks()
        assert torch.allclose(beta[m], own_beta[0], atol=2e-5)
        assert all(torch.allclose(state[name][m], own_state[name][0], atol=2e-5) for name in state)


def test_a_stack_of_one_descends_as_the_plain_training_does(world):
    model = prepared(_model(prior_scale=0.7), world.pool, world.preferences, 0, CPU)
    data = TrainingData.gather(model, world.pool, world.preferences, CPU)
    stack = NetworkStack(model, data, [11], data.weight[None], seed=11)
    plain = Descent(model.fresh(11), data, 11)
    for _ in range(30):
        plain.step()
    stack.train(30)
    state, beta, _ = stack.networks()
    assert torch.allclose(beta[0].float(), plain.finish()[0], atol=2e-5)
    for name, value in plain.model.encoder.body.state_dict().items():
        assert torch.allclose(state[name][0], value, atol=2e-5)


def test_a_weight_of_zero_hides_a_comparison(world):
    model = prepared(_model(), world.pool, world.preferences, 0, CPU)
    flipped = brm.Preferences(
        world.preferences.first,
        world.preferences.second,
        np.where(np.arange(150) < 50, 1 - world.preferences.outcome, world.preferences.outcome),
    )
    weight = (torch.arange(150) >= 50).float()[None]
    found = []
    for preferences in (world.preferences, flipped):
        stack = NetworkStack(model, TrainingData.gather(model, world.pool, preferences, CPU), [1], weight, seed=2)
        stack.train(10)
        found.append(stack.networks()[1])
    assert torch.equal(*found)


def test_training_stops_when_held_out_labels_say_so(world, monkeypatch):
    monkeypatch.setattr(training, "MAX_STEPS", 60)
    first, second = world.preferences.first, world.preferences.second
    coin = np.random.default_rng(2).integers(2, size=150).astype(float)
    truth = (world.golden[first] > world.golden[second]).astype(float)
    steps = []
    for outcome in (coin, truth):
        labels = brm.Preferences(first, second, outcome)
        model = prepared(_model(), world.pool, labels, 0, CPU)
        steps.append(best_steps(model, TrainingData.gather(model, world.pool, labels, CPU), 0))
    assert steps[0] < 50 < steps[1]


def test_members_start_from_different_weights_and_a_users_from_its_own(world):
    posterior = brm.fit(_model(), world.pool, world.preferences, _short("ensemble"))
    weight = posterior.state["0.weight"]
    assert (weight[0] - weight[1]).abs().max() > 0.1
    body = nn.Sequential(nn.Linear(6, 4), nn.Tanh())
    posterior = brm.fit(_model(encoder=body), world.pool, world.preferences, _short("ensemble"))
    moved = (posterior.state["0.weight"] - body[0].weight).abs()
    assert 0 < moved.max() < 0.05
    assert posterior.reward(world.pool)[1].min() > 0


def test_a_linear_ensemble_spreads_as_the_laplace_posterior_does(make_world):
    members = 300
    world = make_world(2, dim=4, comparisons=400)
    model = brm.RewardModel(4, encoder="linear", prior_scale=1.0)
    laplace = brm.fit(model, world.pool, world.preferences)
    ensemble = brm.fit(model, world.pool, world.preferences, Ensemble(members))
    covariance = torch.linalg.inv(laplace.information_cholesky @ laplace.information_cholesky.T)
    factor = laplace.information_cholesky
    whitened = (ensemble.beta - laplace.location) @ factor
    # Of first order in the perturbations, d/n: a tenth, beside 4 Monte Carlo standard errors.
    assert (whitened.mean(dim=0).abs() < 4 / np.sqrt(members) + 0.1).all()
    assert torch.allclose(whitened.T.cov(), torch.eye(4, dtype=torch.float64), atol=4 * np.sqrt(2 / members) + 0.1)
    assert covariance.diagonal().max() < 0.2, "labels matter here: anchors alone would not give this spread"


def test_without_labels_linear_members_are_draws_of_the_prior(world):
    model = brm.RewardModel(6, encoder="linear", prior_scale=0.7)
    beta = brm.fit(model, world.pool, brm.Preferences.none(), Ensemble(300)).beta
    assert (beta.mean(dim=0).abs() < 4 * 0.7 / np.sqrt(300)).all()
    assert ((beta.std(dim=0) / 0.7 - 1).abs() < 4 / np.sqrt(2 * 300)).all()


def test_randomised_map_maximises_the_perturbed_joint(world):
    trained = train_encoder(brm.RewardModel(6, encoder="linear"), world.pool, world.preferences, 0, CPU)
    precision = torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
    data = labelled_differences(trained.model, world.pool, world.preferences, CPU)
    beta, _ = randomised_map(trained.model, data, [data.difference] * 2, precision, seed=4)
    for s in range(2):
        generator = rng.stream(4, "perturbation", s)
        anchor = generator.standard_normal(6) / np.sqrt(precision.numpy())
        weight = generator.exponential(size=150)
        z, b = data.difference.numpy(), beta[s].numpy()
        residual = world.preferences.outcome - 1 / (1 + np.exp(-(z @ b)))
        assert np.abs(z.T @ (weight * residual) - precision.numpy() * (b - anchor)).max() < 1e-7


# --- Monte Carlo dropout ---------------------------------------------------------------------------------------


def test_masks_drop_at_the_rate_and_keep_the_mean(world):
    posterior = brm.fit(_model(hidden=(40, 30)), world.pool, world.preferences[:20], MCDropout(0.3, draws=200))
    masks = {name: value for name, value in posterior.state.items() if name.endswith(".mask")}
    assert [tuple(mask.shape) for mask in masks.values()] == [(200, 40), (200, 30)]
    for mask in masks.values():
        assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
        assert float((mask == 0).float().mean()) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / mask.numel()))
    shared = [name for name in posterior.state if name not in masks]
    assert all(torch.equal(posterior.state[name][0], posterior.state[name][1]) for name in shared)


def test_a_draw_of_dropout_is_the_network_with_units_removed(world):
    posterior = brm.fit(_model(), world.pool, world.preferences, MCDropout(0.3, draws=3), seed=1)
    x = posterior.model.encoder.standardize(torch.from_numpy(world.pool.rows(np.arange(40))))
    state = {name: value[2] for name, value in posterior.state.items()}
    (w0, b0), (w1, b1) = [
        (state[f"{name}.weight"], state[f"{name}.bias"]) for name in sorted({n.split(".")[0] for n in state})
        if f"{name}.weight" in state
    ]  # fmt: skip
    first, second = [value for name, value in state.items() if name.endswith(".mask")]
    hidden = nn.functional.gelu(x @ w0.T + b0) @ torch.diag(first)
    hidden = nn.functional.gelu(hidden @ w1.T + b1) @ torch.diag(second)
    reward = (hidden @ posterior.beta[2].float()).double()
    got = posterior.reward_moments(world.pool).draws[:, 2]
    assert torch.allclose(got - got.mean(), reward - reward.mean(), atol=1e-5)


def test_dropout_needs_something_to_drop(world):
    with pytest.raises(InvalidInputError, match="nothing to drop"):
        brm.fit(_model(encoder="linear"), world.pool, world.preferences, "mc-dropout")
    with pytest.raises(InvalidInputError, match=r"nn\.Dropout"):
        brm.fit(_model(encoder=nn.Linear(6, 3)), world.pool, world.preferences, "mc-dropout")


# --- Bayesian network ------------------------------------------------------------------------------------------


def test_mean_field_of_a_linear_model_has_the_optimal_mean_and_precisions(make_world, monkeypatch):
    """For a nearly Gaussian posterior the mean-field optimum has its mean, and variances 1/Λ_jj."""
    monkeypatch.setattr(bnn, "MAX_STEPS", 3000)
    world = make_world(2, dim=4, comparisons=400)
    model = brm.RewardModel(4, encoder="linear", prior_scale=1.0)
    laplace = brm.fit(model, world.pool, world.preferences)
    posterior = brm.fit(model, world.pool, world.preferences, BayesianNetwork(draws=2000))
    expected = (laplace.information_cholesky @ laplace.information_cholesky.T).diagonal().rsqrt()
    off = (posterior.beta.mean(dim=0) - laplace.location) / expected
    # A fifth of a sd for the skewness of the posterior and for where the ELBO's own noise stops the search.
    assert (off.abs() < 0.2 + 4 / np.sqrt(2000)).all()
    assert ((posterior.beta.std(dim=0) / expected - 1).abs() < 0.1 + 4 / np.sqrt(4000)).all()


def test_the_program_scores_prior_and_labels(world):
    import pyro

    model = prepared(_model(prior_scale=0.5), world.pool, world.preferences, 0, CPU)
    data = TrainingData.gather(model, world.pool, world.preferences, CPU)
    network = bnn.BayesianWeights(model, data)
    generator = torch.Generator().manual_seed(0)
    unit = {name: torch.randn(value.shape, generator=generator) for name, value in network.start.items()}
    trace = pyro.poutine.trace(pyro.poutine.condition(network.program, data=unit)).get_trace(network.data)
    state, beta, _ = network.stacked([unit])
    assert torch.allclose(beta[0].float(), 0.5 * unit[bnn.BETA])
    assert torch.allclose(state["0.weight"][0], unit["0.weight"] * np.sqrt(2 / 6))
    x = data.inputs
    reward = functional_call(model.encoder.body, {n: v[0] for n, v in state.items()}, (x,)) @ beta[0].float()
    logit = reward[data.first] - reward[data.second]
    log_prob = (data.outcome * logit - nn.functional.softplus(logit)).sum()
    log_prior = sum(torch.distributions.Normal(0, 1).log_prob(value).sum() for value in unit.values())
    assert float(trace.log_prob_sum()) == pytest.approx(float(log_prob + log_prior), rel=1e-5)
    part = network.data.take(torch.arange(30))
    trace = pyro.poutine.trace(pyro.poutine.condition(network.program, data=unit)).get_trace(part)
    trace.compute_log_prob()
    assert float(trace.nodes["outcome"]["log_prob_sum"]) == pytest.approx(
        5 * float((data.outcome * logit - nn.functional.softplus(logit))[:30].sum()), rel=1e-4
    )


def test_without_labels_networks_have_rewards_of_one_logit(world):
    posterior = brm.fit(_model(hidden=(16, 16)), world.pool, brm.Preferences.none(), BayesianNetwork(draws=400))
    draws = posterior.reward_moments(world.pool).draws
    rms = float((draws - draws.mean(dim=0)).square().mean().sqrt())
    assert rms == pytest.approx(1.0, rel=0.25)
