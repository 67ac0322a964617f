"""Hidden layers as blocks, and what a sentence encoder does after pooling: against hidden states taken by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_models
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

import bayesrm as brm
from bayesrm.data.covariates import SURFACE, surface_covariates
from bayesrm.data.texts import read_texts
from bayesrm.embedding import Embedder, EmbeddingSettings, embed_texts
from bayesrm.embedding.layers import choose_layers, recommended
from bayesrm.errors import InvalidInputError

PROMPTS = ["why is the sea", "name a cat", "how two four"]
RESPONSES = ["rain and wind", "paris", "yes no good bad"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


def _hidden(folder: Path, prompt: str, response: str) -> list[np.ndarray]:
    """Hidden states of one text, tokens × width each."""
    tokens, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokens(f"{prompt}\n\n{response}", return_tensors="pt")
    with torch.inference_mode():
        return [state[0].numpy() for state in model(**inputs, output_hidden_states=True).hidden_states]


def _embedder(folder: Path, **settings) -> Embedder:
    return Embedder(EmbeddingSettings(str(folder), template="plain", **settings), device="cpu")


def test_all_layers_are_blocks_of_pooled_hidden_states(folder):
    embedder = _embedder(folder, layers="all", pooling="mean,last")
    found = embedder.embed(PROMPTS, RESPONSES)
    last = int(AutoModel.from_pretrained(folder).config.num_hidden_layers)
    names = [f"layer-{layer}-{pooling}" for layer in range(last + 1) for pooling in ("mean", "last")]
    assert list(embedder.blocks) == names
    for row, texts in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        states = _hidden(folder, *texts)
        expected = np.concatenate([part for state in states for part in (state.mean(axis=0), state[-1])])
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_some_layers_are_those_of_all(folder):
    everything = _embedder(folder, layers="all")
    whole = everything.embed(PROMPTS, RESPONSES)
    some = _embedder(folder, layers="0,-1")
    assert list(some.blocks) == ["layer-0", list(everything.blocks)[-1]]
    expected = np.concatenate([whole[:, everything.blocks[name]] for name in some.blocks], axis=1)
    np.testing.assert_allclose(some.embed(PROMPTS, RESPONSES), expected, atol=1e-6)
    one = _embedder(folder, layers="last")
    assert list(one.blocks) == ["embedding"]
    np.testing.assert_allclose(
        one.embed(PROMPTS, RESPONSES), expected[:, some.blocks["layer-0"].stop :], atol=1e-6
    )


def test_what_is_recommended():
    assert recommended(6, decoder=False) == tuple(range(7))
    assert recommended(32, decoder=True) == (8, 16, 24, 32)
    assert len(recommended(24, decoder=False)) == 13
    assert choose_layers("recommended", 2, True) == (1, 2)
    assert choose_layers("2,0,-1", 2, False) == (0, 2)
    for asked, message in (("9", "a layer from 0 to 2"), ("two", "numbers with commas between")):
        with pytest.raises(InvalidInputError, match=message):
            choose_layers(asked, 2, False)


def _sentence_encoder(folder: Path, *modules: tuple[str, dict]) -> dict[str, torch.Tensor]:
    """Write modules.json with mean pooling and more; returns the weights of Dense."""
    width = int(AutoModel.from_pretrained(folder).config.hidden_size)
    listed = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    weights = {}
    for at, (kind, config) in enumerate(modules, start=2):
        path = f"{at}_{kind}"
        listed.append({"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"})
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config))
        if kind == "Dense":
            generator = torch.Generator().manual_seed(at)
            weights = {
                "linear.weight": torch.randn((config["out_features"], width), generator=generator),
                "linear.bias": torch.randn(config["out_features"], generator=generator),
            }
            save_file(weights, folder / path / "model.safetensors")
    (folder / "modules.json").write_text(json.dumps(listed))
    return weights


def test_dense_and_normalize_are_applied_to_the_last_layer_alone(tmp_path):
    folder = tiny_models.bert(tmp_path / "sentence")
    width = int(AutoModel.from_pretrained(folder).config.hidden_size)
    dense = {"in_features": width, "out_features": 5, "bias": True}
    dense["activation_function"] = "torch.nn.modules.activation.Tanh"
    weights = _sentence_encoder(folder, ("Dense", dense), ("Normalize", {}))
    embedder = _embedder(folder, layers="0,-1")
    assert [at.stop - at.start for at in embedder.blocks.values()] == [width, 5]
    found = embedder.embed(PROMPTS, RESPONSES)
    for row, texts in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        states = _hidden(folder, *texts)
        vector = np.tanh(
            weights["linear.weight"].numpy() @ states[-1].mean(axis=0) + weights["linear.bias"].numpy()
        )
        np.testing.assert_allclose(found[row, width:], vector / np.linalg.norm(vector), atol=1e-5)
        np.testing.assert_allclose(found[row, :width], states[0].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[:, width:], axis=1), 1.0, atol=1e-5)


def test_a_module_that_cannot_be_applied_is_refused_in_a_sentence(tmp_path):
    folder = tiny_models.bert(tmp_path / "sentence")
    _sentence_encoder(folder, ("LSTM", {}))
    with pytest.raises(InvalidInputError, match=r"asks for a module LSTM that cannot be applied"):
        _embedder(folder)


def test_a_pool_has_blocks_and_covariates_and_its_model_scores_texts_alike(folder, tmp_path):
    rows = [
        {"prompt": f"why {word}", "response": " ".join([other] * (1 + k)), "stars": k + len(word) / 10}
        for word in ("sea", "cat", "rain", "dog")
        for k, other in enumerate(("good", "bad book", "two four", "paris trains yes"))
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = read_texts(str(source))
    embedder = _embedder(folder, layers="all", covariates=tuple(SURFACE))
    made = embed_texts(
        texts, embedder, tmp_path / "pool", covariates={"stars": np.array([r["stars"] for r in rows])}
    )
    pool = brm.load_pool(made.path)
    assert list(pool.blocks) == list(embedder.blocks)
    assert list(pool.covariates) == [*SURFACE, "stars"]
    expected = surface_covariates([r["prompt"] for r in rows], [r["response"] for r in rows])
    np.testing.assert_allclose(pool.covariates["log_words"], expected["log_words"], atol=1e-6)
    np.testing.assert_allclose(pool.covariates["stars"], [r["stars"] for r in rows], atol=1e-6)

    prefs = brm.GoldenAnnotator(np.arange(16.0) % 4).label(brm.candidates(pool, size=20))
    model = brm.RewardModel(pool, encoder="auto", covariates=list(SURFACE))
    posterior = brm.fit(model, pool, prefs)
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    again = brm.fit(model, pool, prefs).reward(pool)[0]
    from_pool = loaded.reward(pool)[0]
    np.testing.assert_allclose(from_pool - from_pool.mean(), again, atol=1e-6)
    card = json.loads((made.path / "card.json").read_text())
    assert card["embedding"]["layers"] == embedder.settings.layers
    assert pd.read_parquet(made.path / "responses.parquet").shape[0] == 16


def test_embed_by_command_keeps_layers_and_surface(folder, tmp_path, command):
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps({"prompt": "why sea", "response": text}) + "\n" for text in RESPONSES))
    status, out, err = command(
        "embed", source, "--model", folder, "--layers", "0,-1", "--template", "plain", "--out", tmp_path / "pool"
    )
    assert (status, err) == (0, "")
    assert "2 blocks" in out
    pool = brm.load_pool(tmp_path / "pool")
    assert len(pool.blocks) == 2
    assert set(pool.covariates) == set(SURFACE)
    status, _, err = command("embed", source, "--model", folder, "--layers", "0,99", "--out", tmp_path / "other")
    assert status == 2
    assert "expected a layer from 0 to" in err
