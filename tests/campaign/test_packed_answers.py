"""Answers that come back packed, or as a table of columns: they count as those of the text that they were made of."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.errors import InvalidInputError

SAID = ["left", "right", "tie", "skip", None, "right"]


@pytest.fixture
def sheet(asked):
    """A campaign and its sheet, as pandas has it, with answers in it and a question that was left open."""
    campaign = asked(size=len(SAID))
    table = pd.read_csv(campaign.hand_out("csv")[0])
    # An id that is missing once makes numbers with a point of all the others.
    return campaign, table.assign(answer=SAID, annotator=[7.0, 7.0, 7.0, 7.0, np.nan, 7.0])


def stored(campaign):
    return {(a.question, a.annotator, a.verdict) for a in campaign.store.answers()}


def test_answers_in_parquet_count_as_those_in_csv(sheet):
    campaign, table = sheet
    table.to_csv(campaign.directory / "back.csv", index=False)
    table.to_parquet(campaign.directory / "back.parquet")
    said = campaign.tell(campaign.directory / "back.parquet")
    assert (said.new, said.ties, said.skips, said.open, said.aside) == (5, 1, 1, 1, ())
    assert {name for _, name, _ in stored(campaign)} == {"7"}
    assert campaign.tell(campaign.directory / "back.csv").repeated == 5


def test_argilla_in_parquet_keeps_drafts_apart(sheet):
    campaign, table = sheet
    records = pd.DataFrame(
        {
            "id": table["question"],
            **{name: table[name] for name in ("prompt", "left", "right")},
            "preference.responses": [["left"]] * len(table),
            "preference.responses.users": [["u1"]] * len(table),
            "preference.responses.status": [["submitted"], ["draft"]] * (len(table) // 2),
        }
    )
    records.to_parquet(campaign.directory / "argilla.parquet")
    said = campaign.tell(campaign.directory / "argilla.parquet")
    assert (said.format, said.new, said.open) == ("argilla", len(table) / 2, len(table) / 2)


def test_what_is_wrong_with_parquet_is_said_as_of_text(sheet):
    campaign, table = sheet
    path = campaign.directory / "back.parquet"
    table.assign(left=list(table["right"])).to_parquet(path)
    said = campaign.tell(path, dry_run=True)
    assert said.new == 0
    place, reason = said.aside[0]
    assert place == "record 1"
    assert "shows" in reason
    table.assign(answer=[1.0, 2.0, np.nan, 1.0, 1.0, 2.0]).to_parquet(path)
    with pytest.raises(InvalidInputError, match="--answers 1=left,2=right"):
        campaign.tell(path)
    assert campaign.tell(path, answers={"1": "left", "2": "right"}).new == 5
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InvalidInputError, match="whole Parquet file"):
        campaign.tell(path)


def test_packed_answers_are_unpacked(sheet):
    campaign, table = sheet
    path = campaign.directory / "back.csv.gz"
    path.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    assert campaign.tell(path).new == 5
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InvalidInputError, match=r"back\.csv\.gz"):
        campaign.tell(path)


def test_answers_in_parquet_are_labels_of_the_pool_they_show(sheet):
    campaign, table = sheet
    other = brm.Campaign.create(campaign.directory.parent / "other", campaign.pool_path)
    other.ask(Request(size=2, design="random"))
    path = campaign.directory / "back.parquet"
    table.to_parquet(path)
    with pytest.raises(InvalidInputError, match="tell it to the campaign that asked it"):
        other.tell(path)
    table.assign(question=[f"item {k}" for k in range(len(table))]).to_parquet(path)
    assert other.tell(path).new == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (float("nan"), ""), ("nan", ""), ("N/A", ""), (None, ""), (7, "7"), (7.0, "7"), ("7.0", "7"), ("Nan", "Nan"),
        ("ana", "ana"), (" ana ", "ana"),
    ],
)  # fmt: skip
def test_who_answered_is_missing_or_a_name(asked, name, told):
    campaign = asked(size=1)
    line = json.loads(campaign.hand_out("jsonl")[0].read_text())
    path = campaign.directory / "back.jsonl"
    path.write_text(json.dumps(line | {"answer": "left", "annotator": name}))
    assert campaign.tell(path).new == 1
    assert {name for _, name, _ in stored(campaign)} == {told}


def test_a_list_of_people_is_no_name(asked):
    campaign = asked(size=2)
    lines = [json.loads(line) for line in campaign.hand_out("jsonl")[0].read_text().splitlines()]
    path = campaign.directory / "back.jsonl"
    people = (["ana", "bo"], "ana")
    rows = [line | {"answer": "left", "annotator": who} for line, who in zip(lines, people, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)))
    said = campaign.tell(path)
    assert said.new == 1
    assert said.aside[0][1].startswith("expected the name of who answered, got ['ana', 'bo']")


@pytest.mark.parametrize("words", [float("nan"), "nan", "<NA>", None, ""])
def test_an_answer_that_is_no_number_is_an_open_question(asked, words):
    campaign = asked(size=2)
    lines = [json.loads(line) for line in campaign.hand_out("jsonl")[0].read_text().splitlines()]
    path = campaign.directory / "back.jsonl"
    path.write_text(
        "\n".join(json.dumps(line | {"answer": word}) for line, word in zip(lines, ("left", words), strict=True))
    )
    said = campaign.tell(path)
    assert (said.new, said.open, said.aside) == (1, 1, ())
