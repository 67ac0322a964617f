"""Reward models of the hub: scores against the model called text by text, and what a judge makes of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bayesrm as brm
from bayesrm import cli
from bayesrm.annotators.hub import HubAnnotator, HubRewardModel, write_golden
from bayesrm.annotators.scores import ScoreCache
from bayesrm.errors import InvalidInputError
from bayesrm.runs.loop import run

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_models

WORDS = sorted({word for text in tiny_models.CORPUS[:1] for word in text.split()})
TOLERANCE = 1e-5
EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples" / "responses.jsonl"


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Syncing guards against a loss of power, and takes long on a busy disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    return {
        "bert": tiny_models.bert(base / "bert", head=True),
        "llama": tiny_models.llama(base / "llama", head=True),
    }


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(0)
    made = [[" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(24)] for _ in range(2)]
    return made[0], made[1]


@pytest.fixture(scope="module")
def llama(folders):
    return HubRewardModel(str(folders["llama"]))


@pytest.fixture
def judge(llama, texts):
    return HubAnnotator(llama, *texts)


PAIRS = brm.Comparisons(np.arange(12), np.arange(12, 24))


@pytest.mark.parametrize("name", ["bert", "llama"])
@pytest.mark.parametrize("budget", [1, 300])
def test_scores_are_the_models_own_whatever_the_batch(folders, texts, name, budget):
    tokens = AutoTokenizer.from_pretrained(folders[name])
    model = AutoModelForSequenceClassification.from_pretrained(folders[name]).eval()
    expected = []
    for prompt, response in zip(*texts, strict=True):
        if name == "llama":
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            text = tokens.apply_chat_template(messages, tokenize=False)
            inputs = tokens(text, return_tensors="pt", add_special_tokens=False)
        else:
            inputs = tokens(prompt, response, return_tensors="pt", return_token_type_ids=True)
        with torch.no_grad():
            expected.append(float(model(**inputs).logits[0, 0]))
    found = HubRewardModel(str(folders[name]), batch_tokens=budget).score(*texts)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(found) > 0.1


def test_scores_are_computed_once_and_kept_on_disk(folders, texts, tmp_path, monkeypatch):
    prompts, responses = texts
    first = HubRewardModel(str(folders["bert"]), cache=tmp_path)
    scores = first.score(prompts[:10], responses[:10])
    computed = []
    compute = HubRewardModel._score_batch
    monkeypatch.setattr(
        HubRewardModel, "_score_batch", lambda self, t, own: computed.extend(own) or compute(self, t, own)
    )
    again = HubRewardModel(str(folders["bert"]), cache=tmp_path)
    assert np.array_equal(again.score(prompts[:10], responses[:10]), scores)
    assert computed == []
    again.score(prompts[5:12] * 2, responses[5:12] * 2)
    assert len(computed) == 2, "only those never seen, and each once"
    other = HubRewardModel(str(tiny_models.bert(tmp_path / "other", head=True, seed=3)), cache=tmp_path)
    assert not np.allclose(other.score(prompts[:10], responses[:10]), scores), (
        "another model has scores of its own"
    )


def test_a_line_that_was_cut_off_is_computed_again(tmp_path):
    cache = ScoreCache(tmp_path, "model")
    cache.add(["a", "b"], np.array([1.5, -2.0]))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole + b'["c", 3.')
    again = ScoreCache(tmp_path, "model")
    assert (len(again), again["a"], again["b"], "c" in again) == (2, 1.5, -2.0, False)
    assert file.read_bytes() == whole
    assert len(ScoreCache(tmp_path, "other")) == 0


def test_the_judge_prefers_by_the_difference_of_scores(judge, texts):
    scores = judge.reward_model.score(*texts)
    expected = expit(scores[:12] - scores[12:])
    np.testing.assert_allclose(judge.probability(PAIRS), expected, atol=1e-6)
    sharp = HubAnnotator(judge.reward_model, *texts, answer="argmax").label(PAIRS)
    assert sharp.outcome.tolist() == (scores[:12] > scores[12:]).astype(float).tolist()
    assert set(sharp.annotator) == {judge.reward_model.model}
    same = HubAnnotator(judge.reward_model, ["sky", "sky"], ["blue", "blue"], answer="argmax")
    assert same.label(brm.Comparisons([0], [1])).outcome.tolist() == [0.5]


def test_answers_are_drawn_as_often_as_they_should_be(judge, texts):
    """Over 500 rounds, within 5 standard errors."""
    share = np.mean([judge.at_round(number).label(PAIRS).outcome for number in range(500)], axis=0)
    probability = judge.probability(PAIRS)
    error = np.sqrt(probability * (1 - probability) / 500)
    assert (np.abs(share - probability) < 5 * error + 1e-9).all()
    assert np.array_equal(judge.at_round(3).label(PAIRS).outcome, judge.at_round(3).label(PAIRS).outcome)


def test_only_the_texts_of_the_pairs_are_read(folders, texts, monkeypatch):
    read: list[str] = []
    score = HubRewardModel.score

    def watched(self, prompts, responses, show_progress=False):
        read.extend(responses)
        return score(self, prompts, responses, show_progress)

    monkeypatch.setattr(HubRewardModel, "score", watched)
    responses = [*texts[1][:4], "never asked about"]
    judge = HubAnnotator(HubRewardModel(str(folders["bert"])), texts[0][:5], responses)
    assert len(judge.label(brm.Comparisons([0, 2], [1, 3]))) == 2
    assert read == responses[:4]
    with pytest.raises(InvalidInputError, match="expected pairs of the 5 responses whose texts are known"):
        judge.label(brm.Comparisons([0], [5]))


def test_a_run_asks_the_judge(judge, texts):
    embeddings = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(6), 4))
    model = brm.RewardModel(5, encoder="linear", prior_scale=1.0)
    tree = run(pool, judge, model=model, design="random", batch_size=4, rounds=2, seed=0)
    assert tree["trajectory"].sizes["round"] == 2


def test_golden_rewards_of_a_pool(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [
        "bayesrm", "embed", str(EXAMPLES),
        "--model", str(folders["llama"]), "--out", str(tmp_path / "pool"),
    ])  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    monkeypatch.setattr("sys.argv", ["bayesrm", "golden", str(tmp_path / "pool"), "--model", str(folders["bert"])])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "16 scores" in " ".join(capsys.readouterr().out.split())
    golden = brm.load_golden(tmp_path / "pool")
    rows = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    expected = HubRewardModel(str(folders["bert"])).score(
        [row["prompt"] for row in rows], [row["response"] for row in rows]
    )
    np.testing.assert_allclose(golden, expected, atol=TOLERANCE, rtol=0)
    card = json.loads((tmp_path / "pool" / "card.json").read_text())
    assert "golden.npy" in card["checksums"]
    assert card["golden"]["model"] == str(folders["bert"])
    with pytest.raises(InvalidInputError, match="exists already"):
        write_golden(tmp_path / "pool", HubRewardModel(str(folders["bert"])))


def test_what_is_no_reward_model(folders, tmp_path, texts):
    with pytest.raises(InvalidInputError, match=r"expected a reward model with one output, and .* has 2"):
        HubRewardModel(str(tiny_models.bert(tmp_path / "two", head=True, labels=2)))
    folder = tiny_models.bert(tmp_path / "headless")
    config = json.loads((folder / "config.json").read_text()) | {"id2label": {"0": "reward"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInputError, match=r"such as classifier\.bias: is it a reward model"):
        HubRewardModel(str(folder))
    model = HubRewardModel(str(folders["bert"]))
    with pytest.raises(InvalidInputError, match="sample or argmax"):
        HubAnnotator(model, *texts, answer="best")
    with pytest.raises(InvalidInputError, match="temperature above 0"):
        HubAnnotator(model, *texts, temperature=0.0)
    with pytest.raises(InvalidInputError, match="a prompt for each response"):
        HubAnnotator(model, texts[0], texts[1][:3])
