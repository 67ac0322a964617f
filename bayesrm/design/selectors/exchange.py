"""Exchange: greedy, then swaps of one chosen pair for a better one until none is left (Fedorov 1972).

Each pass takes every chosen pair out in turn and puts in the candidate of largest gain given the others, which may
be the same one; with costs, of largest gain per unit of cost. Without costs the criterion never falls. Swaps come from
greedy's shortlist, which is all candidates where there are no more than 20,000.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.search.constrained import Tally
from bayesrm.design.search.contenders import Near
from bayesrm.design.search.shortlist import Shortlist
from bayesrm.design.selectors.greedy import SHORTLIST, Greedy
from bayesrm.design.selectors.top import Top

MAX_PASSES = 10
TOLERANCE = 1e-9
"""A swap must raise the score of its place by more than this part, so that rounding cannot swap for ever."""


class Exchange(Selector):
    """Greedy, followed by swaps for as long as they help."""

    name: ClassVar[str] = "exchange"
    first_is_best: ClassVar[bool] = True

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Improve greedy's batch by single swaps."""
        greedy = Greedy().choose(objective, candidates, size, generator)
        batch = objective.batch()
        shortlist = Shortlist(batch, candidates, max(SHORTLIST, 2 * size), generator)
        shortlist.put_first(greedy)
        tally = Tally(candidates, size)
        chosen = np.arange(size)
        for index in range(size):
            batch.add(index)
            tally.add(int(shortlist.positions[index]))
        for _ in range(MAX_PASSES):
            swapped = False
            for place, index in enumerate(chosen.tolist()):
                batch.remove(index)
                tally.remove(int(shortlist.positions[index]))
                scores = shortlist.scores().copy()
                scores[np.delete(chosen, place)] = -np.inf
                if candidates.constraints.limited:
                    scores[~shortlist.open(tally)] = -np.inf
                best = int(scores.argmax())
                if scores[best] > scores[index] * (1 + TOLERANCE):
                    chosen[place], swapped = best, True
                batch.add(int(chosen[place]))
                tally.add(int(shortlist.positions[chosen[place]]))
            if not swapped:
                break
        return shortlist.positions[chosen]

    def next(
        self,
        objective: Objective,
        candidates: CandidateSet,
        generator: np.random.Generator,
        near: Near | None = None,
    ) -> PairIndex:
        """The pair of largest gain."""
        return Top().next(objective, candidates, generator, near)
