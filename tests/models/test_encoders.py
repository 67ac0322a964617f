"""Encoders: standardisation with the pool's statistics, dead dimensions, bodies by name or by the user."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.models import standardize as statistics
from bayesrm.models.encoders import Encoder, make_encoder
from bayesrm.models.standardize import Standardize


def _standardize(pool: brm.ResponsePool) -> Standardize:
    standardize = Standardize(pool.dim)
    standardize.fit(pool)
    return standardize


def _pool(embeddings: np.ndarray) -> brm.ResponsePool:
    return brm.ResponsePool(embeddings, np.zeros(len(embeddings), int))


@pytest.mark.parametrize("n", [2, 127, 128, 129, 1000])
@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_standardised_with_mean_and_sd_of_the_pool(n, shift):
    embeddings = np.random.default_rng(0).normal(shift, [0.1, 1.0, 50.0], size=(n, 3)).astype(np.float32)
    exact = embeddings.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    # The mean is kept in float32: an error of half its last digit, in units of the smallest sd.
    tolerance = 1e-5 + 6e-8 * shift / exact.std(axis=0)
    got = _standardize(_pool(embeddings))(torch.from_numpy(embeddings)).numpy()
    assert (np.abs(got - expected) <= tolerance).all()


def test_features_do_not_depend_on_the_units_of_the_embeddings(pool):
    scaled = brm.ResponsePool(pool.embeddings * 256.0, pool.prompt)
    ours, theirs = (_standardize(p)(torch.from_numpy(p.rows(np.arange(len(p))))) for p in (pool, scaled))
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, -1234.5, 1e-30])
def test_a_dead_dimension_is_zero_on_new_data_too(dtype, constant):
    embeddings = np.random.default_rng(0).normal(size=(500, 3)).astype(dtype)
    embeddings[:, 1] = constant
    standardize = _standardize(_pool(embeddings))
    new = standardize(torch.tensor([[1.0, 1e30, 1.0], [0.0, -5.0, 1e6]]))
    assert torch.isfinite(new).all()
    assert not new[:, 1].any()
    assert new[:, [0, 2]].abs().min() > 0


def test_all_dimensions_dead():
    standardize = _standardize(_pool(np.full((300, 4), 0.1, np.float32)))
    assert not standardize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0))).any()


def test_one_response_is_all_dead():
    assert not _standardize(_pool(np.ones((1, 4), np.float32)))(torch.full((2, 4), 7.0)).any()


def test_real_pool_has_dead_dimensions(real_pool_folder):
    embeddings = np.load(real_pool_folder / "pool" / "embeddings.npy", mmap_mode="r")
    standardize = _standardize(_pool(embeddings))
    features = standardize(torch.from_numpy(np.asarray(embeddings[::7], dtype=np.float32)))
    assert torch.isfinite(features).all()
    assert (standardize.inverse_scale == 0).sum() == 3
    assert features.abs().max() < 50


def test_large_pool_is_standardised_from_blocks(tmp_path):
    n, dim = 60_000, 4
    embeddings = np.lib.format.open_memmap(tmp_path / "e.npy", mode="w+", dtype=np.float32, shape=(n, dim))
    embeddings[:] = np.random.default_rng(0).normal([0, 5, -3, 1], [1, 2, 0.1, 30], size=(n, dim))
    standardize = _standardize(_pool(embeddings))
    exact_mean, exact_sd = embeddings.mean(axis=0, dtype=np.float64), embeddings.std(axis=0, dtype=np.float64)
    mean_error = np.abs(standardize.mean.numpy() - exact_mean) / exact_sd
    sd_error = np.abs(1 / standardize.inverse_scale.numpy() / exact_sd - 1)
    # Monte Carlo standard errors of a mean and of a sd from the rows that are read.
    assert mean_error.max() < 5 / np.sqrt(statistics.STATISTICS_ROWS)
    assert sd_error.max() < 5 / np.sqrt(2 * statistics.STATISTICS_ROWS)


def test_a_response_far_out_between_the_blocks_of_a_large_pool_is_clipped(monkeypatch):
    """Wherever it lies: the statistics are of a sixth of this pool, and it would stand a thousand times as far out."""
    monkeypatch.setattr(statistics, "STATISTICS_ROWS", 1_024)
    embeddings = np.random.default_rng(0).standard_normal((6_000, 3)).astype(np.float32)
    read = np.concatenate(statistics._statistics_blocks(len(embeddings)))
    between = int(np.setdiff1d(np.arange(len(embeddings)), read)[2_000])
    usual = _standardize(_pool(embeddings.copy()))
    assert not usual.clips
    embeddings[between] *= 1_000
    standardize = _standardize(_pool(embeddings))
    assert standardize.clips
    assert standardize(torch.from_numpy(embeddings[[between]])).abs().max() < 6
    others = torch.from_numpy(np.delete(embeddings, between, axis=0))
    np.testing.assert_allclose(standardize(others), usual(others), atol=0.02)
    # A pool that is too large to be read as a whole: it is said where its labels have it.
    monkeypatch.setattr(statistics, "VALUES_READ", 0)
    labels = brm.Preferences(np.array([between, 0]), np.array([1, 2]), np.array([1.0, 0.0]))
    with pytest.warns(UserWarning, match="1 of 4 responses lie over 10 times as far out"):
        brm.fit(brm.RewardModel(3, "linear", prior_scale=1.0), _pool(embeddings.copy()), labels)


def test_statistics_read_few_rows_of_a_large_pool_and_from_all_over_it():
    blocks = statistics._statistics_blocks(1_000_003)
    rows = np.concatenate(blocks)
    assert len(rows) == len(np.unique(rows)) <= statistics.STATISTICS_ROWS
    assert rows.min() == 0
    assert rows.max() == 1_000_002
    assert np.diff([block[0] for block in blocks]).max() < 1.5 * 1_000_003 / len(blocks)


@pytest.mark.parametrize(("encoder", "features"), [("linear", 6), ("mlp", 5), (nn.Linear(6, 3), 3)])
def test_shapes(encoder, features):
    model = brm.RewardModel(6, encoder=encoder, hidden=(7, 5))
    assert model.features == features
    assert model.encoder(torch.zeros(4, 6)).shape == (4, features)


def test_the_papers_body():
    body = make_encoder(6, "mlp", (64, 64, 64)).body
    assert [type(layer).__name__ for layer in body] == ["Linear", "GELU"] * 3
    assert [layer.out_features for layer in body if isinstance(layer, nn.Linear)] == [64, 64, 64]


def test_a_users_module_is_copied_and_sees_standardised_embeddings(pool):
    body = nn.Linear(pool.dim, 2)
    model = brm.RewardModel(pool.dim, encoder=body)
    assert model.encoder.body is not body
    model.encoder.fit_pool(pool)
    rows = torch.from_numpy(pool.rows(np.arange(len(pool))))
    standardised = (rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0)
    assert torch.allclose(model.encoder(rows), body(standardised), atol=1e-5)


def test_standardisation_can_be_switched_off(pool):
    encoder = make_encoder(pool.dim, nn.Identity(), (), inputs="raw")
    encoder.fit_pool(pool)
    rows = torch.from_numpy(pool.rows(np.arange(3)))
    assert torch.equal(encoder(rows), rows)


@pytest.mark.parametrize("labels", [0, 10, 150])
@pytest.mark.parametrize("inference", ["plugin", "laplace"])
@pytest.mark.usefixtures("short_training")
def test_a_users_module_is_fitted(world, inference, labels):
    body = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.Tanh())
    before = {name: value.clone() for name, value in body.state_dict().items()}
    posterior = brm.fit(brm.RewardModel(6, encoder=body), world.pool, world.preferences[:labels], inference)
    assert not any(module.training for module in posterior.model.encoder.modules())
    mean, sd = posterior.reward(world.pool)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    assert np.array_equal(posterior.reward(world.pool)[0], mean), "dropout is still on"
    assert all(torch.equal(before[name], value) for name, value in body.state_dict().items())


class _Flat(nn.Module):
    def forward(self, x):
        return x.sum(dim=1)


class _Pooled(nn.Module):
    def forward(self, x):
        return x.mean(dim=0, keepdim=True)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (_Flat(), r"maps \(response, 6\) to \(response, feature\), got \(2,\)"),
        (_Pooled(), r"got \(1, 6\) from an input of shape \(2, 6\)"),
        (nn.Linear(5, 3), r"maps \(response, 6\)"),
        (
            "cnn",
            r"unknown encoder 'cnn': there are kernel, layers, layers\+kernel, layers\+kernel\+mlp, layers\+mlp, "
            "linear, mlp",
        ),
    ],
    ids=["flat", "pooled", "another dimension", "unknown"],
)
def test_encoders_rejected(encoder, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.RewardModel(6, encoder=encoder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dimension of at least 1, got 0"),
        ({"hidden": ()}, "hidden layer sizes"),
        ({"hidden": (8, 0)}, "hidden to be a sequence, each a whole number from 1"),
        ({"prior_scale": 0.0}, "prior scale above 0, got 0.0"),
        ({"prior_scale": -1.0}, "prior scale above 0"),
        ({"prior_scale": float("nan")}, "prior_scale to be a finite number, .*got nan"),
        ({"prior_scale": float("inf")}, "prior_scale to be a finite number"),
        ({"training": "never"}, "unknown training 'never'"),
        ({"likelihood": "logistic"}, "unknown likelihood 'logistic': there are .*bradley-terry"),
    ],
)
def test_models_rejected(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.RewardModel(**{"dim": 6} | settings)


def test_pool_of_another_embedder(world, laplace):
    other = brm.ResponsePool(np.zeros((3, 7)), np.zeros(3, int))
    with pytest.raises(InvalidInputError, match=r"dimension 6.* got 7: was this pool embedded with another model"):
        laplace.reward(other)
    with pytest.raises(InvalidInputError, match=r"dimension 6.* got 7"):
        brm.fit(brm.RewardModel(6), other, brm.Preferences.none())


def test_an_encoder_object_is_taken_as_it_is(pool):
    encoder = Encoder(pool.dim, nn.Identity(), inputs="raw")
    assert brm.RewardModel(pool.dim, encoder=encoder).encoder.standardize is None


class _Rooted(nn.Module):
    """√x, which negative numbers have not."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.scale * x.sqrt()


@pytest.mark.parametrize("inference", ["laplace", "svi", "ensemble", "bnn"])
@pytest.mark.parametrize("trainable", [False, True])
def test_features_that_are_not_finite_are_refused_by_the_name_of_the_encoder(inference, trainable):
    random = np.random.default_rng(0)
    embeddings = random.uniform(1, 2, size=(40, 3)).astype(np.float32)
    embeddings[[3, 7, 30], 1] *= -1
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(8), 5))
    # Response 30 is in no comparison.
    first, second = np.tile(np.arange(20), 2), np.tile(np.arange(1, 21), 2)
    labels = brm.Preferences(first, second, random.integers(0, 2, 40).astype(float))
    model = brm.RewardModel(pool, encoder=_Rooted(3).requires_grad_(trainable), inputs="raw", prior_scale=1.0)
    of = "2 of 21 responses .the first is response 3."
    with pytest.raises(InvalidInputError, match=f"encoder '_Rooted', got NaN or infinity for {of}"):
        brm.fit(model, pool, labels, inference)
