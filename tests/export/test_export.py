"""A saved reward model is the posterior it came from: to 1e-10 with every inference, or an error that says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import bayesrm as brm
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.export.files import CONFIGURATION, TENSORS
from bayesrm.inference import INFERENCES, bnn
from bayesrm.inference.bnn import BayesianNetwork
from bayesrm.inference.ensemble import Ensemble
from bayesrm.inference.mc_dropout import MCDropout
from bayesrm.inference.nuts import Nuts
from bayesrm.utils import files as storage
from bayesrm.utils.factors import SpannedFactor

SMALL = {
    "nuts": lambda: Nuts(draws=30, warmup=20, chains=1),
    "ensemble": lambda: Ensemble(members=3),
    "mc-dropout": lambda: MCDropout(draws=5),
    "bnn": lambda: BayesianNetwork(draws=5),
}


def _elsewhere(pool):
    """The same responses, as of another pool: prompt intercepts are of the pool of the fit."""
    return brm.ResponsePool(pool.embeddings.copy(), pool.prompt)


def _saved(posterior, path, **options):
    brm.save_reward_model(path, posterior)
    return brm.load_reward_model(path, **options)


def _assert_same(loaded, posterior, world):
    pool = _elsewhere(world.pool)
    mean, sd = posterior.reward(pool)
    loaded_mean, loaded_sd = loaded.reward(pool)
    np.testing.assert_allclose(loaded_mean, mean, atol=1e-10)
    np.testing.assert_allclose(loaded_sd, sd, atol=1e-10)
    first, second = world.preferences.first, world.preferences.second
    expected = posterior.preference_probability(pool, first, second)
    rows = pool.rows(np.arange(len(pool)))
    # Together, because single precision rounds by where a row stands among others.
    moments = loaded.moments(rows)
    found = moments.probability(loaded.likelihood, torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(loaded.preference_probability(rows[first], rows[second]), expected, atol=1e-6)
    np.testing.assert_allclose(loaded.lower_bound(rows, kappa=1.5), mean - 1.5 * sd, atol=1e-10)


ENCODERS = {"laplace": ("mlp+linear", "auto"), "svi": ("linear",), "mc-dropout": ("mlp", "auto")}


@pytest.mark.parametrize(
    ("inference", "encoder"),
    [(name, encoder) for name in INFERENCES for encoder in ENCODERS.get(name, ("linear", "mlp"))],
)
@pytest.mark.usefixtures("short_training", "short_variational")
def test_every_inference(world, tmp_path, inference, encoder, monkeypatch):
    monkeypatch.setattr(bnn, "MAX_STEPS", 30)
    method = SMALL.get(inference, lambda: inference)()
    power = None if encoder == "auto" else 1.0
    model = brm.RewardModel(world.pool.dim, encoder, hidden=(5, 4), spectrum_power=power)
    posterior = brm.fit(model, world.pool, world.preferences, method)
    loaded = _saved(posterior, tmp_path / "model")
    _assert_same(loaded, posterior, world)
    assert loaded.description["inference"] == inference
    assert "encoder=" not in (tmp_path / "model" / "README.md").read_text(), "the card loads it as is done here"


@pytest.mark.parametrize("inference", ["laplace", "plugin", "nuts"])
def test_many_features_of_few_labels_are_written_in_the_span_of_the_labels(tmp_path, inference):
    """Two matrices of 300 × 20 and 20 × 20 for one of 300 × 300, in files and as transformers has them."""
    from bayesrm.export.auto import DOT, RewardHead, shapes_of

    r = np.random.default_rng(0)
    pool = brm.ResponsePool(r.normal(size=(40, 300)).astype(np.float32), np.arange(40) // 4)
    first = np.arange(0, 40, 2)
    labels = brm.Preferences(first, first + 1, np.arange(20) % 2)
    model = brm.RewardModel(300, "linear", likelihood="davidson", prior_scale=0.1)
    posterior = brm.fit(model, pool, labels, SMALL.get(inference, lambda: inference)())
    loaded = _saved(posterior, tmp_path / "model")
    for of_loaded, of_posterior in zip(loaded.reward(pool), posterior.reward(pool), strict=True):
        np.testing.assert_allclose(of_loaded, of_posterior, rtol=0, atol=1e-9)
    if inference == "laplace":
        assert isinstance(loaded.function.covariance, SpannedFactor)
        assert (tmp_path / "model" / TENSORS).stat().st_size < 300 * 300 * 8 / 4
    tensors = load_file(tmp_path / "model" / TENSORS)
    shapes = shapes_of({name: value for name, value in tensors.items() if not name.startswith("likelihood.")})
    head = RewardHead(json.loads((tmp_path / "model" / CONFIGURATION).read_text()), shapes, kappa=1.0)
    for name in shapes:
        head.get_buffer(name.replace(".", DOT)).copy_(tensors[name])
    np.testing.assert_allclose(
        head(torch.from_numpy(pool.rows(np.arange(40))))[:, 0], loaded.lower_bound(pool, 1.0), rtol=0, atol=1e-5
    )


def test_without_prompt_intercepts_a_reward_is_what_it_is_on_the_pool_of_the_fit(laplace, pool, tmp_path):
    loaded = _saved(laplace, tmp_path / "model")
    for of_loaded, of_posterior in zip(loaded.reward(pool), laplace.reward(pool), strict=True):
        np.testing.assert_allclose(of_loaded, of_posterior, atol=1e-10)


def test_prompt_intercepts_are_left_out_and_within_prompts_make_no_difference(world, tmp_path):
    model = brm.RewardModel(world.pool.dim, "linear", prompt_intercept=True)
    posterior = brm.fit(model, world.pool, world.preferences)
    assert posterior.model.features > world.pool.dim
    loaded = _saved(posterior, tmp_path / "model")
    _assert_same(loaded, posterior, world)
    member = max(world.pool.members, key=len)
    rows = world.pool.rows(member)
    pairs = np.triu_indices(len(member), 1)
    np.testing.assert_allclose(
        loaded.preference_probability(rows[pairs[0]], rows[pairs[1]]),
        posterior.preference_probability(world.pool, member[pairs[0]], member[pairs[1]]),
        atol=1e-6,
    )
    assert "intercepts of 10 prompts" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize(
    "likelihood", ["davidson", "rao-kupper", "flips", "thurstone", "annotators", "annotator-flips"]
)
def test_what_was_learnt_of_annotators_and_ties_comes_along(world, tmp_path, likelihood):
    outcome = world.preferences.outcome.copy()
    if likelihood in ("davidson", "rao-kupper"):
        outcome[::5] = 0.5
    annotator = np.array(["ann", "bob", "cleo"])[np.arange(len(outcome)) % 3]
    preferences = brm.Preferences(world.preferences.first, world.preferences.second, outcome, annotator=annotator)
    model = brm.RewardModel(world.pool.dim, "linear", likelihood=likelihood, prior_scale=0.5)
    posterior = brm.fit(model, world.pool, preferences)
    loaded = _saved(posterior, tmp_path / "model")
    _assert_same(loaded, posterior, world)
    assert loaded.description["likelihood"]["annotators"] == ["ann", "bob", "cleo"]


def test_a_network_has_a_typical_annotator_too(world, tmp_path):
    model = brm.RewardModel(world.pool.dim, "linear", likelihood="flips")
    posterior = brm.fit(model, world.pool, world.preferences, Ensemble(members=3))
    _assert_same(_saved(posterior, tmp_path / "model"), posterior, world)


def position_bias(features, first, second, outcome=None):
    beta = pyro.sample("beta", dist.Normal(0.0, 0.5).expand([features.shape[-1]]).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome)


def test_a_pyro_program_has_to_be_given_for_probabilities_and_for_nothing_else(world, tmp_path):
    model = brm.RewardModel(world.pool.dim, "linear", program=position_bias)
    posterior = brm.fit(model, world.pool, world.preferences)
    loaded = _saved(posterior, tmp_path / "model")
    np.testing.assert_allclose(loaded.reward(world.pool)[0], posterior.reward(world.pool)[0], atol=1e-10)
    with pytest.raises(CapabilityError, match=r"load_reward_model\(path, likelihood=...\)"):
        loaded.preference_probability(world.pool, world.pool)
    _assert_same(brm.load_reward_model(tmp_path / "model", likelihood=position_bias), posterior, world)


class Own(nn.Module):
    def __init__(self, dim: int = 6, width: int = 4) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, width)

    def forward(self, x):
        return torch.sin(self.inner(x))


@pytest.mark.usefixtures("short_training")
def test_a_module_of_ones_own_has_to_be_given_again(world, tmp_path):
    posterior = brm.fit(brm.RewardModel(6, Own()), world.pool, world.preferences)
    brm.save_reward_model(tmp_path / "model", posterior)
    assert 'load_reward_model("model", encoder=my_module)' in (tmp_path / "model" / "README.md").read_text()
    with pytest.raises(InvalidInputError, match=r"the user's own \(Own\).*encoder=module"):
        brm.load_reward_model(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="damaged or incomplete"):
        brm.load_reward_model(tmp_path / "model", encoder=Own(width=3))
    _assert_same(brm.load_reward_model(tmp_path / "model", encoder=Own()), posterior, world)


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("inference", ["laplace", "ensemble"])
def test_a_module_of_known_layers_is_described_whole(world, tmp_path, inference):
    body = nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.LayerNorm(8), nn.Sequential(nn.SiLU(), nn.Linear(8, 5)), nn.Tanh()
    )
    posterior = brm.fit(brm.RewardModel(6, body), world.pool, world.preferences, inference)
    _assert_same(_saved(posterior, tmp_path / "model"), posterior, world)


def test_without_a_label_it_is_the_prior(pool, tmp_path):
    posterior = brm.fit(brm.RewardModel(pool.dim, "linear", prior_scale=0.3), pool, brm.Preferences.none())
    loaded = _saved(posterior, tmp_path / "model")
    np.testing.assert_allclose(loaded.reward(pool)[1], posterior.reward(pool)[1], atol=1e-10)


def test_the_sd_of_a_response_is_that_of_its_difference_to_the_average_one(laplace, pool, tmp_path):
    loaded = _saved(laplace, tmp_path / "model")
    draws = laplace.sample_rewards(pool, np.arange(len(pool)), 20_000, np.random.default_rng(0)).numpy()
    centred = draws - draws.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(loaded.reward(pool)[1], centred.std(axis=0), rtol=5 / np.sqrt(2 * len(draws)))


def test_a_fresh_process_without_pool_and_labels_gives_the_same(laplace, pool, tmp_path):
    brm.save_reward_model(tmp_path / "model", laplace)
    rows = pool.rows(np.arange(len(pool)))
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import sys, numpy as np, bayesrm as brm\n"
        "rows = np.load('rows.npy')\n"
        "model = brm.load_reward_model('model')\n"
        "np.save('scores.npy', np.stack([*model.reward(rows), model.preference_probability(rows, rows[::-1])]))\n"
        "print(sorted({'matplotlib', 'transformers', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, env=os.environ, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
    mean, sd, probability = np.load(tmp_path / "scores.npy")
    expected, expected_sd = laplace.reward(pool)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(sd, expected_sd, atol=1e-6)
    index = np.arange(len(pool))
    np.testing.assert_allclose(probability, laplace.preference_probability(pool, index, index[::-1]), atol=1e-6)


@pytest.fixture
def folder(laplace, tmp_path):
    brm.save_reward_model(tmp_path / "model", laplace)
    return tmp_path / "model"


def _edit(folder, **changes):
    path = folder / CONFIGURATION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_files_are_small_and_have_no_pickle(folder):
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", CONFIGURATION, TENSORS]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000
    described = json.loads((folder / CONFIGURATION).read_text())
    assert described["format_version"] == 1
    assert {"bayesrm", "torch"} <= set(described["versions"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / TENSORS).unlink(), "copy the whole folder"),
        (lambda folder: (folder / TENSORS).write_bytes(b"no tensors"), "its SHA-256 differs"),
        (lambda folder: (folder / CONFIGURATION).unlink(), "it has no reward_model.json: write one"),
        (lambda folder: (folder / CONFIGURATION).write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / CONFIGURATION).write_text("[]"), "expected an object in .*reward_model.json, and it"),
        (lambda folder: _edit(folder, embedding="x"), "expected an object under embedding in .*, got 'x'"),
        (lambda folder: _edit(folder, format_version=2), "expected format 1 in .*, got 2, written by bayesrm"),
        (lambda folder: _edit(folder, files={}), "damaged or incomplete"),
        (lambda folder: _edit(folder, encoder={}), "damaged or incomplete"),
        (lambda folder: _edit(folder, kind="networks"), "damaged or incomplete"),
    ],
)  # fmt: skip
def test_damaged_and_foreign_files_are_named(folder, damage, message):
    damage(folder)
    with pytest.raises(InvalidInputError, match=message) as raised:
        brm.load_reward_model(folder)
    assert str(folder) in str(raised.value)


def test_layers_of_a_later_version_are_named(folder):
    described = json.loads((folder / CONFIGURATION).read_text())
    described["encoder"]["body"] = {"layer": "Attention"}
    _edit(folder, **described)
    with pytest.raises(InvalidInputError, match="a layer 'Attention' that this version of bayesrm does not know"):
        brm.load_reward_model(folder)


def test_nothing_is_written_over_and_nothing_is_left_half_written(folder, laplace, tmp_path, monkeypatch):
    with pytest.raises(InvalidInputError, match="is not empty"):
        brm.save_reward_model(folder, laplace)
    monkeypatch.setattr(storage.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        brm.save_reward_model(tmp_path / "other", laplace)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_is_one_sentence(laplace, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(InvalidInputError, match=r"cannot write the reward model to .*No space left.*make room"):
        brm.save_reward_model(tmp_path / "model", laplace)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_scored_is_said(folder, pool):
    loaded = brm.load_reward_model(folder)
    assert "linear, laplace, 150 labels" in repr(loaded)
    with pytest.raises(InvalidInputError, match=r"expected embeddings of dimension 6, .* got 5"):
        loaded.reward(np.zeros((3, 5), dtype=np.float32))
    with pytest.raises(InvalidInputError, match="a ResponsePool or a list of"):
        loaded.reward("text")
    with pytest.raises(InvalidInputError, match="expected finite embeddings"):
        loaded.reward(np.full((3, 6), np.nan, dtype=np.float32))
    with pytest.raises(InvalidInputError, match="as many first as second, got 2 and 3"):
        loaded.preference_probability(pool.rows(np.arange(2)), pool.rows(np.arange(3)))
    with pytest.raises(CapabilityError, match="scores embeddings and no texts"):
        loaded.reward([("prompt", "response")])


def test_other_posteriors_are_refused(tmp_path, pool):
    class Other(brm.RewardPosterior):
        __abstractmethods__ = frozenset()

    Other.__abstractmethods__ = frozenset()
    with pytest.raises(CapabilityError, match="got Other"):
        brm.save_reward_model(tmp_path / "model", Other())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [1, 7])
def test_large_pools_are_scored_block_by_block(laplace, pool, folder, monkeypatch, rows):
    loaded = brm.load_reward_model(folder)
    index = np.arange(len(pool))
    expected = *laplace.reward(pool), laplace.preference_probability(pool, index, index[::-1])
    monkeypatch.setattr("bayesrm.export.reward_function.RESPONSE_BLOCK", rows)
    embeddings = pool.rows(index)
    for found, right in zip(
        (*loaded.reward(pool), loaded.preference_probability(embeddings, embeddings[::-1])), expected, strict=True
    ):
        np.testing.assert_allclose(found, right, atol=1e-6)
