"""Recorded votes as an annotator: what people said once is what they answer now, each vote at most once."""

from __future__ import annotations

import hashlib
import operator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int64

from bayesrm import rng
from bayesrm.annotators.base import Annotator
from bayesrm.data.votes import Votes
from bayesrm.errors import InvalidInputError
from bayesrm.types import Comparisons, Pairs, Preferences
from bayesrm.utils.checked import Seed, checked


class ReplayAnnotator(Annotator):
    """Answers a pair with a vote that was recorded on it, whichever way round it was asked.

    The votes on a pair come in an order that depends on the seed alone: asked for the k-th time, a pair gets its k-th
    vote. A pair whose votes are used up is left without an answer; so one annotator is for one campaign.

    Parameters
    ----------
    votes : Votes
        What was recorded.
    seed : int
        Root of the order of the votes on each pair.

    Raises
    ------
    InvalidInputError
        Where there are no votes.

    See Also
    --------
    load_votes : Read votes from a file.
    Votes : What it answers with.

    Examples
    --------
    >>> import bayesrm as brm
    >>> votes = brm.Votes(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 0.0]))
    >>> annotator = brm.ReplayAnnotator(votes)
    >>> annotator.label(brm.Comparisons([1], [0])).outcome
    array([0.])
    >>> annotator.pairs.second
    array([2])
    """

    name: ClassVar[str] = "replay"

    @checked
    def __init__(self, votes: Votes, seed: Seed = 0) -> None:
        if len(votes) == 0:
            raise InvalidInputError("expected recorded votes, got none")
        self.votes, self.seed = votes, operator.index(seed)
        ends = np.sort(np.stack([votes.first, votes.second], axis=1), axis=1)
        self._ends, pair = np.unique(ends, axis=0, return_inverse=True)
        pair = pair.reshape(-1)
        shuffled = rng.stream(self.seed, "order of votes").permutation(len(votes))
        self._order: Int64[np.ndarray, "vote"] = shuffled[np.argsort(pair[shuffled], kind="stable")]
        counts = np.bincount(pair, minlength=len(self._ends))
        self._start = np.concatenate([[0], np.cumsum(counts)])
        self._used = np.zeros(len(self._ends), np.int64)

    @property
    def pairs(self) -> Comparisons:
        """The pairs that have a vote left: what can be asked."""
        left = self._ends[self._used < np.diff(self._start)]
        return Comparisons(left[:, 0], left[:, 1])

    @checked
    def label(self, pairs: Pairs) -> Preferences:
        """The next recorded vote on each pair, in order; pairs without one left are left out.

        Raises
        ------
        InvalidInputError
            Where a pair was never voted on.
        """
        wanted = np.sort(np.stack([pairs.first, pairs.second], axis=1), axis=1)
        width = int(max(self._ends.max(initial=0), wanted.max(initial=0))) + 1
        code = self._ends[:, 0] * width + self._ends[:, 1]
        asked = wanted[:, 0] * width + wanted[:, 1]
        at = np.searchsorted(code, asked).clip(max=len(code) - 1)
        unknown = np.flatnonzero(code[at] != asked)
        if len(unknown):
            k = int(unknown[0])
            raise InvalidInputError(
                f"expected pairs that somebody voted on, got {len(unknown)} others (the first is response "
                f"{pairs.first[k]} with {pairs.second[k]}): ask only about the annotator's pairs, as in "
                "candidates(pool, pairs=annotator.pairs)"
            )
        votes, answered = [], []
        for k, pair in enumerate(at.tolist()):
            if self._used[pair] < self._start[pair + 1] - self._start[pair]:
                votes.append(self._order[self._start[pair] + self._used[pair]])
                answered.append(k)
                self._used[pair] += 1
        vote, kept = np.array(votes, dtype=np.int64), np.array(answered, dtype=np.int64)
        first, second = pairs.first[kept], pairs.second[kept]
        outcome = np.where(self.votes.first[vote] == first, self.votes.outcome[vote], 1 - self.votes.outcome[vote])
        who = None if self.votes.annotator is None else self.votes.annotator[vote]
        return Preferences(first, second, outcome, annotator=who)

    def describe(self) -> dict[str, Any]:
        """Seed and a digest of the votes."""
        digest = hashlib.sha256()
        for column in (self.votes.first, self.votes.second, self.votes.outcome):
            digest.update(np.ascontiguousarray(column).tobytes())
        return super().describe() | {"seed": self.seed, "votes_sha256": digest.hexdigest()}
