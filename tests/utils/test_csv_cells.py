"""A spreadsheet runs nothing that it finds in a CSV of ours."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.utils.csv_cells import CellWriter, csv_of, harmless, unharmed

FORMULAS = [
    '=HYPERLINK("http://somewhere","click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "＝1+1",
    "-",
    "--5",
]
HARMLESS = ["", "a = b", "-5", "+1.5", "-1e-3", "-.5", "3", "'quoted'", "it's", "—", "-inf"]


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_no_cell_begins_as_a_formula(text):
    assert harmless(text) == f"'{text}"
    assert unharmed(harmless(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_other_texts_stay(text):
    assert harmless(text) == text
    assert unharmed(text) == text


def test_what_is_no_text_stays():
    assert [harmless(cell) for cell in (-1, -0.5, None, True)] == [-1, -0.5, None, True]


def test_rows():
    file = io.StringIO(newline="")
    writer = CellWriter(file)
    writer.row(["=name", "plain"])
    writer.rows([["=1+1", -1.5], ["a,b", None]])
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [["'=name", "plain"], ["'=1+1", "-1.5"], ["a,b", ""]]


@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_tables(kind):
    table = pd.DataFrame(
        {"=column": pd.Series(["=1+1", "plain"], index=["@a", "b"], dtype=kind), "number": [-1.5, np.nan]},
        index=pd.Index(["@a", "b"], name="name"),
    )
    assert csv_of(table) == "'=column,number\n'=1+1,-1.5\nplain,\n"
    assert csv_of(table, index=True) == "name,'=column,number\n'@a,'=1+1,-1.5\nb,plain,\n"


def test_nothing_writes_csv_past_these():
    home = Path(brm.__file__).parent
    for file in [*home.rglob("*.py"), *(home.parent / "studies").rglob("*.py")]:
        if file.name != "csv_cells.py":
            assert not re.search(r"csv\.writer|DictWriter|\.to_csv\(", file.read_text()), (
                f"{file}: write CSV by bayesrm.utils.csv_cells"
            )
