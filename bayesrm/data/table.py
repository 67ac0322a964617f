"""``responses.parquet``: one row a response. Prompt labels are read when opened, texts only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.data.unpacking import require_parquet
from bayesrm.errors import InvalidInputError

ROWS_AT_ONCE = 16_384


class ParquetTexts(Sequence[str]):
    """A text column of a Parquet file, read when an item of it is first asked for; a missing text is "".

    Parameters
    ----------
    path
        The file.
    column
        The name of the column.
    length
        Its number of rows.
    """

    def __init__(self, path: Path, column: str, length: int) -> None:
        self._path, self._name, self._length = path, column, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [text or "" for text in self._column[index].to_pylist()]
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected a text below {len(self)}, got {index}")
        return self._column[int(index) % len(self)].as_py() or ""

    def __iter__(self) -> Iterator[str]:
        if "_column" in vars(self):
            for start in range(0, len(self), ROWS_AT_ONCE):
                yield from self[start : start + ROWS_AT_ONCE]
            return
        # Whoever goes through all of them once need not have them all in memory.
        with _reading(self._path):
            require_parquet(self._path, (self._name,))
            file = pq.ParquetFile(self._path, memory_map=True)
            for part in file.iter_batches(ROWS_AT_ONCE, columns=[self._name]):
                yield from (text or "" for text in part.column(0).to_pylist())

    @cached_property
    def _column(self) -> Any:
        with _reading(self._path):
            require_parquet(self._path, (self._name,))
            return pq.ParquetFile(self._path, memory_map=True).read(columns=[self._name]).column(0)


def read_table(path: Path) -> tuple[np.ndarray, ParquetTexts | None]:
    """(response,) prompt labels, and the texts of the ``response`` column where there is one.

    Raises
    ------
    InvalidInputError
        Where the file is missing or corrupt, or has no usable ``prompt_id``.
    """
    if not path.exists():
        raise InvalidInputError(
            f"expected the file {path} with the prompt of each response, but it does not exist"
        )
    with _reading(path):
        require_parquet(path, ("prompt_id",))
        file = pq.ParquetFile(path, memory_map=True)
        schema = file.schema_arrow
        if "prompt_id" not in schema.names:
            raise InvalidInputError(
                f"expected a column prompt_id in {path}, got {', '.join(schema.names) or 'no columns'}"
            )
        prompt = _labels(file.read(columns=["prompt_id"]).column(0), path)
    if "response" not in schema.names:
        return prompt, None
    kind = schema.field("response").type
    if not _is_text(kind):
        raise InvalidInputError(f"expected texts in the column response of {path}, got {kind}")
    return prompt, ParquetTexts(path, "response", file.metadata.num_rows)


def write_table(path: Path, prompt: np.ndarray, texts: Sequence[str] | None) -> None:
    """Write prompt labels, and texts as ``response``, block by block.

    Raises
    ------
    InvalidInputError
        Where prompt labels are neither integers nor strings, or a text is not a string.
    """
    if prompt.dtype.kind not in "iuUTO":
        raise InvalidInputError(f"expected prompt labels that are integers or strings, got {prompt.dtype}")
    fields = [("prompt_id", pa.from_numpy_dtype(prompt.dtype) if prompt.dtype.kind in "iu" else pa.string())]
    if texts is not None:
        fields.append(("response", pa.large_string()))
    schema = pa.schema(fields)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(prompt), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            columns = [prompt[block].tolist()] + ([] if texts is None else [list(texts[block])])
            try:
                arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            except pa.ArrowException as error:
                raise InvalidInputError(
                    f"expected prompt labels that are all integers or all strings, and texts of strings ({error})"
                ) from error
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """Every column of a Parquet file as float64, a missing number as NaN.

    Raises
    ------
    InvalidInputError
        Where the file is corrupt, or a column has no numbers.
    """
    with _reading(path):
        require_parquet(path)
        table = pq.read_table(path)
    columns = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise InvalidInputError(f"expected numbers in the column {name} of {path}, got {kind}")
        columns[name] = table.column(name).cast(pa.float64()).to_numpy()
    return columns


def write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of numbers as float64."""
    pq.write_table(pa.table({name: pa.array(column, pa.float64()) for name, column in columns.items()}), path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"expected a whole Parquet file, but {path} cannot be read ({error}): copy or write it again"
        ) from error


def _labels(column: pa.ChunkedArray, path: Path) -> np.ndarray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_integer(column.type) or _is_text(column.type)):
        raise InvalidInputError(f"expected integers or strings as prompt_id in {path}, got {column.type}")
    if column.null_count:
        raise InvalidInputError(
            f"expected a prompt_id for every response in {path}, but {column.null_count} rows have none"
        )
    return np.asarray(column.to_numpy())


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
