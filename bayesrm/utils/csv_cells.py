"""Every CSV that bayesrm writes: no cell in it is a formula, which a spreadsheet would run when the file is opened.

A text that begins as formulas do gets an apostrophe before it, with which a spreadsheet shows it as it is. Numbers, and
negative ones too, stay as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|-?inf|-?Infinity")


class CellWriter:
    """``csv.writer`` for cells that may have any text.

    Parameters
    ----------
    file
        Opened with ``newline=""``.
    line_end
        After each row.
    separator
        Between cells.
    """

    def __init__(self, file: io.TextIOBase, line_end: str = "\n", separator: str = ",") -> None:
        self._writer = csv.writer(file, lineterminator=line_end, delimiter=separator)

    def row(self, cells: Iterable[Any]) -> None:
        """Write a row."""
        self._writer.writerow([harmless(cell) for cell in cells])

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several."""
        for cells in rows:
            self.row(cells)


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet runs. NUL characters, which no table can have, are left out."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\0", "")
    return f"'{cell}" if cell.startswith(FORMULA) and not _NUMBER.fullmatch(cell) else cell


def unharmed(cell: str) -> str:
    """The text that :func:`harmless` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def csv_of(table: pd.DataFrame, index: bool = False) -> str:
    """A table as CSV.

    Parameters
    ----------
    table
        Its columns have names of one level.
    index
        Whether its index comes first, under the index's name.
    """
    plain = table.reset_index() if index else table
    plain = plain.set_axis([harmless(str(name)) for name in plain.columns], axis=1)
    return str(plain.apply(_harmless_column).to_csv(index=False))


def _harmless_column(column: pd.Series[Any]) -> pd.Series[Any]:
    return column if pd.api.types.is_numeric_dtype(column.dtype) else column.map(harmless)
