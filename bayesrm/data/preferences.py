"""``preferences.parquet``: labels beside the pool whose responses they are about."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from bayesrm.data.unpacking import require_parquet
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences
from bayesrm.utils.files import replacing

PREFERENCES = "preferences.parquet"


def save_preferences(
    path: str | os.PathLike[str], preferences: Preferences, margin: Float[np.ndarray, "comparison"] | None = None
) -> None:
    """Write labels as Parquet: first, second, outcome, and annotator, weight and choice where there are some.

    Parameters
    ----------
    path
        The file, or the directory of the pool that the labels are about.
    preferences
        The labels.
    margin
        (comparison,) by how much the preferred answer was better, kept for whoever wants it; no likelihood uses it.
    """
    columns = {"first": preferences.first, "second": preferences.second, "outcome": preferences.outcome}
    for name in ("annotator", "weight", "choice"):
        if getattr(preferences, name) is not None:
            columns[name] = getattr(preferences, name)
    if margin is not None:
        columns["margin"] = margin
    table = pa.table({name: pa.array(values.tolist() or values) for name, values in columns.items()})
    with replacing(_file(path)) as temporary:
        pq.write_table(table, temporary)


def load_preferences(path: str | os.PathLike[str]) -> Preferences:
    """Read labels that ``save_preferences`` wrote.

    Parameters
    ----------
    path
        The file, or the directory of the pool that the labels are about.

    Raises
    ------
    InvalidInputError
        Where the file is missing or corrupt, or what is in it is no labels.
    """
    file = _file(path)
    if not file.exists():
        raise InvalidInputError(f"expected labels in {file}, but it does not exist")
    try:
        require_parquet(file)
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"expected a whole Parquet file, but {file} cannot be read ({error}): copy or write it again"
        ) from error
    missing = [name for name in ("first", "second", "outcome") if name not in table.column_names]
    if missing:
        raise InvalidInputError(
            f"expected the columns first, second and outcome in {file}, got {', '.join(table.column_names)}"
        )
    columns = {
        name: table.column(name).to_numpy()
        for name in ("first", "second", "outcome", "annotator", "weight", "choice")
        if name in table.column_names
    }
    return Preferences(**columns)


def _file(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path / PREFERENCES if path.is_dir() else path
