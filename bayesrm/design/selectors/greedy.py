r"""Greedy: the pair of largest marginal gain, again and again. For a submodular f at least (1 − 1/e) of the best.

Exact also over millions of implicit pairs: only a shortlist is kept up to date. Gains never rise, so whatever was
off the shortlist stays below the threshold at which it was cut; only when the best of the shortlist falls
below that threshold are all candidates scored again (lazy evaluation, Minoux 1978). What is left of the old shortlist
says from where on the new one begins, which spares most candidates all but a look at their bound.
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
from bayesrm.design.selectors.top import Top

SHORTLIST = 20_000


class Greedy(Selector):
    """The pair that adds most to those already chosen, again and again."""

    name: ClassVar[str] = "greedy"
    first_is_best: ClassVar[bool] = True

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Exact greedy with a lazily refreshed shortlist, of gains per unit of cost."""
        batch = objective.batch()
        tally = Tally(candidates, size)
        shortlist = Shortlist(batch, candidates, max(SHORTLIST, 2 * size), generator)
        free = shortlist.open(tally)
        chosen: list[int] = []
        while len(chosen) < size:
            scores = np.where(free, shortlist.scores(), -np.inf)
            best = int(scores.argmax()) if len(scores) else -1
            if best < 0 or not free[best] or scores[best] < shortlist.threshold:
                tally.require_more(shortlist.threshold > -np.inf)
                shortlist.refresh(tally)
                free = shortlist.open(tally)
                continue
            batch.add(best)
            position = int(shortlist.positions[best])
            tally.add(position)
            chosen.append(position)
            free[best] = False
            if candidates.constraints.limited:
                free = shortlist.open(tally)
        return np.array(chosen, dtype=np.int64)

    def next(
        self,
        objective: Objective,
        candidates: CandidateSet,
        generator: np.random.Generator,
        near: Near | None = None,
    ) -> PairIndex:
        """The pair of largest gain."""
        return Top().next(objective, candidates, generator, near)
