"""Covariates beside the features of an encoder, and blocks of an embedding, under every inference and design."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference import INFERENCES
from bayesrm.inference.fitting import prior_scale
from bayesrm.inference.fitting.scale_prior import scale_prior
from bayesrm.models.covariates import LIMIT, CovariateFeatures
from bayesrm.models.features import encode
from bayesrm.models.standardize import Standardize

DIM = 6
BLOCKS = {"layer-0": slice(0, 2), "layer-1": slice(2, 6)}


@pytest.fixture(scope="module")
def told(world: object) -> brm.ResponsePool:
    """The world's pool with two blocks, a covariate that knows the golden reward in part, and one that does not."""
    noise = np.random.default_rng(5).normal(size=(2, len(world.pool)))
    covariates = {
        "log_characters": 100 + 2 * world.golden + noise[0],
        "lines": noise[1],
        "constant": np.full(40, 7.0),
    }
    return brm.ResponsePool(world.pool.embeddings, world.pool.prompt, blocks=BLOCKS, covariates=covariates)


def _columns(pool: brm.ResponsePool, names: list[str], apart: bool = False) -> np.ndarray:
    """Standardised, within prompts and on their axes there unless they are apart, by brute force."""
    values = np.stack([pool.covariates[name] for name in names], axis=1)
    if apart:
        return (values - values.mean(axis=0)) / values.std(axis=0)
    within = np.stack(
        [row - values[pool.group == g].mean(axis=0) for row, g in zip(values, pool.group, strict=True)]
    )
    freedom = len(pool) - pool.n_prompts
    sd = np.sqrt((within**2).sum(axis=0) / freedom)
    standardised = (values - values.mean(axis=0)) / sd
    if len(names) == 1:
        return standardised
    eigenvalues, vectors = np.linalg.eigh((within / sd).T @ (within / sd) / freedom)
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(names))])
    return standardised @ vectors * np.sqrt(eigenvalues)


# --- what the last layer sees ----------------------------------------------------------------------------


def test_standardised_clipped_and_dead_where_constant(told: brm.ResponsePool) -> None:
    columns = CovariateFeatures(["log_characters", "constant"], apart=True)
    columns.fit(told)
    expected = _columns(told, ["log_characters"], apart=True)[:, 0]
    got = columns.of(told, np.arange(40)).numpy()
    np.testing.assert_allclose(got[:, 0], np.clip(expected, -LIMIT, LIMIT), atol=1e-9)
    assert not got[:, 1].any()
    far = told.with_covariates({"log_characters": np.full(40, 1e9), "constant": np.full(40, 8.0)})
    np.testing.assert_array_equal(columns.of(far, np.arange(3)).numpy(), [[LIMIT, 0.0]] * 3)


def test_features_are_the_encoders_then_covariates_then_intercepts(told: brm.ResponsePool, world: object) -> None:
    model = brm.RewardModel(told, encoder="linear", prompt_intercept=True, covariates=["lines", "log_characters"])
    fitted = brm.fit(model, told, world.preferences).model
    assert list(fitted.blocks) == ["layer-0", "layer-1", "covariates", "intercept"]
    assert [at.stop - at.start for at in fitted.blocks.values()][:3] == [2, 4, 2]
    features = encode(fitted, told, np.arange(40), torch.device("cpu")).numpy()
    x = told.embeddings.astype(float)
    np.testing.assert_allclose(features[:, :6], (x - x.mean(axis=0)) / x.std(axis=0), atol=1e-5)
    np.testing.assert_allclose(features[:, 6:8], _columns(told, ["lines", "log_characters"]), atol=1e-6)
    assert set(np.unique(features[:, 8:])) == {0.0, 1.0}
    assert fitted.features == features.shape[1]


def test_a_model_of_a_dimension_knows_no_covariates(told: brm.ResponsePool, world: object) -> None:
    plain = brm.fit(brm.RewardModel(DIM, encoder="linear"), told, world.preferences)
    assert list(plain.model.blocks) == ["features"]
    same = brm.fit(brm.RewardModel(DIM, encoder="linear"), world.pool, world.preferences)
    np.testing.assert_array_equal(plain.reward(told)[0], same.reward(world.pool)[0])
    none = brm.RewardModel(told, encoder="linear", covariates=())
    assert list(none.blocks) == ["layer-0", "layer-1"]


