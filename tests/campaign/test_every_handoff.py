"""The contract of every hand-off: found by its name, and tested here by nothing more than being there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Sheet
from bayesrm.campaign.records import Question
from bayesrm.campaign.tell import recognised
from bayesrm.errors import InvalidInputError

TEXTS = ["plain", 'two\nlines, a comma; and "quotes" </b>', "=1+1", "größer 🙂 end", ""]
QUESTIONS = [Question(f"qabcde-1-{k}", 1, k, 2 * k, 2 * k + 1, k % 2 == 0, 0.0) for k in range(1, 6)]
SHEETS = [Sheet(q, f"prompt {text}", text, text[::-1], "") for q, text in zip(QUESTIONS, TEXTS, strict=True)]
BROKEN = [
    b"\x89PNG\r\n\x1a\n\x00\x00", b"\xff\xfe\x00", b"{", b"[]", b"[1, 2]", b'[{"data": 1}]', b'[{"fields": null}]',
    b"null", b"question,answer", b"\x00" * 50, "größer".encode("utf-16"),
]  # fmt: skip

every = pytest.mark.parametrize("name", list(HANDOFFS))


@every
def test_it_says_what_to_do_next(name):
    part = HANDOFFS[name]
    assert HANDOFFS.lines()[name]
    said = part.next_step.format(directory="runs/labels")
    assert "bayesrm campaign tell runs/labels " in said
    assert part.next_step.format(directory="DIRECTORY") in HANDOFFS.lines()[name]


@every
@pytest.mark.parametrize("sheets", [SHEETS, SHEETS[:1], []], ids=["several", "one", "none"])
def test_it_writes_files_of_its_own_and_reads_them_as_open(name, sheets, tmp_path):
    handoff, stem = HANDOFFS[name](), tmp_path / "batch-001"
    files = handoff.write(sheets, stem)
    assert files
    assert sorted(files) == sorted(tmp_path.iterdir()), "a temporary file is left"
    assert all(path.name.startswith(stem.name + ".") for path in files)
    if not sheets:
        return
    data = files[0].read_bytes()
    assert [(part.question, part.side) for part in handoff.read(data)] == [(s.question.id, None) for s in sheets]
    if handoff.filled_in:
        assert recognised(data, files[0]).name == name


@every
def test_it_leaves_the_files_of_others_to_them(name, tmp_path):
    for other in HANDOFFS:
        written = HANDOFFS[other]().write(SHEETS, tmp_path / "batch")[0]
        if other != name and HANDOFFS[other].filled_in:
            assert recognised(written.read_bytes(), Path("export.dat")).name == other


@every
@pytest.mark.parametrize("data", BROKEN)
def test_a_broken_file_is_refused_or_its_rows_are(name, data):
    try:
        parts = HANDOFFS[name]().read(data)
    except InvalidInputError:
        return
    assert all(isinstance(part, Broken) or part.side is None for part in parts)


@every
def test_a_file_that_was_cut_off_has_nothing_that_was_not_said(name, tmp_path):
    data = HANDOFFS[name]().write(SHEETS, tmp_path / "batch")[0].read_bytes()
    known = {question.id for question in QUESTIONS}
    for end in range(0, len(data), max(1, len(data) // 40)):
        try:
            parts = HANDOFFS[name]().read(data[:end])
        except InvalidInputError:
            continue
        answered = [part for part in parts if isinstance(part, ParsedAnswer)]
        assert all(part.side is None for part in answered)
        assert {part.question for part in answered} - known == set() or any(
            question.startswith(part.question) for part in answered for question in known
        )
