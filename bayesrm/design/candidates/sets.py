"""Candidate comparisons: a list of pairs, or all pairs of some responses without ever listing them.

Both scopes are unions of complete graphs: one a prompt for comparisons within prompts, a single one for comparisons
of any two responses. Large graphs are walked in tiles, rows × columns of their upper triangle; small ones, of which
there may be many thousands, several at a time as lists.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.design.candidates.constraints import NO_CONSTRAINTS, Constraints, Cost
from bayesrm.design.candidates.near import near_pairs, squared_distances, too_near
from bayesrm.design.candidates.numbering import PairIndex, PairNumbering
from bayesrm.errors import CapabilityError, InvalidInputError, NoCandidatesError
from bayesrm.posteriors.pairs import ListedPairs, TiledPairs
from bayesrm.types import Comparisons, Pairs, ResponsePool, compact, require_within
from bayesrm.utils.checked import Seed, checked

PAIR_BLOCK = 4_096
"""Pairs that are scored at once as a list."""
TILE = 512
"""Rows and columns of a tile: one fits into a core's cache."""
SMALLEST_TILED = 64
"""Groups of fewer responses are listed, several at once: a tile of their few pairs would cost more."""
SCOPES = ("within-prompt", "cross-prompt")


@dataclass(frozen=True)
class Tile:
    """Candidates among some rows and columns of one group's upper triangle.

    Parameters
    ----------
    rows, columns
        The responses on either side.
    row_places, column_places
        Where they stand in the group, counted from 0.
    start
        The number of the group's first pair.
    diagonal
        Whether rows and columns are the same.
    excluded
        Numbers that are no candidates, ascending.
    """

    rows: Int64[Tensor, "row"]
    columns: Int64[Tensor, "column"]
    row_places: Int64[Tensor, "row"]
    column_places: Int64[Tensor, "column"]
    start: int
    diagonal: bool
    excluded: PairIndex

    def pairs(self, dtype: torch.dtype) -> TiledPairs:
        """All of it, to compute in this precision; a tile on the diagonal also has what :meth:`hide` hides."""
        return TiledPairs(self.rows, self.columns, dtype)

    def hide(self, values: Float[Tensor, "pair"], hidden: float) -> Float[Tensor, "row column"]:
        """Values of all its pairs as a matrix, changed in place: ``hidden`` on and below the diagonal."""
        matrix = values.view(len(self.rows), len(self.columns))
        if self.diagonal:
            below = torch.ones_like(matrix, dtype=torch.bool).tril_()
            matrix.masked_fill_(below, hidden)
        return matrix

    def shown(
        self, cells: Int64[Tensor, "cell"], values: Float[Tensor, "cell"]
    ) -> tuple[Int64[Tensor, "shown"], Float[Tensor, "shown"]]:
        """Those of some cells that :meth:`hide` does not hide, and their values."""
        if not self.diagonal:
            return cells, values
        above = cells // len(self.columns) < cells % len(self.columns)
        return cells[above], values[above]

    def locate(
        self, flat: Int64[Tensor, "cell"]
    ) -> tuple[Int64[np.ndarray, "candidate"], ListedPairs, Bool[np.ndarray, "cell"]]:
        """Positions and pairs of those of some cells that are candidates, and which those are."""
        a, b = flat // len(self.columns), flat % len(self.columns)
        places = self.row_places[a].numpy(), self.column_places[b].numpy()
        low, high = np.minimum(*places), np.maximum(*places)
        number = self.start + high * (high - 1) // 2 + low
        before = np.searchsorted(self.excluded, number)
        kept = np.ones(len(number), dtype=bool)
        if len(self.excluded):
            kept = self.excluded[np.minimum(before, len(self.excluded) - 1)] != number
        take = torch.from_numpy(kept)
        ends = self.rows[a[take]], self.columns[b[take]]
        turned = torch.from_numpy((places[0] > places[1])[kept])
        pairs = ListedPairs(torch.where(turned, ends[1], ends[0]), torch.where(turned, ends[0], ends[1]))
        return (number - before)[kept], pairs, kept