@pytest.mark.parametrize("encoder", ["linear", "mlp", "mlp+linear", "auto", torch.nn.Linear(DIM, 3)])
def test_blocks_of_every_encoder(told: brm.ResponsePool, encoder: object) -> None:
    blocks = list(brm.RewardModel(told, encoder=encoder).blocks)
    assert blocks[-1] == "covariates"
    linear = ["layer-0", "layer-1"]
    expected = {"linear": linear, "mlp": ["features"], "mlp+linear": ["mlp", *linear], "auto": [*linear, "mixed"]}
    assert blocks[:-1] == expected.get(encoder if isinstance(encoder, str) else "", ["features"])


def test_covariates_apart_and_those_with_a_prior_mean_have_blocks_of_their_own(told: brm.ResponsePool) -> None:
    apart = brm.RewardModel(told, encoder="linear", covariate_blocks="apart")
    assert list(apart.blocks)[2:] == ["log_characters", "lines", "constant"]
    trusted = brm.RewardModel(told, encoder="linear", prior_mean={"log_characters": 0.5})
    assert list(trusted.blocks)[2:] == ["covariates", "log_characters"]
    assert trusted.covariates.names == ("lines", "constant", "log_characters")
    np.testing.assert_array_equal(trusted.prior_location().numpy(), [0, 0, 0, 0, 0, 0, 0, 0, 0.5])


# --- fits ------------------------------------------------------------------------------------------------


