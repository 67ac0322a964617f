r"""What a batch of pairs is worth, as a function of which pairs are in it.

Two kinds serve all criteria so far:

- a plain sum, f(C) = Σ_{m∈C} s_m;
- an information gain, f(C) = ½ log det(I + Σ_{m∈C} w_m v_m v_mᵀ) in nats, with v_m = u_i − u_j the difference
  of two whitened responses. Whitened by the prior this is D-optimality, by the posterior the entropy that the
  posterior is expected to lose. It is concave in w and submodular in C.

Scores of pairs come from one row a response, ‖u_i − u_j‖², so nothing of size pairs × d × d exists. A score is a
function of a block of pairs, and works for lists and for tiles alike.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet, Tile
from bayesrm.design.objectives.information import pair_information
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import GramRows, ListedPairs, PairBlock, TiledPairs
from bayesrm.utils.linalg import cholesky_factor

PairFunction = Callable[[PairBlock], Float[Tensor, "pair"]]
"""From a block of pairs, as rows of the candidates' responses, to a number for each."""
LOWEST = float(torch.finfo(torch.float32).min)
"""Below every score, and above what hides cells of a tile that are no candidates."""
MOST_CELLS = 0.05
"""Up to this part of a tile, pairs are bounded more closely one by one."""


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
    radius
        (response,) a number for each response, on the host: a pair of the sum ρ reaches a threshold only where
        ρ² ≥ ``reach(threshold)``. None where nothing is known.
    reach
        That of a threshold.
    few
        From a tile and a threshold to the cells whose bound may reach it, and their bounds; None where they are many,
        and ``bound`` is to be asked.
    """

    score: PairFunction
    bound: Callable[[TiledPairs, float], Float[Tensor, "pair"]]
    radius: Float[Tensor, "response"] | None = None
    reach: Callable[[float], float] = float
    few: Callable[[TiledPairs, float], tuple[Int64[Tensor, "cell"], Float[Tensor, "cell"]] | None] | None = None

    def __call__(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The score itself."""
        return self.score(pairs)

    def out_of_reach(self, tile: Tile, threshold: float) -> bool:
        """Whether no pair of a tile can reach a threshold, which is seen from its responses alone."""
        if self.radius is None or threshold <= 0:
            return False
        largest = float(self.radius[tile.rows].amax() + self.radius[tile.columns].amax())
        return bool(largest**2 < self.reach(threshold))


