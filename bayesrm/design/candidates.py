r"""Candidate comparisons: a list of pairs, or all pairs of some responses without ever listing them.

Both scopes are unions of complete graphs: one a prompt for comparisons within prompts, a single one for
comparisons of any two responses. With members numbered 0 … n−1, the pair (a, b), a < b, of a graph has number
b(b−1)/2 + a, and graphs are numbered one after the other. So pairs are sampled, walked and excluded by number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.design.identical import identical_pairs, same_embedding
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.types import Comparisons, Pairs, ResponsePool, compact, require_within

PAIR_BLOCK = 4_096
SCOPES = ("within-prompt", "cross-prompt")

PairIndex = Int64[np.ndarray, "pair"]


class CandidateSet(ABC):
    """Pairs to choose from. Positions count the candidates from 0 to ``len(self) − 1``.

    Attributes
    ----------
    pool
        The pool that indices refer to.
    responses
        (response,) the responses that occur, ascending: what has to be encoded.
    """

    pool: ResponsePool
    responses: Int64[np.ndarray, "response"]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pairs_at(self, positions: PairIndex) -> tuple[PairIndex, PairIndex]:
        """The candidates at some positions, as rows of ``responses``."""

    def rows_at(self, positions: PairIndex) -> tuple[Int64[Tensor, "pair"], Int64[Tensor, "pair"]]:
        """:meth:`pairs_at` as tensors."""
        first, second = self.pairs_at(positions)
        return torch.from_numpy(first), torch.from_numpy(second)

    def blocks(
        self, size: int = PAIR_BLOCK
    ) -> Iterator[tuple[PairIndex, Int64[Tensor, "pair"], Int64[Tensor, "pair"]]]:
        """All candidates in blocks: positions, and both ends as rows of ``responses``."""
        for start in range(0, len(self), size):
            positions = np.arange(start, min(start + size, len(self)))
            yield positions, *self.rows_at(positions)

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

    def _explicit(self) -> tuple[PairIndex, PairIndex]:
        return self.responses[self._first], self.responses[self._second]


@dataclass(frozen=True)
class PairNumbering:
    """Numbers for all pairs inside groups of responses; see the module's formula.

    Parameters
    ----------
    members
        (member,) rows, group after group.
    sizes
        (group,) number of members of each group.
    """

    members: Int64[np.ndarray, "member"]
    sizes: Int64[np.ndarray, "group"]

    @cached_property
    def _starts(self) -> Int64[np.ndarray, "boundary"]:
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def _pair_starts(self) -> Int64[np.ndarray, "boundary"]:
        return np.concatenate([[0], np.cumsum(self.sizes * (self.sizes - 1) // 2)])

    def __len__(self) -> int:
        return int(self._pair_starts[-1])

    def decode(self, number: PairIndex) -> tuple[PairIndex, PairIndex]:
        """The two members of each numbered pair."""
        group = np.searchsorted(self._pair_starts, number, side="right") - 1
        within = number - self._pair_starts[group]
        b = ((1 + np.sqrt(8.0 * within + 1)) / 2).astype(np.int64)
        b -= b * (b - 1) // 2 > within
        b += b * (b + 1) // 2 <= within
        a = within - b * (b - 1) // 2
        return self.members[self._starts[group] + a], self.members[self._starts[group] + b]

    def encode(self, first: PairIndex, second: PairIndex) -> Int64[np.ndarray, "inside"]:
        """The numbers of those pairs, in either orientation, that lie inside one group; others are dropped."""
        place = np.full(max(self.members.max(initial=-1), first.max(initial=-1), second.max(initial=-1)) + 1, -1)
        place[self.members] = np.arange(len(self.members))
        places = place[first], place[second]
        low, high = np.minimum(*places), np.maximum(*places)
        low, high = low[low >= 0], high[low >= 0]
        group = np.searchsorted(self._starts, low, side="right") - 1
        same = high < self._starts[group + 1]
        group = group[same]
        a, b = low[same] - self._starts[group], high[same] - self._starts[group]
        return self._pair_starts[group] + b * (b - 1) // 2 + a


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
        self._excluded = np.unique(np.concatenate(taken))
        # The k-th excluded number minus k counts the candidates before it: it turns positions into numbers.
        self._candidates_before = self._excluded - np.arange(len(self._excluded))

    def __len__(self) -> int:
        return len(self._numbering) - len(self._excluded)

    def pairs_at(self, positions: PairIndex) -> tuple[PairIndex, PairIndex]:
        """Decoded from their numbers."""
        skipped = np.searchsorted(self._candidates_before, positions, side="right")
        return self._numbering.decode(positions + skipped)


def candidates(
    pool: ResponsePool,
    scope: str = "within-prompt",
    prompts: int | None = 500,
    size: int | None = 20_000,
    seed: int = 0,
    exclude: Pairs | None = None,
    identical: bool = False,
) -> CandidateSet:
    """Form candidate comparisons as the paper does (section 5.1): draw prompts, then pairs of their responses.

    Parameters
    ----------
    pool
        The responses.
    scope
        "within-prompt", or "cross-prompt": any two responses of the drawn prompts.
    prompts
        How many prompts to draw (all, where there are no more); None takes all.
    size
        How many pairs to draw from those possible (all, where there are no more); None keeps all of them,
        implicitly: they are scored in blocks and never listed.
    seed
        Root of both draws.
    exclude
        Pairs that are not to be candidates, such as those already asked; orientation does not matter.
    identical
        Whether to keep pairs whose two embeddings are the same: no answer to them teaches a model anything.

    Raises
    ------
    InvalidInputError
        Where no pair is possible.
    """
    require_scope(scope)
    for name, value in (("prompts", prompts), ("size", size)):
        if value is not None and value < 1:
            raise InvalidInputError(f"expected {name} of at least 1 (or None for all), got {value}")
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
        everything = AllPairs(pool, groups, asked if identical else [*asked, identical_pairs(pool, groups)])
        _require_some(len(everything))
        return everything
    possible = AllPairs(pool, groups, asked)
    first, second = _draw(possible, size, rng.stream(seed, "pairs"), identical)
    _require_some(len(first))
    return ExplicitCandidates(pool, Comparisons(first, second))


def require_scope(scope: str) -> None:
    """InvalidInputError where there is no such scope."""
    if scope not in SCOPES:
        raise InvalidInputError(f"unknown scope {scope!r}: there are {', '.join(SCOPES)}")


def _draw(
    possible: AllPairs, size: int, generator: np.random.Generator, identical: bool
) -> tuple[PairIndex, PairIndex]:
    """A uniform sample in random order; only the responses in it are read to see which are identical."""
    size = min(size, len(possible))
    drawn = size
    while True:
        first, second = possible.pairs_at(possible.sample(drawn, generator))
        first, second = possible.responses[first], possible.responses[second]
        if not identical and drawn > 0:
            different = ~same_embedding(possible.pool, first, second)
            first, second = first[different], second[different]
        missing = size - len(first)
        if missing <= 0 or drawn == len(possible):
            return first[:size], second[:size]
        drawn = min(len(possible), drawn + 4 * missing + 100)


def _require_some(count: int) -> None:
    if count == 0:
        raise InvalidInputError(
            "no candidates are left: every pair of the drawn prompts was already asked or has identical "
            "embeddings; draw more prompts, or stop"
        )
