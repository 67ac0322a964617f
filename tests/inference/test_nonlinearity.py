"""The choice between a linear reward and the sum of one and a Gaussian process, by Bayes factor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference.base import train_encoder
from bayesrm.inference.fitting import shape
from bayesrm.inference.fitting.nonlinearity import SPREAD, log_bayes_factor
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.shape import ENOUGH
from bayesrm.models.encoders.kernel import USUAL_LENGTH, kernel_coordinates
from bayesrm.models.encoders.layers_kernel import LayersKernel

CPU = torch.device("cpu")
BLOCKS = {"layer-0": slice(0, 4), "layer-1": slice(4, 8)}


def _pool(seed: int, prompts: int = 60) -> tuple[brm.ResponsePool, dict[str, np.ndarray]]:
    """Two layers that show the same four numbers of a response; rewards of two kinds."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(prompts * 6, 4))
    layers = [x, x + 0.1 * r.normal(size=x.shape)]
    pool = brm.ResponsePool(
        np.concatenate(layers, axis=1).astype(np.float32),
        np.repeat(np.arange(prompts), 6),
        blocks=BLOCKS,
        covariates={"log_characters": r.normal(size=len(x))},
    )
    return pool, {"curved": -((x[:, :2] - 0.3) ** 2).sum(axis=1), "straight": x @ [1.0, -0.5, 0.5, 0.2]}


@pytest.fixture(scope="module")
def world() -> tuple[brm.ResponsePool, dict[str, np.ndarray]]:
    return _pool(0)


@pytest.fixture(scope="module")
def unseen() -> tuple[brm.ResponsePool, dict[str, np.ndarray]]:
    return _pool(1)


@pytest.fixture(autouse=True)
def no_networks(monkeypatch):
    """Of which tests/inference/test_network_beside.py is."""
    monkeypatch.setattr(shape, "FEWEST_FOR_A_NETWORK", 10**9)


def _labels(pool: brm.ResponsePool, golden: np.ndarray, count: int, seed: int = 2) -> brm.Preferences:
    return brm.GoldenAnnotator(golden, 1.0, seed).label(brm.candidates(pool, prompts=None, size=count, seed=seed))


def _brute_force(covariance: np.ndarray, y: np.ndarray) -> float:
    """Laplace evidence over the logits of the labels themselves (Rasmussen & Williams 2006, algorithm 3.1)."""
    n, f = len(y), np.zeros(len(y))
    for _ in range(100):
        p = 1 / (1 + np.exp(-f))
        w = p * (1 - p)
        a = np.linalg.solve(np.eye(n) + w[:, None] * covariance, w * f + y - p)
        f = covariance @ a
    p = 1 / (1 + np.exp(-f))
    root = np.sqrt(p * (1 - p))
    _, log_det = np.linalg.slogdet(np.eye(n) + root[:, None] * covariance * root)
    return float(-0.5 * a @ f + y @ f - np.logaddexp(0, f).sum() - 0.5 * log_det)


@pytest.mark.parametrize("repeated", [False, True])
def test_the_factor_is_that_of_gaussian_processes_over_the_labels(world, repeated):
    pool, golden = world
    labels = _labels(pool, golden["curved"], 60)
    if repeated:  # the covariance of the differences is singular
        labels = labels[np.concatenate([np.arange(60), np.arange(20)])]
    trained = train_encoder(brm.RewardModel(pool, encoder="layers"), pool, labels, 0, CPU)
    found = log_bayes_factor(trained.model, pool, labels, prior_precision(trained, pool))
    z = trained.data.difference.numpy()
    linear = (z * trained.model.prior_sd().numpy() ** 2) @ z.T
    encoder = trained.model.encoder
    (projection,) = kernel_coordinates(pool, encoder)
    x = (encoder.prepare(torch.from_numpy(pool.embeddings)) @ projection).double().numpy()
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    kernel = np.exp(-square / (2 * USUAL_LENGTH**2)) / (1 - np.exp(-1 / USUAL_LENGTH**2))
    d = np.zeros((len(labels), len(pool)))
    d[np.arange(len(labels)), labels.first], d[np.arange(len(labels)), labels.second] = 1.0, -1.0
    process = SPREAD**2 * d @ kernel @ d.T
    y = labels.outcome
    assert found == pytest.approx(_brute_force(linear + process, y) - _brute_force(linear, y), abs=1e-4)


def test_a_curved_reward_gets_a_process_and_a_straight_one_does_not(world, unseen):
    pool, golden = world
    test, test_golden = unseen
    for kind, expected in (("curved", "layers+kernel"), ("straight", "layers")):
        labels = _labels(pool, golden[kind], 300)
        auto = brm.fit(brm.RewardModel(pool, "auto"), pool, labels)
        assert auto.model.encoder.name == expected
        assert auto.model.describe()["encoder"] == ("auto" if expected == "layers" else expected)
        chosen = brm.fit(brm.RewardModel(pool, expected, prompt_intercept=True), pool, labels)
        assert torch.equal(auto.location, chosen.location)
        if kind == "curved":
            linear = brm.fit(brm.RewardModel(pool, "layers"), pool, labels)
            ranked = [brm.evaluate(p, test, test_golden[kind])["one_minus_spearman"] for p in (auto, linear)]
            assert ranked[0] < ranked[1] - 0.2
            assert auto.log_evidence > linear.log_evidence + 2


