"""The value types that everything else is built on.

Each is checked once, where it is made; code behind it does not check again. All are frozen; arrays are
NumPy, indices are int64 positions in a :class:`ResponsePool`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike

from bayesrm.errors import InvalidInputError
from bayesrm.utils.arrays import as_array, as_numbers
from bayesrm.utils.checked import checked, kind_of, require
from bayesrm.utils.columns import as_blocks, as_covariates
from bayesrm.utils.labels import as_labels, join_labels, require_labels
from bayesrm.utils.mapped_rows import take_rows
from bayesrm.utils.rankings import choices_of
from bayesrm.utils.wording import counted

EAGER_CHECK_BYTES = 256 * 2**20
"""A pool up to this size is checked for non-finite numbers when made; a larger one as its rows are read."""


_TEXTS, _SEQUENCE = kind_of(Sequence[str]), kind_of(Sequence[Any])


@runtime_checkable
class Pairs(Protocol):
    """Anything with ``first`` and ``second``: indices of responses in a pool."""

    @property
    def first(self) -> Int64[np.ndarray, "pair"]: ...  # noqa: D102
    @property
    def second(self) -> Int64[np.ndarray, "pair"]: ...  # noqa: D102


@runtime_checkable
class Lists(Protocol):
    """Anything with ``lists``: rows of responses to one prompt each, to be ranked."""

    @property
    def lists(self) -> Int64[np.ndarray, "list member"]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class ResponsePool:
    """Responses of language models, as embeddings grouped by prompt. It holds no golden reward.

    Parameters
    ----------
    embeddings : (response, embedding) ndarray of float
        (response, embedding) floating-point array, tensor or memory map; kept as it is and read by rows.
    prompt : ndarray
        (response,) labels: responses with the same label answer the same prompt. Prompts may have different
        numbers of responses, in any order.
    texts : sequence of str, optional
        (response,) strings, optional.
    blocks : mapping of str to slice, optional
        Named parts of the embedding, such as the hidden layers it was put together from: name → slice of its
        columns, which the blocks must tile. Default: one block, "embedding".
    covariates : mapping of str to (response,) ndarray of float, optional
        Named numbers of a response beside its embedding, such as its length: name → (response,) finite numbers.

    Raises
    ------
    InvalidInputError
        Where shapes disagree, the pool is empty, or a number is not finite.

    See Also
    --------
    load_pool : Opens one from disk.
    save_pool : Writes one.

    Examples
    --------
    >>> embeddings = np.random.default_rng(0).standard_normal((6, 4))  # (response, embedding)
    >>> small = brm.ResponsePool(embeddings, prompt=["a", "a", "a", "b", "b", "b"])
    >>> small
    ResponsePool(6 responses of dimension 4 to 2 prompts)
    """

    embeddings: Float[np.ndarray, "response embedding"]
    prompt: np.ndarray
    texts: Sequence[str] | None = None
    blocks: Mapping[str, slice] = field(default_factory=dict)
    covariates: Mapping[str, Float[np.ndarray, "response"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        embeddings = as_array("embeddings", self.embeddings)
        if embeddings.ndim != 2:
            raise InvalidInputError(
                f"expected embeddings of shape (response, embedding), got {embeddings.shape}: "
                "one row a response; an array of prompts × responses × embedding is for load_pool"
            )
        if embeddings.dtype.kind != "f":
            raise InvalidInputError(f"expected floating-point embeddings, got {embeddings.dtype}")
        if embeddings.shape[0] == 0 or embeddings.shape[1] == 0:
            raise InvalidInputError(f"expected a pool with responses, got embeddings of shape {embeddings.shape}")
        prompt = as_array("prompt", self.prompt)
        if prompt.shape != embeddings.shape[:1]:
            raise InvalidInputError(
                f"expected one prompt label for each of the {len(embeddings)} responses, got shape {prompt.shape}"
            )
        if self.texts is not None:
            # Texts that lie in a file are read when they are asked for.
            require(
                "texts", self.texts, _TEXTS if isinstance(self.texts, list | tuple | np.ndarray) else _SEQUENCE
            )
            if len(self.texts) != len(embeddings):
                raise InvalidInputError(f"expected {len(embeddings)} texts, one a response, got {len(self.texts)}")
        require_labels("prompt", "response", prompt)
        object.__setattr__(self, "embeddings", embeddings)
        object.__setattr__(self, "prompt", prompt)
        object.__setattr__(self, "blocks", as_blocks(self.blocks, embeddings.shape[1]))
        object.__setattr__(self, "covariates", as_covariates(self.covariates, len(embeddings)))
        if both := sorted(self.blocks.keys() & self.covariates.keys()):
            raise InvalidInputError(
                f"expected different names for blocks and covariates, got {both[0]!r} for both"
            )
        if embeddings.nbytes <= EAGER_CHECK_BYTES:
            self.rows(np.arange(len(embeddings)))

    def __len__(self) -> int:
        return len(self.embeddings)

    def __repr__(self) -> str:
        blocks = f" in {counted(len(self.blocks), 'block')}" if len(self.blocks) > 1 else ""
        beside = f", covariates {', '.join(self.covariates)}" if self.covariates else ""
        responses, prompts = counted(len(self), "response"), counted(self.n_prompts, "prompt")
        return f"ResponsePool({responses} of dimension {self.dim}{blocks} to {prompts}{beside})"

    @property
    def dim(self) -> int:
        """The dimension p of an embedding."""
        return int(self.embeddings.shape[1])

    @property
    def n_prompts(self) -> int:
        """The number of different prompts."""
        return len(self.prompts)

    @property
    def prompts(self) -> np.ndarray:
        """(prompt,) the different labels, sorted."""
        return self._grouping[0]

    @property
    def group(self) -> Int64[np.ndarray, "response"]:
        """(response,) position of each response's prompt in :attr:`prompts`."""
        return self._grouping[1]

    @cached_property
    def members(self) -> list[Int64[np.ndarray, "member"]]:
        """For each prompt the indices of its responses, ascending."""
        order = np.argsort(self.group, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.group, minlength=self.n_prompts))[:-1])

    @cached_property
    def _grouping(self) -> tuple[np.ndarray, np.ndarray]:
        labels, group = np.unique(self.prompt, return_inverse=True)
        return labels, group.astype(np.int64)

    @checked
    def rows(self, index: Int64[np.ndarray, "row"]) -> Float[np.ndarray, "row embedding"]:
        """Embeddings of some responses as float32, checked to be finite; only these rows are read."""
        index = self._positions(index)
        rows = take_rows(self.embeddings, index)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            bad = index[~finite]
            raise InvalidInputError(
                f"expected finite embeddings, got NaN or infinity in {len(bad)} of {len(index)} responses "
                f"(the first is response {bad[0]}): embed them again or leave them out"
            )
        return rows

    @checked
    def covariate_rows(
        self, names: Sequence[str], index: Int64[np.ndarray, "row"]
    ) -> Float[np.ndarray, "row covariate"]:
        """Some covariates of some responses, float64, in the order of the names.

        Raises
        ------
        InvalidInputError
            Where the pool lacks one.
        """
        missing = [name for name in names if name not in self.covariates]
        if missing:
            raise InvalidInputError(
                f"expected a pool with the covariates {', '.join(names)}, and it lacks {', '.join(missing)} (it has "
                f"{', '.join(self.covariates) or 'none'}): embed its texts with `bayesrm embed` as the pool of the fit "
                "was, or add them with pool.with_covariates({...})"
            )
        index = self._positions(index)
        columns = [self.covariates[name][index] for name in names]
        return np.stack(columns, axis=1) if columns else np.empty((len(index), 0))

    @checked
    def with_covariates(self, covariates: Mapping[str, ArrayLike]) -> ResponsePool:
        """The same pool with further covariates; one of a name that is there already takes its place."""
        return replace(self, covariates={**self.covariates, **as_covariates(covariates, len(self))})

    @checked
    def holding(self, names: Sequence[str]) -> ResponsePool:
        """The same pool with each of these covariates at its mean over the responses to the same prompt."""
        sizes = np.bincount(self.group)
        columns = self.covariate_rows(names, np.arange(len(self))).T
        held = {
            name: (np.bincount(self.group, column) / sizes)[self.group]
            for name, column in zip(names, columns, strict=True)
        }
        return self.with_covariates(held)

    @checked
    def take(self, index: Int64[np.ndarray, "row"]) -> ResponsePool:
        """A pool of some of the responses, in this order; their embeddings are read."""
        index = self._positions(index)
        return ResponsePool(
            self.rows(index),
            self.prompt[index],
            texts=None if self.texts is None else [self.texts[k] for k in index.tolist()],
            blocks=self.blocks,
            covariates={name: column[index] for name, column in self.covariates.items()},
        )

    def _positions(self, index: ArrayLike) -> Int64[np.ndarray, "row"]:
        rows = as_index(index, "index")
        if len(rows) and rows.max() >= len(self):
            raise InvalidInputError(
                f"expected indices below {len(self)}, the number of responses in the pool, got {rows.max()}"
            )
        return rows

    @checked
    def same_responses(self, other: ResponsePool) -> bool:
        """Whether another pool has the very same responses, whatever its covariates."""
        return self is other or (self.embeddings is other.embeddings and self.prompt is other.prompt)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ResponsePool)
            and np.array_equal(self.embeddings, other.embeddings)
            and np.array_equal(self.prompt, other.prompt)
            and self.blocks == other.blocks
            and self.covariates.keys() == other.covariates.keys()
            and all(np.array_equal(column, other.covariates[name]) for name, column in self.covariates.items())
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Pairs of responses of a pool, each asked as "is the first better than the second?".

    Parameters
    ----------
    first, second : (pair,) ndarray of int
        (pair,) indices into a pool; a response is never compared with itself.

    See Also
    --------
    Preferences : Comparisons with their answers.
    candidates : Pairs to choose from.

    Examples
    --------
    >>> pairs = brm.Comparisons([0, 2], [1, 3])  # is 0 better than 1, and is 2 better than 3?
    >>> len(pairs)
    2
    """

    first: Int64[np.ndarray, "pair"]
    second: Int64[np.ndarray, "pair"]

    def __post_init__(self) -> None:
        first, second = as_index(self.first, "first"), as_index(self.second, "second")
        if first.shape != second.shape:
            raise InvalidInputError(
                f"expected first and second of the same length, got {len(first)} and {len(second)}"
            )
        if (first == second).any():
            at = int(np.flatnonzero(first == second)[0])
            raise InvalidInputError(
                f"expected two different responses in each comparison, got response {first[at]} twice in pair {at}"
            )
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "second", second)

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Preferences(Comparisons):
    """Comparisons with their answers: what an annotator was paid for. Appended to, never edited in place.

    Parameters
    ----------
    first, second : (pair,) array_like of int
        (comparison,) indices into a pool.
    outcome : (comparison,) ndarray of float, optional
        (comparison,) 1 where the first was preferred, 0 where the second was; a number between them for a tie
        (½) or a soft label (a probability).
    annotator : ndarray, optional
        (comparison,) who answered, optional: any labels.
    weight : (comparison,) ndarray of float, optional
        (comparison,) positive weights of the log-likelihood terms, optional.
    choice : (comparison,) ndarray of int, optional
        (comparison,) optional: comparisons of the same number are one choice, in which the first was preferred to all
        the seconds at once (or, with outcome 0, all of them to it); see :meth:`from_rankings`.

    Raises
    ------
    InvalidInputError
        Where lengths disagree, an outcome lies outside [0, 1] or a weight is not positive and finite.

    See Also
    --------
    fit : Learns a reward from them.
    Comparisons : The same without answers.

    Examples
    --------
    >>> answered = brm.Preferences([0, 2], [1, 3], [1, 0.5])  # 0 was preferred to 1; 2 and 3 are a tie
    >>> len(answered.append(brm.Preferences([4], [5], [0])))
    3
    """

    outcome: Float[np.ndarray, "comparison"] = field(default_factory=lambda: np.empty(0))
    annotator: np.ndarray | None = None
    weight: Float[np.ndarray, "comparison"] | None = None
    choice: Int64[np.ndarray, "comparison"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        outcome = self._column(self.outcome, "outcome")
        valid = (outcome >= 0) & (outcome <= 1)
        if not valid.all():
            at = int(np.flatnonzero(~valid)[0])
            raise InvalidInputError(
                f"expected outcomes between 0 (second preferred) and 1 (first preferred), got {outcome[at]} "
                f"in comparison {at}"
            )
        object.__setattr__(self, "outcome", outcome)
        if self.annotator is not None:
            object.__setattr__(self, "annotator", annotators_of_each("comparison", self.annotator, len(self)))
        if self.weight is not None:
            weight = self._column(self.weight, "weight")
            if not (np.isfinite(weight) & (weight > 0)).all():
                raise InvalidInputError("expected weights that are positive and finite")
            object.__setattr__(self, "weight", weight)
        if self.choice is not None:
            object.__setattr__(self, "choice", self._choice(as_index(self.choice, "choice")))

    @classmethod
    def none(cls) -> Self:
        """No preferences: what is known before the first label."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    @classmethod
    @checked
    def from_rankings(
        cls,
        rankings: Sequence[Any],
        annotator: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        lists: Sequence[ArrayLike] | None = None,
        worst: Sequence[int] | None = None,
    ) -> Self:
        """Rankings of any number of responses, whole or in part, as the choices that Plackett and Luce take them for.

        The best of K is one choice among K, the second best one among the K − 1 left, and so on; each choice becomes
        a comparison of the chosen response with every one left, all with the same ``choice``. How ties and what was not
        ranked count is said in :mod:`bayesrm.utils.rankings`.

        Parameters
        ----------
        rankings : sequence
            Each (place,) indices into the pool, best first; their lengths may differ. Responses that share a place, a
            tie, are a list of their own: ``[3, [0, 2], 1]``.
        annotator, weight : array_like, optional
            (ranking,) optional, as for comparisons.
        lists : sequence of array_like, optional
            The responses that were shown for each ranking; those that it does not name were all thought to be worse
            than those named. ``rankings=[[3]], lists=[[0, 1, 2, 3]]`` says that 3 is the best of four.
        worst : sequence of int, optional
            (ranking,) the response that was said to be the worst of those that are not ranked, −1 where none was.

        Raises
        ------
        InvalidInputError
            Where a ranking repeats a response or has one that was not shown, or there is nothing to compare.

        Examples
        --------
        >>> len(brm.Preferences.from_rankings([[3, 0, 2, 1]]))  # 3 against three, 0 against two, 2 against one
        6
        >>> best_and_worst = brm.Preferences.from_rankings([[3]], lists=[[0, 1, 2, 3]], worst=[1])
        >>> best_and_worst.outcome
        array([1., 1., 1., 0., 0.])
        """
        found = choices_of(rankings, lists, worst)
        of = found.column("source")
        who = None if annotator is None else _of_each("annotator", as_array("annotator", annotator), len(rankings))
        counts = None if weight is None else _of_each("weight", as_numbers("weight", weight), len(rankings))
        if not len(of):
            return cls.none()
        count = found.column("share") * (1.0 if counts is None else counts[of])
        return cls(
            found.column("first"),
            found.column("second"),
            found.column("outcome"),
            annotator=None if who is None else who[of],
            weight=None if weight is None and (count == 1).all() else count,
            choice=found.column("number"),
        )

    @checked
    def append(self, more: Preferences) -> Preferences:
        """These preferences followed by more; an optional column that only one side has is filled.

        A missing weight is 1, a missing annotator the empty string.
        """
        return Preferences(
            np.concatenate([self.first, more.first]),
            np.concatenate([self.second, more.second]),
            np.concatenate([self.outcome, more.outcome]),
            annotator=_join(self, more, "annotator", ""),
            weight=_join(self, more, "weight", 1.0),
            choice=_join_choices(self, more),
        )

    def __getitem__(self, index: Any) -> Preferences:
        """The preferences at a slice, an index array, a mask or one position."""
        take = np.atleast_1d(np.arange(len(self))[index])
        return Preferences(
            self.first[take],
            self.second[take],
            self.outcome[take],
            annotator=None if self.annotator is None else self.annotator[take],
            weight=None if self.weight is None else self.weight[take],
            choice=None if self.choice is None else self.choice[take],
        )

    def _choice(self, choice: Int64[np.ndarray, "_"]) -> Int64[np.ndarray, "comparison"]:
        if choice.shape != self.first.shape:
            raise InvalidInputError(
                f"expected one choice for each of the {len(self)} comparisons, got {choice.shape}"
            )
        _, start, number, size = np.unique(choice, return_index=True, return_inverse=True, return_counts=True)
        several = size[number] > 1
        same = (self.first == self.first[start][number]).all() and (
            self.outcome == self.outcome[start][number]
        ).all()
        if not same or not np.isin(self.outcome[several], (0, 1)).all():
            raise InvalidInputError(
                "expected the comparisons of one choice to have the same first response, preferred to each of the "
                "seconds (outcome 1) or each of them to it (outcome 0): use Preferences.from_rankings"
            )
        return choice

    def _column(self, values: ArrayLike, name: str) -> Float[np.ndarray, "comparison"]:
        column = as_numbers(name, values)
        if column.shape != self.first.shape:
            raise InvalidInputError(
                f"expected one {name} for each of the {len(self)} comparisons, got {column.shape}"
            )
        return column


