"""Files of answers as bytes: packed ones unpacked, and rows of Parquet as a list in JSON, which hand-offs read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from bayesrm.data.sheets import open_file
from bayesrm.data.sources import read_rows
from bayesrm.errors import InvalidInputError

PARQUET = ".parquet"


def read_answers(path: Path) -> bytes:
    """What is in a file that came back.

    Raises
    ------
    InvalidInputError
        Where there is no such file, or it is not whole.
    """
    if suffix_of(path) == PARQUET:
        return as_json(row for _, row in read_rows(str(path)))
    try:
        with open_file(path) as file:
            return file.read()
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"the file {str(path)[-200:]} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from error


def suffix_of(path: Path) -> str:
    """The suffix of a file in small letters, of a packed one that of what is in it."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def as_json(rows: Iterable[Any]) -> bytes:
    """Rows as a list of objects, in which what is missing is null; a row that cannot be read is null itself."""
    return json.dumps([None if isinstance(row, InvalidInputError) else _plain(row) for row in rows]).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (float, Decimal)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (date, time)):  # moments are dates, too
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, UUID) else value