def test_a_linear_covariate_is_as_good_as_a_dimension_of_the_embedding(world: object) -> None:
    """One prior scale given: where the number stands makes no difference."""
    golden = world.golden
    beside = brm.ResponsePool(
        world.pool.embeddings[:, :5], world.pool.prompt, covariates={"last": world.pool.embeddings[:, 5]}
    )
    inside = brm.fit(brm.RewardModel(DIM, encoder="linear", prior_scale=0.7), world.pool, world.preferences)
    model = brm.RewardModel(
        beside, encoder="linear", covariate_blocks="apart", prior_scale={"features": 0.7, "last": 0.7}
    )
    outside = brm.fit(model, beside, world.preferences)
    for one, other in zip(inside.reward(world.pool), outside.reward(beside), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert outside.log_evidence == pytest.approx(inside.log_evidence, abs=1e-3)
    assert brm.evaluate(outside, beside, golden)["one_minus_spearman"] < 0.5


@pytest.mark.parametrize("name", sorted(INFERENCES))
@pytest.mark.parametrize("encoder", ["mlp", "linear"])
@pytest.mark.usefixtures("short_training", "short_variational")
def test_every_inference(told: brm.ResponsePool, world: object, name: str, encoder: str) -> None:
    if (name, encoder) == ("mc-dropout", "linear"):
        pytest.skip("there is nothing to drop")
    inference = {
        "nuts": lambda: INFERENCES["nuts"](chains=1, draws=40, warmup=40),
        "bnn": lambda: INFERENCES["bnn"](draws=8),
        "mc-dropout": lambda: INFERENCES["mc-dropout"](draws=8),
        "ensemble": lambda: INFERENCES["ensemble"](members=3),
    }.get(name, lambda: name)()
    model = brm.RewardModel(told, encoder=encoder, hidden=(8,))
    posterior = brm.fit(model, told, world.preferences, inference)
    mean, sd = posterior.reward(told)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    # The reward depends on the covariate as its weight says, and on no other pool's statistics.
    moved = told.with_covariates({"log_characters": told.covariates["log_characters"] + 0.1 * np.arange(40)})
    change = posterior.reward(moved)[0] - mean
    slope = np.polyfit(np.arange(40), change, 1)[0]
    if encoder == "linear":
        assert slope > 0, "the covariate knows the golden reward"
    np.testing.assert_allclose(change, slope * (np.arange(40) - 19.5), atol=1e-4 * max(1, abs(slope) * 40) + 1e-4)
    held = posterior.reward(told, without=("log_characters", "lines"))[0]
    assert not np.allclose(held, mean)
    with pytest.raises(InvalidInputError, match="lacks log_characters, lines, constant"):
        posterior.reward(world.pool)
    more = brm.Preferences([0, 1], [2, 3], [1.0, 0.0])
    assert len(posterior.condition(more).preferences) == len(world.preferences) + 2
    posterior.to_datatree(draws=5)


@pytest.mark.parametrize("design", ["pa-dopt", "bald", "epig", "entropy", "coreset", "random", "rank-vopt"])
@pytest.mark.parametrize("explicit", [False, True])
def test_every_kind_of_design(told: brm.ResponsePool, world: object, design: str, explicit: bool) -> None:
    posterior = brm.fit(brm.RewardModel(told, encoder="linear"), told, world.preferences)
    candidates = brm.candidates(told, size=60 if explicit else None, prompts=None)
    batch = brm.select(posterior, candidates, design=design, size=6)
    assert len(batch.first) == 6


def test_simulated_truth_is_found_again() -> None:
    """With many labels the weights of covariates are those that made the answers."""
    rng = np.random.default_rng(1)
    n = 400
    covariates = {"length": rng.normal(size=n), "judge": rng.normal(size=n)}
    pool = brm.ResponsePool(rng.normal(size=(n, 4)), rng.integers(0, 20, n), covariates=covariates)
    weights = np.array([0.3, -0.2, 0.0, 0.4, 1.1, -0.7])
    x = np.hstack([pool.embeddings, np.stack(list(covariates.values()), axis=1)])
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    first, second = rng.integers(0, n, (2, 6000))
    first, second = first[first != second], second[first != second]
    outcome = (rng.random(len(first)) < 1 / (1 + np.exp((x[second] - x[first]) @ weights))).astype(float)
    model = brm.RewardModel(pool, encoder="linear", covariate_blocks="apart")
    posterior = brm.fit(model, pool, brm.Preferences(first, second, outcome))
    sd = posterior.covariance_factor.square().sum(dim=1).sqrt().numpy()
    assert (np.abs(posterior.location.numpy() - weights) < 4 * sd).all()
    assert sd.max() < 0.1


# --- prior means and prior scales ------------------------------------------------------------------------


def test_without_labels_a_prior_mean_is_the_reward(told: brm.ResponsePool) -> None:
    model = brm.RewardModel(told, encoder="linear", prior_mean={"log_characters": 1.5})
    expected = 1.5 * _columns(told, ["log_characters"], apart=True)[:, 0]
    for inference in ("laplace", "svi", INFERENCES["ensemble"](members=100)):
        posterior = brm.fit(model, told, brm.Preferences.none(), inference)
        mean, sd = posterior.reward(told)
        error = 5 * sd.max() / math.sqrt(100) if posterior.inference == "ensemble" else 1e-3
        np.testing.assert_allclose(mean, expected - expected.mean(), atol=error)


def test_the_gaussian_posterior_with_a_prior_mean_is_the_mode(told: brm.ResponsePool, world: object) -> None:
    scales = {"layer-0": 0.4, "layer-1": 0.3, "covariates": 0.5, "log_characters": 0.6}
    model = brm.RewardModel(told, encoder="linear", prior_scale=scales, prior_mean={"log_characters": 0.8})
    posterior = brm.fit(model, told, world.preferences)
    x = encode(posterior.model, told, np.arange(40), torch.device("cpu")).numpy()
    z = x[world.preferences.first] - x[world.preferences.second]
    beta = posterior.location.numpy()
    p = 1 / (1 + np.exp(-z @ beta))
    sd = np.array([0.4] * 2 + [0.3] * 4 + [0.5] * 2 + [0.6])
    mean = np.array([0.0] * 8 + [0.8])
    gradient = z.T @ (world.preferences.outcome - p) - (beta - mean) / sd**2
    np.testing.assert_allclose(gradient, 0, atol=1e-4)
    precision = np.diag(sd**-2.0) + z.T @ (z * (p * (1 - p))[:, None])
    factor = posterior.covariance_factor.numpy()
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(precision), atol=1e-6)


