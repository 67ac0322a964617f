"""The best of many candidates, merged block by block and tile by tile.

In a tile all pairs are scored at once, or only bounded from above where the score has a cheap bound; those that can
still be among the best are then scored one by one, as any list of pairs. So the result does not depend on how the
candidates are cut into tiles.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.candidates.tiles import Tile
from bayesrm.design.objectives.screening import LOWEST, PairFunction, Screened
from bayesrm.posteriors.pairs import ListedPairs

Allowed = Callable[[PairIndex, PairIndex, PairIndex], Bool[np.ndarray, "pair"]]
"""From positions, first and second rows of candidates to which of them may be taken."""
ROUNDING = 1e-9
"""Part of the largest score in a tile by which rounding may separate a tile's score from a list's."""
SCREENED_AT_ONCE = 16_384
SCORED_AT_ONCE = 2_048
"""Promising pairs of several tiles are collected until there are this many: scoring a few takes as long."""


def top(
    candidates: CandidateSet,
    score: PairFunction,
    size: int,
    generator: np.random.Generator,
    allowed: Allowed | None = None,
    floor: float = -np.inf,
    in_tiles: Int64[np.ndarray, "candidate"] | None = None,
    ties: np.uint64 | None = None,
) -> PairIndex:
    """Positions of the ``size`` highest scores, highest first; ties are broken at random.

    Parameters
    ----------
    candidates, score, size, generator
        What is ranked, by what, how many of them, and the root of tie-breaking.
    allowed
        Which candidates count, by default all; there may then be fewer than ``size`` of them.
    floor
        Candidates of a lower score are left out; there may then be fewer than ``size`` of them.
    in_tiles
        Positions of those that are looked at of all that come in tiles; by default all.
    ties
        A key, with which the choice among equal candidates does not depend on what else is looked at.
    """
    best = _Best(score, size, generator, allowed, floor, ties)
    for positions, pairs in candidates.listed():
        best.offer(positions, pairs)
    if in_tiles is not None:
        best.offer(in_tiles, candidates.block_at(in_tiles))
        return best.positions()
    radius = score.radius if isinstance(score, Screened) else None
    for tile in candidates.tiles(order=radius):
        best.offer_tile(tile)
    return best.positions()


def sample(
    candidates: CandidateSet,
    odds: PairFunction,
    size: int,
    generator: np.random.Generator,
    allowed: Allowed | None = None,
) -> PairIndex:
    """Positions of ``size`` candidates drawn one after the other without replacement, with these odds.

    The candidates whose exponential clocks ring first: the largest odds / E with E ~ Exp(1).
    """
    best = _Best(odds, size, generator, allowed, -np.inf)
    for positions, pairs in candidates.listed():
        best.offer(positions, pairs, clock=True)
    for tile in candidates.tiles():
        best.draw_tile(tile)
    return best.positions()


class _Best:
    """The best so far: rows are position, score and tie-breaker of what may still be among them."""

    def __init__(
        self,
        score: PairFunction,
        size: int,
        generator: np.random.Generator,
        allowed: Allowed | None,
        floor: float,
        ties: np.uint64 | None = None,
    ) -> None:
        self._key = ties
        self._score, self._size, self._generator, self._allowed = score, size, generator, allowed
        self._threshold = floor
        self._kept: list[np.ndarray] = [np.empty((3, 0))]
        self._count = 0
        self._waiting: list[tuple[PairIndex, ListedPairs]] = []

    def offer(self, positions: PairIndex, pairs: ListedPairs, clock: bool = False) -> None:
        """Score a list of candidates; with ``clock`` the score is the odds over an exponential variable."""
        positions, pairs, _ = self._those_allowed(positions, pairs)
        if not clock:
            positions, pairs = self._those_reaching(positions, pairs)
        scores = self._score(pairs).cpu().numpy()
        self._keep(positions, scores / self._generator.standard_exponential(len(scores)) if clock else scores)

    def draw_tile(self, tile: Tile) -> None:
        """Start the clock of every pair of a tile, and keep those that may be among the first to ring."""
        odds = self._score(tile.pairs(torch.float64))
        matrix = tile.hide(
            odds / torch.from_numpy(self._generator.standard_exponential(len(odds))).to(odds), -torch.inf
        )
        cells = torch.nonzero(matrix.flatten() >= max(self._threshold, 0.0))[:, 0]
        scores = matrix.flatten()[cells].cpu().numpy()
        positions, pairs, kept = tile.locate(cells.cpu())
        positions, _, allowed = self._those_allowed(positions, pairs)
        self._keep(positions, scores[kept][allowed])

    def _those_allowed(
        self, positions: PairIndex, pairs: ListedPairs
    ) -> tuple[Int64[np.ndarray, "allowed"], ListedPairs, Bool[np.ndarray, "pair"]]:
        if self._allowed is None:
            return positions, pairs, np.ones(len(positions), dtype=bool)
        allowed = self._allowed(positions, pairs.first.numpy(), pairs.second.numpy())
        return positions[allowed], _some(pairs, torch.from_numpy(allowed)), allowed

    def _those_reaching(
        self, positions: PairIndex, pairs: ListedPairs
    ) -> tuple[Int64[np.ndarray, "reaching"], ListedPairs]:
        """Those that can be among the best, where the score has a bound that is cheaper."""
        reaching = self._score.reaching(pairs, self._threshold) if isinstance(self._score, Screened) else None
        return (positions, pairs) if reaching is None else (positions[reaching.numpy()], _some(pairs, reaching))

    def _keep(self, positions: PairIndex, scores: Float[np.ndarray, "pair"]) -> None:
        ties = (
            self._generator.random(len(scores)) if self._key is None else random_by_position(positions, self._key)
        )
        block = np.stack([positions, scores, ties])
        reaching = block[:, scores >= self._threshold]
        if reaching.shape[1] == 0:
            return
        self._kept.append(reaching)
        self._count += reaching.shape[1]
        if self._count > 2 * self._size:
            self._kept = [_best(np.concatenate(self._kept, axis=1), self._size)]
            self._count = self._kept[0].shape[1]
            self._threshold = max(self._threshold, self._kept[0][1, -1])

    def offer_tile(self, tile: Tile) -> None:
        """Score those of a tile that can be among the best, most promising first."""
        if isinstance(self._score, Screened):
            if self._score.out_of_reach(tile, self._threshold):
                return
            few = None if self._score.few is None else self._score.few(tile.pairs(torch.float32), self._threshold)
            if few is not None:
                cells, bounds = few
                if len(cells):
                    self._offer_cells(tile, *tile.shown(cells, bounds))
                return
            bounds = self._score.bound(tile.pairs(torch.float32), self._threshold)
        else:
            bounds = self._score(tile.pairs(torch.float64))
            bounds = bounds + ROUNDING * bounds.abs().max()
        matrix = tile.hide(bounds, -torch.inf)
        promising = torch.nonzero(matrix.amax(dim=1) >= self._threshold)[:, 0]
        if len(promising) == 0:
            return
        part = matrix if len(promising) == len(matrix) else matrix[promising]
        row, column = torch.nonzero(part >= max(self._threshold, LOWEST), as_tuple=True)
        self._offer_cells(tile, promising[row] * matrix.shape[1] + column, part[row, column])

    def _offer_cells(self, tile: Tile, cells: Int64[Tensor, "cell"], bounds: Float[Tensor, "cell"]) -> None:
        if len(cells) > SCREENED_AT_ONCE:
            bounds, order = bounds.sort(descending=True, stable=True)
            cells = cells[order]
        for start in range(0, len(cells), SCREENED_AT_ONCE):
            part = slice(start, start + SCREENED_AT_ONCE)
            reach = cells[part][bounds[part] >= self._threshold].cpu()
            if len(reach):
                positions, pairs, _ = tile.locate(reach)
                self._waiting.append((positions, pairs))
                if sum(len(waiting) for waiting, _ in self._waiting) >= SCORED_AT_ONCE:
                    self._offer_waiting()

    def _offer_waiting(self) -> None:
        if not self._waiting:
            return
        positions, pairs = zip(*self._waiting, strict=True)
        self._waiting = []
        first, second = (torch.cat([getattr(part, end) for part in pairs]) for end in ("first", "second"))
        self.offer(np.concatenate(positions), ListedPairs(first, second))

    def positions(self) -> PairIndex:
        """The best of all, in order."""
        self._offer_waiting()
        return _best(np.concatenate(self._kept, axis=1), self._size)[0].astype(np.int64)


def _some(pairs: ListedPairs, taken: Bool[Tensor, "pair"]) -> ListedPairs:
    return ListedPairs(pairs.first[taken], pairs.second[taken])


def _best(table: np.ndarray, size: int) -> np.ndarray:
    """The columns of the ``size`` highest scores, in order."""
    if table.shape[1] > size:
        least = np.partition(table[1], -size)[-size]
        table = table[:, table[1] >= least]
    return table[:, np.lexsort((table[2], -table[1]))[:size]]


def random_by_position(positions: PairIndex, key: np.uint64) -> Float[np.ndarray, "pair"]:
    """A uniform number for each position, the same whichever others are asked for: SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        bits = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((bits ^ (bits >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
