r"""Greedy: the pair of largest marginal gain, again and again. For a submodular f at least (1 − 1/e) of the best.

Exact also over millions of implicit pairs: only a shortlist is kept up to date. Gains never rise, so whatever was
off the shortlist stays below the threshold at which it was cut; only when the best of the shortlist falls
below that threshold are all candidates scored again (lazy evaluation, Minoux 1978).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bayesrm.design.base import Selector
from bayesrm.design.candidates import CandidateSet, PairIndex
from bayesrm.design.objectives import Batch, Objective
from bayesrm.design.ranking import top

SHORTLIST = 20_000


class Greedy(Selector):
    """The pair that adds most to those already chosen, again and again."""

    name: ClassVar[str] = "greedy"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Exact greedy with a lazily refreshed shortlist."""
        batch = objective.batch()
        chosen: list[int] = []
        taken = np.empty(0, bool)
        shortlist = np.empty(0, np.int64)
        threshold = np.inf
        while len(chosen) < size:
            best = -1
            if len(shortlist):
                scores = np.where(taken, -np.inf, batch.tracked.cpu().numpy())
                best = int(scores.argmax())
            if best < 0 or scores[best] < threshold:
                shortlist, threshold = shorten(batch, candidates, max(SHORTLIST, 2 * size), generator)
                batch.track(*candidates.rows_at(shortlist))
                taken = np.isin(shortlist, chosen)
                # The best is found whatever rounding did to the threshold, which was computed in another block.
                threshold = min(threshold, float(batch.tracked.cpu().numpy()[~taken].max()))
                continue
            batch.add(best)
            taken[best] = True
            chosen.append(int(shortlist[best]))
        return np.array(chosen, dtype=np.int64)


def shorten(
    batch: Batch, candidates: CandidateSet, length: int, generator: np.random.Generator
) -> tuple[PairIndex, float]:
    """The ``length`` candidates of largest current score, and a bound on the scores of all others."""
    if len(candidates) <= length:
        return generator.permutation(len(candidates)), -np.inf
    score = batch.score()
    ranked = top(candidates, score, length + 1, generator)
    return ranked[:-1], float(score(*candidates.rows_at(ranked[-1:]))[0])
