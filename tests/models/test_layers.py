"""The encoder "layers": spectra of blocks and of all mixed, remembered for a pool, saved and loaded; far responses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.models.encoders.layers import LAYER_TAIL, MIXED, MIXED_TAIL
from bayesrm.models.robust import usual_range


@pytest.fixture(scope="module")
def layered() -> brm.ResponsePool:
    r = np.random.default_rng(0)
    prompt = np.repeat(np.arange(30), 5)
    base = r.normal(size=(150, 6)) * np.linspace(3, 0.2, 6) + r.normal(size=(30, 6))[prompt]
    embeddings = np.concatenate([base @ r.normal(size=(6, 6)), base[:, ::-1] * 10 + 3], axis=1).astype(np.float32)
    return brm.ResponsePool(embeddings, prompt, blocks={"layer-0": slice(0, 6), "layer-1": slice(6, 12)})


def _within(values: np.ndarray, prompt: np.ndarray) -> np.ndarray:
    return np.concatenate([values[prompt == p] - values[prompt == p].mean(axis=0) for p in np.unique(prompt)])


def _fitted(pool: brm.ResponsePool) -> brm.Encoder:
    return brm.fit(brm.RewardModel(pool), pool, brm.Preferences.none()).model.encoder


def test_auto_takes_layers_whether_there_are_several_blocks_or_one(layered):
    assert brm.RewardModel(layered).encoder_name == "mlp"
    assert type(brm.RewardModel(layered, encoder="auto").encoder).name == "layers"
    assert type(brm.RewardModel(12, encoder="auto").encoder).name == "layers"


def test_blocks_have_unit_variance_within_prompts_along_their_own_spectrum(layered):
    encoder = brm.fit(brm.RewardModel(layered, encoder="auto"), layered, brm.Preferences.none()).model.encoder
    features = encoder(torch.from_numpy(layered.embeddings)).double().numpy()
    standardised = (layered.embeddings - layered.embeddings.mean(axis=0)) / layered.embeddings.std(axis=0)
    for name, columns, power, tail in (
        ("layer-0", slice(0, 6), 2.0, LAYER_TAIL),
        ("layer-1", slice(6, 12), 2.0, LAYER_TAIL),
        (MIXED, slice(0, 12), 0.5, MIXED_TAIL),
    ):
        own = _within(features[:, encoder.blocks[name]], layered.prompt)
        assert (own**2).sum() / 120 == pytest.approx(1.0, abs=2 * tail)
        # Inner products of responses are those of C^a, by brute force and up to what is left out.
        x = _within(standardised[:, columns], layered.prompt).astype(float)
        values, vectors = np.linalg.eigh(x.T @ x / 120)
        values = np.maximum(values, 0)
        gram = x @ (vectors * values**power) @ vectors.T @ x.T
        np.testing.assert_allclose(
            own @ own.T, gram / (np.trace(gram) / 120), atol=6 * tail * np.abs(own).max() ** 2
        )


def test_what_a_pool_taught_is_remembered(layered, monkeypatch):
    pool = brm.ResponsePool(layered.embeddings.copy(), layered.prompt, blocks=layered.blocks)
    model = brm.RewardModel(pool, encoder="auto")
    before = brm.fit(model, pool, brm.Preferences.none()).model.encoder
    monkeypatch.setattr("bayesrm.models.encoders.layers.within_prompt_covariance", None)
    again = brm.fit(model, pool, brm.Preferences.none()).model.encoder
    rows = torch.from_numpy(pool.embeddings)
    assert torch.equal(before(rows), again(rows))


def test_saved_and_loaded_rewards_are_the_same(layered, tmp_path):
    golden = np.random.default_rng(1).normal(size=len(layered))
    prefs = brm.GoldenAnnotator(golden).label(brm.candidates(layered, size=60))
    posterior = brm.fit(brm.RewardModel(layered, encoder="auto"), layered, prefs)
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    mean, _ = posterior.reward(layered)
    moments = loaded.function.moments(layered.embeddings)
    np.testing.assert_allclose(moments.mean - moments.mean.mean(), mean, atol=1e-6)


def test_nothing_is_far_in_an_ordinary_pool():
    lower, upper = usual_range(np.random.default_rng(0).normal(size=(5_000, 3)))
    assert np.isinf(lower).all()
    assert np.isinf(upper).all()


def test_a_column_that_is_constant_but_for_one_response_is_constant():
    values = np.zeros((1_000, 2))
    values[3, 0], values[:500, 1] = 1e6, 1.0
    lower, upper = usual_range(values)
    assert (lower[0], upper[0]) == (0.0, 0.0)
    assert np.isinf(upper[1])


@pytest.mark.parametrize("encoder", ["linear", "auto"])
def test_one_response_a_thousand_times_as_far_out_changes_little(encoder):
    """It is in one labelled pair, answered against what is true; without it 1 − Spearman is below .1."""
    r = np.random.default_rng(7)
    embeddings = r.normal(size=(300, 6)).astype(np.float32)
    golden = embeddings @ np.array([3.0, -2.0, 1.0, 2.0, -1.0, 0.5])
    prompt = np.repeat(np.arange(50), 6)
    far = embeddings.copy()
    far[3] = 1000.0
    scores = []
    for rows in (embeddings, far):
        pool = brm.ResponsePool(rows, prompt)
        asked = brm.candidates(pool, size=149, seed=2, exclude=brm.Comparisons(np.array([3]), np.array([4])))
        prefs = brm.GoldenAnnotator(golden, seed=5).label(asked)
        prefs = prefs.append(brm.Preferences(np.array([3]), np.array([4]), np.array([0.0])))
        posterior = brm.fit(brm.RewardModel(pool, encoder=encoder), pool, prefs)
        test = brm.ResponsePool(embeddings, prompt)
        scores.append(brm.evaluate(posterior, test, golden)["one_minus_spearman"])
    assert scores[0] < 0.1
    assert scores[1] < 0.1, "without limits it is above 1"


@pytest.mark.usefixtures("short_training")
def test_a_block_in_which_nothing_varies_does_no_harm() -> None:
    """As of the input embeddings of a decoder at the last token, which ends every text alike."""
    rng = np.random.default_rng(0)
    blocks = {"layer-0": slice(0, 3), "layer-1": slice(3, 7)}
    embeddings = np.hstack([np.full((40, 3), 0.7), rng.normal(size=(40, 4))]).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.arange(40) % 10, blocks=blocks)
    prefs = brm.GoldenAnnotator(embeddings[:, 3].astype(float)).label(brm.candidates(pool, size=30))
    for encoder in ("layers", "auto", "kernel", "linear", "mlp+linear"):
        inputs = "within-prompt" if encoder == "linear" else None
        posterior = brm.fit(brm.RewardModel(pool, encoder=encoder, inputs=inputs), pool, prefs)
        mean, sd = posterior.reward(pool)
        assert np.isfinite(mean).all()
        assert np.isfinite(sd).all()
        assert np.corrcoef(mean, embeddings[:, 3])[0, 1] > 0.3
    # Constant in every prompt, though not over the pool: nothing within prompts either.
    by_prompt = np.hstack([rng.normal(size=(10, 3))[np.arange(40) % 10], embeddings[:, 3:]]).astype(np.float32)
    apart = brm.ResponsePool(by_prompt, pool.prompt, blocks=blocks)
    assert np.isfinite(brm.fit(brm.RewardModel(apart, encoder="layers"), apart, prefs).reward(apart)[0]).all()
