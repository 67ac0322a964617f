"""``bayesrm campaign`` as a user meets it."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.cli.campaign import COMMANDS


@pytest.fixture
def command(command):
    """Run ``bayesrm campaign ...``; returns exit status, stdout and stderr."""
    return partial(command, "campaign")


@pytest.fixture
def pool(tmp_path) -> Path:
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((150, 4)).astype(np.float32)
    folder = tmp_path / "pool"
    brm.save_pool(
        folder, brm.ResponsePool(embeddings, np.repeat(np.arange(30), 5), [f"text {k}" for k in range(150)])
    )
    return folder


def fill(path: Path, sides: list[str]) -> None:
    """Answer a CSV file as a person would, by hand."""
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "answer": side} for row, side in zip(rows, sides, strict=True))


def test_a_campaign_from_beginning_to_end(command, pool, tmp_path):
    folder = tmp_path / "labels"
    status, printed, _ = command("init", folder, "--pool", pool)
    assert status == 0
    assert "150 responses to 30 prompts" in printed
    status, printed, _ = command("status", folder)
    assert status == 0
    assert "Nothing was fitted yet" in printed

    status, printed, _ = command("ask", folder, "--size", 60, "--annotator", "ann=40", "--annotator", "bob")
    assert status == 0, printed
    assert "Batch 1 asks about 60 pairs." in printed
    files = sorted((folder / "batches").glob("*.csv"))
    for path in files:
        rows = path.read_bytes().decode("utf-8-sig").count("\r\n") - 1
        fill(path, ["left", "right", "tie", "skip", "left"] * (rows // 5) + [""] * (rows % 5))
    status, printed, _ = command("tell", folder, *files)
    assert status == 0
    assert printed.count("new answers") == 2
    status, printed, _ = command("tell", folder, files[0])
    assert status == 0
    assert "nothing changed" in printed
    status, printed, _ = command("ask", folder, "--batch", 1, "--to", "argilla", "--out", tmp_path / "out")
    assert status == 0
    assert len(list((tmp_path / "out").glob("batch-001-*.argilla.json"))) == 2

    status, printed, _ = command("fit", folder)
    assert status == 0
    assert "more labels are expected to cut the regret from" in printed
    assert (folder / "posterior.nc").exists()
    (tmp_path / "odd.csv").write_text("question,answer\nq?,left\n")
    status, _, complaint = command("tell", folder, tmp_path / "odd.csv")
    assert (status, "no row of" in complaint) == (2, True)
    (question, *_) = brm.Campaign.open(folder).store.questions()
    (tmp_path / "odd.csv").write_text(f"question,answer\nq?,left\n{question.id},\n")
    assert command("tell", folder, tmp_path / "odd.csv")[0] == 0
    status, printed, _ = command("status", folder, "--aside")
    assert status == 0
    assert "odd.csv, row 2: no question of this campaign has the id 'q?'" in printed
    assert "Regret: by how much more often" in printed


def test_mistakes_are_undone(command, pool, tmp_path):
    folder = tmp_path / "labels"
    command("init", folder, "--pool", pool)
    command("ask", folder, "--size", 10)
    sheet = folder / "batches" / "batch-001.csv"
    fill(sheet, ["left"] * 6 + [""] * 4)

    def says(*arguments) -> str:
        status, printed, complaint = command(*arguments)
        assert status == 0, complaint
        return printed

    assert "would bring 6 new answers" in says("tell", folder, sheet, "--dry-run")
    assert "6 new answers" in says("tell", folder, sheet)
    assert "6 answers without a name are ana's." in says(
        "rename", folder, "--unnamed", "ana", "--reason", "she forgot"
    )
    assert "6 answers by ana are anna's; so is what" in says("rename", folder, "ana", "anna")
    assert "anna is no longer ana" in says("rename", folder, "--undo")
    assert "4 unanswered questions of batch 1 would be" in says("release", folder, "--batch", 1, "--dry-run")
    assert "4 unanswered questions of batch 1 are" in says("release", folder, "--batch", 1, "--reason", "she left")
    assert "Batch 1 is closed" in says("close", folder, "--batch", 1, "--by", "bo")
    printed = says("status", folder, "--no-fit")
    for line in ("reason: she forgot.", "reason: she left.", "Batch 1 was closed on", "by bo, reason: not said."):
        assert line in printed
    assert "Batch 1 is open again" in says("close", folder, "--batch", 1, "--reopen")
    (id, *_) = [question.id for question in brm.Campaign.open(folder).store.questions()]
    assert "1 answer by ana to 1 question is taken back." in says("untell", folder, "--answer", id)
    assert "5 answers by ana" in says("untell", folder, sheet, "--annotator", "ana", "--batch", 1)
    assert "6 answers were taken back" in says("status", folder, "--no-fit")
    for arguments, message in (
        (["untell", folder], "expected what to take back"),
        (["rename", folder, "ana"], "got 1 names"),
        (["rename", folder, "a", "b", "--unnamed", "c"], "got 2 names beside --unnamed"),
        (["rename", folder, "a", "--undo"], "--undo takes the last renaming back"),
        (["release", folder, "--batch", 9], "no batch 9"),
        (["close", folder, "--batch", 1, "--reopen"], "not closed"),
    ):
        status, _, complaint = command(*arguments)
        assert (status, message in complaint) == (2, True), complaint


def test_files_that_can_be_taken_are_taken_beside_one_that_is_refused(command, pool, tmp_path):
    folder = tmp_path / "labels"
    command("init", folder, "--pool", pool)
    command("ask", folder, "--size", 4)
    sheet = folder / "batches" / "batch-001.csv"
    fill(sheet, ["left"] * 4)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("question,answer\nq?,left\n")
    status, printed, complaint = command("tell", folder, wrong, sheet, tmp_path / "missing.csv")
    assert (status, "4 new answers" in printed) == (2, True)
    assert "2 files were refused: no row of" in complaint
    assert "missing.csv (No such file or directory)" in complaint


def test_bad_input_is_one_sentence(command, pool, tmp_path):
    folder = tmp_path / "labels"
    assert command("init", folder, "--pool", pool)[0] == 0
    cases = {
        "there is none: make one": ["status", tmp_path / "nowhere"],
        "holds a campaign already": ["init", folder, "--pool", pool],
        "expected a pool directory": ["init", tmp_path / "new", "--pool", tmp_path / "nowhere"],
        "unknown format 'xml': there are argilla, csv": ["ask", folder, "--to", "xml"],
        "unknown design 'best'": ["ask", folder, "--design", "best"],
        "--scope: expected 'within-prompt' or 'cross-prompt', got 'all'": ["ask", folder, "--scope", "all"],
        "--annotator NAME for each": ["ask", folder, "--overlap", 2],
        "NAME or NAME=QUOTA": ["ask", folder, "--annotator", "ann=many"],
        "nothing was asked yet": ["ask", folder, "--batch", 3],
        "expected a file that can be read, got": ["tell", folder, tmp_path / "missing.csv"],
        "there are none yet": ["fit", folder],
        "cannot weigh gains against costs": ["ask", folder, "--cost", "length"],
    }
    for message, arguments in cases.items():
        status, _, complaint = command(*arguments)
        assert (status, message in complaint) == (2, True), (message, complaint)
        assert complaint.count("\n") == 1
    assert brm.Campaign.open(folder).store.batches() == [], "nothing was asked"


@pytest.mark.parametrize("name", [*COMMANDS])
def test_help_has_an_example(command, name):
    status, printed, _ = command(name, "--help")
    assert status == 0
    assert f"bayesrm campaign {name}" in " ".join(printed.split())


def test_numbers_as_answers_need_a_meaning(command, pool, tmp_path):
    folder = tmp_path / "labels"
    command("init", folder, "--pool", pool)
    command("ask", folder, "--size", 6)
    sheet = folder / "batches" / "batch-001.csv"
    fill(sheet, ["1", "0", "1", "0", "1", "0"])
    status, _, said = command("tell", folder, sheet)
    assert status == 2
    assert "--answers 1=left,0=right" in said
    for wrong in ("1", "1=up", "=left", "1=left,1=right", ""):
        status, _, said = command("tell", folder, sheet, "--answers", wrong)
        assert status == 2
        assert "expected --answers such as 1=left,2=right,0=tie" in " ".join(said.split())
    status, printed, _ = command("tell", folder, sheet, "--answers", "0 = left, 1 = Right")
    assert status == 0
    assert "6 new answers" in printed
