r"""Pairs that are far enough apart to be the best one after a few more answers, to look at instead of all pairs.

A score is at most w̄ ‖u_i − u_j‖², with w̄ the largest weight. Once, all pairs are listed for which that is at least c.
After more answers the rows are others, u'_i = Aᵀu_i + ε_i, and

    ‖u'_i − u'_j‖ ≤ ‖A‖ ‖u_i − u_j‖ + 2 max_k ‖ε_k‖.

So the squared distance of a listed pair grew at most by the factor g = (‖A‖ + 2 max ‖ε‖ √(w̄/c))², and
w̄ ‖u'_i − u'_j‖² of every other pair is below g c: where the best listed pair scores more than a pair at that distance
can, it is the best of all. Answers add information, which brings rows closer together, so g stays near 1 while the best
score slowly falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import AllPairs, CandidateSet
from bayesrm.design.objectives.screening import FarPairs, PairFunction, Screened
from bayesrm.design.search.ranking import ROUNDING, top
from bayesrm.posteriors.pairs import ListedPairs

NEXT = 64
"""How many high scores are found at once where one is wanted: after one more label the best is likely among them."""
LISTED = 2**18
"""How many pairs are listed, about."""
SAMPLED = 2**14
"""Pairs that say how far apart so many are."""
NEAREST = 0.05
FARTHEST = 0.97
"""Parts of the squared distance that the best pair needs now: nearer pairs than the first are never listed, and where
only those farther apart than the second could be, there is no list, as it would hardly outlast an answer."""
WIDEST = 1_024
"""Rows with more columns are not compared: it would take as long as to look at all pairs."""
NO_PAIRS = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))


@dataclass(frozen=True)
class Contenders:
    """Pairs that were farther apart than all others.

    Parameters
    ----------
    first, second
        (pair,) rows of the candidates' responses.
    distance
        (pair,) w̄ ‖u_i − u_j‖², in single precision and never too small.
    cut
        c: of every other pair it was less.
    rows
        (response, rank) the u from which it was computed, from their mean and in single precision.
    largest
        w̄.
    margin
        By what part of itself the distance that the best pair needs could fall, when they were listed.
    """

    first: Int64[Tensor, "pair"]
    second: Int64[Tensor, "pair"]
    distance: Float[Tensor, "pair"]
    cut: float
    rows: Float[Tensor, "response rank"]
    largest: float
    margin: float

    def growth(self, now: FarPairs) -> float:
        """The most by which w̄ ‖u_i − u_j‖² has grown: of listed pairs, and of the others up to the cut."""
        weight = now.largest / self.largest
        if now.single is self.rows:
            return weight
        image = self._inverse @ now.single
        lost = float((now.single - self.rows @ image).square_().sum(dim=1).amax().sqrt())
        exact = image.double()
        norms = self._largest_norm * float(torch.linalg.matrix_norm(exact)) + math.sqrt(
            float(now.squared_norm.amax())
        )
        lost += (max(image.shape) + 8) * torch.finfo(torch.float32).eps * norms
        stretch = float(torch.linalg.matrix_norm(exact, 2))
        return weight * (stretch + 2 * lost * math.sqrt(self.largest / self.cut)) ** 2

    @cached_property
    def _largest_norm(self) -> float:
        return float(self.rows.double().square_().sum(dim=1).amax().sqrt())

    @cached_property
    def _inverse(self) -> Float[Tensor, "rank response"]:
        """(UᵀU)⁻¹Uᵀ, and something near it where U has not full rank."""
        rows = self.rows.double()
        gram = rows.T @ rows
        gram.diagonal().add_(1e-10 * gram.diagonal().mean())
        return torch.linalg.solve(gram, rows.T).float()

    def reaching(
        self, now: FarPairs, growth: float, threshold: float
    ) -> tuple[Int64[np.ndarray, "pair"], Int64[np.ndarray, "pair"]]:
        """Rows of those that may score as much as a threshold now, on the host."""
        growth *= 1 + 1e-6
        at = _at_least(self.distance, now.reach(threshold) / growth)
        first, second = self.first[at], self.second[at]
        reached = now.weighed(self.distance[at] * growth, first, second) >= threshold
        return first[reached].cpu().numpy(), second[reached].cpu().numpy()


def list_contenders(score: Screened, candidates: CandidateSet, floor: float) -> Contenders | None:
    """The pairs in tiles that may be the best after a few more answers; None where there is no short list of them.

    Parameters
    ----------
    score, candidates
        The score now, and of which pairs.
    floor
        A score that some candidate has, above 0.
    """
    far = score.far
    if far is None or far.centred.shape[1] > WIDEST:
        return None
    needed = far.reach(floor)
    cut, count = _single(max(_reached_by(LISTED, far, candidates), NEAREST * needed)), 0
    if cut > FARTHEST * needed:
        return None
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for tile in candidates.tiles(order=score.radius):
        if not score.has_as_far(tile, cut):
            continue
        bounds = far.of_tile(tile.pairs(torch.float32))
        cells = _at_least(bounds, cut)
        cells, distance = tile.shown(cells, bounds[cells])
        row, column = cells // len(tile.columns), cells % len(tile.columns)
        parts.append((tile.rows.to(row.device)[row], tile.columns.to(row.device)[column], distance))
        count += len(cells)
        if count > 2 * LISTED:
            first, second, distance = _joined(parts)
            # Above the median, so that many equal distances do not stay all.
            cut = float(np.nextafter(np.float32(distance.kthvalue(count // 2)[0]), np.float32(np.inf)))
            if cut > FARTHEST * needed:
                return None
            kept = distance >= cut
            parts, count = [(first[kept], second[kept], distance[kept])], int(kept.sum())
    return Contenders(*_joined(parts), cut, far.single, far.largest, 1 - cut / needed) if count else None


def _reached_by(count: int, far: FarPairs, candidates: CandidateSet) -> float:
    """The distance that about so many candidates reach; 0 where they are no more."""
    if len(candidates) <= count:
        return 0.0
    pairs = candidates.block_at(np.linspace(0, len(candidates) - 1, SAMPLED).astype(np.int64))
    distance = far.of_list(*(end.to(far.centred.device) for end in (pairs.first, pairs.second)))
    return float(distance.double().quantile(1 - count / len(candidates)))


class Near:
    """What earlier choices leave behind for the next one, which may put something else in its place.

    Parameters
    ----------
    pairs
        Some of the candidates that are likely to be good; the best of them says what is high.
    contenders
        Pairs that were far apart, where they were listed before.
    spare
        They are listed anew where less than this part is left of their margin.
    """

    def __init__(
        self, pairs: ListedPairs = NO_PAIRS, contenders: Contenders | None = None, spare: float = 0.0
    ) -> None:
        self.pairs, self.contenders, self.spare = pairs, contenders, spare


def take_next(
    candidates: CandidateSet, score: PairFunction, generator: np.random.Generator, near: Near | None
) -> PairIndex:
    """The position of the highest score, ties at random, before those of other high ones.

    The best of the pairs that are likely to be good says what is high: others are scored exactly only where their bound
    reaches it, and all are looked at only where a pair that is no contender might be the best.
    """
    near = Near() if near is None else near
    best = partial(top, candidates, score, NEXT, generator, ties=generator.integers(2**64, dtype=np.uint64))
    floor = -np.inf
    if len(near.pairs):
        floor = float(score(near.pairs).max())
        floor -= ROUNDING * abs(floor)
    if not isinstance(score, Screened) or score.far is None or not isinstance(candidates, AllPairs) or floor <= 0:
        return best(floor=floor)
    found = None
    if near.contenders is not None:
        found = _best_of(near.contenders, candidates, score, score.far, best, floor, near.spare)
    if found is None:
        near.contenders = list_contenders(score, candidates, floor)
        if near.contenders is not None:
            found = _best_of(near.contenders, candidates, score, score.far, best, floor)
    if found is None:
        found = best(floor=floor)
        if near.spare > 0:  # what was known to be good was far from the best, and there is time to try again
            near.contenders = list_contenders(score, candidates, _first_score(candidates, score, found))
    return found


def _best_of(
    contenders: Contenders,
    candidates: AllPairs,
    score: Screened,
    far: FarPairs,
    best: Callable[..., PairIndex],
    floor: float,
    spare: float = 0.0,
) -> PairIndex | None:
    """The best of them; None where it may be another pair, or soon will be."""
    growth = contenders.growth(far)
    reaching = contenders.reaching(far, growth, floor)
    found = best(floor=floor, in_tiles=candidates.positions_of(*reaching))
    if len(found) == 0:
        return None
    reached = _first_score(candidates, score, found)
    return found if (1 - spare * contenders.margin) * far.reach(reached) > growth * contenders.cut else None


def _first_score(candidates: CandidateSet, score: PairFunction, positions: PairIndex) -> float:
    """The score of the first of some candidates, rounded down."""
    return (1 - ROUNDING) * float(score(candidates.block_at(positions[:1]))[0])


def _at_least(values: Float[Tensor, "number"], cut: float) -> Int64[Tensor, "found"]:
    """Where values in single precision are at least that."""
    if values.device.type == "cpu":  # a third of the time that torch takes
        return torch.from_numpy(np.flatnonzero(values.numpy() >= np.float32(cut)))
    return torch.nonzero(values >= cut)[:, 0]


def _single(value: float) -> float:
    return float(np.float32(value))


def _joined(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    first, second, distance = (torch.cat(each) for each in zip(*parts, strict=True))
    return first, second, distance
