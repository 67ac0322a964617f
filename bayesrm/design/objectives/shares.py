r"""How well the sums of a batch's squared differences match given means: the entropy of one relative to the other.

Of a pair of difference v count v_1², …, v_J², what all other coordinates have together, and T − ‖v‖² with T at least
the largest ‖v‖². With these moments s_m, whose sum is T for every pair, and means μ of them,

    f(C) = Σ_j (μ_j / T) log(1 + Σ_{m∈C} s_mj / a_j),

where a_j > 0 counts what was there before. Up to a constant this is −KL(μ/T ‖ M/T) of the mean moments M of everything
so far, so that for as many pairs f is largest where M = μ. It is concave in w and submodular, and gains are ≥ 0. A
moment of mean 0 is 0 of every pair, and has no share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Objective, batch_gains
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import PairBlock

PAIRS_AT_ONCE = 2_048
_TINY = 1e-300


@dataclass(frozen=True)
class SquareMoments:
    """s of pairs.

    Parameters
    ----------
    rows
        (response, coordinate) rows of which v are differences.
    leading
        J.
    longest
        T.
    """

    rows: Float[Tensor, "response coordinate"]
    leading: int
    longest: float

    @property
    def count(self) -> int:
        """How many moments there are."""
        return self.leading + 2

    def of(self, pairs: PairBlock) -> Float[Tensor, "pair moment"]:
        """All of some pairs at once."""
        return torch.cat([*self.blocks(pairs), self.rows.new_empty((0, self.count))])

    def blocks(self, pairs: PairBlock) -> Iterator[Float[Tensor, "pair moment"]]:
        """Of some pairs after others; lengths come from one Gram product."""
        rows = self.rows[:, : self.leading].contiguous()
        length = pairs.squared_distance(self.rows).to(rows)
        parts = (ends.split(PAIRS_AT_ONCE) for ends in (pairs.first, pairs.second, length))
        for first, second, total in zip(*parts, strict=True):
            squares = difference(rows, first, second).square_()
            rest = (total - squares.sum(dim=1)).clamp_(min=0.0)
            room = (self.longest - total).clamp_(min=0.0)
            yield torch.cat([squares, rest[:, None], room[:, None]], dim=1)


@dataclass(frozen=True)
class SharesObjective(Objective):
    """f(C), see the module.

    Parameters
    ----------
    moments
        s.
    mean
        (moment,) μ.
    before
        (moment,) a, above 0.
    """

    moments: SquareMoments
    mean: Float[Tensor, "moment"]
    before: Float[Tensor, "moment"]

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """Σ_j (μ_j / T) s_mj / (a_j + N μ_j) of N candidates in all."""
        return self._slope_at(self.before + len(candidates) * self.mean)

    def batch(self) -> Batch:
        """The empty batch."""
        return _SharesBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """What each adds to those before it."""
        return batch_gains(self.batch(), pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """Σ_j (μ_j / T) s_mj / S_j with S the sums of the batch and of what was before."""
        return self._slope_at(self.before + self.moments.of(pairs).sum(dim=0))

    def each(self, pairs: PairBlock, function: Callable[[Tensor], Tensor]) -> Float[Tensor, "pair"]:
        """A function of the moments of pairs, block by block."""
        return torch.cat([*map(function, self.moments.blocks(pairs)), self.mean[:0]])

    @property
    def share(self) -> Float[Tensor, "moment"]:
        """μ_j / T."""
        return self.mean / self.mean.sum().clamp(min=_TINY)

    def _slope_at(self, sums: Float[Tensor, "moment"]) -> PairFunction:
        price = self.share / sums
        return lambda pairs: self.each(pairs, lambda moments: moments @ price)


class _SharesBatch(Batch):
    def __init__(self, objective: SharesObjective) -> None:
        self._objective, self._share = objective, objective.share
        self._sums = objective.before.clone()
        self._tracked = objective.mean.new_empty((0, len(objective.mean)))

    def score(self) -> PairFunction:
        sums = self._sums.clone()
        return lambda pairs: self._objective.each(pairs, lambda moments: self._gains(moments, sums))

    def track(self, pairs: PairBlock) -> None:
        self._tracked = self._objective.moments.of(pairs)

    @property
    def tracked(self) -> Tensor:
        return self._gains(self._tracked, self._sums)

    def add(self, index: int) -> None:
        self._sums = self._sums + self._tracked[index]

    def remove(self, index: int) -> None:
        self._sums = torch.maximum(self._sums - self._tracked[index], self._objective.before)

    def _gains(
        self, moments: Float[Tensor, "pair moment"], sums: Float[Tensor, "moment"]
    ) -> Float[Tensor, "pair"]:
        return torch.log1p(moments / sums) @ self._share
