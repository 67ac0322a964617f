r"""Scores with a cheap upper bound, of which only those that can be among the best are computed exactly.

Most scores are a weight times a squared distance, w ‖u_i − u_j‖² with w ≤ w̄. In single precision w̄ ‖u_i − u_j‖² is one
Gram product for a tile of pairs; a bound on the weight, where there is one, comes on top for the few pairs that are far
enough apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.design.candidates.tiles import Tile
from bayesrm.posteriors.pairs import GramRows, ListedPairs, PairBlock, TiledPairs, bounding_slack

PairFunction = Callable[[PairBlock], Float[Tensor, "pair"]]
"""From a block of pairs, as rows of the candidates' responses, to a number for each."""
LOWEST = float(torch.finfo(torch.float32).min)
"""Below every score, and above what hides cells of a tile that are no candidates."""
MOST_CELLS = 0.05
"""Up to this part of a tile, pairs are bounded more closely one by one."""


@dataclass(frozen=True)
class SpreadCap:
    """An upper bound on the weight of a pair by variance and mean of its logit.

    Parameters
    ----------
    factor, mean
        (response, rank) rows u and (response,) m: a logit has variance ‖u_i − u_j‖² and mean m_i − m_j.
    share
        From variances s², rounded up, and squared means to at least the weight as a part of the largest one. It is
        largest at a mean of zero, where it falls with s²; at every mean s² · share rises with s².
    least
        The s² at which s² · share reaches a number, the mean being zero.
    """

    factor: Float[Tensor, "response rank"]
    mean: Float[Tensor, "response"]
    share: Callable[[Tensor, Tensor], Tensor]
    least: Callable[[float], float]


