"""CSV for spreadsheets: one row a question, to be filled in under ``answer``.

Written as UTF-8 with a byte-order mark and CRLF, which spreadsheets open as they should. A cell that begins with what
they would take for a formula gets an apostrophe before it. Read back with any of the delimiters and encodings in which
they save.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer, Sheet, parse_answer
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import replacing

COLUMNS = ("question", "prompt", "left", "right", "answer", "annotator", "comment")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
LONGEST_CELL = 2**31 - 1


class Spreadsheet(HandOff):
    """A table to fill in: left, right, tie or skip under ``answer``."""

    name: ClassVar[str] = "csv"
    order: ClassVar[int] = 10
    identifies_annotators: ClassVar[bool] = False
    filled_in: ClassVar[bool] = True
    next_step: ClassVar[str] = (
        "Fill in left, right, tie or skip under answer, save, and: bayesrm campaign tell {directory} FILE"
    )

    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """One file."""
        path = stem.with_name(f"{stem.name}.csv")
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(COLUMNS)
            for sheet in sheets:
                row = (sheet.question.id, sheet.prompt, sheet.left, sheet.right, "", sheet.annotator, "")
                writer.writerow([_harmless(cell) for cell in row])
        return [path]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """By its suffix, or by a header with question and answer."""
        return suffix in (".csv", ".tsv", ".txt") or _table(_text(data)) is not None

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """A row for each question; columns are found by their names."""
        table = _table(_text(data))
        if table is None:
            raise InvalidInputError(
                "expected a table with the columns question and answer in its first row, as ask writes it, and there "
                "is none: keep the first row when you fill it in"
            )
        columns, rows = table

        def cell(row: list[str], name: str) -> str:
            at = columns.get(name)
            return "" if at is None or at >= len(row) else _plain(row[at])

        found: list[ParsedAnswer | Broken] = []
        for number, row in rows:
            if any(part.strip() for part in row):
                names = ("question", "answer", "annotator", "answered", "comment")
                found.append(parse_answer(f"row {number}", *(cell(row, name) for name in names)))
        return found


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet runs. NUL characters, which no table can have, are left out."""
    cell = cell.replace("\0", "")
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _text(data: bytes) -> str:
    """UTF-8, UTF-16 where it says so, else what Windows saves as."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _table(text: str) -> tuple[dict[str, int], list[tuple[int, list[str]]]] | None:
    """Columns by name and numbered rows, with whichever delimiter makes a header of the first row."""
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        for delimiter in ",;\t":
            lines = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
            header = [name.strip().lower() for name in next(lines, [])]
            if {"question", "answer"} <= set(header):
                columns = {name: header.index(name) for name in header}
                return columns, list(enumerate(lines, start=2))
    except csv.Error:
        return None
    finally:
        csv.field_size_limit(limit)
    return None
