"""Rows of JSON Lines, JSON, CSV, Parquet, and of data sets of the hub, with their numbers, also the broken ones.

Numbers count from 1 as an editor or a spreadsheet shows them: lines of JSON Lines, rows of a sheet whose first is its
header, records otherwise.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.errors import InvalidInputError

SourceRow = tuple[int, Mapping[str, Any] | InvalidInputError]
LONGEST_CELL = 2**27
ROWS_AT_ONCE = 1024


def read_rows(source: str, split: str | None = None, config: str | None = None) -> Iterator[SourceRow]:
    """Rows of a source, each with its number; a row that cannot be read is an error in its place.

    Parameters
    ----------
    source
        A file (.jsonl, .json, .csv or .parquet; .gz is unpacked), a folder of such files, a folder that
        ``Dataset.save_to_disk`` wrote, or the name of a data set on the hub.
    split, config
        Of a data set of the hub; the split is ``train`` where nobody says.

    Raises
    ------
    InvalidInputError
        Where there is no such source, or it is of another kind.
    """
    path = Path(source)
    if path.is_dir():
        if any((path / name).exists() for name in ("dataset_info.json", "dataset_dict.json")):
            return _data_set(source, split, config)
        files = sorted(file for file in path.iterdir() if _reader(file) is not None)
        if not files:
            raise InvalidInputError(
                f"expected files in JSON Lines, JSON, CSV or Parquet in the folder {path}, and there are none"
            )
        return _one_after_the_other(files)
    if path.exists():
        reader = _reader(path)
        if reader is None:
            raise InvalidInputError(f"expected a file named {', '.join(_READERS)}, got {path}")
        return reader(path)
    if _reader(path) is not None or source.count("/") > 1 or source.startswith("."):
        raise InvalidInputError(f"expected a file of texts, and {path} does not exist")
    return _data_set(source, split, config)


def _one_after_the_other(files: list[Path]) -> Iterator[SourceRow]:
    number = 0
    for file in files:
        reader = _reader(file)
        assert reader is not None
        for _, row in reader(file):
            number += 1
            yield number, row


def _reader(path: Path) -> Callable[[Path], Iterator[SourceRow]] | None:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return _READERS.get(suffix.lower())


def _open(path: Path) -> io.BufferedIOBase:
    try:
        return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")
    except OSError as error:
        raise InvalidInputError(f"expected a file that can be read, got {path} ({error.strerror})") from error


def _json_lines(path: Path) -> Iterator[SourceRow]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, _json_object(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _json_object(line: bytes) -> Mapping[str, Any] | InvalidInputError:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return InvalidInputError(
            f"expected UTF-8, got the byte {line[error.start]:#04x} at position {error.start}"
        )
    except (ValueError, RecursionError) as error:
        return InvalidInputError(f"expected JSON ({error})")
    return (
        row if isinstance(row, dict) else InvalidInputError("expected an object with columns, got something else")
    )


def _json(path: Path) -> Iterator[SourceRow]:
    """An array of objects; many files that are called .json are JSON Lines."""
    with _open(path) as file:
        beginning = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not beginning.startswith(b"["):
        yield from _json_lines(path)
        return
    with _open(path) as file:
        try:
            rows = json.loads(file.read().decode("utf-8-sig"))
        except ValueError as error:
            raise InvalidInputError(f"expected JSON in {path}, and it is damaged ({error})") from error
    for number, row in enumerate(rows, 1):
        yield number, row if isinstance(row, dict) else InvalidInputError("expected an object with columns")


def _csv(path: Path) -> Iterator[SourceRow]:
    csv.field_size_limit(LONGEST_CELL)
    with _open(path) as file:
        # What is no UTF-8 becomes half characters, and the row that has them is refused as one.
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        reader = csv.reader(lines, strict=True)
        try:
            header = [name.removeprefix("\ufeff").strip() for name in next(reader, [])]
            for number, cells in enumerate(reader, 2):
                if not cells:
                    continue
                if len(cells) != len(header):
                    yield number, InvalidInputError(f"expected {len(header)} cells, got {len(cells)}")
                else:
                    yield number, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise InvalidInputError(
                f"expected CSV with commas and double quotes in {path}, and line {reader.line_num} is none ({error})"
            ) from error


def _parquet(path: Path) -> Iterator[SourceRow]:
    number = 0
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                for at in range(batch.num_rows):
                    number += 1
                    yield number, _record(batch, at)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"expected a whole Parquet file, but {path} cannot be read ({error}): copy or write it again"
        ) from error


def _record(batch: pa.RecordBatch, at: int) -> Mapping[str, Any] | InvalidInputError:
    try:
        return {name: batch.column(name)[at].as_py() for name in batch.schema.names}
    except UnicodeDecodeError as error:
        return InvalidInputError(f"expected UTF-8 ({error})")


def _data_set(source: str, split: str | None, config: str | None) -> Iterator[SourceRow]:
    try:
        import datasets
    except ImportError as error:
        raise InvalidInputError(
            f"there is no file {source}; to look for a data set of that name on the hub, install bayesrm[hub]"
        ) from error
    try:
        if Path(source).is_dir():
            found: Any = datasets.load_from_disk(source)
        else:
            found = datasets.load_dataset(source, config, split=split or "train")
    except Exception as error:  # whatever the hub's client and its network raise
        reason = " ".join(str(error).split())[:200]
        raise InvalidInputError(
            f"expected a file, or the name of a data set on the hub with its --config and --split, got {source} "
            f"({reason})"
        ) from error
    if isinstance(found, dict):
        if (split or "train") not in found:
            raise InvalidInputError(f"expected a split of {source} ({', '.join(found)}), got {split or 'train'}")
        found = found[split or "train"]
    return _records(found)


def _records(rows: Any) -> Iterator[SourceRow]:
    yield from enumerate(rows, 1)


_READERS: dict[str, Callable[[Path], Iterator[SourceRow]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