class CandidateSet(ABC):
    """Pairs to choose from. Positions count the candidates from 0 to ``len(self) − 1``.

    Attributes
    ----------
    pool : ResponsePool
        The pool that indices refer to.
    responses : (response,) ndarray of int
        (response,) the responses that occur, ascending: what has to be encoded.
    constraints : Constraints, default NO_CONSTRAINTS
        What a batch of them has to respect.

    See Also
    --------
    candidates : Forms one.
    select : Chooses from one.

    Examples
    --------
    >>> pairs = brm.candidates(pool, prompts=None, size=None)  # all pairs within prompts, never listed
    >>> len(pairs)
    19588
    >>> len(pairs.without(prefs)) < len(pairs)
    True
    """

    constraints: Constraints = NO_CONSTRAINTS
    pool: ResponsePool
    responses: Int64[np.ndarray, "response"]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pairs_at(self, positions: PairIndex) -> tuple[PairIndex, PairIndex]:
        """The candidates at some positions, as rows of ``responses``."""

    @abstractmethod
    def without(self, pairs: Pairs) -> CandidateSet:
        """These candidates, with the same ``responses``, but for some pairs in either orientation."""

    def has(self, first: PairIndex, second: PairIndex) -> Bool[np.ndarray, "pair"]:
        """Which pairs of rows of ``responses``, in either orientation and each to one prompt, are candidates."""
        count = len(self.responses)
        own = self.pairs_at(np.arange(len(self)))
        codes = [np.minimum(*ends) * count + np.maximum(*ends) for ends in (own, (first, second))]
        return np.isin(codes[1], codes[0])

    def block_at(self, positions: PairIndex) -> ListedPairs:
        """:meth:`pairs_at` as a block of pairs."""
        first, second = self.pairs_at(positions)
        return ListedPairs(torch.from_numpy(first), torch.from_numpy(second))

    def listed(self, size: int = PAIR_BLOCK) -> Iterator[tuple[PairIndex, ListedPairs]]:
        """The candidates that are no part of a tile, in blocks: their positions, and the pairs."""
        yield from self._walk(0, len(self), size)

    def tiles(self, size: int = TILE, order: Float[Tensor, "response"] | None = None) -> Iterator[Tile]:
        """The rest of them, in tiles of at most ``size`` rows and columns.

        With ``order`` responses for which it is high come together, and first; it is on the host.
        """
        return iter(())

    def tiled_groups(self) -> Iterator[Int64[Tensor, "member"]]:
        """The responses of each group whose pairs come in tiles, all of them."""
        return iter(())

    def hidden_in_tiles(self, size: int = PAIR_BLOCK) -> Iterator[ListedPairs]:
        """Pairs that tiles show though they are no candidates, in blocks."""
        return iter(())

    def _walk(self, start: int, stop: int, size: int) -> Iterator[tuple[PairIndex, ListedPairs]]:
        for begin in range(start, stop, size):
            positions = np.arange(begin, min(begin + size, stop))
            yield positions, self.block_at(positions)

    def sample(self, size: int, generator: np.random.Generator) -> PairIndex:
        """Positions of ``size`` different candidates, uniformly, in random order."""
        return generator.choice(len(self), size, replace=False).astype(np.int64)

    @property
    def first(self) -> PairIndex:
        """(pair,) first responses, as indices into the pool; explicit candidates only."""
        return self._explicit()[0]

    @property
    def second(self) -> PairIndex:
        """(pair,) second responses, as indices into the pool; explicit candidates only."""
        return self._explicit()[1]

    def _explicit(self) -> tuple[PairIndex, PairIndex]:
        raise CapabilityError(
            f"these {len(self)} candidates are implicit and are not listed: "
            "give candidates(..., size=...) to draw an explicit list from them"
        )


