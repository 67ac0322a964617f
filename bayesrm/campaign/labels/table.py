"""A table of labels: CSV for spreadsheets and programs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bayesrm.campaign.labels.base import COLUMNS, LabelFormat, as_record
from bayesrm.campaign.labels.rows import LabelRow
from bayesrm.data.sheets import harmless_cell
from bayesrm.utils.files import replacing


class TableOfLabels(LabelFormat):
    """CSV with a row a label, whose cells no spreadsheet takes for formulas."""

    name: ClassVar[str] = "csv"
    suffix: ClassVar[str] = "csv"
    next_step: ClassVar[str] = "bayesrm embed and bayesrm campaign tell read {file} too."

    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """UTF-8 with a byte-order mark and CRLF, as spreadsheets open it."""
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(COLUMNS)
            for row in rows:
                writer.writerow([_cell(value) for value in as_record(row).values()])
        return [path]


def _cell(value: str | int | float | None) -> str:
    if isinstance(value, str):
        return harmless_cell(value)
    return "" if value is None else repr(value)
