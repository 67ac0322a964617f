"""Responses to one prompt that read the same: of these one stands for all where people are asked.

A model may give the same answer several times, and each is a response of its own. Whoever compares texts sees one, and
would be paid to answer the same question again. Their texts are read once for a pool, as numbers of 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from bayesrm.types import Comparisons, Pairs, ResponsePool
from bayesrm.utils.remembered import remembered


@dataclass(frozen=True, eq=False)
class AskedInWords(Comparisons):
    """Pairs whose words were asked, each as the pair of those that stand for its responses.

    Candidates that are formed without them are among responses that stand for themselves.

    Parameters
    ----------
    first, second
        The pairs.
    stands
        Which response stands for each one of the pool.
    """

    stands: Int64[np.ndarray, "response"]

    @property
    def kept(self) -> Bool[np.ndarray, "response"]:
        """Which responses stand for themselves."""
        return self.stands == np.arange(len(self.stands))

    def as_asked(self, pairs: Pairs) -> Comparisons:
        """The pairs of those that stand for the responses of others."""
        return Comparisons(*_standing(self.stands, pairs))


def in_words(pool: ResponsePool, asked: Comparisons) -> Comparisons:
    """What was asked as :class:`AskedInWords`; as it is where the pool has no texts, or no two to a prompt are equal.

    Of responses that read the same the first stands for all that was asked about; the first of all where none was.
    """
    first = remembered(pool, "first of those that read the same", lambda: _first_alike(pool))
    if first is None:
        return asked
    stands, rows = np.arange(len(pool)), np.unique(np.concatenate([asked.first, asked.second]))[::-1]
    stands[first[rows]] = rows  # of several the last one is kept, which is the smallest
    stands = stands[first]
    return AskedInWords(*_standing(stands, asked), stands)


def _standing(
    stands: Int64[np.ndarray, "response"], pairs: Pairs
) -> tuple[Int64[np.ndarray, "other"], Int64[np.ndarray, "other"]]:
    """The pairs of those that stand for others; none for two that read the same."""
    first, second = stands[pairs.first], stands[pairs.second]
    different = first != second
    return first[different], second[different]


def _first_alike(pool: ResponsePool) -> Int64[np.ndarray, "response"] | None:
    """For each response the first to its prompt that reads the same; None where that is itself for all."""
    if pool.texts is None:
        return None
    read = np.fromiter(map(hash, pool.texts), np.int64, len(pool))
    order = np.lexsort((read, pool.group))  # stable: the first of those alike comes first
    new = np.zeros(len(pool), bool)
    new[0] = True
    for column in (read, pool.group):
        new[1:] |= column[order[1:]] != column[order[:-1]]
    if new.all():
        return None
    first = np.empty(len(pool), np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    return first
