"""Columns of numbers in a source of texts, as covariates of its responses."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm.data.sources import SheetRow, read_rows
from bayesrm.data.texts import Texts
from bayesrm.errors import InvalidInputError


def read_covariates(
    source: str, texts: Texts, columns: Sequence[str], split: str | None = None, config: str | None = None
) -> dict[str, Float[np.ndarray, "response"]]:
    """Numbers that a source has for its responses, by the row in which each response came first.

    Parameters
    ----------
    source, split, config
        What the texts were read from.
    texts
        What :func:`~bayesrm.data.texts.read_texts` made of it.
    columns
        Names of columns. A number is for every response of its row, a list has one for each of them, in their order.

    Raises
    ------
    InvalidInputError
        Where there is no such column, or a response has no number in it.
    """
    found = {column: np.full(len(texts), np.nan) for column in columns}
    if not found:
        return found
    responses: dict[int, list[int]] = defaultdict(list)
    for response, row in enumerate(texts.row.tolist()):
        responses[row].append(response)
    for number, row in read_rows(source, split, config):
        own = responses.get(number)
        if own is None or isinstance(row, InvalidInputError):
            continue
        for column, values in found.items():
            values[own] = row_numbers(row, column, len(own), number)
    return found


def row_numbers(row: Mapping[str, Any], column: str, count: int, number: int) -> list[float]:
    """The number of each response of a row; InvalidInputError where there is not one for each."""
    if column not in row:
        raise InvalidInputError(
            f"expected a column {column} for a covariate in row {number}, got {', '.join(map(str, row)) or 'none'}"
        )
    value = row[column]
    comma = isinstance(value, str) and value.count(",") == 1
    if comma and isinstance(row, SheetRow) and row.decimal_comma:
        value = value.replace(",", ".")
    several = list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * count
    if len(several) != count:
        raise InvalidInputError(
            f"expected one number for each of the {count} responses in the column {column} of row {number}, got "
            f"{len(several)}"
        )
    try:
        numbers = [math.nan if isinstance(one, bool | None) else float(one) for one in several]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        advice = "write it with a decimal point" if comma else "fill it in"
        raise InvalidInputError(
            f"expected a finite number in the column {column} of row {number}, got {str(value)[:60]!r}: {advice}, or "
            "leave the covariate out"
        )
    return numbers
