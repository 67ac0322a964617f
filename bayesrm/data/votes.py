"""Recorded votes: what people said of pairs before anybody thought of a design, several votes a pair."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int64

from bayesrm.data.preferences import PREFERENCES
from bayesrm.data.unpacking import require_parquet
from bayesrm.data.values import optional_person
from bayesrm.errors import InvalidInputError
from bayesrm.types import Comparisons, Preferences, ResponsePool, as_index, require_within
from bayesrm.utils.checked import checked

VOTES = "votes.parquet"
"""The file of votes in a pool directory; without it, ``preferences.parquet`` is read."""
REQUIRED = ("first", "second", "outcome")


@dataclass(frozen=True, eq=False)
class Votes(Preferences):
    """Recorded votes on pairs of a pool; the same pair may have any number of them, in either orientation.

    Parameters
    ----------
    first, second : (vote,) int array
        Indices into the pool.
    outcome : (vote,) float array
        1 where the first was preferred, 0 where the second was, ½ for a tie.
    annotator : (vote,) array, optional
        Who voted.
    weight : array_like of float, optional
    choice : array_like of int, optional
        As of :class:`Preferences`.

    See Also
    --------
    load_votes : Read them from a file.
    ReplayAnnotator : An annotator that answers with them.

    Examples
    --------
    >>> import bayesrm as brm
    >>> votes = brm.Votes(np.array([0, 1, 0]), np.array([1, 0, 2]), np.array([1, 0, 0.5]))
    >>> votes.pairs.first, votes.pairs.second
    (array([0, 0]), array([1, 2]))
    """

    @property
    def pairs(self) -> Comparisons:
        """The different pairs that were voted on, the lower index first, ascending."""
        ends = np.unique(self._ends(), axis=0)
        return Comparisons(ends[:, 0], ends[:, 1])

    @checked
    def consensus(self, pool: ResponsePool) -> Float[np.ndarray, "response"]:
        """(response,) the mean vote for each response over its pairs; NaN where it has no vote.

        A response's vote on a pair is the mean of the votes on that pair, so that pairs count alike however many
        votes they have. Only where every pair of a prompt was voted on do these order the responses to it.
        """
        require_within(self, pool)
        ends, pair = np.unique(self._ends(), axis=0, return_inverse=True)
        towards_first = np.where(self.first < self.second, self.outcome, 1 - self.outcome)
        pair = pair.reshape(-1)
        share = np.bincount(pair, towards_first, len(ends)) / np.bincount(pair, minlength=len(ends))
        members = np.concatenate([ends[:, 0], ends[:, 1]])
        total = np.bincount(members, np.concatenate([share, 1 - share]), len(pool))
        count = np.bincount(members, minlength=len(pool))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    @checked
    def of_prompts(self, pool: ResponsePool, prompts: Int64[np.ndarray, "prompt"]) -> Votes:
        """The votes on pairs whose responses both answer one of these prompts (positions in ``pool.prompts``)."""
        require_within(self, pool)
        prompts = as_index(prompts, "prompts")
        if len(prompts) and prompts.max() >= pool.n_prompts:
            raise InvalidInputError(
                f"expected positions below {pool.n_prompts}, the number of prompts in the pool, got {prompts.max()}"
            )
        kept = np.isin(pool.group[self.first], prompts) & np.isin(pool.group[self.second], prompts)
        return self[kept]

    def __getitem__(self, index: Any) -> Votes:
        """The votes at a slice, an index array, a mask or one position."""
        part = super().__getitem__(index)
        return Votes(part.first, part.second, part.outcome, part.annotator, part.weight, part.choice)

    def _ends(self) -> Int64[np.ndarray, "vote 2"]:
        return np.sort(np.stack([self.first, self.second], axis=1), axis=1)


def read_votes(path: str | os.PathLike[str]) -> Votes:
    """Votes of a table, or of a pool directory, with row numbers of the pool; see :func:`bayesrm.load_votes`.

    Raises
    ------
    InvalidInputError
        Where there is no such file, it cannot be read, lacks a column, or has no votes in it.
    """
    file = Path(path)
    if file.is_dir():
        named = [file / name for name in (VOTES, PREFERENCES)]
        file = next((candidate for candidate in named if candidate.exists()), named[0])
    if not file.is_file():
        raise InvalidInputError(f"expected votes in {file}, but it does not exist")
    table = _read(file)
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        raise InvalidInputError(
            f"expected the columns first, second and outcome in {file}, got {', '.join(map(str, table.columns))}: "
            "first and second are row numbers of the pool's responses, outcome is 1, 0 or 0.5"
        )
    if len(table) == 0:
        raise InvalidInputError(f"expected votes in {file}, got none")
    for name in REQUIRED:
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.isna().any():
            row = int(np.flatnonzero(numbers.isna())[0])
            raise InvalidInputError(
                f"expected a number in the column {name} of {file}, got {table[name].iloc[row]!r} in vote {row + 1}"
            )
        table[name] = numbers
    ends = {name: table[name].to_numpy(np.float64) for name in ("first", "second")}
    for name, values in ends.items():
        if (values != np.floor(values)).any():
            raise InvalidInputError(f"expected whole row numbers in the column {name} of {file}")
    annotator = None
    if "annotator" in table and not table["annotator"].isna().all():
        column = table["annotator"]
        # pandas makes numbers with a decimal point of ids beside missing ones.
        as_is = pd.api.types.is_integer_dtype(column) and not column.isna().any()
        annotator = column.to_numpy() if as_is else np.array([optional_person(each) or "" for each in column])
    return Votes(
        ends["first"].astype(np.int64),
        ends["second"].astype(np.int64),
        table["outcome"].to_numpy(np.float64),
        annotator=annotator,
    )


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.suffix == ".parquet":
            require_parquet(file)
            return pd.read_parquet(file)
        if file.suffix == ".csv":
            return pd.read_csv(file)
        if file.suffix in (".jsonl", ".ndjson"):
            return pd.read_json(file, lines=True, dtype=False)
    except InvalidInputError:
        raise
    except (pa.ArrowException, ValueError, OSError, pd.errors.ParserError) as error:
        raise InvalidInputError(f"{file} cannot be read as votes ({error}): copy or write it again") from error
    raise InvalidInputError(f"expected votes as .parquet, .csv or .jsonl, got {file}")