@dataclass(frozen=True)
class SpreadCap:
    """An upper bound on the weight of a pair by variance and mean of its logit.

    Parameters
    ----------
    factor, mean
        (response, rank) rows u and (response,) m: a logit has variance ‖u_i − u_j‖² and mean m_i − m_j.
    share
        From variances s², rounded up, and squared means to at least the weight as a part of the largest one. It is
        largest at a mean of zero, where it falls with s² while s² · share rises.
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


class Batch(ABC):
    """A growing batch. Scores order pairs by their marginal gain given what is in it; adding never raises them."""

    @abstractmethod
    def score(self) -> PairFunction:
        """An increasing function of f(C ∪ {m}) − f(C), for the batch as it is now."""

    def gain(self, score: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
        """The marginal gains that scores stand for."""
        return score

    @abstractmethod
    def track(self, pairs: PairBlock) -> None:
        """Keep the scores of these pairs up to date from here on."""

    @property
    @abstractmethod
    def tracked(self) -> Float[Tensor, "pair"]:
        """Current scores of the tracked pairs."""

    @abstractmethod
    def add(self, index: int) -> None:
        """Put the tracked pair at ``index`` into the batch."""

    @abstractmethod
    def remove(self, index: int) -> None:
        """Take the tracked pair at ``index`` out of the batch again; scores rise."""


def batch_gains(batch: Batch, pairs: PairBlock) -> Float[Tensor, "pair"]:
    """What each pair adds to those before it, by putting them into an empty batch one after the other."""
    batch.track(pairs)
    gains = []
    for index in range(len(pairs)):
        gains.append(batch.gain(batch.tracked)[index])
        batch.add(index)
    return torch.stack(gains)


class Objective(ABC):
    """The worth f of a batch."""

    @abstractmethod
    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """∂f/∂w_m at w = 1, all candidates included (paper, eq. 9–10)."""

    @abstractmethod
    def batch(self) -> Batch:
        """The empty batch."""

    @abstractmethod
    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """What each pair of a batch adds to those before it; they sum to f."""

    @abstractmethod
    def slope(self, pairs: PairBlock) -> PairFunction:
        """∂f/∂w_m where w indicates this batch; by concavity it bounds every other batch."""


@dataclass(frozen=True)
class SumObjective(Objective):
    """f(C) = Σ_{m∈C} s_m.

    Parameters
    ----------
    score
        s as a function of pairs.
    """

    score: PairFunction

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """The scores themselves."""
        return self.score

    def batch(self) -> Batch:
        """Scores do not depend on the batch."""
        return _SumBatch(self.score)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The scores themselves."""
        return self.score(pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """The scores themselves."""
        return self.score


@dataclass(frozen=True)
class InformationObjective(Objective):
    """f(C) = ½ log det(I + Σ_{m∈C} w_m v_m v_mᵀ), in nats.

    Parameters
    ----------
    whitened
        (response, rank) rows u, one for each of the candidates' responses.
    weight
        The Fisher weight w of a pair.
    """

    whitened: Float[Tensor, "response rank"]
    weight: PairFunction

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """½ w ‖L⁻¹v‖² with L Lᵀ = I + Σ_all w v vᵀ, the information of all candidates together."""
        total = self._information() + pair_information(self.whitened, self.weight, candidates)
        return self._half_weighted_distance(total)

    def batch(self) -> Batch:
        """The empty batch, of covariance I."""
        return _InformationBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """log L_mm, from the Cholesky factor L of I + W^½ V Vᵀ W^½ in the order of the batch."""
        v = self._differences(pairs) * self.weight(pairs).sqrt()[:, None]
        gram = v @ v.T
        gram.diagonal().add_(1.0)
        return cholesky_factor(gram).diagonal().log()

    def slope(self, pairs: PairBlock) -> PairFunction:
        """½ w ‖L⁻¹v‖² with L Lᵀ = I + Σ_C w v vᵀ, the information of the batch."""
        v = self._differences(pairs)
        return self._half_weighted_distance(self._information() + (v * self.weight(pairs)[:, None]).T @ v)

    def _differences(self, pairs: PairBlock) -> Float[Tensor, "pair rank"]:
        return difference(self.whitened, pairs.first, pairs.second)

    def _information(self) -> Float[Tensor, "rank rank"]:
        """Of the empty batch."""
        return torch.eye(self.whitened.shape[1], dtype=torch.float64, device=self.whitened.device)

    def _half_weighted_distance(self, information: Float[Tensor, "rank rank"]) -> PairFunction:
        rows = torch.linalg.solve_triangular(cholesky_factor(information), self.whitened.T, upper=False)
        return weighted_distance(rows.T.contiguous(), self.weight, 0.5, self.cap)

    @cached_property
    def cap(self) -> SpreadCap | None:
        """The weight's bound by variance, where u are the rows that it is about.

        Information only takes distances away, so each is at most a variance, also in a batch that has grown.
        """
        spread = self.weight.spread if isinstance(self.weight, PairWeight) else None
        if spread is None or not torch.equal(spread.factor, self.whitened):
            return None
        return replace(spread, factor=self.whitened)


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
    largest, sharper = factor * weight.largest, weight.share
    # Made when a tile is there to use them.
    distances = cache(lambda: GramRows.bounding(rows, largest))
    # ‖u_i − u_j‖ ≤ ‖u_i − ū‖ + ‖u_j − ū‖.
    radius = (1 + 1e-9) * math.sqrt(largest) * (rows - rows.mean(dim=0)).square_().sum(dim=1).sqrt_()

    def reach(threshold: float) -> float:
        # Of weights that are known to fall with the variance: below this distance no pair reaches the threshold.
        return threshold if cap is None or threshold <= 0 else largest * cap.least(threshold / largest)

    def bound(tile: TiledPairs, threshold: float) -> Tensor:
        bounds = distances().distance(tile)
        if sharper is None:
            return bounds
        matrix = bounds.view(len(tile.rows), len(tile.columns))
        promising = torch.nonzero(matrix.amax(dim=1) >= reach(threshold))[:, 0]
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
        assert cap is not None
        bounds, least = distances().distance(tile), reach(threshold)
        matrix = bounds.view(len(tile.rows), len(tile.columns))
        promising = torch.nonzero(matrix.amax(dim=1) >= least)[:, 0]
        if promising.shape[0] == 0:
            return promising, bounds[:0]
        part = matrix[promising]
        row, column = torch.nonzero(part >= least, as_tuple=True)
        if len(row) > MOST_CELLS * len(tile):
            return None
        kept, row = part[row, column], promising[row]
        if rows is cap.factor:
            left, right = (cap.mean[ends.to(cap.mean.device)] for ends in (tile.rows, tile.columns))
            kept = kept * cap.share(kept / largest, (left[row] - right[column]).square_().float())
        reached = kept >= threshold
        return (row * matrix.shape[1] + column)[reached], kept[reached]

    return Screened(score, bound, radius.cpu(), reach, None if cap is None else few)


class _SumBatch(Batch):
    def __init__(self, score: PairFunction) -> None:
        self._score = score
        self._tracked = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        return self._score

    def track(self, pairs: PairBlock) -> None:
        self._tracked = self._score(pairs)

    @property
    def tracked(self) -> Tensor:
        return self._tracked

    def add(self, index: int) -> None:
        """Nothing changes for the others."""

    def remove(self, index: int) -> None:
        """Nothing changes for the others."""


class _InformationBatch(Batch):
    """Scores w vᵀA⁻¹v, of which the gain is ½ log(1 + score), kept up to date by rank-one updates.

    With a = A⁻¹v and c = w / (1 + w vᵀa), where w < 0 takes a pair out, A⁻¹ loses c a aᵀ and q_m = v_mᵀA⁻¹v_m
    loses c (v_mᵀa)², where v_mᵀa is again a difference of two responses (Guo et al. 2019).
    """

    def __init__(self, objective: InformationObjective) -> None:
        self._u, self._weight, self._cap = objective.whitened, objective.weight, objective.cap
        self._updated = False
        self._covariance = torch.eye(self._u.shape[1], dtype=torch.float64, device=self._u.device)
        self._pairs: PairBlock = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))
        self._w = self._q = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        return weighted_distance(self._rows(), self._weight, cap=self._cap)

    def gain(self, score: Tensor) -> Tensor:
        """½ log(1 + w vᵀA⁻¹v)."""
        return 0.5 * score.log1p()

    def track(self, pairs: PairBlock) -> None:
        self._pairs = pairs
        self._w, self._q = self._weight(pairs), pairs.squared_distance(self._rows())

    @property
    def tracked(self) -> Tensor:
        return self._w * self._q

    def add(self, index: int) -> None:
        self._update(index, float(self._w[index]))

    def remove(self, index: int) -> None:
        self._update(index, -float(self._w[index]))

    def _update(self, index: int, w: float) -> None:
        v = self._u[self._pairs.first[index]] - self._u[self._pairs.second[index]]
        self._updated = True
        a = self._covariance @ v
        c = w / (1 + w * (v @ a))
        fall = c * self._pairs.difference(self._u @ a).square()
        self._q = (self._q - fall).clamp_(min=0.0)
        self._covariance -= c * torch.outer(a, a)

    def _rows(self) -> Float[Tensor, "response rank"]:
        """Rows Lᵀu with L Lᵀ = A⁻¹, whose squared distances are vᵀA⁻¹v: one product for all responses."""
        if not self._updated:
            return self._u
        return self._u @ cholesky_factor(self._covariance)
