"""``preferences.parquet``: labels beside the pool whose responses they are about."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from bayesrm.data.strengths import MOST_SIZES
from bayesrm.data.unpacking import require_parquet
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences
from bayesrm.utils.files import replacing
from bayesrm.utils.wording import told

PREFERENCES = "preferences.parquet"


def save_preferences(
    path: str | os.PathLike[str],
    preferences: Preferences,
    margin: Float[np.ndarray, "comparison"] | None = None,
    grade: Float[np.ndarray, "comparison"] | None = None,
) -> None:
    """Write labels as Parquet: first, second, outcome, and annotator, weight and choice where there are some.

    Parameters
    ----------
    path
        The file, or the directory of the pool that the labels are about.
    preferences
        The labels.
    margin
        (comparison,) by how much the preferred answer was better, in the unit of whoever said it.
    grade
        (comparison,) the same as a grade, from 0 to 1 where the first is better by all that the scale has; NaN where
        it is not known. ``load_preferences`` with ``graded`` takes it for the outcome.
    """
    columns = {"first": preferences.first, "second": preferences.second, "outcome": preferences.outcome}
    for name in ("annotator", "weight", "choice"):
        if getattr(preferences, name) is not None:
            columns[name] = getattr(preferences, name)
    if margin is not None:
        columns["margin"] = margin
    if grade is not None:
        columns["grade"] = grade
    table = pa.table({name: pa.array(values.tolist() or values) for name, values in columns.items()})
    with replacing(_file(path)) as temporary:
        pq.write_table(table, temporary)


def load_preferences(path: str | os.PathLike[str], graded: bool = False) -> Preferences:
    """Read labels that ``save_preferences`` wrote.

    Parameters
    ----------
    path
        The file, or the directory of the pool that the labels are about.
    graded
        Whether outcomes are to be grades, for ``likelihood="graded"``; labels without a grade are left out.

    Raises
    ------
    InvalidInputError
        Where the file is missing or corrupt, what is in it is no labels, or no label has a grade.
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
        for name in ("first", "second", "annotator", "choice")
        if name in table.column_names
    }
    numbers = {
        name: load_column(table, name, file) for name in ("outcome", "weight") if name in table.column_names
    }
    try:
        labels = Preferences(**columns, **numbers)
    except InvalidInputError as error:
        raise InvalidInputError(f"the columns of {file} are no labels: {error}") from error
    if not graded:
        return labels
    grade = load_column(table, "grade", file)
    return with_grades(labels, grade, str(file))


def load_column(table: pa.Table, name: str, file: Path) -> Float[np.ndarray, "comparison"]:
    """A column of numbers; NaN where there are none.

    Raises
    ------
    InvalidInputError
        Where a value is no number; it names the file.
    """
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table.column(name).to_numpy()
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    numbers = np.empty(len(column))
    for at, value in enumerate(column.tolist()):
        try:
            numbers[at] = np.nan if value is None else float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"expected numbers in the column {name} of {file}, got {told(value)} in row {at + 1}"
            ) from error
    return numbers


def with_grades(labels: Preferences, grade: Float[np.ndarray, "comparison"], source: str) -> Preferences:
    """The labels that have a grade, with it for the outcome.

    Raises
    ------
    InvalidInputError
        Where none has one.
    """
    known = np.flatnonzero(~np.isnan(grade))
    if not len(known):
        raise InvalidInputError(
            f"expected grades, how much better one answer is, in {source}, and no label has one: margins of at most "
            f"{MOST_SIZES} sizes are grades, and preferences such as HelpSteer3's from -3 to 3; leave graded out for "
            "which one is better alone"
        )
    return replace(labels[known], outcome=grade[known])


def _file(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path / PREFERENCES if path.is_dir() else path