class ExplicitCandidates(CandidateSet):
    """Candidates given as a list of pairs.

    Parameters
    ----------
    pool
        The pool that the pairs refer to.
    comparisons
        The pairs, in any order.
    """

    def __init__(self, pool: ResponsePool, comparisons: Comparisons) -> None:
        require_within(comparisons, pool)
        self.pool = pool
        self.responses, self._first, self._second = compact(comparisons.first, comparisons.second)

    def __len__(self) -> int:
        return len(self._first)

    def pairs_at(self, positions: PairIndex) -> tuple[PairIndex, PairIndex]:
        """Looked up in the list."""
        return self._first[positions], self._second[positions]

    @checked
    def without(self, pairs: Pairs) -> ExplicitCandidates:
        """A shorter list."""
        require_within(pairs, self.pool)
        own, others = (
            np.minimum(first, second) * len(self.pool) + np.maximum(first, second)
            for first, second in (self._explicit(), (pairs.first, pairs.second))
        )
        kept, rest = ~np.isin(own, others), copy.copy(self)
        rest._first, rest._second = self._first[kept], self._second[kept]
        return rest

    def _explicit(self) -> tuple[PairIndex, PairIndex]:
        return self.responses[self._first], self.responses[self._second]


class AllPairs(CandidateSet):
    """All pairs inside groups of responses but those excluded; never listed.

    Parameters
    ----------
    pool
        The pool.
    groups
        Arrays of response indices; pairs are formed inside each.
    exclude
        Lists of pairs to leave out, in either orientation.
    """

    def __init__(
        self, pool: ResponsePool, groups: list[Int64[np.ndarray, "_"]], exclude: Sequence[Pairs] = ()
    ) -> None:
        self.pool = pool
        members = np.concatenate(groups) if groups else np.empty(0, np.int64)
        sizes = np.array([len(group) for group in groups], dtype=np.int64)
        self.responses = np.unique(members)
        self._numbering = PairNumbering(np.searchsorted(self.responses, members), sizes)
        taken = [np.empty(0, np.int64)]
        numbering = PairNumbering(members, sizes)
        for pairs in exclude:
            require_within(pairs, pool)
            taken.append(numbering.encode(pairs.first, pairs.second))
        self._exclude(np.unique(np.concatenate(taken)))

    def _exclude(self, numbers: PairIndex) -> None:
        self._excluded = numbers
        # The k-th excluded number minus k counts the candidates before it: it turns positions into numbers.
        self._candidates_before = numbers - np.arange(len(numbers))

    def __len__(self) -> int:
        return len(self._numbering) - len(self._excluded)

    @checked
    def without(self, pairs: Pairs) -> AllPairs:
        """More of them excluded."""
        require_within(pairs, self.pool)
        ends = (np.searchsorted(self.responses, end) for end in (pairs.first, pairs.second))
        first, second = (end.clip(max=len(self.responses) - 1) for end in ends)
        known = (self.responses[first] == pairs.first) & (self.responses[second] == pairs.second)
        rest = copy.copy(self)
        rest._exclude(np.union1d(self._excluded, self._numbering.encode(first[known], second[known])))
        return rest

    def pairs_at(self, positions: PairIndex) -> tuple[PairIndex, PairIndex]:
        """Decoded from their numbers."""
        skipped = np.searchsorted(self._candidates_before, positions, side="right")
        return self._numbering.decode(positions + skipped)

    def has(self, first: PairIndex, second: PairIndex) -> Bool[np.ndarray, "pair"]:
        """All but those excluded: no group divides a prompt."""
        return ~np.isin(self._numbering.encode(first, second), self._excluded)

    def positions_of(
        self, first: Int64[np.ndarray, "pair"], second: Int64[np.ndarray, "pair"]
    ) -> Int64[np.ndarray, "candidate"]:
        """Where those of some pairs of rows stand that are candidates, in either orientation."""
        numbers = self._numbering.encode(first, second)
        before = np.searchsorted(self._excluded, numbers)
        if len(self._excluded):
            kept = self._excluded[np.minimum(before, len(self._excluded) - 1)] != numbers
            numbers, before = numbers[kept], before[kept]
        return numbers - before

    def listed(self, size: int = PAIR_BLOCK) -> Iterator[tuple[PairIndex, ListedPairs]]:
        """Groups below :data:`SMALLEST_TILED` responses, several a block."""
        small = self._numbering.sizes < SMALLEST_TILED
        change = np.flatnonzero(np.diff(small, prepend=False, append=False))
        bounds = self._numbering.pair_starts[change]
        bounds = bounds - np.searchsorted(self._excluded, bounds)
        for start, stop in bounds.reshape(-1, 2).tolist():
            yield from self._walk(start, stop, size)

    def tiled_groups(self) -> Iterator[Int64[Tensor, "member"]]:
        """The other groups."""
        members = torch.from_numpy(self._numbering.members)
        for group in np.flatnonzero(self._numbering.sizes >= SMALLEST_TILED):
            begin, end = self._numbering.starts[group : group + 2].tolist()
            yield members[begin:end]

    def tiles(self, size: int = TILE, order: Float[Tensor, "response"] | None = None) -> Iterator[Tile]:
        """Their upper triangles, of the members as they stand or in order."""
        starts = self._numbering.pair_starts[np.flatnonzero(self._numbering.sizes >= SMALLEST_TILED)].tolist()
        for start, members in zip(starts, self.tiled_groups(), strict=True):
            places = torch.arange(len(members))
            if order is not None:
                places = order[members].argsort(descending=True, stable=True)
            parts = [(members[part], part) for part in places.split(size)]
            for across, (columns, column_places) in enumerate(parts):
                for rows, row_places in parts[: across + 1]:
                    diagonal = row_places is column_places
                    yield Tile(rows, columns, row_places, column_places, start, diagonal, self._excluded)

    def hidden_in_tiles(self, size: int = PAIR_BLOCK) -> Iterator[ListedPairs]:
        """Those excluded of the tiled groups."""
        group = np.searchsorted(self._numbering.pair_starts, self._excluded, side="right") - 1
        hidden = self._excluded[self._numbering.sizes[group] >= SMALLEST_TILED]
        for start in range(0, len(hidden), size):
            first, second = self._numbering.decode(hidden[start : start + size])
            yield ListedPairs(torch.from_numpy(first), torch.from_numpy(second))