@pytest.mark.parametrize("prior_mean", [None, {"log_characters": 0.5}])
def test_scales_are_where_evidence_and_its_prior_are_largest(
    told: brm.ResponsePool, world: object, prior_mean: dict | None
) -> None:
    """Moving any scale by itself makes the sum of log evidence and log prior smaller, beyond the search's tolerance."""
    labels = world.preferences[:60]
    model = brm.RewardModel(told, encoder="linear", prior_mean=prior_mean, covariates=["lines", "log_characters"])
    found = brm.fit(model, told, labels).model
    unit = prior_scale.unit_scales(found, told, torch.device("cpu"), within=True)
    prior = scale_prior(["layer-0", "layer-1"], found.covariates)

    def objective(scales: dict[str, float]) -> float:
        fixed = brm.RewardModel(
            told,
            encoder="linear",
            prior_mean=prior_mean,
            covariates=["lines", "log_characters"],
            prior_scale=scales,
        )
        log_prior = prior.log_density(np.array([math.log(scales[name] / unit[name]) for name in prior.names]))
        return brm.fit(fixed, told, labels).log_evidence + log_prior

    at = objective(found.prior_scale)
    for name in found.prior_scale:
        for factor in (0.5, 2.0):
            moved = found.prior_scale | {name: found.prior_scale[name] * factor}
            # MacKay's slope leaves out how the curvature of the likelihood moves with the mode.
            assert objective(moved) < at + 0.1, (name, factor)


def test_few_labels_and_many_blocks_do_not_run_away() -> None:
    """Seven layers of noise: the spread of a reward stays near its prior, and held-out answers are not missed badly."""
    rng = np.random.default_rng(3)
    n, width = 120, 20
    blocks = {f"layer-{k}": slice(width * k, width * (k + 1)) for k in range(7)}
    pool = brm.ResponsePool(rng.normal(size=(n, 7 * width)), rng.integers(0, 12, n), blocks=blocks)
    first, second = rng.integers(0, n, (2, 600))
    first, second = first[first != second], second[first != second]
    prefs = brm.Preferences(first, second, rng.integers(0, 2, len(first)).astype(float))
    posterior = brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs[:40])
    p = posterior.preference_probability(pool, prefs.first[40:], prefs.second[40:])
    loss = -np.mean(np.log(np.where(prefs.outcome[40:] == 1, p, 1 - p)))
    assert loss < math.log(2) + 0.06


# --- blocks ----------------------------------------------------------------------------------------------


def test_standardisation_and_spectrum_are_of_each_block(told: brm.ResponsePool) -> None:
    model = brm.RewardModel(told, encoder="linear", inputs="within-prompt", covariates=())
    model.fit_pool(told)
    rows = torch.from_numpy(told.rows(np.arange(40)))
    features, at = model.encoder(rows), 0
    for block in BLOCKS.values():
        own = brm.ResponsePool(told.embeddings[:, block], told.prompt)
        alone = brm.RewardModel(own, encoder="linear", inputs="within-prompt")
        alone.fit_pool(own)
        expected = alone.encoder(rows[:, block])
        np.testing.assert_allclose(features[:, at : at + expected.shape[1]], expected, atol=1e-5)
        at += expected.shape[1]
    assert at == features.shape[1]
    # A network sees the same directions, turned back.
    network = brm.RewardModel(told, encoder="mlp", inputs="within-prompt", hidden=(4,))
    network.fit_pool(told)
    assert network.encoder.prepare(rows).shape == (40, DIM)


def test_a_dimension_is_dead_beside_those_of_its_own_block() -> None:
    embeddings = np.random.default_rng(0).normal(size=(50, 4)) * [1e8, 1e8, 1.0, 1.0]
    standardize = Standardize(4, [slice(0, 2), slice(2, 4)])
    standardize.fit(brm.ResponsePool(embeddings.astype(np.float32), np.zeros(50, int)))
    assert (standardize.inverse_scale > 0).all()
    together = Standardize(4)
    together.fit(brm.ResponsePool(embeddings.astype(np.float32), np.zeros(50, int)))
    assert together.inverse_scale.tolist()[2:] == [0.0, 0.0]


