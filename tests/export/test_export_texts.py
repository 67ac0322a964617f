"""Saved reward models and texts: scores of files, TRL's signature, and transformers, all the same numbers.

Base models are tiny and built from a configuration; nothing is downloaded.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import bayesrm as brm
from bayesrm.embedding import Embedder, EmbeddingSettings
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.export.files import CONFIGURATION
from bayesrm.export.score_file import score_file
from bayesrm.inference.ensemble import Ensemble

WORDS = [
    "the",
    "a",
    "sea",
    "book",
    "cat",
    "dog",
    "rain",
    "two",
    "four",
    "paris",
    "trains",
    "not",
    "why",
    "how",
    "yes",
    "no",
    "good",
    "bad",
]
TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }} {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant {% endif %}"
)


def make_base(folder, kind="llama", pad="<pad>", template=None):
    """A model of sixteen hidden units that reads characters, in a folder as the hub has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    vocabulary = ["<unk>", "<s>", "</s>", "<pad>", *map(chr, range(10, 127))]
    tokens = Tokenizer(models.BPE({word: i for i, word in enumerate(vocabulary)}, [], unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token=pad
    )
    tokenizer.chat_template = template
    sizes = {"vocab_size": len(vocabulary), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": 512, "pad_token_id": tokenizer.pad_token_id}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = LlamaModel(LlamaConfig(**sizes)) if kind == "llama" else BertModel(BertConfig(**sizes))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_texts(seed=0, prompts=12, answers=4):
    random = np.random.default_rng(seed)
    asked = [f"Question {k}: " + " ".join(random.choice(WORDS, 4)) + "?" for k in range(prompts)]
    texts = [
        (prompt, " ".join(random.choice(WORDS, random.integers(1, 9)))) for prompt in asked for _ in range(answers)
    ]
    return texts, random.normal(size=len(texts))


def make_reward(base, path, encoder="linear", inference="laplace", transformers=False, **settings):
    """A reward model of made-up texts, saved; with the posterior that it is of, and its pool."""
    texts, golden = make_texts()
    embedder = Embedder(EmbeddingSettings(str(base), **settings), device="cpu")
    rows = embedder.embed(*map(list, zip(*texts, strict=True)))
    pool = brm.ResponsePool(rows, np.array([prompt for prompt, _ in texts]))
    preferences = brm.GoldenAnnotator(golden).label(brm.candidates(pool, size=60))
    model = brm.RewardModel(pool.dim, encoder, hidden=(6, 5))
    posterior = brm.fit(model, pool, preferences, inference)
    brm.save_reward_model(path, posterior, embedder.settings.to_dict(), transformers=transformers)
    return SimpleNamespace(path=path, texts=texts, posterior=posterior, pool=pool, embedder=embedder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    return make_reward(make_base(folder / "base"), folder / "model")


@pytest.fixture(scope="module")
def loaded(made):
    return brm.load_reward_model(made.path, device="cpu")


def test_texts_have_the_rewards_of_their_embeddings(made, loaded):
    mean, sd = loaded.reward(made.texts)
    expected, expected_sd = made.posterior.reward(made.pool)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(sd, expected_sd, atol=1e-6)
    first, second = np.arange(0, 20, 2), np.arange(1, 20, 2)
    found = loaded.preference_probability([made.texts[k] for k in first], [made.texts[k] for k in second])
    np.testing.assert_allclose(found, made.posterior.preference_probability(made.pool, first, second), atol=1e-6)


def test_the_base_model_may_lie_elsewhere(made, tmp_path):
    made_path = tmp_path / "elsewhere"
    base = json.loads((made.path / CONFIGURATION).read_text())["embedding"]["model"]
    os.symlink(base, made_path)
    moved = brm.load_reward_model(made.path, base=str(made_path), device="cpu")
    assert moved.embedder.settings.model == str(made_path)
    with pytest.raises(InvalidInputError, match=r"the model .* cannot be loaded"):
        _ = brm.load_reward_model(made.path, base=str(tmp_path / "nowhere"), device="cpu").embedder


# --- TRL ------------------------------------------------------------------------------------------------------------


def test_trl_gets_mean_less_kappa_sds_as_floats(made, loaded):
    prompts, completions = map(list, zip(*made.texts, strict=True))
    mean, sd = loaded.reward(made.texts)
    for kappa in (0.0, 1.5):
        function = loaded.trl(kappa=kappa)
        found = function(
            prompts=prompts, completions=completions, completion_ids=[[1]] * len(prompts), answer=["x"]
        )
        assert isinstance(found, list)
        assert all(type(score) is float for score in found)
        np.testing.assert_allclose(found, mean - kappa * sd, atol=1e-6)
    assert loaded.trl().__name__ == "bayesrm"
    assert loaded.trl(kappa=1.5).__name__ == "bayesrm_kappa_1.5"


def test_trl_passes_conversations_too(made, loaded):
    prompts, completions = map(list, zip(*made.texts, strict=True))
    chat = loaded.trl()(
        prompts=[[{"role": "user", "content": prompt}] for prompt in prompts],
        completions=[[{"role": "assistant", "content": text}] for text in completions],
    )
    np.testing.assert_allclose(chat, loaded.trl()(prompts, completions), atol=1e-6)
    earlier = [
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "how?"},
    ]
    several = loaded.trl()(
        ["sea"], [[{"role": "assistant", "content": "good"}, *earlier[2:], {"role": "assistant", "content": "no"}]]
    )
    whole = loaded.trl()(
        [[{"role": "user", "content": "sea"}, {"role": "assistant", "content": "good"}, *earlier[2:]]], ["no"]
    )
    np.testing.assert_allclose(several, whole, atol=1e-6)


def test_trl_measures_from_the_completions_to_the_same_prompt_if_asked(made, loaded):
    prompts, completions = map(list, zip(*made.texts, strict=True))
    found = np.array(loaded.trl(kappa=2.0, reference="prompt")(prompts, completions)).reshape(12, 4)
    draws = made.posterior.sample_rewards(made.pool, np.arange(48), 20_000, np.random.default_rng(0)).numpy()
    draws = draws.reshape(-1, 12, 4)
    draws -= draws.mean(axis=2, keepdims=True)
    sd = draws.std(axis=0)
    np.testing.assert_allclose(found, draws.mean(axis=0) - 2 * sd, atol=8 * sd.max() / np.sqrt(20_000))
    assert loaded.trl(kappa=2.0, reference="prompt")(prompts[:1], completions[:1]) == [0.0]


def test_trl_refuses_with_one_sentence(loaded):
    for options, message in (({"kappa": -1.0}, "kappa"), ({"reference": "batch"}, "pool, prompt")):
        with pytest.raises(InvalidInputError, match=message):
            loaded.trl(**options)
    with pytest.raises(InvalidInputError, match="a prompt for each completion, got 1 and 2"):
        loaded.trl()(["a"], ["b", "c"])
    with pytest.raises(InvalidInputError, match="expected completions to be a text or a list of messages"):
        loaded.trl()(["a"], [3])
    assert loaded.trl()([], []) == []


def test_a_policy_that_says_nothing_does_not_stop_the_training(loaded):
    found = loaded.trl()(["Question 1: sea?"] * 2, ["", [{"role": "assistant", "content": ""}]])
    assert np.isfinite(found).all()


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_file_comes_back_with_columns(made, loaded, tmp_path, suffix):
    rows = pd.DataFrame(made.texts, columns=["prompt", "response"]).assign(mark=range(len(made.texts)))
    file = tmp_path / f"texts{suffix}"
    {".jsonl": lambda: rows.to_json(file, orient="records", lines=True), ".csv": lambda: rows.to_csv(file, index=False),
     ".parquet": lambda: rows.to_parquet(file, index=False)}[suffix]()  # fmt: skip
    scored = score_file(loaded, file, kappa=1.0)
    assert (scored.path.name, scored.rows, scored.responses) == (f"texts.scored{suffix}", 48, 48)
    read = {".jsonl": lambda: pd.read_json(scored.path, lines=True), ".csv": lambda: pd.read_csv(scored.path),
            ".parquet": lambda: pd.read_parquet(scored.path)}[suffix]()  # fmt: skip
    assert list(read["mark"]) == list(range(48))
    assert list(read["response"]) == list(rows["response"])
    mean, sd = loaded.reward(made.texts)
    np.testing.assert_allclose(read["reward"], mean, atol=1e-6)
    np.testing.assert_allclose(read["reward_sd"], sd, atol=1e-6)
    np.testing.assert_allclose(read["reward_lower"], mean - sd, atol=1e-6)
    prompts, completions = map(list, zip(*made.texts, strict=True))
    np.testing.assert_allclose(read["reward_lower"], loaded.trl(kappa=1.0)(prompts, completions), atol=1e-6)


@pytest.mark.parametrize(
    ("separator", "encoding", "expected"),
    [
        (";", "utf-8-sig", "utf-8-sig"),
        (",", "utf-8", "utf-8"),
        ("\t", "utf-8", "utf-8"),
        (";", "cp1252", "utf-8-sig"),
    ],
)
def test_a_spreadsheet_comes_back_as_the_program_that_made_it_reads_it(
    made, loaded, tmp_path, separator, encoding, expected
):
    source = tmp_path / "rows.csv"
    source.write_text(f"prompt{separator}response\nWärum?{separator}yes\n", encoding=encoding)
    score_file(loaded, source, tmp_path / "scored.csv", show_progress=False)
    data = (tmp_path / "scored.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") == (expected == "utf-8-sig")
    header, row = csv.reader(data.decode(expected).splitlines(), delimiter=separator)
    assert header == ["prompt", "response", "reward", "reward_sd", "reward_error"]
    assert row[0] == "Wärum?"
    assert float(row[2]) == pytest.approx(loaded.reward([("Wärum?", "yes")])[0][0], abs=1e-6)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_pairs_have_a_probability(made, loaded, tmp_path, suffix):
    pairs = [(made.texts[k][0], made.texts[k][1], made.texts[k + 1][1]) for k in range(0, 48, 4)]
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        "".join(
            json.dumps(dict(zip(("prompt", "chosen", "rejected"), pair, strict=True))) + "\n" for pair in pairs
        )
    )
    scored = score_file(loaded, file, tmp_path / f"out{suffix}")
    read = {
        ".jsonl": lambda path: pd.read_json(path, lines=True),
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
    }[suffix](scored.path)
    index = np.arange(0, 48, 4)
    np.testing.assert_allclose(
        read["preference_probability"],
        made.posterior.preference_probability(made.pool, index, index + 1),
        atol=1e-6,
    )
    rewards = [json.loads(value) if suffix == ".csv" else list(value) for value in read["reward"]]
    np.testing.assert_allclose(
        np.array(rewards)[:, 1], loaded.reward([made.texts[k + 1] for k in index])[0], atol=1e-6
    )


def test_rows_that_cannot_be_scored_keep_their_place(loaded, tmp_path):
    file = tmp_path / "texts.jsonl"
    lines = [
        '{"prompt": "sea?", "response": "good"}',
        '{"prompt": "sea?", "response": " "}',
        "{broken",
        '{"prompt": "sea?", "responses": ["a", "b"]}',
        '{"prompt": "sea?", "response": "bad", "extra": 1}',
    ]
    file.write_text("\n".join(lines))
    scored = score_file(loaded, file)
    read = [json.loads(line) for line in scored.path.read_text().splitlines()]
    assert [row.get("response") for row in read] == ["good", " ", None, "bad"]
    assert (scored.rows, scored.responses, scored.unreadable) == (4, 4, 1)
    assert [broken.row for broken in scored.broken] == [2, 3]
    assert "empty" in read[1]["reward_error"]
    assert read[1]["reward"] is None
    assert read[3]["extra"] == 1


@pytest.mark.parametrize(
    ("text", "out", "message"),
    [
        ("", None, "expected rows of texts"),
        ("{broken", None, "expected rows of texts"),
        ('{"a": 1}', None, "are in no known form"),
        ('{"prompt": "a", "response": "b", "reward": 1}', None, r"columns that scores go to \(reward\)"),
        ('{"prompt": "a", "response": "b"}', "texts.xlsx", "expected a file named .jsonl, .csv, .parquet"),
        ('{"prompt": "a", "response": "b"}', "texts.jsonl", "exists: remove it"),
        ('{"prompt": "a", "response": "b"}\n{"prompt": "a", "response": "b", "x": 1}', None, None),
        (
            '{"prompt": "a", "response": "b", "x": "1"}\n{"prompt": "a", "response": "b", "x": 1}',
            "o.parquet",
            "of one form",
        ),
    ],
)
def test_files_that_cannot_be_scored_leave_nothing(loaded, tmp_path, text, out, message):
    file = tmp_path / "texts.jsonl"
    file.write_text(text)
    if message is None:
        score_file(loaded, file)
        return
    with pytest.raises(InvalidInputError, match=message):
        score_file(loaded, file, None if out is None else tmp_path / out)
    assert [entry.name for entry in tmp_path.iterdir()] == ["texts.jsonl"]


def test_files_are_read_and_written_a_few_rows_at_a_time(made, loaded, tmp_path, monkeypatch):
    from bayesrm.export import score_file as module

    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(module, "SAMPLE", 5)
    file = tmp_path / "texts.csv"
    with open(file, "w", newline="") as opened:
        csv.writer(opened).writerows([("question", "answer"), *made.texts])
    sizes = []
    moments = loaded.moments
    monkeypatch.setattr(
        type(loaded), "moments", lambda self, x, without=(): sizes.append(len(x)) or moments(x, without)
    )
    scored = score_file(loaded, file, mapping={"prompt": "question", "response": "answer"})
    assert sizes == [7] * 6 + [6]
    monkeypatch.undo()
    np.testing.assert_allclose(pd.read_csv(scored.path)["reward"], loaded.reward(made.texts)[0], atol=1e-6)


# --- transformers ---------------------------------------------------------------------------------------------------


def classify(path, texts, side="right", template="plain"):
    """Scores as anybody who has only transformers computes them."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, padding_side=side)
    classifier = AutoModelForSequenceClassification.from_pretrained(path).eval()
    written = [
        f"{prompt}\n\n{response}"
        if template == "plain"
        else tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}], tokenize=False
        )
        for prompt, response in texts
    ]
    batch = tokenizer(written, return_tensors="pt", padding=True, add_special_tokens=template == "plain")
    with torch.inference_mode():
        logits = classifier(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert logits.shape == (len(texts), 1)
    return classifier, logits[:, 0].double().numpy()


@pytest.mark.parametrize(("inference", "template"), [("laplace", None), (Ensemble(members=3), TEMPLATE)])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_linear_reward_of_a_decoder_is_a_plain_classifier(tmp_path, inference, template, side):
    base = make_base(tmp_path / "base", template=template)
    made = make_reward(base, tmp_path / "model", inference=inference, transformers=True)
    classifier, logits = classify(made.path, made.texts, side, "chat" if template else "plain")
    assert type(classifier).__name__ == "LlamaForSequenceClassification"
    described = json.loads((made.path / CONFIGURATION).read_text())["transformers"]
    assert described["kind"] == "native"
    mean, _ = brm.load_reward_model(made.path, device="cpu").reward(made.texts)
    np.testing.assert_allclose(logits + described["offset"], mean, atol=1e-5)


def test_a_plain_classifier_needs_no_bayesrm(tmp_path):
    made = make_reward(make_base(tmp_path / "base"), tmp_path / "model", transformers=True)
    code = (
        "import sys, torch\n"
        "sys.modules['bayesrm'] = sys.modules['pyro'] = None\n"
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n"
        "model = AutoModelForSequenceClassification.from_pretrained('model').eval()\n"
        "tokens = AutoTokenizer.from_pretrained('model')('sea?\\n\\ngood', return_tensors='pt')\n"
        "print(model(input_ids=tokens['input_ids']).logits.item())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    offset = json.loads((made.path / CONFIGURATION).read_text())["transformers"]["offset"]
    mean, _ = brm.load_reward_model(made.path, device="cpu").reward([("sea?", "good")])
    assert float(done.stdout) + offset == pytest.approx(mean[0], abs=1e-5)


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize(
    ("kind", "encoder", "settings"),
    [
        ("llama", "mlp", {}),
        ("llama", "linear", {"layer": 1}),
        ("bert", "linear", {}),
        ("bert", "mlp", {"pooling": "first"}),
    ],
)
def test_any_other_reward_is_a_registered_classifier(tmp_path, kind, encoder, settings):
    import bayesrm.export.auto  # noqa: F401

    base = make_base(tmp_path / "base", kind)
    made = make_reward(base, tmp_path / "model", encoder, transformers=True, **settings)
    classifier, logits = classify(made.path, made.texts)
    assert type(classifier).__name__ == "BayesRMForSequenceClassification"
    mean, sd = brm.load_reward_model(made.path, device="cpu").reward(made.texts)
    np.testing.assert_allclose(logits, mean, atol=1e-5)
    classifier.score.kappa = 2.0
    classifier.save_pretrained(tmp_path / "again")
    assert "import bayesrm.export.auto" in (made.path / "README.md").read_text()
    assert (sd > 0).all()


@pytest.mark.usefixtures("short_training")
def test_a_registered_classifier_can_be_cautious_and_scores_every_token(tmp_path):
    from transformers import AutoModelForSequenceClassification

    import bayesrm.export.auto  # noqa: F401

    made = make_reward(
        make_base(tmp_path / "base"), tmp_path / "model", "mlp", Ensemble(members=3), transformers=True
    )
    classifier = AutoModelForSequenceClassification.from_pretrained(made.path, kappa=1.0).eval()
    loaded = brm.load_reward_model(made.path, device="cpu")
    ids = torch.from_numpy(np.asarray(loaded.embedder.tokens(["sea?"], ["good"])[0], dtype=np.int64))[None]
    with torch.inference_mode():
        logit = classifier(input_ids=ids).logits.item()
        # As TRL's PPO does: the backbone, then the head on every token.
        hidden = getattr(classifier, classifier.base_model_prefix)(input_ids=ids).last_hidden_state
        of_tokens = classifier.score(hidden)
    assert logit == pytest.approx(loaded.lower_bound([("sea?", "good")], kappa=1.0)[0], abs=1e-5)
    assert of_tokens.shape == (*ids.shape, 1)
    assert of_tokens[0, -1, 0].item() == pytest.approx(logit, abs=1e-6)


def test_a_text_that_ends_with_what_is_padded_with_is_read_to_its_end(tmp_path):
    # Its own padding token ends every text, so a classifier that looks for the last other token would miss the end.
    base = make_base(tmp_path / "base", pad="</s>", template=TEMPLATE)
    made = make_reward(base, tmp_path / "model", transformers=True)
    _, logits = classify(made.path, made.texts, template="chat")
    offset = json.loads((made.path / CONFIGURATION).read_text())["transformers"]["offset"]
    np.testing.assert_allclose(
        logits + offset, brm.load_reward_model(made.path, device="cpu").reward(made.texts)[0], atol=1e-5
    )


def test_the_base_model_is_written_only_where_it_is_known(made, tmp_path):
    with pytest.raises(InvalidInputError, match="expected to know how texts are embedded"):
        brm.save_reward_model(tmp_path / "model", made.posterior, transformers=True)
    other = replace(EmbeddingSettings("x"), model=str(tmp_path / "nothing")).to_dict()
    with pytest.raises(InvalidInputError, match="cannot be loaded"):
        brm.save_reward_model(tmp_path / "model", made.posterior, other, transformers=True)
    assert not list(tmp_path.iterdir())


def test_a_classifier_that_scores_otherwise_is_not_left_behind(made, tmp_path, monkeypatch):
    from bayesrm.export import sequence_classifier

    right = sequence_classifier.linear_weights
    monkeypatch.setattr(sequence_classifier, "linear_weights", lambda function: -right(function))
    with pytest.raises(InvalidInputError, match="export without it, and report this base model"):
        brm.save_reward_model(
            tmp_path / "model", made.posterior, made.embedder.settings.to_dict(), transformers=True
        )
    assert not list(tmp_path.iterdir())


def test_without_an_embedding_only_embeddings_are_scored(made, tmp_path):
    brm.save_reward_model(tmp_path / "model", made.posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    with pytest.raises(CapabilityError, match="scores embeddings and no texts"):
        loaded.trl()


# --- messages of every form ------------------------------------------------------------------------------------------


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Riga"}}}


def test_trl_takes_every_message_that_a_policy_writes(loaded):
    prompt = "Why is the sea wet?"
    tool = {"role": "tool", "content": "rain"}
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    completions = [
        [called],
        [called, tool],
        [called, tool, {"role": "assistant", "content": "no"}],
        [{"role": "assistant", "content": None}],
        [{"role": "assistant", "tool_calls": None, "content": ""}],
        [{"role": "assistant", "content": [{"type": "text", "text": "n"}, {"type": "text", "text": "o"}]}],
        [{"role": "assistant", "content": [{"type": "image", "image": "x"}]}],
        {"content": "no"},
        "half \ud83d a sign",
    ]
    prompts = [prompt] * 3 + [[{"role": "user", "content": [{"type": "text", "text": prompt}]}]] * 6
    scores = loaded.trl()(prompts, completions)
    assert np.isfinite(scores).all()
    assert scores[0] == pytest.approx(scores[1], abs=1e-6), "a tool's output is no answer"
    expected = loaded.trl()([prompt], ["no"])[0]
    assert scores[5] == pytest.approx(expected, abs=1e-6)
    assert scores[7] == pytest.approx(expected, abs=1e-6)
    other = {**CALL, "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    assert loaded.trl()([prompt], [[{**called, "tool_calls": [other]}]]) != scores[:1]


def test_a_response_can_be_messages_as_for_trl(loaded):
    asked = [{"role": "user", "content": "Why?"}]
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    said = [called, {"role": "tool", "content": "rain"}, {"role": "assistant", "content": "yes"}]
    mean, _ = loaded.reward([(asked, said), (asked, {"role": "assistant", "content": "no"}), (asked, "no")])
    assert mean == pytest.approx(loaded.trl()([asked] * 3, [said, "no", "no"]), abs=1e-6)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("Why?", "yes"), ("Why?", None)], "response to be a text or a list of messages, got nothing, in pair 1"),
        ([("Why?", 7)], "response to be a text or a list of messages, got int 7, in pair 0"),
        ([("Why?", [7])], "expected messages with role and content in response, got int 7, in pair 0"),
        ([], r"a list of \(prompt, response\), got an empty list"),
        ([("Why?", "yes", "no")], r"a list of \(prompt, response\), got list \[\('Why\?', 'yes', 'no'\)\]"),
    ],
)
def test_what_is_no_pair_of_texts_is_named(loaded, pairs, message):
    with pytest.raises(InvalidInputError, match=message):
        loaded.reward(pairs)


def test_what_a_tool_put_out_is_read_with_the_prompt(loaded):
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    tool, answer = {"role": "tool", "content": "rain"}, {"role": "assistant", "content": "yes"}
    prompt = {"role": "user", "content": "Why?"}
    whole = loaded.trl()([[prompt]], [[called, tool, answer]])
    assert whole == pytest.approx(loaded.trl()([[prompt, called, tool]], ["yes"]), abs=1e-6)
    assert whole != pytest.approx(loaded.trl()([[prompt]], ["yes"]), abs=1e-9)


# --- files that were once misread ------------------------------------------------------------------------------------


def _scored(loaded, tmp_path, rows):
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scored = score_file(loaded, source, tmp_path / "scored.jsonl", show_progress=False)
    return [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()], scored


def test_an_answer_that_is_a_json_list_has_one_score(loaded, tmp_path):
    rows = [{"prompt": "Why?", "response": '["red"]'}, {"prompt": "Why?", "response": "red"}]
    found, _ = _scored(loaded, tmp_path, rows)
    expected = loaded.reward([("Why?", '["red"]'), ("Why?", "red")])[0]
    assert [row["reward"] for row in found] == pytest.approx(expected, abs=1e-6)


def test_an_empty_answer_has_no_score_and_the_others_keep_their_places(loaded, tmp_path):
    found, scored = _scored(loaded, tmp_path, [{"prompt": "Why?", "responses": ["yes", "", "no", None]}])
    mean, _ = loaded.reward([("Why?", "yes"), ("Why?", "no")])
    assert found[0]["reward"][1] is found[0]["reward"][3] is None
    assert [found[0]["reward"][0], found[0]["reward"][2]] == pytest.approx(mean, abs=1e-6)
    assert found[0]["reward_error"] is None
    assert found[0].get("preference_probability") is None, "of four answers, though two have scores"
    assert scored.responses == 2
    assert any("left out" in note for note in scored.notes)


def test_the_prompt_of_a_scored_file_is_found_and_said(loaded, tmp_path):
    rows = [{"question": "Why?", "chosen": "yes", "rejected": "no", "judge": "x"}]
    found, scored = _scored(loaded, tmp_path, rows)
    assert found[0]["reward"] == pytest.approx(loaded.reward([("Why?", "yes"), ("Why?", "no")])[0], abs=1e-6)
    assert scored.notes == ("The prompt is question.", "Columns that are not used: judge.")


def test_trees_are_not_scored_row_by_row(loaded, tmp_path):
    rows = [{"message_id": "a", "parent_id": None, "text": "Why?", "role": "prompter", "rank": None}]
    with pytest.raises(InvalidInputError, match=r"those of .* are oasst"):
        _scored(loaded, tmp_path, rows)