@checked
def candidates(
    pool: ResponsePool,
    scope: str = "within-prompt",
    prompts: int | None = 500,
    size: int | None = 20_000,
    seed: Seed = 0,
    exclude: Pairs | None = None,
    identical: bool = False,
    per_prompt: int | None = None,
    per_response: int | None = None,
    min_within: int = 0,
    cost: Cost | None = None,
    pairs: Pairs | None = None,
) -> CandidateSet:
    """Form candidate comparisons as the paper does (section 5.1): draw prompts, then pairs of their responses.

    Parameters
    ----------
    pool : ResponsePool
        The responses.
    scope : str, default "within-prompt"
        "within-prompt", or "cross-prompt": any two responses of the drawn prompts.
    prompts : int, default 500
        How many prompts to draw (all, where there are no more); None takes all.
    size : int, default 20_000
        How many pairs to draw from those possible (all, where there are no more); None keeps all of them,
        implicitly: they are scored in blocks and never listed.
    seed : int, default 0
        Root of both draws.
    exclude : Pairs, optional
        Pairs that are not to be candidates, such as those already asked; orientation does not matter.
    identical : bool, default False
        Whether to keep pairs whose two embeddings are the same, or nearer than a thousandth of the usual distance:
        no answer to them teaches a model anything.
    per_prompt : int, optional
    per_response : int, optional
    min_within : int, default 0
    cost : array_like or callable, optional
        What a batch chosen from them has to respect, see :class:`~bayesrm.design.candidates.constraints.Constraints`.
    pairs : Pairs, optional
        A list of your own to choose from: nothing is drawn, whatever scope, prompts, size and seed say.

    Raises
    ------
    InvalidInputError
        Where no pair is possible.

    See Also
    --------
    select : Chooses from them.

    Examples
    --------
    >>> len(brm.candidates(pool, size=1_000, exclude=prefs))
    1000
    >>> everything = brm.candidates(pool, prompts=None, size=None, per_prompt=2)  # all pairs, never listed
    >>> batch = brm.select(posterior, everything, design="epig", size=5)
    """
    require_scope(scope)
    constraints = Constraints(per_prompt, per_response, min_within, cost)
    constraints.require_costs_of(pool)
    for name, value in (("prompts", prompts), ("size", size)):
        if value is not None and value < 1:
            raise InvalidInputError(f"expected {name} of at least 1 (or None for all), got {value}")
    if pairs is not None:
        own = _of_ones_own(pool, pairs, exclude, identical)
        _require_some(len(own))
        own.constraints = constraints
        return own
    smallest = 2 if scope == "within-prompt" else 1
    eligible = np.flatnonzero(np.bincount(pool.group) >= smallest)
    if len(eligible) == 0 or len(pool) < 2:
        raise InvalidInputError(
            f"expected prompts with at least two responses to compare, got {pool.n_prompts} prompts with one: "
            "use scope='cross-prompt' or add responses"
        )
    if prompts is not None and prompts < len(eligible):
        eligible = np.sort(rng.stream(seed, "prompts").choice(eligible, prompts, replace=False))
    groups = [pool.members[prompt] for prompt in eligible]
    groups = groups if scope == "within-prompt" else [np.concatenate(groups)]
    asked = [] if exclude is None else [exclude]
    if size is None:
        everything = AllPairs(pool, groups, asked if identical else [*asked, near_pairs(pool, groups)])
        _require_some(len(everything))
        everything.constraints = constraints
        return everything
    possible = AllPairs(pool, groups, asked)
    first, second = _draw(possible, size, rng.stream(seed, "pairs"), identical)
    _require_some(len(first))
    drawn = ExplicitCandidates(pool, Comparisons(first, second))
    drawn.constraints = constraints
    return drawn


