"""Rows of JSON Lines, JSON, CSV, Parquet, and of data sets of the hub, with their numbers, also the broken ones.

Numbers count from 1 as an editor or a spreadsheet shows them: lines of JSON Lines, rows of a sheet whose first is its
header, records otherwise.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.data.sheets import SheetRow, SourceRow, open_file, read_sheet
from bayesrm.data.unpacking import require_parquet
from bayesrm.errors import InvalidInputError

__all__ = ["SheetRow", "SourceRow", "read_rows"]

ROWS_AT_ONCE = 1024


def read_rows(
    source: str, split: str | None = None, config: str | None = None, notes: list[str] | None = None
) -> Iterator[SourceRow]:
    """Rows of a source, each with its number; a row that cannot be read is an error in its place.

    Parameters
    ----------
    source
        A file (.jsonl, .json, .csv, .tsv or .parquet; .gz is unpacked), a folder of such files, a folder that
        ``Dataset.save_to_disk`` wrote, or the name of a data set on the hub.
    split, config
        Of a data set of the hub; the split is ``train`` where nobody says.
    notes
        A list to which is added how files were read, where that had to be decided.

    Raises
    ------
    InvalidInputError
        Where there is no such source, or it is of another kind.
    """
    notes = [] if notes is None else notes
    path = Path(source)
    try:
        path.exists()
    except OSError as error:
        raise InvalidInputError(f"expected the name of a file, got {source:.60}… ({error.strerror})") from error
    if path.is_dir():
        if any((path / name).exists() for name in ("dataset_info.json", "dataset_dict.json")):
            return _data_set(source, split, config)
        files = sorted(file for file in path.iterdir() if _reader(file) is not None)
        if not files:
            raise InvalidInputError(
                f"expected files in JSON Lines, JSON, CSV, TSV or Parquet in the folder {path}, and there are none"
            )
        return _one_after_the_other(files, notes)
    if path.exists():
        reader = _reader(path)
        if reader is None:
            raise InvalidInputError(f"expected a file named {', '.join(_READERS)}, got {path}")
        return _read(reader, path, notes)
    if _reader(path) is not None or source.count("/") > 1 or source.startswith("."):
        raise InvalidInputError(f"expected a file of texts, and {path} does not exist")
    return _data_set(source, split, config)


def _one_after_the_other(files: list[Path], notes: list[str]) -> Iterator[SourceRow]:
    number = 0
    for file in files:
        reader = _reader(file)
        assert reader is not None
        for _, row in _read(reader, file, notes):
            number += 1
            yield number, row


def _read(
    reader: Callable[[Path, list[str]], Iterator[SourceRow]], path: Path, notes: list[str]
) -> Iterator[SourceRow]:
    try:
        yield from reader(path, notes)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError(
            f"expected a whole file, but {path} cannot be read to its end ({error}): copy or write it again"
        ) from error


def _reader(path: Path) -> Callable[[Path, list[str]], Iterator[SourceRow]] | None:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return _READERS.get(suffix.lower())


def _json_lines(path: Path, notes: list[str]) -> Iterator[SourceRow]:
    with open_file(path) as file:
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


def _json(path: Path, notes: list[str]) -> Iterator[SourceRow]:
    """An array of objects; many files that are called .json are JSON Lines."""
    with open_file(path) as file:
        beginning = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not beginning.startswith(b"["):
        yield from _json_lines(path, notes)
        return
    with open_file(path) as file:
        try:
            rows = json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"expected JSON in {path}, and it is damaged ({error})") from error
    for number, row in enumerate(rows, 1):
        yield number, row if isinstance(row, dict) else InvalidInputError("expected an object with columns")


def _parquet(path: Path, notes: list[str]) -> Iterator[SourceRow]:
    number = 0
    try:
        require_parquet(path)
        with pq.ParquetFile(path, memory_map=True) as file:
            names = file.schema_arrow.names
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InvalidInputError(
                    f"expected columns of different names in {path}, got {', '.join(twice)} twice"
                )
            for batch in file.iter_batches(ROWS_AT_ONCE):
                for at in range(batch.num_rows):
                    number += 1
                    yield number, _record(batch, at)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
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


_READERS: dict[str, Callable[[Path, list[str]], Iterator[SourceRow]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": read_sheet,
    ".tsv": read_sheet,
    ".parquet": _parquet,
}
