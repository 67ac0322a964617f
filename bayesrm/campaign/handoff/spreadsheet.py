"""CSV for spreadsheets: one row a question, to be filled in under ``answer``; of a list a column for each response.

Written as UTF-8 with a byte-order mark and CRLF, which spreadsheets open as they should. A cell that begins with what
they would take for a formula gets an apostrophe before it. Read back with any of the delimiters and encodings in which
they save, below a line ``sep=;`` or a title, and under a header that somebody translated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer, Sheet, parse_answer
from bayesrm.campaign.handoff.rankings import parse_ranking
from bayesrm.campaign.handoff.tables import Table, decoded, find_by_ids, find_table, has_ids, is_id
from bayesrm.campaign.handoff.words import side_of
from bayesrm.campaign.rankings import LETTERS
from bayesrm.errors import InvalidInputError
from bayesrm.utils.csv_cells import CellWriter, unharmed
from bayesrm.utils.files import replacing

COLUMNS = ("question", "prompt", "left", "right", "answer", "annotator", "comment")
BESIDE = tuple(name for name in COLUMNS if name not in ("left", "right"))
"""The columns of lists beside those of their responses."""
TEXTS = ("prompt", "left", "right", *LETTERS.lower())


class Spreadsheet(HandOff):
    """A table to fill in: left, right, tie or skip under ``answer``, or a ranking of A, B, C and so on."""

    name: ClassVar[str] = "csv"
    order: ClassVar[int] = 10
    longest_text: ClassVar[int | None] = 32_767
    identifies_annotators: ClassVar[bool] = False
    filled_in: ClassVar[bool] = True
    next_step: ClassVar[str] = (
        "Fill in left, right, tie or skip under answer, save, and: bayesrm campaign tell {directory} FILE"
    )
    grade_step: ClassVar[str | None] = (
        "Fill in under answer how much better one is, such as left much better (L3 of seven points, L2 of five), right "
        "slightly better (R1), about equal or skip; save, and: bayesrm campaign tell {directory} FILE"
    )
    rank_step: ClassVar[str | None] = (
        "Fill in a ranking under answer, such as B > A = D > C with = for ties, B alone for the best, B ... C for the "
        "best and the worst, tie or skip; save, and: bayesrm campaign tell {directory} FILE"
    )

    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """One file."""
        path = stem.with_name(f"{stem.name}.csv")
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8-sig", newline="") as file:
            writer = CellWriter(file, line_end="\r\n")
            writer.row(_columns_of(len(sheets[0].responses) if sheets else 0))
            for sheet in sheets:
                writer.row((sheet.question.id, *sheet.texts.values(), "", sheet.annotator, ""))
        return [path]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """By its suffix, by a header with question and answer, or by a column of ids of questions."""
        return suffix in (".csv", ".tsv", ".txt") or _table(data) is not None

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """An answer for each row; columns are found by their names, or by their content."""
        table = _table(data)
        if table is None and not has_ids(decoded(data)):
            raise InvalidInputError(
                "expected a sheet of a campaign or a data set of labels, and this is neither: no cell has the id of a "
                "question, which ask writes, and the columns are not those of labels; call them prompt, response_a, "
                "response_b and winner, or prompt, chosen and rejected, in the first row"
            )
        if table is None:
            raise InvalidInputError(
                "expected a table with the columns question and answer in its first row, as ask writes it, and there "
                "is none: keep the first row when you fill it in"
            )
        columns = _columns(table)
        return [self._answer(number, row, table, columns) for number, row in table.rows]

    def _answer(
        self, number: int, row: list[str], table: Table, columns: Mapping[str, int]
    ) -> ParsedAnswer | Broken:
        place = f"row {number}"
        cells = {name: unharmed(row[at]) for name, at in columns.items() if at < len(row)}
        if any(cell.strip() for cell in row[len(table.header) :]):
            return Broken(
                place,
                f"expected {len(table.header)} cells, got {len(row)}, so that no column is sure: a text is without the "
                "quotes around it",
                question=cells.get("question", "").strip(),
            )
        if not table.ended and number == table.rows[-1][0] and "answer" not in cells:
            return Broken(
                place,
                "the file ends within this row: it was cut off, so copy or save it again and tell that",
                question=cells.get("question", "").strip(),
            )
        shown: dict[str, Any] = {name: cells[name] for name in TEXTS if cells.get(name, "").strip()}
        if not set(TEXTS) & set(columns):
            used = set(columns.values())
            shown["cells"] = tuple(
                unharmed(cell) for at, cell in enumerate(row) if at not in used and cell.strip()
            )
        question, words, who, when, comment = (
            cells.get(name, "") for name in ("question", "answer", "annotator", "answered", "comment")
        )
        return parse_answer(place, question, words, who, when, comment, shown)


def _columns_of(members: int) -> tuple[str, ...]:
    """The columns of a sheet: of lists of this many responses, or of pairs."""
    return COLUMNS if members == 0 else (*BESIDE[:2], *LETTERS[:members], *BESIDE[2:])


def _table(data: bytes) -> Table | None:
    text = decoded(data)
    return find_table(text, frozenset({"question", "answer"})) or find_by_ids(text)


def _columns(table: Table) -> dict[str, int]:
    """Where each column is: by its name; where the header was translated, as ask wrote them or by what they have.

    Raises
    ------
    InvalidInputError
        Where no column can be the answers.
    """
    known = {*COLUMNS, *TEXTS, "answered"}
    columns = {name: at for at, name in reversed(list(enumerate(table.header))) if name in known}
    if {"question", "answer"} <= set(columns):
        return columns
    rows = [row for _, row in table.rows]
    width = max(map(len, rows))
    columns["question"] = max(range(width), key=lambda at: sum(is_id(cell) for cell in _column(rows, at)))
    if "answer" in columns:
        return columns
    members = len(table.header) - len(BESIDE)
    written = [name.lower() for name in _columns_of(members if members > len(COLUMNS) - len(BESIDE) else 0)]
    as_written = columns == {name: written.index(name) for name in columns if name in written}
    if as_written and len(table.header) == len(written):
        return {name: at for at, name in enumerate(written)}
    likely = [at for at in range(width) if at not in columns.values() and _are_answers(_column(rows, at))]
    if len(likely) != 1:
        raise InvalidInputError(
            f"expected a column answer beside the ids of questions, and the header has {', '.join(table.header)}: "
            "call the column with the answers answer"
        )
    return columns | {"answer": likely[0]}


def _column(rows: Sequence[Sequence[str]], at: int) -> list[str]:
    return [row[at] for row in rows if at < len(row)]


def _are_answers(cells: Sequence[str]) -> bool:
    """Whether all that stands in a column are words for sides."""
    return any(_all_read(cells, read) for read in (side_of, lambda cell: parse_ranking(cell, len(LETTERS))))


def _all_read(cells: Sequence[str], read: Callable[[str], object]) -> bool:
    try:
        return bool({read(cell) for cell in cells} - {None})
    except ValueError:
        return False
