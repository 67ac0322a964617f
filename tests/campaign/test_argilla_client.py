"""What Argilla's client 2.8.0 wrote after ``Settings.from_json`` and ``Record.from_dict`` had read our files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayesrm.campaign.handoff.argilla import Argilla
from bayesrm.campaign.handoff.base import ParsedAnswer, Unclear
from bayesrm.campaign.tell import recognised

EXPORTS = Path(__file__).parent / "argilla_2_8"


def told(name: str) -> list[tuple[str, str, str]]:
    parts = Argilla().read((EXPORTS / name).read_bytes())
    found = [part.answer if isinstance(part, Unclear) else part for part in parts]
    assert all(isinstance(part, ParsedAnswer) for part in found)
    return [(part.question.rsplit("-", 1)[1], part.words, part.annotator) for part in found if part.words]


def test_labels_keep_their_annotators_and_times():
    assert told("labels.json") == [
        ("1", "left", "ana"), ("2", "right", "ana"), ("3", "tie", "ana"), ("6", "right", "ana"),
    ]  # fmt: skip
    assert Argilla().read((EXPORTS / "labels.json").read_bytes())[0].answered == "2026-11-29T12:59:19.647467+00:00"


@pytest.mark.parametrize(("name", "said"), [("pairs.json", "left"), ("grades.json", "left much better")])
def test_submitted_answers_count_and_drafts_do_not(name, said):
    """The first record has a submitted response, the second a draft."""
    assert [(at, words) for at, words, _ in told(name)] == [("1", said)]


def test_records_under_their_ids_are_read_where_some_have_no_response():
    """``to_dict(flatten=True, orient="index")``: two submitted responses, a draft, and two records without any."""
    path = EXPORTS / "by_id.json"
    assert recognised(path.read_bytes(), path).name == "argilla"
    assert [(at, words) for at, words, _ in told(path.name)] == [("1", "left"), ("2", "right")]
    assert len(Argilla().read(path.read_bytes())) == 5
