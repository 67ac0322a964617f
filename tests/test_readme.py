"""The README's Python examples run as pasted, and its files exist."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=["corpus", "own arrays", "campaign", "pairs", "models", "program"]
)
def test_examples_run_as_pasted(example, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    assert re.search(r"\d\.\d", printed.getvalue())


def test_the_first_example_is_short():
    assert len(EXAMPLES[0].strip().splitlines()) <= 12


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^):]+)\)", README))))
def test_what_it_shows_is_there(target):
    assert (ROOT / target).exists()
