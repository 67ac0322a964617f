"""The candidates that a growing batch may want next, kept up to date; a bound says what all others are below."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.design.search.constrained import Tally, per_cost
from bayesrm.design.search.ranking import ROUNDING, top
from bayesrm.posteriors.pairs import PairBlock


class Shortlist:
    """Candidates of largest score, their current scores, and what all other candidates stay below.

    Parameters
    ----------
    batch
        The batch; it tracks the shortlist. With costs, scores are gains per unit of cost.
    candidates, length
        What it is a shortlist of, and about how long it is.
    generator
        Breaks ties.

    Attributes
    ----------
    positions
        (candidate,) the shortlist.
    threshold
        Whatever is not on it scores less, now and after any additions to the batch.
    """

    def __init__(
        self, batch: Batch, candidates: CandidateSet, length: int, generator: np.random.Generator
    ) -> None:
        self._batch, self._candidates, self._length, self._generator = batch, candidates, length, generator
        self._per_cost: Float[Tensor, "pair"] | None = None
        if len(candidates) <= length:
            self._track(generator.permutation(len(candidates)))
            self.threshold = -math.inf
        else:
            self._refresh(self._guess(), None)

    def scores(self) -> Float[np.ndarray, "candidate"]:
        """Current scores of the shortlist."""
        scores = self._batch.tracked
        if self._per_cost is not None:
            scores = self._batch.gain(scores) * self._per_cost
        return scores.cpu().numpy()

    def open(self, tally: Tally) -> Bool[np.ndarray, "candidate"]:
        """Which of the shortlist could still be put into the batch."""
        return tally.allowed(self.positions, self._pairs.first.numpy(), self._pairs.second.numpy())

    def put_first(self, positions: PairIndex) -> None:
        """Begin the shortlist with these candidates, whether they are on it or not."""
        self._track(np.concatenate([positions, np.setdiff1d(self.positions, positions)]))

    def refresh(self, tally: Tally) -> None:
        """Make a new shortlist; at least as long as nine tenths of what is left of this one."""
        left = self.positions[self.open(tally)]
        floor = -math.inf
        if len(left):
            # Scored anew, as updates of what is tracked carry rounding along.
            scores = self._score()(self._candidates.block_at(left)).cpu().numpy()
            floor = float(np.partition(scores, len(left) // 10)[len(left) // 10])
            floor -= ROUNDING * abs(floor)
        self._refresh(floor, tally)

    def _refresh(self, floor: float, tally: Tally | None) -> None:
        score = self._score()
        allowed = tally.allowed if tally is not None and self._candidates.constraints.limited else None
        ranked = top(self._candidates, score, self._length + 1, self._generator, allowed, floor)
        self.threshold = floor
        if len(ranked) > self._length:
            self.threshold = float(score(self._candidates.block_at(ranked[-1:]))[0])
            ranked = ranked[:-1]
        self._track(ranked)
        if len(ranked):
            # A pair scored alone may differ in the last digit from the same pair in a block.
            self.threshold = min(self.threshold, float(self.scores().max()))

    def _track(self, positions: PairIndex) -> None:
        self.positions = positions
        self._pairs = self._candidates.block_at(positions)
        self._batch.track(self._pairs)
        if self._candidates.constraints.cost is not None:
            ones = per_cost(lambda block: torch.ones(len(block), dtype=torch.float64), self._candidates)
            self._per_cost = ones(self._pairs)

    def _score(self) -> PairFunction:
        score = self._batch.score()
        if self._candidates.constraints.cost is None:
            return score

        def gain(pairs: PairBlock) -> Tensor:
            return self._batch.gain(score(pairs))

        return per_cost(gain, self._candidates)

    def _guess(self) -> float:
        """A score that about as many candidates reach as the shortlist is long, from a sample of them."""
        positions = self._candidates.sample(min(2 * self._length, len(self._candidates)), self._generator)
        scores = self._score()(self._candidates.block_at(positions)).cpu().numpy()
        place = math.ceil(len(scores) * self._length / len(self._candidates))
        return float(np.partition(scores, -place)[-place])
