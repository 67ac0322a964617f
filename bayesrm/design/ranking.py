"""The best of many candidates, merged block by block."""

from __future__ import annotations

import numpy as np

from bayesrm.design.candidates import CandidateSet, PairIndex
from bayesrm.design.objectives import PairFunction


def top(candidates: CandidateSet, score: PairFunction, size: int, generator: np.random.Generator) -> PairIndex:
    """Positions of the ``size`` highest scores, highest first; ties are broken at random."""
    positions = np.empty(0, np.int64)
    scores, ties = np.empty(0), np.empty(0)
    for block, first, second in candidates.blocks():
        block_scores = score(first, second).cpu().numpy()
        positions = np.concatenate([positions, block])
        scores = np.concatenate([scores, block_scores])
        ties = np.concatenate([ties, generator.random(len(block))])
        if len(scores) > size:
            threshold = np.partition(scores, len(scores) - size)[len(scores) - size]
            keep = np.flatnonzero(scores >= threshold)
            keep = keep[np.lexsort((ties[keep], -scores[keep]))[:size]]
            positions, scores, ties = positions[keep], scores[keep], ties[keep]
    return positions[np.lexsort((ties, -scores))]
