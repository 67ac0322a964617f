"""What measures is told from what only shows: which edits of a study's script make another digest."""

from __future__ import annotations

import pytest

from bayesrm.runs.cell import load_script
from bayesrm.runs.script_digest import measure_digest

SCRIPT = '''
"""What it is about."""

import math as m
from functools import lru_cache

SCALE: float = 2.0
UNITS = {}
UNITS["a"] = 1.0
TITLE = "a title"

def _scaled(value):
    return SCALE * m.sqrt(value)

@lru_cache
def remembered():
    return 1.0

def measure(cell):
    # the number of it
    return {"number": _scaled(4.0) * UNITS["a"]}

def answer(results):
    return TITLE
'''


def _digest(folder, text):
    path = folder / f"s{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    return measure_digest(path, load_script(path).measure)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"number": _', '"number": 3 + _'),
        ("SCALE *", "SCALE +"),
        ("= 2.0", "= 3.0"),
        ('["a"] = 1.0', '["a"] = 2.0'),
        ("import math as m", "import cmath as m"),
        ("return 1.0", "return 2.0"),
        ("def measure(cell):", "def other(cell):"),
    ],
    ids=["itself", "what it calls", "a constant", "a change of one", "an import", "decorated", "another function"],
)
def test_what_measures_counts(tmp_path, old, new):
    assert SCRIPT.count(old) == 1
    text = SCRIPT.replace(old, new)
    changed = text if "def measure" in text else text + "\n\ndef measure(cell):\n    return other(cell)\n"
    assert _digest(tmp_path, changed) != _digest(tmp_path, SCRIPT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return TITLE", "return TITLE + '!'"),
        ('"a title"', '"another title"'),
        ("What it is about.", "What it is about, at length."),
        ("# the number of it", "# the number"),
        ("\n\ndef answer", "\n\n\n\ndef tables(results):\n    return {}\n\n\ndef answer"),
    ],
    ids=["answer", "what answer uses", "docstring", "comment", "tables"],
)
def test_what_only_shows_does_not_count(tmp_path, old, new):
    assert SCRIPT.count(old) == 1
    assert _digest(tmp_path, SCRIPT.replace(old, new)) == _digest(tmp_path, SCRIPT)


def test_a_measure_of_another_file_counts_with_the_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "from plugged_measure import measure\n"
    (tmp_path / "plugged_measure.py").write_text("def measure(cell):\n    return {}\n")
    before = _digest(tmp_path, text)
    (tmp_path / "plugged_measure.py").write_text("def measure(cell):\n    return {'a': 1.0}\n")
    assert _digest(tmp_path, text) != before
