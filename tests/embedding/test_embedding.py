"""Embeddings against the model called text by text, whatever the batches, the padding and the window are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoModel, AutoTokenizer

from bayesrm.data.conversation import Turn, as_conversation
from bayesrm.embedding import Embedder, EmbeddingSettings
from bayesrm.embedding.batches import plan_batches
from bayesrm.embedding.rendering import render
from bayesrm.embedding.tokens import fitting
from bayesrm.errors import InvalidInputError

WORDS = sorted({word for text in tiny_models.CORPUS[:1] for word in text.split()} | {"sea", "wind", "sleeps"})
TOLERANCE = 1e-5
"""Of float32 in sums of another order; embeddings of the tiny models are of size 1."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each tiny model."""
    base = tmp_path_factory.mktemp("models")
    return {
        "bert": tiny_models.bert(base / "bert"),
        "llama": tiny_models.llama(base / "llama"),
        "gpt2": tiny_models.gpt2(base / "gpt2"),
    }


def _texts(count: int = 40, longest: int = 14, seed: int = 0) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(random.choice(WORDS, random.integers(1, longest)))

    prompts = [text() for _ in range(count)]
    return prompts, [text() for _ in range(count)]


def _one_by_one(folder, prompts, responses, pooling, layer=-1):
    """The plainest way: one text at a time, no padding, nothing of ours."""
    tokens, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = []
    for prompt, response in zip(prompts, responses, strict=True):
        if tokens.chat_template:
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            text = tokens.apply_chat_template(messages, tokenize=False)
            inputs = tokens(text, return_tensors="pt", add_special_tokens=False)
        else:
            inputs = tokens(f"{prompt}\n\n{response}", return_tensors="pt")
        assert inputs["input_ids"].shape[1] <= 64
        with torch.no_grad():
            hidden = model(**inputs, output_hidden_states=True).hidden_states[layer][0]
        found.append({"last": hidden[-1], "mean": hidden.mean(0), "first": hidden[0]}[pooling].numpy())
    return np.stack(found)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch", [1, 16])
def test_the_last_token_of_a_decoder_whatever_the_padding_and_the_batch(folders, name, side, batch):
    prompts, responses = _texts(32, 9)
    settings = EmbeddingSettings(str(folders[name]), padding_side=side)
    embedder = Embedder(settings, device="cpu")
    tokens = embedder.tokens(prompts, responses)
    assert embedder.settings.pooling == "last"
    assert len(set(tokens.lengths.tolist())) > 8, "there is padding to get wrong"
    rows = np.random.default_rng(1).permutation(len(tokens))
    found = np.empty((len(tokens), embedder.dim), np.float32)
    for start in range(0, len(rows), batch):
        found[rows[start : start + batch]] = embedder.embed_batch(tokens, rows[start : start + batch])
    expected = _one_by_one(folders[name], prompts, responses, "last")
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(embedder.embed(prompts, responses), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@pytest.mark.parametrize("layer", [-1, 1, 0, -3])
def test_pooling_and_layer_of_an_encoder(folders, pooling, layer):
    prompts, responses = _texts(12)
    embedder = Embedder(EmbeddingSettings(str(folders["bert"]), pooling=pooling, layer=layer, batch_tokens=90))
    found = embedder.embed(prompts, responses)
    expected = _one_by_one(folders["bert"], prompts, responses, pooling, layer)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_encoders_take_the_mean_and_sentence_encoders_what_their_files_say(folders, tmp_path):
    assert Embedder(EmbeddingSettings(str(folders["bert"]))).settings.pooling == "mean"
    folder = tiny_models.bert(tmp_path / "sentence")
    module = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (folder / "modules.json").write_text(json.dumps([module]))
    (folder / "1_Pooling").mkdir()
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    for asked, expected in (
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode_mean_tokens": True, "word_embedding_dimension": 16}, "mean"),
    ):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(asked))
        settings = Embedder(EmbeddingSettings(str(folder))).settings
        assert (settings.pooling, settings.max_tokens) == (expected, 20)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(InvalidInputError, match="got pooling_mode_max_tokens: choose a pooling"):
        Embedder(EmbeddingSettings(str(folder)))
    assert Embedder(EmbeddingSettings(str(folder), pooling="mean")).settings.pooling == "mean"


def test_settings_make_the_same_embedder_again(folders):
    prompts, responses = _texts(6)
    first = Embedder(EmbeddingSettings(str(folders["llama"])))
    again = Embedder(EmbeddingSettings.from_dict(json.loads(json.dumps(first.settings.to_dict())) | {"new": 1}))
    assert again.settings == first.settings
    assert np.array_equal(first.embed(prompts, responses), again.embed(prompts, responses))
    with pytest.raises(InvalidInputError, match="expected the settings of an embedding"):
        EmbeddingSettings.from_dict({})


