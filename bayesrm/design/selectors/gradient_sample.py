r"""The sampled form of the paper's selector: without replacement, with odds proportional to the gradients g.

Drawn by exponential clocks of rate g (Efraimidis & Spirakis 2006): the pairs that ring first, E/g with E ~ Exp(1). The
clock of pair m has rung by time t with probability 1 − exp(−g_m t), so with t* the time by which as many are expected
to have rung as were asked for,

    π_m ≈ 1 − exp(−g_m t*),    Σ_m π_m = k,

is the probability of being in the batch, the closer the larger the batch (Rosén 1997, asymptotic theory for order
sampling). Gradients are summed up in bins of 1.1%, each as good as its mean to a part in a hundred thousand.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq

from bayesrm.design.base import Selector
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.design.search.constrained import Tally, fill, per_cost
from bayesrm.design.search.ranking import sample

SMALLEST = 1e-200
"""Odds below this count as this: the order of pairs that are worth nothing is chance too."""
_BINS, _BINS_ABOVE, _PER_OCTAVE = 2560, 768, 64


class GradientSample(Selector):
    """Sampled with odds proportional to the paper's gradients."""

    name: ClassVar[str] = "gradient-sample"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """The first clocks to ring; within constraints, drawn again from what is still allowed."""
        odds = _odds(objective, candidates)
        if not candidates.constraints.limited:
            return sample(candidates, odds, size, generator)
        tally, chosen = Tally(candidates, size), list[int]()
        while len(chosen) < size:
            ranked = sample(candidates, odds, size - len(chosen), generator, allowed=tally.allowed)
            tally.require_more(len(ranked) > 0)
            fill(tally, candidates, ranked, chosen, size)
        return np.array(chosen, dtype=np.int64)

    def inclusion(
        self, objective: Objective, candidates: CandidateSet, positions: PairIndex
    ) -> Float[np.ndarray, "pair"] | None:
        """π of the chosen; None under caps, which have no such formula."""
        if candidates.constraints.limited:
            return None
        if len(positions) == len(candidates):
            return np.ones(len(positions))
        odds = _odds(objective, candidates)
        time = _ringing_time(*_binned(odds, candidates), len(positions))
        return -np.expm1(-odds(candidates.block_at(positions)).cpu().numpy() * time)


def _odds(objective: Objective, candidates: CandidateSet) -> PairFunction:
    gradient = per_cost(objective.gradient(candidates), candidates)
    return lambda pairs: gradient(pairs).clamp(min=SMALLEST)


def _binned(
    odds: PairFunction, candidates: CandidateSet
) -> tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "bin"]]:
    """How many candidates have odds in each bin, and the mean of those."""
    counts, sums = np.zeros((2, _BINS))
    reference = None

    def count(values: np.ndarray, sign: float) -> None:
        nonlocal reference
        reference = values.max() if reference is None else reference
        place = np.floor(np.log2(values / reference) * _PER_OCTAVE) + (_BINS - _BINS_ABOVE)
        place = place.clip(0, _BINS - 1).astype(np.int64)
        counts[:] += sign * np.bincount(place, minlength=_BINS)
        sums[:] += sign * np.bincount(place, weights=values, minlength=_BINS)

    for _, pairs in candidates.listed():
        count(odds(pairs).cpu().numpy(), 1.0)
    for tile in candidates.tiles():
        matrix = tile.hide(odds(tile.pairs(torch.float64)), 0.0)
        if len(shown := matrix[matrix > 0]):
            count(shown.cpu().numpy(), 1.0)
    for pairs in candidates.hidden_in_tiles():
        count(odds(pairs).cpu().numpy(), -1.0)
    some = counts > 0.5
    return counts[some], sums[some] / counts[some]


def _ringing_time(counts: Float[np.ndarray, "bin"], odds: Float[np.ndarray, "bin"], size: int) -> float:
    """t* with Σ_m 1 − exp(−g_m t*) = size."""

    def excess(log_time: float) -> float:
        return float(-(counts * np.expm1(-odds * np.exp(log_time))).sum()) - size

    # No clock is faster than the fastest, and none slower than the slowest.
    rung = -np.log1p(-size / counts.sum())
    return float(np.exp(brentq(excess, np.log(rung / odds.max()) - 1e-6, np.log(rung / odds.min()) + 1e-6)))
