"""What goes wrong first, and what is said of it: no test set or the wrong one, long texts, no network, columns."""

from __future__ import annotations

import json
import socket
import time

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.data.golden_column import golden_from_column
from bayesrm.data.reading import open_reader
from bayesrm.embedding.loading import hub_is_reachable, load
from bayesrm.errors import InvalidInputError
from bayesrm.reports.runs import write_report


@pytest.fixture
def pool(tmp_path):
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((60, 3)).astype(np.float32)
    made = brm.ResponsePool(embeddings, np.repeat(np.arange(20), 3), [f"text {k}" for k in range(60)])
    brm.save_pool(tmp_path / "pool", made, embeddings @ random.standard_normal(3))
    return tmp_path / "pool"


SMALL = ("--encoder", "linear", "--inference", "plugin", "--design", "random", "--batch-size", 5, "--rounds", 1)


def test_a_run_without_a_test_set_says_so_before_it_begins(pool, tmp_path, command):
    status, printed, complaint = command("run", pool, *SMALL, "--out", tmp_path / "runs")
    assert status == 0, complaint
    assert printed.splitlines()[0].startswith(
        "No --test: pairs are chosen and learned from, and nothing is measured"
    )


def test_a_test_set_that_is_the_pool_is_refused(pool, tmp_path, command):
    copy = tmp_path / "copy"
    brm.save_pool(copy, brm.load_pool(pool), brm.load_golden(pool))
    for test in (pool, copy):
        status, _, complaint = command("run", pool, "--test", test, *SMALL, "--out", tmp_path / "runs")
        assert (status, complaint.count("\n")) == (2, 1)
        assert "is the pool that is learned from" in complaint
    assert not (tmp_path / "runs").exists(), "nothing was begun"


def test_a_report_says_what_its_designs_do(pool, tmp_path):
    test = brm.load_pool(pool).take(np.arange(30))
    golden = brm.load_golden(pool)
    brm.run(
        brm.load_pool(pool), brm.GoldenAnnotator(golden, 2.0), model=brm.RewardModel(3, "linear"),
        test=(test, golden[:30]), batch_size=5, rounds=1, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    page = write_report(tmp_path / "run").read_text()
    assert (
        "<th>within-first</th><td>Uniformly random pairs, those within a prompt before those across prompts.</td>"
        in page
    )
    assert "<p>Pairs of within-first, the default, are chosen at random: no design" in page


def test_no_candidates_left_names_what_is_open_and_the_other_scope(pool, tmp_path, command):
    campaign = brm.Campaign.create(tmp_path / "labels", pool)
    campaign.ask(100)
    status, _, complaint = command("campaign", "ask", tmp_path / "labels")
    assert status == 2
    assert "60 questions asked before are not answered yet: tell what comes back" in complaint
    assert "pairs across prompts are asked with --scope cross-prompt" in complaint
    assert len(campaign.ask(Request(size=5, scope="cross-prompt", design="random"))) == 5


def test_ask_warns_of_texts_that_a_spreadsheet_cuts(tmp_path, command):
    texts = ["x" * 40_000, "short", "short too", "short as well"]
    made = brm.ResponsePool(np.eye(4, dtype=np.float32), [0, 0, 1, 1], texts)
    brm.save_pool(tmp_path / "pool", made)
    brm.Campaign.create(tmp_path / "labels", tmp_path / "pool")
    status, printed, _ = command("campaign", "ask", tmp_path / "labels", "--size", 2)
    assert status == 0
    assert "1 question has a text of more than 32,767 characters" in printed
    _, printed, _ = command("campaign", "ask", tmp_path / "labels", "--batch", 1, "--to", "label-studio")
    assert "32,767" not in printed
    assert "set as many annotations per task in the settings of the project" in printed


def test_golden_rewards_come_from_a_column_of_the_source(tmp_path, command):
    """Rows of lists, as UltraFeedback has them, whose answers have a score each; and a pool in another order."""
    rows = [
        {
            "instruction": f"q{k}",
            "completions": [{"response": f"a{k}{n}", "overall_score": k + n / 4} for n in range(3)],
        }
        for k in range(4)
    ]
    source = tmp_path / "source.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    order = np.random.default_rng(1).permutation(12)
    texts = [f"a{k}{n}" for k in range(4) for n in range(3)]
    made = brm.ResponsePool(np.eye(12, dtype=np.float32), (order // 3), [texts[at] for at in order])
    brm.save_pool(tmp_path / "pool", made)
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "pool" / "responses.parquet")
    prompts = [f"q{at // 3}" for at in order]
    pq.write_table(table.append_column("prompt", [prompts]), tmp_path / "pool" / "responses.parquet")
    asked = ("golden", tmp_path / "pool", "--from-column", "overall_score", "--source", source)
    status, printed, complaint = command(*asked)
    assert status == 0, complaint
    assert "12 scores of the column overall_score" in printed
    assert brm.load_golden(tmp_path / "pool") == pytest.approx([at // 3 + (at % 3) / 4 for at in order])
    assert command(*asked)[0] == 2, "golden rewards are there already"
    (tmp_path / "pool" / "golden.npy").unlink()
    with pytest.raises(
        InvalidInputError, match=r"expected a covariate overall_score in the pool .* which has none"
    ):
        golden_from_column(tmp_path / "pool", "overall_score")
    with pytest.raises(InvalidInputError, match="expected a column helpfulness"):
        golden_from_column(tmp_path / "pool", "helpfulness", str(source))
    named = ("--prompt-column", "frage", "--response-column", "antwort")
    renamed = [
        {"frage": row["instruction"], "antwort": said["response"], "overall_score": said["overall_score"]}
        for row in rows
        for said in row["completions"]
    ]
    source.write_text("\n".join(json.dumps(row) for row in renamed))
    assert " ".join(named) in command(*asked)[2], "what the sentence says to say are options"
    status, _, complaint = command(*asked, *named)
    assert status == 0, complaint
    (tmp_path / "pool" / "golden.npy").unlink()
    source.write_text(json.dumps(rows[0]))
    with pytest.raises(InvalidInputError, match="9 are not there"):
        golden_from_column(tmp_path / "pool", "overall_score", str(source))
    assert "either --model" in command("golden", tmp_path / "pool")[2]


def test_golden_rewards_come_from_a_covariate(tmp_path):
    made = brm.ResponsePool(np.eye(3, dtype=np.float32), [0, 0, 0], covariates={"stars": [1.0, 5.0, 3.0]})
    brm.save_pool(tmp_path / "pool", made)
    golden_from_column(tmp_path / "pool", "stars")
    assert brm.load_golden(tmp_path / "pool").tolist() == [1.0, 5.0, 3.0]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            ("Prompt Text", "Model Answer"),
            "perhaps --prompt-column 'Prompt Text' --response-column 'Model Answer'",
        ),
        (("user_question", "bot"), "perhaps --prompt-column user_question"),
    ],
)
def test_columns_of_other_names_are_suggested_as_they_would_be_typed(columns, said):
    row = dict.fromkeys(columns, "words")
    with pytest.raises(InvalidInputError, match="are in no known form") as refused:
        open_reader([row], "mine.csv")
    assert said in str(refused.value)


def test_without_a_network_it_is_said_at_once_what_to_do(monkeypatch, tmp_path):
    """A hub at a port where nobody listens, and a cache that is empty."""
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert hub_is_reachable()
    assert not hub_is_reachable()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(
        InvalidInputError, match="the hub cannot be reached from here, and this machine has no copy of it"
    ):
        load("nobody/has-this-model-here")
    assert waits == [], "the hub is not asked again and again"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub_is_reachable()