def require_scope(scope: str) -> None:
    """InvalidInputError where there is no such scope."""
    if scope not in SCOPES:
        raise InvalidInputError(f"unknown scope {scope!r}: there are {', '.join(SCOPES)}")


def _draw(
    possible: AllPairs, size: int, generator: np.random.Generator, identical: bool
) -> tuple[PairIndex, PairIndex]:
    """A uniform sample in random order; only the responses in it are read to see which are the same."""
    size = min(size, len(possible))
    drawn = size
    while True:
        first, second = possible.pairs_at(possible.sample(drawn, generator))
        first, second = possible.responses[first], possible.responses[second]
        if not identical:
            squared = squared_distances(possible.pool, first, second)
            different = ~too_near(squared, squared)
            first, second = first[different], second[different]
        missing = size - len(first)
        if missing <= 0 or drawn == len(possible):
            return first[:size], second[:size]
        drawn = min(len(possible), drawn + 4 * missing + 100)


def _of_ones_own(pool: ResponsePool, pairs: Pairs, exclude: Pairs | None, identical: bool) -> ExplicitCandidates:
    """Each pair of a list once, whatever its orientation."""
    require_within(pairs, pool)
    ends = np.sort(np.stack([pairs.first, pairs.second], axis=1), axis=1)
    kept = np.sort(np.unique(ends, axis=0, return_index=True)[1])
    first, second = pairs.first[kept], pairs.second[kept]
    if not identical:
        squared = squared_distances(pool, first, second)
        different = ~too_near(squared, squared)
        first, second = first[different], second[different]
    own = ExplicitCandidates(pool, Comparisons(first, second))
    return own if exclude is None else own.without(exclude)


def _require_some(count: int) -> None:
    if count == 0:
        raise NoCandidatesError(
            "no candidates are left: every pair of the drawn prompts was already asked or has identical "
            "embeddings; draw more prompts, or stop"
        )