def test_given_scales_few_labels_and_named_encoders_stay(world):
    pool, golden = world
    labels = _labels(pool, golden["curved"], 300)
    assert brm.fit(brm.RewardModel(pool, "layers"), pool, labels).model.encoder.name == "layers"
    given = brm.RewardModel(pool, "auto", prior_scale=0.5)
    assert brm.fit(given, pool, labels).model.encoder.name == "layers"
    assert brm.fit(brm.RewardModel(pool, "auto"), pool, labels[:10]).model.encoder.name == "layers"


@pytest.mark.parametrize("likelihood", ["davidson", "annotators", "bradley-terry"])
def test_it_is_asked_under_every_kind_of_likelihood(world, likelihood, monkeypatch):
    pool, golden = world
    asked = []
    monkeypatch.setattr(shape, "log_bayes_factor", lambda *a: asked.append(log_bayes_factor(*a)) or asked[-1])
    labels = _labels(pool, golden["curved"], 150)
    if likelihood == "annotators":
        labels = brm.Preferences(labels.first, labels.second, labels.outcome, np.arange(150) % 3)
    model = brm.RewardModel(pool, "auto", likelihood=likelihood)
    name = brm.fit(model, pool, labels).model.encoder.name
    assert name == ("layers+kernel" if asked[0] >= ENOUGH else "layers")
    assert asked[0] > 0


def test_rankings_of_several_responses_decide_too(world):
    pool, golden = world
    lists = brm.GoldenAnnotator(golden["curved"], 2.0, 3).rank([members[:4] for members in pool.members])
    posterior = brm.fit(brm.RewardModel(pool, "auto", likelihood="plackett-luce"), pool, lists)
    assert posterior.model.encoder.name == "layers+kernel"


@pytest.mark.parametrize("inference", ["plugin", "svi", "ensemble"])
def test_other_inferences_choose_alike(world, inference, short_variational):
    pool, golden = world
    labels = _labels(pool, golden["curved"], 250)
    settings = brm.inference.Ensemble(members=3) if inference == "ensemble" else inference
    posterior = brm.fit(brm.RewardModel(pool, "auto"), pool, labels, settings)
    assert posterior.model.encoder.name == "layers+kernel"
    mean, _ = posterior.reward(pool)
    assert np.corrcoef(mean, golden["curved"])[0, 1] > 0.6


def test_what_was_chosen_is_saved_and_goes_on(world, tmp_path):
    pool, golden = world
    labels = _labels(pool, golden["curved"], 300)
    posterior = brm.fit(brm.RewardModel(pool, "auto"), pool, labels[:250])
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    np.testing.assert_allclose(loaded.reward(pool)[0], posterior.reward(pool)[0], atol=1e-4)
    after = posterior.condition(labels)
    assert after.model.encoder.name == "layers+kernel"
    assert np.corrcoef(after.reward(pool)[0], golden["curved"])[0, 1] > 0.6


def test_embeddings_wider_than_a_model_of_one_block_may_be(monkeypatch):
    monkeypatch.setattr("bayesrm.models.reward_model.MOST_FEATURES", 5)
    pool, _ = _pool(3)
    assert brm.RewardModel(pool, "auto").with_encoder("layers+kernel").dim == 8


def test_an_unknown_kernel_is_refused():
    with pytest.raises(InvalidInputError, match="unknown kernel 'cubic': there are rbf, matern32, matern52"):
        LayersKernel(8, shape="cubic", input_blocks=BLOCKS)


def test_one_response_a_prompt_gets_a_process_too():
    r = np.random.default_rng(5)
    pool, unseen = (brm.ResponsePool(r.normal(size=(300, 8)).astype(np.float32), np.arange(300)) for _ in range(2))
    golden, test_golden = (-3.0 * np.abs(p.embeddings[:, 0]).astype(float) ** 2 for p in (pool, unseen))
    asked = brm.candidates(pool, "cross-prompt", prompts=None, size=600, seed=1)
    labels = brm.GoldenAnnotator(golden, 1.0, 1).label(asked)
    found = {}
    for encoder in ("auto", "layers", "layers+kernel"):
        posterior = brm.fit(brm.RewardModel(pool, encoder, prompt_intercept=True), pool, labels)
        mean, _ = posterior.reward(unseen)
        found[encoder] = np.corrcoef(mean, test_golden)[0, 1]
        if encoder == "layers+kernel":
            kernel = posterior.model.blocks["kernel"]
            assert kernel.stop - kernel.start > 30
    assert min(found["auto"], found["layers+kernel"]) > max(0.5, found["layers"] + 0.3)


@pytest.mark.parametrize("name", ["kernel", "mixed"])
def test_blocks_are_not_called_as_those_of_the_reward(name):
    with pytest.raises(InvalidInputError, match="covariates, features, intercept, kernel, linear, mixed, mlp"):
        brm.ResponsePool(np.zeros((2, 2)), [0, 0], blocks={name: slice(0, 1), "other": slice(1, 2)})


def test_dropout_under_auto_is_of_a_network_with_the_scale_that_was_given(world, short_training):
    pool, golden = world
    labels = _labels(pool, golden["straight"], 60)
    model = brm.RewardModel(pool, "auto", hidden=(5,), prior_scale=0.5)
    posterior = brm.fit(model, pool, labels, brm.inference.MCDropout(draws=4))
    assert posterior.model.encoder.name == "mlp+linear"
    assert posterior.model.prior_sd()[0] == 0.5
    scales = dict.fromkeys(["layer-0", "layer-1", "mixed", "covariates", "intercept"], 1.0)
    with pytest.raises(InvalidInputError, match="there is nothing to drop"):
        brm.fit(brm.RewardModel(pool, "auto", prior_scale=scales), pool, labels, "mc-dropout")