def annotators_of_each(of: str, annotator: ArrayLike, count: int) -> np.ndarray:
    """Annotators of pairs, a name or a number for each; InvalidInputError where there are others, or not as many."""
    found = np.array(as_array("annotator", annotator))
    if found.shape != (count,):
        raise InvalidInputError(f"expected one annotator for each of the {count} {of}s, got shape {found.shape}")
    return as_labels("annotator", of, found)


def _of_each(name: str, values: np.ndarray, rankings: int) -> np.ndarray:
    if values.shape != (rankings,):
        raise InvalidInputError(
            f"expected one {name} for each of the {rankings} rankings, got shape {values.shape}"
        )
    return values


def require_within(pairs: Pairs, pool: ResponsePool) -> None:
    """Raise InvalidInputError where a pair refers to a response that the pool does not have."""
    for name in ("first", "second"):
        index = getattr(pairs, name)
        if len(index) and index.max() >= len(pool):
            raise InvalidInputError(
                f"expected {name} to be indices below {len(pool)}, the number of responses in the pool, "
                f"got {index.max()}: do these pairs belong to another pool?"
            )


def compact(
    first: Int64[np.ndarray, "_"], second: Int64[np.ndarray, "_"]
) -> tuple[Int64[np.ndarray, "response"], Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]:
    """The responses that pairs refer to, ascending, and both ends as positions among them."""
    used, local = np.unique(np.concatenate([first, second]), return_inverse=True)
    return used.astype(np.int64), local[: len(first)], local[len(first) :]


