"""Candidate comparisons: a list of pairs, or all pairs of some responses without ever listing them.

Both scopes are unions of complete graphs: one a prompt for comparisons within prompts, a single one for comparisons
of any two responses. Large graphs are walked in tiles, rows × columns of their upper triangle; small ones, of which
there may be many thousands, several at a time as lists.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.design.candidates.constraints import NO_CONSTRAINTS, Constraints
from bayesrm.design.candidates.numbering import PairIndex, PairNumbering
from bayesrm.design.candidates.tiles import TILE, Tile
from bayesrm.errors import CapabilityError
from bayesrm.posteriors.pairs import ListedPairs
from bayesrm.types import Comparisons, Pairs, ResponsePool, compact, require_within
from bayesrm.utils.checked import checked

PAIR_BLOCK = 4_096
"""Pairs that are scored at once as a list."""
SMALLEST_TILED = 64
"""Groups of fewer responses are listed, several at once: a tile of their few pairs would cost more."""


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