def test_dialogues_go_through_the_chat_template(folders):
    tokens = AutoTokenizer.from_pretrained(folders["llama"])
    dialogue = as_conversation([
        {"role": "system", "content": "Be kind."}, {"role": "human", "content": "Sky?"},
    ])  # fmt: skip
    rendered = render(tokens, "chat", dialogue, " blue ")
    assert rendered.text == "<|system|>Be kind.<eos>\n<|user|>Sky?<eos>\n<|assistant|>blue<eos>\n"
    assert rendered.text[rendered.start : rendered.end] == "blue"
    tokens.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + tiny_models.CHAT
    )
    assert (
        render(tokens, "chat", dialogue, "blue").text == "<|user|>Be kind.\n\nSky?<eos>\n<|assistant|>blue<eos>\n"
    )
    tokens.chat_template = (
        "{% for m in messages %}{% if m['role'] not in ('user', 'assistant') or (m['role'] == 'user') != "
        "(loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
        + tiny_models.CHAT
    )
    called = [Turn("user", "Weather?"), Turn("assistant", "<call>"), Turn("tool", "rain"), Turn("user", "So?")]
    assert render(tokens, "chat", tuple(called), "It rains.").text == (
        "<|user|>Weather?<eos>\n<|assistant|><call><eos>\n<|user|>rain\n\nSo?<eos>\n<|assistant|>It rains.<eos>\n"
    )
    tokens.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(InvalidInputError, match=r"turns system, user, assistant \(no\): use the template 'plain'"):
        render(tokens, "chat", dialogue, "blue")
    tokens.chat_template = tiny_models.CHAT.replace("| trim", "| upper")
    rendered = render(tokens, "chat", (Turn("user", "sky?"),), "blue")
    assert rendered.text[rendered.start :] == "BLUE<eos>\n", (
        "a rewritten response is found behind the opened answer"
    )


# --- the window -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("template", ["own", "pair"])
def test_truncation_keeps_the_response_and_both_ends(folders, name, template):
    if template == "pair" and name != "bert":
        pytest.skip("tokenizers of decoders have no form for two texts")
    settings = EmbeddingSettings(
        str(folders[name]), max_tokens=40, template="pair" if template == "pair" else None
    )
    embedder = Embedder(settings)
    reader = AutoTokenizer.from_pretrained(folders[name])
    prompt = "begin " + "the sky is blue " * 40 + " end"
    for response in ("stars at night", "stars " * 100 + "night"):
        whole = Embedder(replace(settings, max_tokens=64)).tokens(["sky"], [response[:20]])[0]
        tokens = embedder.tokens([prompt], [response])
        assert tokens.cut_prompts == 1
        assert tokens.cut_responses == (len(response) > 20)
        kept = tokens[0].tolist()
        assert len(kept) == 40
        if name == "bert":
            assert kept[0] == whole[0], "the special token at the beginning is there"
        if name != "gpt2":
            assert kept[-1] == whole[-1], "and that at the end"
        text = reader.decode(kept).replace(" ##", "")
        if len(response) <= 20:
            assert response in text
            assert "begin" in text
            assert "end" in text
        else:
            assert "sky" not in text, "a response longer than the window takes all of it"
            assert text.count("stars") >= 5
            assert "night" not in text, "and loses its end"


@pytest.mark.parametrize("window", range(6, 30))
def test_what_is_kept_of_a_text(window):
    """Against the rule said in words: 2 special, 12 of the prompt, 8 of the response, 3 special."""
    length, lead, start, end = 25, 2, 14, 22
    if window >= length:
        window = length
    kept = fitting(length, lead, start, end, window).tolist()
    assert len(kept) == window
    assert kept == sorted(set(kept))
    assert {0, 1, 22, 23, 24} <= set(kept)
    response = [at for at in kept if start <= at < end]
    prompt = [at for at in kept if lead <= at < start]
    assert response == list(range(start, start + len(response)))
    assert not prompt or len(response) == 8, "the prompt goes first"
    dropped = [at for at in range(lead, start) if at not in prompt]
    assert dropped == list(range(dropped[0], dropped[0] + len(dropped))) if dropped else True
    if dropped and prompt:
        assert abs((dropped[0] - lead) - (start - 1 - dropped[-1])) <= 1, "from its middle"


def test_a_window_without_room_is_refused(folders):
    with pytest.raises(InvalidInputError, match="room for a response, got 2 tokens, of which 2 are special"):
        Embedder(EmbeddingSettings(str(folders["bert"]), max_tokens=2)).tokens(["sky"], ["blue sea"])
    with pytest.raises(InvalidInputError, match="at most the 64 tokens"):
        Embedder(EmbeddingSettings(str(folders["bert"]), max_tokens=65))


