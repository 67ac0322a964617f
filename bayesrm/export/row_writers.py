"""Rows with scores, written as they come: JSON Lines, CSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.data.sheets import written_like
from bayesrm.errors import InvalidInputError
from bayesrm.utils.csv_cells import CellWriter

REWARD, SD, LOWER = "reward", "reward_sd", "reward_lower"
PROBABILITY, ERROR = "preference_probability", "reward_error"
Row = dict[str, Any]


class RowWriter(Protocol):
    """Made with a path, the first rows and the source that they come from."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write some."""

    def close(self) -> None:
        """Write what is left."""


class _JSONLines:
    def __init__(self, path: Path, first: Sequence[Row], source: Path) -> None:
        self._file = open(path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed in close

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, default=str)
            with suppress(UnicodeEncodeError):
                line.encode()
                self._file.write(line + "\n")
                continue
            # Half characters, of text that was no UTF-8, have an escape.
            self._file.write(json.dumps(row, default=str) + "\n")

    def close(self) -> None:
        self._file.close()


class _CSV:
    """With the separator and the byte-order mark of the source, where that is CSV too."""

    def __init__(self, path: Path, first: Sequence[Row], source: Path) -> None:
        of_sheet = source.name.removesuffix(".gz").lower().endswith(".csv")
        separator, encoding = written_like(source) if of_sheet else (",", "utf-8")
        self._file = open(path, "w", encoding=encoding, errors="surrogateescape", newline="")  # noqa: SIM115
        self._columns = list(dict.fromkeys(name for row in first for name in row))
        self._writer = CellWriter(self._file, separator=separator)
        self._writer.row(self._columns)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            unknown = sorted(set(row) - set(self._columns))
            if unknown:
                raise InvalidInputError(
                    f"expected the columns {', '.join(self._columns)} in every row, got also {', '.join(unknown)}: "
                    "write .jsonl, where rows can differ"
                )
            self._writer.row([_cell(row.get(name)) for name in self._columns])

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Columns of the source keep their types where it is Parquet; else those of the first few hundred rows."""

    def __init__(self, path: Path, first: Sequence[Row], source: Path) -> None:
        scores = (REWARD, SD, LOWER, PROBABILITY, ERROR)
        if source.suffix == ".parquet":
            fields = list(pq.read_schema(source))
        else:
            names = dict.fromkeys(name for row in first for name in row if name not in scores)
            with _of_one_form():
                fields = list(
                    pa.Table.from_pylist([{name: row.get(name) for name in names} for row in first]).schema
                )
        several = any(isinstance(row[REWARD], list) for row in first)
        for name in scores:
            if name in first[0]:
                number = pa.list_(pa.float64()) if several and name in (REWARD, SD, LOWER) else pa.float64()
                fields.append(pa.field(name, pa.string() if name == ERROR else number))
        self._writer = pq.ParquetWriter(path, pa.schema(fields))

    def write(self, rows: Sequence[Row]) -> None:
        with _of_one_form():
            unknown = sorted({name for row in rows for name in row} - set(self._writer.schema.names))
            if unknown:
                raise pa.ArrowInvalid(f"the columns {', '.join(unknown)} come later only")
            self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._writer.schema))

    def close(self) -> None:
        self._writer.close()


@contextmanager
def _of_one_form() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, UnicodeEncodeError, TypeError) as error:
        raise InvalidInputError(
            f"expected rows that are all of one form, to write Parquet ({error}): write .jsonl, where they can differ"
        ) from error


WRITERS: dict[str, Callable[[Path, Sequence[Row], Path], RowWriter]] = {
    ".jsonl": _JSONLines,
    ".csv": _CSV,
    ".parquet": _Parquet,
}


def _cell(value: Any) -> Any:
    """As a spreadsheet has it: nothing as an empty cell, lists and objects as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