def _join(left: Preferences, right: Preferences, name: str, missing: Any) -> np.ndarray | None:
    columns = [getattr(side, name) for side in (left, right)]
    if all(column is None for column in columns):
        return None
    before, after = (
        np.full(len(side), missing) if column is None else column
        for side, column in zip((left, right), columns, strict=True)
    )
    return join_labels(before, after)


def _join_choices(left: Preferences, right: Preferences) -> Int64[np.ndarray, "_"] | None:
    """Both sides' choices, numbered apart; where one side has none, each of its comparisons is its own."""
    if left.choice is None and right.choice is None:
        return None
    own = [np.arange(len(side)) if side.choice is None else side.choice for side in (left, right)]
    return np.concatenate([own[0], own[1] + own[0].max(initial=-1) + 1])


def as_index(values: ArrayLike, name: str) -> Int64[np.ndarray, "pair"]:
    """A copy as int64 indices; InvalidInputError where these are not a list of indices."""
    index = as_array(name, values)
    if index.ndim != 1:
        raise InvalidInputError(
            f"expected {name} to be a one-dimensional array of indices, got shape {index.shape}"
        )
    if index.dtype.kind not in "iu" and (index.size or index.dtype.kind in "mM"):  # an empty list is of floats
        raise InvalidInputError(f"expected {name} to be integers (indices into the pool), got {index.dtype}")
    if index.size and index.min() < 0:
        raise InvalidInputError(f"expected {name} to be indices of at least 0, got {index.min()}")
    return index.astype(np.int64)


def as_lists(values: ArrayLike) -> Int64[np.ndarray, "list member"]:
    """A copy as rows of int64 indices; InvalidInputError where these are not lists of different responses."""
    lists = as_array("lists", values)
    if lists.ndim != 2 or lists.shape[1] < 2:
        raise InvalidInputError(
            f"expected lists of shape (list, member) with at least two members, got {lists.shape}"
        )
    flat = as_index(lists.ravel(), "lists").reshape(lists.shape)
    ordered = np.sort(flat, axis=1)
    repeated = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(repeated):
        at = int(repeated[0])
        raise InvalidInputError(f"expected lists of different responses, got {flat[at].tolist()} in list {at}")
    return flat