def test_texts_within_the_window_are_not_touched(folders):
    embedder = Embedder(EmbeddingSettings(str(folders["bert"])))
    tokens = embedder.tokens(*_texts(10))
    assert (tokens.cut_prompts, tokens.cut_responses) == (0, 0)


def test_two_texts_have_their_types(folders):
    """As the tokenizer itself encodes two texts, also after truncation."""
    embedder = Embedder(EmbeddingSettings(str(folders["bert"]), template="pair"))
    prompts, responses = _texts(8)
    tokens, model = (
        AutoTokenizer.from_pretrained(folders["bert"]),
        AutoModel.from_pretrained(folders["bert"]).eval(),
    )
    inputs = tokens(prompts, responses, return_tensors="pt", padding=True, return_token_type_ids=True)
    assert inputs["token_type_ids"].any()
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    expected = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    np.testing.assert_allclose(embedder.embed(prompts, responses), expected, atol=TOLERANCE, rtol=0)


# --- batches ------------------------------------------------------------------------------------------------------


def test_batches_hold_each_kind_of_text_once_and_keep_the_budget(folders):
    prompts, responses = _texts(60, 10)
    prompts, responses = prompts + prompts[:20], responses + responses[:20]
    embedder = Embedder(EmbeddingSettings(str(folders["gpt2"])))
    tokens = embedder.tokens(prompts, responses)
    plan = plan_batches(tokens, 100)
    assert len(plan.order) == len({tokens[at].tobytes() for at in range(80)}) <= 60
    lengths = tokens.lengths[plan.order]
    assert (np.diff(lengths) <= 0).all(), "the longest first"
    members = [plan.batch(number) for number in range(len(plan))]
    assert np.concatenate(members).tolist() == plan.order.tolist()
    assert all(len(own) == 1 or tokens.lengths[own].max() * len(own) <= 100 for own in members)
    assert all(np.array_equal(tokens[at], tokens[int(plan.order[plan.place[at]])]) for at in range(80))


def test_equal_texts_are_computed_once(folders, monkeypatch):
    embedder = Embedder(EmbeddingSettings(str(folders["llama"])))
    computed = []
    compute = Embedder.embed_batch
    monkeypatch.setattr(
        Embedder, "embed_batch", lambda self, tokens, texts: computed.extend(texts) or compute(self, tokens, texts)
    )
    found = embedder.embed(["sky", "sea", "sky"], ["blue", "wet", "blue"])
    assert len(computed) == 2
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])


# --- what cannot be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pooling": "max"}, "expected pooling to be one of last, mean, first, got 'max'"),
        ({"template": "own"}, "expected template to be one of chat, plain, pair"),
        ({"dtype": "int8"}, "expected dtype to be one of float32, bfloat16, float16"),
        ({"max_tokens": 0}, "expected max tokens of at least 1"),
        ({"layer": 4}, "expected a layer from 0 to 3 or from -4 to -1, got 4"),
        ({"template": "chat"}, "has none: use 'plain'"),
        ({"padding_side": "left"}, "an encoder counts positions from the left"),
    ],
)
def test_settings_that_cannot_be(folders, change, reason):
    with pytest.raises(InvalidInputError) as error:
        Embedder(EmbeddingSettings(str(folders["bert"]), **change))
    assert reason in str(error.value)


def test_models_that_cannot_be_loaded(folders, tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"the model .* cannot be loaded: give a name on the hub or a folder"
    ):
        Embedder(EmbeddingSettings(str(tmp_path)))
    with pytest.raises(InvalidInputError, match="expected a device such as cpu or cuda, got warp"):
        Embedder(EmbeddingSettings(str(folders["bert"])), device="warp")
    folder = tiny_models.bert(tmp_path / "pickled")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InvalidInputError, match="only weights in safetensors are read"):
        Embedder(EmbeddingSettings(str(folder)))
    folder = tiny_models.bert(tmp_path / "own_code")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine", "AutoConfig": "mine.MineConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise RuntimeError('this must not run')")
    with pytest.raises(InvalidInputError, match="models that bring code of their own are not run"):
        Embedder(EmbeddingSettings(str(folder)))


def test_missing_weights_are_not_made_up(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_models.bert(tmp_path / "partial")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InvalidInputError, match=r"1 are missing, such as encoder\.layer\.1\.output\.dense\.weight"
    ):
        Embedder(EmbeddingSettings(str(folder)))


def test_two_models_of_one_name_differ_in_their_digest(folders, tmp_path):
    one = Embedder(EmbeddingSettings(str(tiny_models.bert(tmp_path / "one", seed=1))))
    assert one.digest() != Embedder(EmbeddingSettings(str(folders["bert"]))).digest()
    assert one.digest() == Embedder(EmbeddingSettings(str(tmp_path / "one"))).digest()
