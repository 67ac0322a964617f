"""Tables as text: with commas, semicolons or tabs, in UTF-8, UTF-16 or what Windows saves as, below lines of a title.

Ids of questions look like nothing else, so that they show where a table begins whose header was translated.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bayesrm.errors import InvalidInputError

QUESTION_ID = re.compile(r"q[a-z2-7]{5}-\d+-(?:[a-z2-7]{7}-)?\d+")
"""What the id of a question looks like in any campaign."""
HEADER_WITHIN = 10
"""Number of rows, from the top, in which a header is looked for."""
LONGEST_CELL = 2**31 - 1
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?")
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Parameters
    ----------
    header
        Its cells, in small letters.
    rows
        What stands below it: the number of each row as a spreadsheet shows it, and its cells.
    ended
        Whether the last row ends as the others do, so that nothing is cut off.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]
    ended: bool = True


def decoded(data: bytes) -> str:
    """UTF-8, UTF-16 where it says so, else what Windows saves as; without NUL, which no table has."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    return text.replace("\0", "")


def find_table(text: str, names: frozenset[str], whole: bool = False) -> Table | None:
    """The table whose header has these names, with whichever delimiter gives one; None where there is none.

    Parameters
    ----------
    text
        The file.
    names
        What the header must have.
    whole
        Whether to refuse a table with a quote that is not closed, as programs never write one.

    Raises
    ------
    InvalidInputError
        Where it is not whole.
    """
    for delimiter in _delimiters(text):
        rows = _rows(text, delimiter)
        for at, (_, row) in enumerate(rows[:HEADER_WITHIN]):
            header = _header(row)
            if names <= set(header):
                if whole:
                    _require_closed(text, delimiter)
                return Table(header, tuple(rows[at + 1 :]), text.endswith(("\n", "\r")))
    return None


def find_by_ids(text: str) -> Table | None:
    """The table that has the most ids of questions in one column; its header can be in any language."""
    best: tuple[int, Table | None] = (0, None)
    for delimiter in _delimiters(text):
        rows = _rows(text, delimiter)
        first = next((at for at, (_, row) in enumerate(rows) if any(map(is_id, row))), None)
        if not first or first > HEADER_WITHIN:
            continue
        table = Table(_header(rows[first - 1][1]), tuple(rows[first:]), text.endswith(("\n", "\r")))
        ids = sum(is_id(cell) for _, row in table.rows for cell in row)
        width = max(len(row) for _, row in table.rows)
        if width > 1 and ids > best[0]:
            best = ids, table
    return best[1]


def has_ids(text: str) -> bool:
    """Whether any cell is the id of a question."""
    return any(is_id(cell) for delimiter in _delimiters(text) for _, row in _rows(text, delimiter) for cell in row)


def _require_closed(text: str, delimiter: str) -> None:
    try:
        with _any_length():
            for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
                pass
    except csv.Error as error:
        raise InvalidInputError(f"expected a whole CSV file, and it is not ({error}): export it again") from error


def is_id(cell: str) -> bool:
    """Whether a cell has the id of a question and nothing else."""
    return QUESTION_ID.fullmatch(cell.strip()) is not None


def _header(row: list[str]) -> tuple[str, ...]:
    return tuple(name.strip().casefold() for name in row)


def _delimiters(text: str) -> str:
    said = _SEPARATOR_LINE.match(text)
    return said[1] if said else _DELIMITERS


def _rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """All rows that have something in them, numbered from 1."""
    with _any_length():
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            rows = [(number, row) for number, row in enumerate(reader, start=1) if any(map(str.strip, row))]
        except csv.Error:
            return []
    return rows[1:] if rows and _SEPARATOR_LINE.match(text) else rows


@contextmanager
def _any_length() -> Iterator[None]:
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