@dataclass(frozen=True)
class PairWeight:
    """A weight of pairs with upper bounds.

    Parameters
    ----------
    function
        The weight.
    largest
        What it never exceeds.
    share
        For a tile in single precision at least the weight of each pair as a part of ``largest``, rounding included;
        by default nothing is known of it.
    spread
        What is known of it from the variance of a pair's logit alone, if anything.
    waves
        From some responses to (response, wave) rows g with which it is g_i · g_j, where there are such.
    """

    function: PairFunction
    largest: float
    share: Callable[[TiledPairs], Float[Tensor, "pair"]] | None = None
    spread: SpreadCap | None = None
    waves: Callable[[Int64[Tensor, "response"]], Float[Tensor, "response wave"]] | None = None

    def __call__(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The weight itself."""
        return self.function(pairs)


class FarPairs:
    """How far pairs are apart, times the largest weight: in single precision, and never too small.

    Parameters
    ----------
    rows
        (response, rank) rows u.
    largest
        The largest weight w̄.
    cap
        Of weights that are known to fall with the variance, where no distance exceeds the logit's variance.
    """

    def __init__(self, rows: Float[Tensor, "response rank"], largest: float, cap: SpreadCap | None) -> None:
        self.largest, self._cap = largest, cap
        self._of_spread = cap is not None and rows is cap.factor
        self.centred = rows - rows.mean(dim=0)

    @cached_property
    def squared_norm(self) -> Float[Tensor, "response"]:
        """‖u_i − ū‖²."""
        return self.centred.square().sum(dim=1)

    @cached_property
    def single(self) -> Float[Tensor, "response rank"]:
        """u_i − ū in single precision."""
        return self.centred.float()

    @cached_property
    def _gram(self) -> GramRows:
        return GramRows.bounding(self.centred, self.largest)

    @cached_property
    def _slack(self) -> Float[Tensor, "response"]:
        return (bounding_slack(self.centred.shape[1]) * self.squared_norm).float()

    def reach(self, threshold: float) -> float:
        """Below this w̄ ‖u_i − u_j‖² no pair scores as much as a threshold."""
        if self._cap is None or threshold <= 0:
            return threshold
        return self.largest * self._cap.least(threshold / self.largest)

    def of_tile(self, tile: TiledPairs) -> Float[Tensor, "pair"]:
        """Of all pairs of a tile; the next call overwrites them."""
        return self._gram.distance(tile)

    def of_list(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """Of a list of pairs, on the device of the rows."""
        squared = self.single.index_select(0, first).sub_(self.single.index_select(0, second)).square_().sum(dim=1)
        squared += self._slack.index_select(0, first) + self._slack.index_select(0, second)
        return squared.mul_(self.largest)

    def weighed(
        self, bounds: Float[Tensor, "pair"], first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """Closer bounds on scores, where the variance is the squared distance itself."""
        if not self._of_spread:
            return bounds
        assert self._cap is not None
        apart = self._cap.mean.index_select(0, first) - self._cap.mean.index_select(0, second)
        return bounds * self._cap.share(bounds / self.largest, apart.square_().float())

    def reaching(self, pairs: ListedPairs, threshold: float) -> Bool[Tensor, "pair"]:
        """Which of some pairs can score as much as a threshold; on the host."""
        first, second = (end.to(self.centred.device) for end in (pairs.first, pairs.second))
        bounds = self.of_list(first, second)
        return ((bounds >= self.reach(threshold)) & (self.weighed(bounds, first, second) >= threshold)).cpu()


@dataclass(frozen=True)
class Screened:
    """A score with a cheap upper bound: in a tile only pairs whose bound is high enough are scored.

    Parameters
    ----------
    score
        The score.
    bound
        From a tile in single precision and a threshold to at least the score of each pair, rounding included; of
        pairs that score less than the threshold, to anything.
    far
        What no score exceeds, from distances of pairs alone. None where nothing is known.
    few
        From a tile and a threshold to the cells whose bound may reach it, and their bounds; None where they are many,
        and ``bound`` is to be asked.
    sharp
        From a list of pairs to a closer bound that costs less than the score; None where the score costs little.
    """

    score: PairFunction
    bound: Callable[[TiledPairs, float], Float[Tensor, "pair"]]
    far: FarPairs | None = None
    few: Callable[[TiledPairs, float], tuple[Int64[Tensor, "cell"], Float[Tensor, "cell"]] | None] | None = None
    sharp: PairFunction | None = None

    def reaching(self, pairs: ListedPairs, threshold: float) -> Bool[Tensor, "pair"] | None:
        """Which of some pairs can score as much as a threshold, on the host; None where all may."""
        if threshold <= 0:
            return None
        if self.sharp is not None:
            return (self.sharp(pairs) >= threshold).cpu()
        return None if self.far is None else self.far.reaching(pairs, threshold)

    def __call__(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The score itself."""
        return self.score(pairs)

    @cached_property
    def radius(self) -> Float[Tensor, "response"] | None:
        """√w̄ ‖u_i − ū‖, on the host: no pair is farther apart than the sum of both. None where nothing is known."""
        if self.far is None:
            return None
        return ((1 + 1e-9) * math.sqrt(self.far.largest) * self.far.squared_norm.sqrt()).cpu()

    def out_of_reach(self, tile: Tile, threshold: float) -> bool:
        """Whether no pair of a tile can reach a threshold, which is seen from its responses alone."""
        return self.far is not None and threshold > 0 and not self.has_as_far(tile, self.far.reach(threshold))

    def has_as_far(self, tile: Tile, distance: float) -> bool:
        """Whether a tile may have a pair with at least this w̄ ‖u_i − u_j‖²."""
        if self.radius is None:
            return True
        return bool(float(self.radius[tile.rows].amax() + self.radius[tile.columns].amax()) ** 2 >= distance)


def weighted_distance(
    rows: Float[Tensor, "response rank"],
    weight: PairFunction,
    factor: float = 1.0,
    cap: SpreadCap | None = None,
) -> PairFunction:
    """factor · w ‖u_i − u_j‖², with a bound where w has one; ``cap`` where no distance exceeds the logit's variance."""

    def score(pairs: PairBlock) -> Tensor:
        return factor * weight(pairs) * pairs.squared_distance(rows)

    if not isinstance(weight, PairWeight):
        return score
    sharper, far = weight.share, FarPairs(rows, factor * weight.largest, cap)

    def bound(tile: TiledPairs, threshold: float) -> Tensor:
        bounds = far.of_tile(tile)
        if sharper is None:
            return bounds
        matrix = bounds.view(len(tile.rows), len(tile.columns))
        promising = torch.nonzero(matrix.amax(dim=1) >= far.reach(threshold))[:, 0]
        if len(promising) > 0.25 * len(matrix):
            return bounds.mul_(sharper(tile))
        if len(promising):
            promising_tile = TiledPairs(tile.rows[promising.cpu()], tile.columns, tile.dtype)
            part = matrix[promising] * sharper(promising_tile).view(len(promising), -1)
            if cap is not None:
                matrix.fill_(LOWEST)
            matrix[promising] = part
        return bounds

    def few(tile: TiledPairs, threshold: float) -> tuple[Tensor, Tensor] | None:
        bounds, least = far.of_tile(tile), far.reach(threshold)
        matrix = bounds.view(len(tile.rows), len(tile.columns))
        promising = torch.nonzero(matrix.amax(dim=1) >= least)[:, 0]
        if promising.shape[0] == 0:
            return promising, bounds[:0]
        part = matrix[promising]
        row, column = torch.nonzero(part >= least, as_tuple=True)
        if len(row) > MOST_CELLS * len(tile):
            return None
        kept, row = part[row, column], promising[row]
        first, second = (ends.to(row.device)[at] for ends, at in ((tile.rows, row), (tile.columns, column)))
        kept = far.weighed(kept, first, second)
        reached = kept >= threshold
        return (row * matrix.shape[1] + column)[reached], kept[reached]

    return Screened(score, bound, far, None if cap is None else few)
