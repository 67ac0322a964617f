"""A table of labels: CSV for spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bayesrm.campaign.labels.base import COLUMNS, LabelFormat, as_record
from bayesrm.campaign.labels.rows import LabelRow
from bayesrm.utils.csv_cells import CellWriter
from bayesrm.utils.files import replacing


class TableOfLabels(LabelFormat):
    """CSV with a row a label, whose cells no spreadsheet takes for formulas."""

    name: ClassVar[str] = "csv"
    suffix: ClassVar[str] = "csv"
    next_step: ClassVar[str] = "bayesrm embed and bayesrm campaign tell read {file} too."

    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """UTF-8 with a byte-order mark and CRLF, as spreadsheets open it."""
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8-sig", newline="") as file:
            writer = CellWriter(file, line_end="\r\n")
            writer.row(COLUMNS)
            writer.rows(as_record(row).values() for row in rows)
        return [path]
