"""The three people of the tutorials get from a file on their disk to a model by what stands in the pages alone."""

from __future__ import annotations

import ast
import os
import re
import shlex
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from bayesrm import cli

ROOT = Path(__file__).parent.parent
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SMALLER = {
    "researcher": {
        "source.group < 60": "source.group < 12",
        "--batch-size 40 --rounds 2 --seeds 2": "--batch-size 8 --rounds 1 --seeds 1",
    },
    "statistician": {
        "size=150": "size=60",
        "sbc=20": "sbc=4",
        "draws=500": "draws=144",
        "draws=400": "draws=144",
        "Nuts(chains=2, draws=250, warmup=150)": "Nuts(chains=2, draws=100, warmup=60)",
    },
}
"""What makes a page quick, and no command another one."""


@pytest.fixture
def follow(monkeypatch, short_training, tmp_path):
    """``follow(page)``: do what a page says, in an empty folder beside the data; the names that its cells define."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL", "")
    (tmp_path / "data").symlink_to(ROOT / "data")
    matplotlib.use("Agg")

    def run(page: str) -> dict[str, Any]:
        text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text(encoding="utf-8")
        for large, small in SMALLER.get(page, {}).items():
            assert large in text
            text = text.replace(large, small)
        defined: dict[str, Any] = {"__name__": "__main__"}
        for number, cell in enumerate(CELL.findall(text), start=1):
            if cell.startswith("%%bash\n"):
                for line in cell.removeprefix("%%bash\n").replace("\\\n", " ").splitlines():
                    command(line)
            else:
                python(cell, f"{page}, cell {number}", defined)
        return defined

    def command(line: str) -> None:
        words = shlex.split(os.path.expandvars(line))
        if words[0] == "ls":
            assert [*Path(words[1]).iterdir()]
            return
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0, line

    return run


def python(cell: str, name: str, defined: dict[str, Any]) -> None:
    """Run a cell; a notebook shows the value of its last line."""
    body = ast.parse(cell, name).body
    last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), name, "exec"), defined)
    if last is not None:
        assert repr(eval(compile(last, name, "eval"), defined))


def test_the_practitioner_gets_from_a_file_of_texts_to_a_reward_function(follow, capsys):
    defined = follow("practitioner")
    printed = capsys.readouterr().out
    assert "20 new answers" in printed
    assert "20 answers are used" in printed
    assert defined["sd"].min() > 0
    good, bad = defined["reward_function"](
        prompts=[defined["prompt"]] * 2, completions=["Put the stems in water.", "I do not know."]
    )
    assert np.isfinite([good, bad]).all()


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
def test_the_researcher_gets_from_arrays_to_curves_of_designs(follow):
    curves = follow("researcher")["curves"]
    designs = {name: curve["design"].values.tolist() for name, curve in curves.items()}
    assert set(designs["paper"]) == {"random", "paper-pa-dopt", "paper-entropy"}
    assert set(designs["ours"]) == {"random", "pa-dopt", "epig"}
    for curve in curves.values():
        assert curve["labels"].max() == 8
        assert ((curve >= 0) & (curve <= 2)).all()


def test_the_statistician_gets_from_labels_to_a_model_of_their_own(follow):
    defined = follow("statistician")
    assert set(defined["table"].index) == set(defined["models"])
    assert np.isfinite(defined["table"]["elpd_loo"].astype(float)).all()
    assert defined["exact"].inference == "nuts"
    low, high = defined["own"].to_datatree(draws=144)["posterior"]["bias"].quantile([0.05, 0.95]).values
    assert low < 0 < high
    assert len(defined["batch"]) == 5
