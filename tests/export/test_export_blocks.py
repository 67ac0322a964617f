"""Models of several layers and covariates score new texts as the pool that they were fitted on, whichever way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny_models
import torch
from safetensors.torch import save_file

import bayesrm as brm
from bayesrm.annotators.hub import HubRewardModel
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.utils.files import read_json

WORDS = ["why", "do", "cats", "sleep", "all", "day", "sea", "wind", "weather", "north", "blue", "stars", "sky"]
TOLERANCE = 2e-3
"""Pools keep embeddings in float16; rewards are of size 1."""


def _rows(prompts: int = 10, answers: int = 4) -> list[dict]:
    random = np.random.default_rng(4)
    return [
        {
            "prompt": f"{WORDS[k]} {WORDS[-k]}",
            "response": " ".join(random.choice(WORDS, random.integers(1, 12))),
            "stars": float(random.normal()),
        }
        for k in range(prompts)
        for _ in range(answers)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    """A pool by ``bayesrm embed`` with all layers, surface, a column and a judge; a model of it, saved."""
    from bayesrm import cli

    folder = tmp_path_factory.mktemp("blocks")
    rows = _rows()
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = tiny_models.bert(folder / "base")
    judge = tiny_models.bert(folder / "judge", head=True, seed=3)
    arguments = [
        "embed",
        source,
        "--model",
        base,
        "--covariate",
        "stars",
        "--judge",
        judge,
        "--out",
        folder / "pool",
    ]
    before, sys.argv = sys.argv, ["bayesrm", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main()
    finally:
        sys.argv = before
    assert stop.value.code == 0
    pool = brm.load_pool(folder / "pool")
    golden = np.array([row["stars"] + len(row["response"]) / 20 for row in rows])
    labels = brm.GoldenAnnotator(golden).label(brm.candidates(pool, size=40))
    posterior = brm.fit(brm.RewardModel(pool, "linear", prior_mean={"judge": 0.5}), pool, labels)
    embedding = read_json(folder / "pool" / "card.json")["embedding"]
    brm.save_reward_model(folder / "model", posterior, embedding)
    return SimpleNamespace(
        folder=folder, rows=rows, source=source, base=base, judge=judge, pool=pool, posterior=posterior
    )


@pytest.fixture(scope="module")
def loaded(made) -> brm.export.loaded.LoadedRewardModel:
    return brm.load_reward_model(made.folder / "model", device="cpu")


def _texts(rows: list[dict]) -> list[tuple[str, str]]:
    return [(row["prompt"], row["response"]) for row in rows]


# --- the pool --------------------------------------------------------------------------------------------


def test_the_pool_has_every_layer_and_every_covariate(made):
    assert list(made.pool.blocks) == ["layer-0", "layer-1", "layer-2", "layer-3"]
    np.testing.assert_allclose(made.pool.covariates["stars"], [row["stars"] for row in made.rows])
    scores = HubRewardModel(str(made.judge), device="cpu").score(*zip(*_texts(made.rows), strict=True))
    np.testing.assert_allclose(made.pool.covariates["judge"], scores, rtol=1e-5)
    card = read_json(made.folder / "pool" / "card.json")
    assert card["blocks"]["layer-3"] == [48, 64]
    assert card["embedding"]["judge"]["model"] == str(made.judge)


def test_shards_make_the_same_pool(made, command, tmp_path):
    shared = ["embed", made.source, "--model", made.base, "--covariate", "stars"]
    for k in (1, 2):
        assert command(*shared, "--shard", f"{k}/2", "--out", tmp_path / f"part-{k}")[0] == 0
    assert command("merge-shards", tmp_path / "part-1", tmp_path / "part-2", "--out", tmp_path / "pool")[0] == 0
    merged = brm.load_pool(tmp_path / "pool")
    assert merged.blocks == made.pool.blocks
    np.testing.assert_array_equal(merged.embeddings, made.pool.embeddings)
    for name, column in merged.covariates.items():
        np.testing.assert_array_equal(column, made.pool.covariates[name])


def test_other_covariates_are_another_pool(made, command, tmp_path):
    arguments = ["embed", made.source, "--model", made.base, "--out", tmp_path / "pool"]
    assert command(*arguments)[0] == 0
    assert command(*arguments)[0] == 0, "the same again is nothing to do"
    status, _, err = command(*arguments, "--covariate", "stars")
    assert (status, err.count("\n")) == (2, 1)
    assert "another pool" in err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"prompt": "a", "response": "b"}],
            "expected a column stars for a covariate in row 1, got prompt, response",
        ),
        (
            [{"prompt": "a", "response": "b", "stars": None}],
            "finite number in the column stars of row 1, got 'None'",
        ),
        ([{"prompt": "a", "response": "b", "stars": "good"}], "got 'good': fill it in"),
        ([{"prompt": "a", "response": "b", "stars": "0,13"}], "got '0,13': write it with a decimal point"),
        ([{"prompt": "a", "responses": ["b", "c"], "stars": [1, 2, 3]}], "each of the 2 responses .* got 3"),
    ],
)
def test_columns_that_are_no_covariate(made, command, tmp_path, rows, message):
    import re

    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, _, err = command(
        "embed", source, "--model", made.base, "--covariate", "stars", "--out", tmp_path / "pool"
    )
    assert status == 2
    assert re.search(message, " ".join(err.split())), err


def test_a_column_of_a_spreadsheet_with_decimal_commas(made, command, tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("prompt;response;stars;when\nsea;wind;0,13;1\nsea;sky;-2,5;2\nsea;blue;3;3\n")
    arguments = ["embed", source, "--model", made.base, "--covariate", "stars", "--no-surface"]
    status, printed, _ = command(*arguments, "--out", tmp_path / "pool")
    assert status == 0
    assert "Columns that are not used: when." in printed, "and not the covariate"
    np.testing.assert_allclose(brm.load_pool(tmp_path / "pool").covariates["stars"], [0.13, -2.5, 3])


def test_a_list_has_a_number_for_each_response(made, command, tmp_path):
    source = tmp_path / "rows.jsonl"
    rows = [
        {"prompt": "sea", "responses": ["wind", "sky", "blue"], "stars": [1, "2.5", -3]},
        {"prompt": "sky", "responses": ["north", "day"], "stars": 7},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["embed", source, "--model", made.base, "--covariate", "stars", "--no-surface"]
    assert command(*arguments, "--out", tmp_path / "pool")[0] == 0
    covariates = brm.load_pool(tmp_path / "pool").covariates
    assert list(covariates) == ["stars"]
    assert covariates["stars"].tolist() == [1, 2.5, -3, 7, 7]


# --- scores ----------------------------------------------------------------------------------------------


def test_a_pool_has_the_rewards_of_the_posterior(made, loaded):
    mean, sd = loaded.reward(made.pool)
    expected = made.posterior.reward(made.pool)
    np.testing.assert_allclose(mean, expected[0], atol=1e-5)
    np.testing.assert_allclose(sd, expected[1], atol=1e-5)
    assert loaded.covariates == made.posterior.model.covariates.names
    assert loaded.columns == ("stars",)


def test_a_file_with_the_column_has_the_same_scores(made, command, tmp_path):
    out = tmp_path / "scored.jsonl"
    status, printed, _ = command("score", made.folder / "model", made.source, "--out", out)
    assert (status, "not used" in printed) == (0, False), "the only column beside the texts is a covariate"
    scored = pd.read_json(out, lines=True)
    np.testing.assert_allclose(scored["reward"], made.posterior.reward(made.pool)[0], atol=TOLERANCE)


def test_a_row_without_the_column_has_no_score(made, loaded, command, tmp_path):
    source, out = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    rows = [made.rows[0], {**made.rows[1], "stars": None}, made.rows[2]]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert command("score", made.folder / "model", source, "--out", out)[0] == 0
    scored = pd.read_json(out, lines=True)
    assert scored["reward"].notna().tolist() == [True, False, True]
    assert "finite number in the column stars" in scored["reward_error"][1]
    expected = made.posterior.reward(made.pool)[0]
    np.testing.assert_allclose(scored["reward"][[0, 2]], expected[[0, 2]], atol=TOLERANCE)
    with pytest.raises(InvalidInputError, match="got texts, from which stars cannot be computed"):
        loaded.reward(_texts(made.rows))


def test_held_covariates_make_no_difference_within_a_prompt(made, loaded, command, tmp_path):
    held = loaded.reward(made.pool, without=("length",))[0]
    expected = made.posterior.reward(made.pool, without=("length",))[0]
    for member in made.pool.members:
        np.testing.assert_allclose(
            held[member] - held[member].mean(), expected[member] - expected[member].mean(), atol=1e-5
        )
    assert np.abs(held - loaded.reward(made.pool)[0]).max() > 0.01
    out = tmp_path / "scored.csv"
    assert command("score", made.folder / "model", made.source, "--without", "length", "--out", out)[0] == 0
    np.testing.assert_allclose(pd.read_csv(out)["reward"], held, atol=TOLERANCE)
    status, _, err = command(
        "score", made.folder / "model", made.source, "--without", "tone", "--out", tmp_path / "s.csv"
    )
    assert status == 2
    assert "expected covariates that the model has, got 'tone'" in " ".join(err.split())


@pytest.fixture(scope="module")
def from_texts(made) -> SimpleNamespace:
    """The same without the column: what follows from texts alone."""
    names = [name for name in made.pool.covariates if name != "stars"]
    model = brm.RewardModel(made.pool, "linear", covariates=names)
    posterior = brm.fit(model, made.pool, made.posterior.preferences)
    embedding = read_json(made.folder / "pool" / "card.json")["embedding"]
    brm.save_reward_model(made.folder / "texts", posterior, embedding)
    return SimpleNamespace(posterior=posterior, loaded=brm.load_reward_model(made.folder / "texts", device="cpu"))


def test_texts_and_trl_have_the_same_scores(made, from_texts):
    expected = from_texts.posterior.reward(made.pool)[0]
    prompts, responses = (list(side) for side in zip(*_texts(made.rows), strict=True))
    np.testing.assert_allclose(from_texts.loaded.reward(_texts(made.rows))[0], expected, atol=TOLERANCE)
    np.testing.assert_allclose(from_texts.loaded.trl()(prompts, responses), expected, atol=TOLERANCE)
    held = from_texts.loaded.trl(without=("length", "judge"))(prompts, responses)
    np.testing.assert_allclose(
        held, from_texts.loaded.reward(made.pool, without=("length", "judge"))[0], atol=TOLERANCE
    )


def test_a_judge_of_other_weights_is_refused(made, from_texts, tmp_path):
    described = json.loads((made.folder / "texts" / "reward_model.json").read_text())
    other = tiny_models.bert(tmp_path / "judge", head=True, seed=9)
    model = brm.load_reward_model(made.folder / "texts", device="cpu")
    model.description["embedding"]["judge"] = described["embedding"]["judge"] | {"model": str(other)}
    with pytest.raises(InvalidInputError, match="other weights than when the pool was embedded"):
        model.reward(_texts(made.rows[:2]))


# --- base models with them -------------------------------------------------------------------------------


def test_a_classifier_that_sees_tokens_alone_is_refused(made, tmp_path):
    embedding = read_json(made.folder / "pool" / "card.json")["embedding"]
    message = r"depend on the covariates .* sees its tokens alone.*init NEW .*--covariates none"
    with pytest.raises(CapabilityError, match=message):
        brm.save_reward_model(tmp_path / "model", made.posterior, embedding, transformers=True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["bert", "llama", "sentence"])
def test_a_classifier_of_blocks_has_the_same_scores(made, tmp_path, kind):
    """As AutoModel loads it, with every layer, and with what a sentence encoder does after pooling."""
    from transformers import AutoModelForSequenceClassification

    import bayesrm.export.auto  # noqa: F401 - registers the classifier
    from bayesrm.embedding import Embedder, EmbeddingSettings

    base = tiny_models.llama(tmp_path / "base") if kind == "llama" else tiny_models.bert(tmp_path / "base")
    if kind == "sentence":
        _give_head(base)
    embedder = Embedder(EmbeddingSettings(str(base), layers="all"), device="cpu")
    prompts, responses = (list(side) for side in zip(*_texts(made.rows), strict=True))
    rows = embedder.embed(prompts, responses)
    pool = brm.ResponsePool(rows, np.array(prompts), blocks=embedder.blocks)
    assert len(pool.blocks) == 4
    posterior = brm.fit(brm.RewardModel(pool, "auto"), pool, made.posterior.preferences)
    brm.save_reward_model(tmp_path / "model", posterior, embedder.settings.to_dict(), transformers=True)
    expected = brm.load_reward_model(tmp_path / "model", device="cpu").reward(pool)[0]
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokens = embedder.tokens(prompts, responses)
    with torch.inference_mode():
        for k in range(len(tokens)):
            ids = torch.from_numpy(np.asarray(tokens[k], dtype=np.int64))[None]
            logit = float(classifier(input_ids=ids, attention_mask=torch.ones_like(ids)).logits)
            assert logit == pytest.approx(expected[k], abs=1e-3)


def _give_head(folder: Path) -> None:
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]
    listed = [{"idx": k, "name": str(k), "path": path, "type": f"sentence_transformers.models.{kind}"}
              for k, (kind, path) in enumerate(modules)]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(listed))
    for name, config in (
        ("1_Pooling", {"pooling_mode_mean_tokens": True}),
        ("2_Dense", {"in_features": 16, "out_features": 5, "bias": True, "activation_function": "torch.nn.Tanh"}),
    ):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    weights = {"linear.weight": torch.randn(5, 16, generator=generator), "linear.bias": torch.ones(5)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")


def test_a_saved_prior_mean_that_is_no_number_is_refused(tmp_path):
    """As a file that was written by hand, or damaged, may have it."""
    r = np.random.default_rng(0)
    pool = brm.ResponsePool(r.normal(size=(24, 3)), np.arange(24) // 4, covariates={"judge": r.normal(size=24)})
    model = brm.RewardModel(pool, "linear", prior_mean={"judge": 1.0}, prior_scale={"features": 1.0, "judge": 1.0})
    brm.save_reward_model(tmp_path / "model", brm.fit(model, pool, brm.Preferences.none()))
    card = tmp_path / "model" / "reward_model.json"
    card.write_text(card.read_text().replace('"judge": 1.0', '"judge": NaN', 1))
    with pytest.raises(InvalidInputError, match="expected finite prior means, got"):
        brm.load_reward_model(tmp_path / "model")
