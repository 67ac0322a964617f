"""The encoder "kernel": exact where every response is inducing, what is lost, its length scale, and NUTS."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference.nuts import Nuts
from bayesrm.models.encoders import layers_kernel
from bayesrm.models.encoders.kernel import Kernel, inducing_rows, kernel_of_distance
from bayesrm.models.features import encode

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def curved() -> tuple[brm.ResponsePool, np.ndarray]:
    """Rewards that are no linear function of four coordinates."""
    r = np.random.default_rng(0)
    x = r.normal(size=(120, 4)).astype(np.float32)
    golden = np.cos(1.5 * x[:, 0]) * 2 + x[:, 1] ** 2
    return brm.ResponsePool(x, np.repeat(np.arange(20), 6)), golden


@pytest.mark.parametrize("shape", ["rbf", "matern32", "matern52"])
def test_a_usual_difference_has_the_same_variance_whatever_the_length(shape):
    for length in (0.5, 2.0, 8.0):
        near, usual = (
            kernel_of_distance(torch.tensor(d).double(), length, shape).item() for d in (0.0, math.sqrt(2))
        )
        assert near - usual == pytest.approx(1.0)


def test_shapes_against_their_definitions():
    distance = torch.linspace(0, 5, 30).double()
    ratio = kernel_of_distance(distance, 1.7, "rbf") / torch.exp(-(distance**2) / (2 * 1.7**2))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    for shape, nu in (("matern32", 1.5), ("matern52", 2.5)):
        from scipy.special import gamma, kv

        r = np.maximum(distance.numpy() / 1.7, 1e-12) * math.sqrt(2 * nu)
        matern = 2 ** (1 - nu) / gamma(nu) * r**nu * kv(nu, r)
        ratio = kernel_of_distance(distance, 1.7, shape).numpy() / matern
        np.testing.assert_allclose(ratio[1:], ratio[1], rtol=1e-6)


def test_with_all_responses_inducing_the_posterior_is_the_exact_process(curved, monkeypatch):
    """Laplace over features against Laplace over the labelled logits themselves (Rasmussen & Williams, alg. 3.1)."""
    monkeypatch.setattr("bayesrm.models.encoders.kernel.TOLERANCE", 0.0)
    pool, golden = curved
    prefs = brm.GoldenAnnotator(golden, seed=1).label(brm.candidates(pool, size=60))
    encoder = Kernel(4, features=200)
    model = brm.RewardModel(4, encoder=encoder, prior_scale=0.8)
    posterior = brm.fit(model, pool, prefs)
    fitted = posterior.model.encoder
    body = fitted.body.kernels[0]
    z = fitted.prepare(torch.from_numpy(pool.embeddings)) @ body.projection
    k = body.kernel(z, z).numpy() * 0.8**2
    d = np.zeros((60, len(pool)))
    d[np.arange(60), prefs.first], d[np.arange(60), prefs.second] = 1.0, -1.0
    big, y = d @ k @ d.T, prefs.outcome
    f = np.zeros(60)
    for _ in range(50):
        p = 1 / (1 + np.exp(-f))
        w = p * (1 - p)
        f = big @ np.linalg.solve(np.eye(60) + w[:, None] * big, w * f + y - p)
    p = 1 / (1 + np.exp(-f))
    w = p * (1 - p)
    mean = k @ d.T @ (y - p)
    covariance = k - k @ d.T @ np.linalg.solve(np.diag(1 / w) + big, d @ k)
    own, sd = posterior.reward(pool)
    np.testing.assert_allclose(own, mean - mean.mean(), atol=2e-3)
    centred = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()
    np.testing.assert_allclose(sd, np.sqrt(np.diag(centred)), rtol=2e-3)
    assert fitted.lost < 1e-6


def test_inducing_rows_lose_what_is_said_and_stop_at_the_tolerance():
    r = np.random.default_rng(2)
    z = torch.from_numpy(r.normal(size=(80, 3)))
    group = np.repeat(np.arange(16), 5)
    matrix = kernel_of_distance(torch.cdist(z, z), 2.0, "rbf")
    rows, lost = inducing_rows(matrix, group, 80, 0.05)
    approximate = (matrix[:, rows] @ torch.linalg.solve(matrix[rows][:, rows], matrix[rows])).numpy()
    centre = np.eye(80) - np.equal.outer(group, group) / 5

    def trace(k):
        return np.trace(centre @ k @ centre)

    assert lost == pytest.approx(1 - trace(approximate) / trace(matrix.numpy()), abs=1e-6)
    assert lost < 0.05
    assert inducing_rows(matrix, group, len(rows) - 1, 0.05)[1] >= 0.05


@pytest.mark.parametrize("kept", [0.99, 0.9])
def test_beside_layers_the_leading_combinations_are_kept_and_what_is_lost_is_said(curved, kept, monkeypatch):
    pool, _ = curved
    monkeypatch.setattr(layers_kernel, "KEPT", kept)
    model = brm.RewardModel(pool, "layers+kernel")
    model.fit_pool(pool)
    features = encode(model, pool, np.arange(len(pool)), CPU)[:, model.blocks["kernel"]].numpy()
    kernels = model.encoder.body.others["kernel"].kernels[0]
    with torch.no_grad():
        z = model.encoder.prepare(torch.from_numpy(pool.embeddings)) @ kernels.projection
    exact = kernel_of_distance(torch.cdist(z.double(), z.double()), 2.0, "rbf").numpy()
    centring = np.eye(len(pool)) - (pool.group[:, None] == pool.group) / 6
    total = np.trace(centring @ exact)
    within = centring @ features
    assert np.trace(within @ within.T) == pytest.approx((1 - float(kernels.lost)) * total, rel=1e-3)
    assert kept * (1 - 0.011) < 1 - float(kernels.lost) < 1
    products = within.T @ within
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-3 * products[0, 0])
    assert list(np.diag(products)) == sorted(np.diag(products), reverse=True)
    assert np.trace(products) - products[-1, -1] < kept * (1 - 1e-9) * total  # fewer would not do
    whole = brm.RewardModel(pool, "kernel")
    whole.fit_pool(pool)
    assert features.shape[1] < whole.features


def test_a_curved_reward_is_ranked_better_than_by_a_linear_one(curved):
    pool, golden = curved
    prefs = brm.GoldenAnnotator(golden, temperature=2.0, seed=3).label(brm.candidates(pool, size=250))
    scores = {
        name: brm.evaluate(brm.fit(brm.RewardModel(pool, encoder=name), pool, prefs), pool, golden)
        for name in ("linear", "kernel")
    }
    assert scores["kernel"]["one_minus_spearman"] < scores["linear"]["one_minus_spearman"] - 0.2


def test_the_length_scale_is_near_the_maximum_of_evidence_and_prior(curved):
    pool, golden = curved
    prefs = brm.GoldenAnnotator(golden, temperature=3.0, seed=4).label(brm.candidates(pool, size=200))
    chosen = brm.fit(brm.RewardModel(pool, encoder="kernel"), pool, prefs)

    def value(length: float) -> float:
        class Fixed(Kernel):
            def fit_labels(self, pool, preferences, evidence):
                for part in self.body.kernels:
                    part.set_length(length)

        posterior = brm.fit(brm.RewardModel(pool, encoder=Fixed(4)), pool, prefs)
        return posterior.log_evidence - 0.5 * (math.log(length / 2.0) / 0.4) ** 2

    found = chosen.model.encoder.length
    assert value(found) > max(value(found * factor) for factor in (0.7, 1.4)) - 0.05


def test_laplace_on_kernel_features_agrees_with_nuts(curved):
    pool, golden = curved
    prefs = brm.GoldenAnnotator(golden, seed=5).label(brm.candidates(pool, size=150))
    model = brm.RewardModel(4, encoder=Kernel(4, features=40), prior_scale=0.7)
    inferences = "laplace", Nuts(chains=2, draws=300, warmup=100)
    laplace, nuts = (brm.fit(model, pool, prefs, inference, seed=1) for inference in inferences)
    first, second = brm.candidates(pool, size=100, seed=9).first, brm.candidates(pool, size=100, seed=9).second
    pairs = brm.Comparisons(first, second)
    (m, v), (other, w) = laplace.logit_moments(pool, pairs), nuts.logit_moments(pool, pairs)
    ratio = (v / w).sqrt().numpy()
    assert abs(np.median(ratio) - 1) < 0.1
    assert float(((m - other) / w.sqrt()).abs().mean()) < 0.2


def test_additive_kernels_have_a_scale_each_and_are_saved(curved, tmp_path):
    pool, golden = curved
    layered = brm.ResponsePool(
        np.concatenate([pool.embeddings, pool.embeddings[:, ::-1] ** 2], axis=1),
        pool.prompt,
        blocks={"layer-0": slice(0, 4), "layer-1": slice(4, 8)},
    )
    prefs = brm.GoldenAnnotator(golden, seed=6).label(brm.candidates(pool, size=80))
    encoder = Kernel(8, additive=True, input_blocks=layered.blocks)
    posterior = brm.fit(brm.RewardModel(layered, encoder=encoder), layered, prefs)
    assert set(posterior.model.blocks) == {"kernel layer-0", "kernel layer-1"}
    assert set(posterior.model.prior_scale) == {"kernel layer-0", "kernel layer-1"}
    brm.save_reward_model(tmp_path / "model", posterior)
    moments = brm.load_reward_model(tmp_path / "model").function.moments(layered.embeddings)
    np.testing.assert_allclose(moments.mean - moments.mean.mean(), posterior.reward(layered)[0], atol=1e-5)


def test_bad_settings_are_one_sentence():
    with pytest.raises(InvalidInputError, match="unknown kernel 'cubic': there are rbf, matern32, matern52"):
        Kernel(3, shape="cubic")
    with pytest.raises(InvalidInputError, match=r"expected features to be a whole number from 1 to .*, got 0"):
        Kernel(3, features=0)
