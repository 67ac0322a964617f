"""A tile of a complete graph: rows × columns of the upper triangle of its pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.posteriors.pairs import ListedPairs, TiledPairs

TILE = 512
"""Rows and columns of a tile: one fits into a core's cache."""


@dataclass(frozen=True)
class Tile:
    """Candidates among some rows and columns of one group's upper triangle.

    Parameters
    ----------
    rows, columns
        The responses on either side.
    row_places, column_places
        Where they stand in the group, counted from 0.
    start
        The number of the group's first pair.
    diagonal
        Whether rows and columns are the same.
    excluded
        Numbers that are no candidates, ascending.
    """

    rows: Int64[Tensor, "row"]
    columns: Int64[Tensor, "column"]
    row_places: Int64[Tensor, "row"]
    column_places: Int64[Tensor, "column"]
    start: int
    diagonal: bool
    excluded: PairIndex

    def pairs(self, dtype: torch.dtype) -> TiledPairs:
        """All of it, to compute in this precision; a tile on the diagonal also has what :meth:`hide` hides."""
        return TiledPairs(self.rows, self.columns, dtype)

    def hide(self, values: Float[Tensor, "pair"], hidden: float) -> Float[Tensor, "row column"]:
        """Values of all its pairs as a matrix, changed in place: ``hidden`` on and below the diagonal."""
        matrix = values.view(len(self.rows), len(self.columns))
        if self.diagonal:
            below = torch.ones_like(matrix, dtype=torch.bool).tril_()
            matrix.masked_fill_(below, hidden)
        return matrix

    def shown(
        self, cells: Int64[Tensor, "cell"], values: Float[Tensor, "cell"]
    ) -> tuple[Int64[Tensor, "shown"], Float[Tensor, "shown"]]:
        """Those of some cells that :meth:`hide` does not hide, and their values."""
        if not self.diagonal:
            return cells, values
        above = cells // len(self.columns) < cells % len(self.columns)
        return cells[above], values[above]

    def locate(
        self, flat: Int64[Tensor, "cell"]
    ) -> tuple[Int64[np.ndarray, "candidate"], ListedPairs, Bool[np.ndarray, "cell"]]:
        """Positions and pairs of those of some cells that are candidates, and which those are."""
        a, b = flat // len(self.columns), flat % len(self.columns)
        places = self.row_places[a].numpy(), self.column_places[b].numpy()
        low, high = np.minimum(*places), np.maximum(*places)
        number = self.start + high * (high - 1) // 2 + low
        before = np.searchsorted(self.excluded, number)
        kept = np.ones(len(number), dtype=bool)
        if len(self.excluded):
            kept = self.excluded[np.minimum(before, len(self.excluded) - 1)] != number
        take = torch.from_numpy(kept)
        ends = self.rows[a[take]], self.columns[b[take]]
        turned = torch.from_numpy((places[0] > places[1])[kept])
        pairs = ListedPairs(torch.where(turned, ends[1], ends[0]), torch.where(turned, ends[0], ends[1]))
        return (number - before)[kept], pairs, kept
