"""The best of many candidates, merged block by block."""

from __future__ import annotations

import numpy as np

from bayesrm.design.candidates import CandidateSet, PairIndex
from bayesrm.design.objectives import PairFunction


def top(candidates: CandidateSet, score: PairFunction, size: int, generator: np.random.Generator) -> PairIndex:
    """Positions of the ``size`` highest scores, highest first; ties are broken at random."""
    # Rows are position, score and tie-breaker of what may still be among the best.
    kept: list[np.ndarray] = []
    threshold = -np.inf
    for positions, first, second in candidates.blocks():
        scores = score(first, second).cpu().numpy()
        block = np.stack([positions, scores, generator.random(len(scores))])
        kept.append(block[:, scores >= threshold])
        if sum(part.shape[1] for part in kept) > 2 * size:
            kept = [_best(np.concatenate(kept, axis=1), size)]
            threshold = kept[0][1, -1]
    return _best(np.concatenate(kept, axis=1), size)[0].astype(np.int64)


def _best(table: np.ndarray, size: int) -> np.ndarray:
    """The columns of the ``size`` highest scores, in order."""
    if table.shape[1] > size:
        least = np.partition(table[1], -size)[-size]
        table = table[:, table[1] >= least]
    return table[:, np.lexsort((table[2], -table[1]))[:size]]
