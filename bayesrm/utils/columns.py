"""Named columns of a pool: the blocks that tile an embedding, and the covariates beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm.errors import InvalidInputError
from bayesrm.utils.arrays import as_numbers
from bayesrm.utils.checked import kind_of, require
from bayesrm.utils.wording import told

ONE_BLOCK = "embedding"
"""The name of the block of an embedding that has no others."""
RESERVED = frozenset({"covariates", "features", "intercept", "kernel", "linear", "mixed", "mlp"})
"""Names that blocks of the last layer have."""
_NAMED = kind_of(Mapping[Any, Any] | None)
_NAME = re.compile(r"[^\s,/\x00-\x1f]([^,/\x00-\x1f]*[^\s,/\x00-\x1f])?")


def as_blocks(blocks: Mapping[Any, Any] | None, dim: int) -> dict[str, slice]:
    """Blocks of an embedding, in the order of its columns.

    Parameters
    ----------
    blocks
        Name → slice, or (start, stop); none for one block.
    dim
        The number of columns, which the blocks must tile.

    Raises
    ------
    InvalidInputError
        Where a name cannot be used, or the blocks overlap or leave columns out.
    """
    require("blocks", blocks, _NAMED)
    if not blocks:
        return {ONE_BLOCK: slice(0, dim)}
    checked = {name: _as_slice(name, where) for name, where in blocks.items()}
    ordered = dict(sorted(checked.items(), key=lambda block: block[1].start))
    expected = 0
    for name, where in ordered.items():
        _require_name(name, "block")
        if where.start != expected or where.stop <= where.start:
            raise InvalidInputError(
                f"expected blocks that tile the {dim} columns of the embedding, one beginning where the one before "
                f"ends, got {name!r} at {where.start}:{where.stop} where column {expected} is next"
            )
        expected = where.stop
    if expected != dim:
        raise InvalidInputError(
            f"expected blocks that tile the {dim} columns of the embedding, got blocks that end at column {expected}"
        )
    return ordered


def as_covariates(covariates: Mapping[Any, Any] | None, responses: int) -> dict[str, Float[np.ndarray, "_"]]:
    """Covariates of responses, each one float64 number a response.

    Raises
    ------
    InvalidInputError
        Where a name cannot be used, or a column is not one finite number a response.
    """
    require("covariates", covariates, _NAMED)
    checked: dict[str, np.ndarray] = {}
    for name, values in (covariates or {}).items():
        _require_name(name, "covariate")
        column = as_numbers(f"the covariate {name!r}", values)
        if column.shape != (responses,):
            raise InvalidInputError(
                f"expected one number for each of the {responses} responses in the covariate {name!r}, got shape "
                f"{column.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            raise InvalidInputError(
                f"expected finite numbers in the covariate {name!r}, got NaN or infinity for {len(bad)} of {responses} "
                f"responses (the first is response {bad[0]}): fill them in or leave the covariate out"
            )
        checked[name] = column
    return checked


def _as_slice(name: Any, where: Any) -> slice:
    start, stop, step = (where.start, where.stop, where.step) if isinstance(where, slice) else (None, None, None)
    if isinstance(where, tuple | list) and len(where) == 2:
        start, stop = where
    if not (isinstance(start, int) and isinstance(stop, int) and step in (None, 1)):
        raise InvalidInputError(
            f"expected the block {name!r} as slice(start, stop) of the embedding's columns, got {told(where)}"
        )
    return slice(int(start), int(stop))


def _require_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
        raise InvalidInputError(
            f"expected the name of a {what} to be a text without commas and slashes, and none of "
            f"{', '.join(sorted(RESERVED))}, got {told(name)}"
        )