# --- rewards with covariates held ------------------------------------------------------------------------


def test_held_covariates_are_at_the_mean_of_their_prompt(told: brm.ResponsePool, world: object) -> None:
    model = brm.RewardModel(told, encoder="linear", prompt_intercept=True, covariate_blocks="apart")
    posterior = brm.fit(model, told, world.preferences)
    held = posterior.reward(told, without=("log_characters",))
    means = np.array([told.covariates["log_characters"][told.group == g].mean() for g in told.group])
    expected = posterior.reward(told.with_covariates({"log_characters": means}))
    for one, other in zip(held, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    # Within a prompt: the reward less weight times the covariate.
    columns = _columns(told, ["log_characters"], apart=True)[:, 0]
    weight = float(posterior.location[6])
    full = posterior.reward(told)[0]
    for g in range(told.n_prompts):
        rows = told.members[g]
        left = full[rows] - weight * columns[rows]
        np.testing.assert_allclose(held[0][rows] - held[0][rows].mean(), left - left.mean(), atol=1e-5)


def test_without_nothing_and_without_the_unknown(told: brm.ResponsePool, world: object) -> None:
    posterior = brm.fit(brm.RewardModel(told, encoder="linear"), told, world.preferences)
    np.testing.assert_array_equal(posterior.reward(told, without=())[0], posterior.reward(told)[0])
    with pytest.raises(InvalidInputError, match=r"'tone'.* has log_characters, lines, constant"):
        posterior.reward(told, without=("tone",))
    with pytest.raises(InvalidInputError, match="expected without to be a sequence, each a text"):
        posterior.reward(told, without="lines")
    # "length" stands for all that say how long a text is.
    both = posterior.reward(told, without=("log_characters", "lines"))[0]
    np.testing.assert_array_equal(posterior.reward(told, without=("length",))[0], both)


# --- what cannot be --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"covariates": ("tone",)}, "lacks tone"),
        ({"covariate_blocks": "some"}, "together, apart, got 'some'"),
        ({"prior_mean": {"tone": 1.0}}, "got one of 'tone'"),
        ({"prior_mean": {"lines": math.nan}}, "expected prior_mean to be a mapping of a text to a finite number"),
        ({"encoder": "linear", "prior_scale": {"features": 1.0}}, "covariates, layer-0, layer-1"),
    ],
)
def test_models_refused(told: brm.ResponsePool, settings: dict, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        brm.RewardModel(told, **settings)


def test_pools_refused(told: brm.ResponsePool, world: object) -> None:
    model = brm.RewardModel(told, encoder="linear")
    with pytest.raises(InvalidInputError, match=r"lacks log_characters, lines, constant .it has none."):
        brm.fit(model, world.pool, world.preferences)
    other = replace(told, blocks={"layer-3": slice(0, 2), "layer-4": slice(2, 6)})
    with pytest.raises(InvalidInputError, match="blocks layer-0, layer-1, as the model was made for, got layer-3"):
        brm.fit(model, other, world.preferences)
    # One array of the same numbers is taken for what it is.
    plain = brm.ResponsePool(told.embeddings, told.prompt, covariates=told.covariates)
    assert len(brm.fit(model, plain, world.preferences).reward(plain)[0]) == 40


def test_settings_say_blocks_and_covariates(told: brm.ResponsePool) -> None:
    described = brm.RewardModel(told, prior_mean={"lines": 1.0}).describe()
    assert described["input_blocks"] == {"layer-0": [0, 2], "layer-1": [2, 6]}
    assert described["covariates"] == ["log_characters", "constant", "lines"]
    assert described["prior_mean"] == {"lines": 1.0}
    plain = brm.RewardModel(DIM).describe()
    assert "input_blocks" not in plain
    assert plain["covariates"] is plain["prior_mean"] is plain["covariate_blocks"] is None
