r"""How well the sums of a batch's non-negative moments match given means, by the entropy of one relative to the other.

With moments s_m ∈ R^J whose sum over j is the same T for every pair, and means μ of them,

    f(C) = Σ_j (μ_j / T) log(1 + Σ_{m∈C} s_mj / a_j),

where a_j > 0 counts what was there before. Up to a constant this is −KL(μ/T ‖ M/T) of the mean moments M of everything
so far, so that for as many pairs f is largest where M = μ. It is concave in w and submodular, and gains are ≥ 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Objective, PairFunction, batch_gains
from bayesrm.posteriors.pairs import ListedPairs, PairBlock

PAIRS_AT_ONCE = 2_048


@dataclass(frozen=True)
class SharesObjective(Objective):
    """f(C), see the module.

    Parameters
    ----------
    moments
        From a list of pairs to their (pair, moment) s.
    mean
        (moment,) μ.
    before
        (moment,) a.
    """

    moments: Callable[[ListedPairs], Float[Tensor, "pair moment"]]
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
        return self._slope_at(self.before + self.moments(ListedPairs(pairs.first, pairs.second)).sum(dim=0))

    def of(self, pairs: PairBlock, function: Callable[[Tensor], Tensor]) -> Float[Tensor, "pair"]:
        """A function of pairs' moments, for some pairs at a time."""
        ends = pairs.first.split(PAIRS_AT_ONCE), pairs.second.split(PAIRS_AT_ONCE)
        parts = [function(self.moments(ListedPairs(*both))) for both in zip(*ends, strict=True)]
        return torch.cat(parts) if parts else self.mean[:0]

    @property
    def share(self) -> Float[Tensor, "moment"]:
        """μ_j / T."""
        return self.mean / self.mean.sum()

    def _slope_at(self, sums: Float[Tensor, "moment"]) -> PairFunction:
        price = self.share / sums
        return lambda pairs: self.of(pairs, lambda moments: moments @ price)


class _SharesBatch(Batch):
    def __init__(self, objective: SharesObjective) -> None:
        self._objective, self._share = objective, objective.share
        self._sums = objective.before.clone()
        self._tracked = objective.mean.new_empty((0, len(objective.mean)))

    def score(self) -> PairFunction:
        sums = self._sums.clone()
        return lambda pairs: self._objective.of(pairs, lambda moments: self._gains(moments, sums))

    def track(self, pairs: PairBlock) -> None:
        self._tracked = self._objective.moments(ListedPairs(pairs.first, pairs.second))

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
