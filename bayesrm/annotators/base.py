"""What an annotator is: whoever or whatever answers comparisons."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bayesrm import rng
from bayesrm.types import Pairs, Preferences


@runtime_checkable
class SupportsLabel(Protocol):
    """The least that can answer: anything with ``label``."""

    def label(self, pairs: Pairs) -> Preferences: ...  # noqa: D102


class Annotator(ABC):
    """Answers comparisons.

    See Also
    --------
    GoldenAnnotator : One that answers from golden rewards.
    ReplayAnnotator : One that answers with recorded votes.

    Examples
    --------
    An annotator of one's own, who likes short answers:

    >>> class Brief(brm.Annotator):
    ...     def __init__(self, texts):
    ...         self.length = np.array([len(text) for text in texts])
    ...
    ...     def label(self, pairs):
    ...         shorter = self.length[pairs.first] < self.length[pairs.second]
    ...         return brm.Preferences(pairs.first, pairs.second, shorter.astype(float))
    >>> len(Brief(pool.texts).label(brm.candidates(pool, size=5)))
    5
    """

    @abstractmethod
    def label(self, pairs: Pairs) -> Preferences:
        """Answer each pair, in order."""

    def at_round(self, round_index: int) -> Annotator:
        """The annotator whose answers depend on the round only, so that a resumed run hears the same ones.

        An annotator that draws at random overrides this; others are the same in every round.
        """
        return self

    def describe(self) -> dict[str, Any]:
        """The settings that its answers depend on, as JSON-able values."""
        return {"annotator": type(self).__name__}


class SeededAnnotator(Annotator):
    """Answers at random: a stream of draws for each call, or for the round it was told of."""

    seed: int
    _calls = 0
    _round: int | None = None

    def _generator(self) -> np.random.Generator:
        if self._round is not None:
            return rng.stream(self.seed, "round", self._round)
        self._calls += 1
        return rng.stream(self.seed, "call", self._calls - 1)

    def at_round(self, round_index: int) -> SeededAnnotator:
        """Draws that depend on the seed and the round only."""
        annotator = copy.copy(self)
        annotator._round = round_index
        return annotator
