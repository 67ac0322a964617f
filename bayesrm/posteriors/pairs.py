r"""Blocks of pairs: a list of them, or all pairs of some rows with some columns, a tile of an implicit set.

Whatever is computed for a pair (i, j) comes from one value or one row a response. For a list both ends are gathered;
in a tile differences are outer, and squared distances come from one Gram product,

    ‖u_i − u_j‖² = ‖u_i‖² + ‖u_j‖² − 2 u_iᵀu_j,

with u measured from a point among them, so that little cancels. What is written for a block works for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from bayesrm.models.features import difference


class PairBlock(ABC):
    """Some pairs of responses, whichever way they are given; results are flat, one number a pair.

    Attributes
    ----------
    dtype
        Of the numbers computed for them.
    """

    dtype: torch.dtype = torch.float64

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def first(self) -> Int64[Tensor, "pair"]:
        """Rows of the first responses."""

    @property
    @abstractmethod
    def second(self) -> Int64[Tensor, "pair"]:
        """Rows of the second responses."""

    @abstractmethod
    def ends(self, values: Shaped[Tensor, "response"]) -> tuple[Tensor, Tensor]:
        """Values of both ends, shaped to broadcast: combine them elementwise, then flatten."""

    @abstractmethod
    def squared_distance(self, rows: Float[Tensor, "response rank"]) -> Float[Tensor, "pair"]:
        """‖u_i − u_j‖²."""

    def difference(self, values: Float[Tensor, "response"]) -> Float[Tensor, "pair"]:
        """values_i − values_j."""
        left, right = self.ends(values - values.mean() if self.dtype != values.dtype else values)
        return (left - right).flatten()


class ListedPairs(PairBlock):
    """A list of pairs.

    Parameters
    ----------
    first, second
        (pair,) rows.
    """

    def __init__(self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first)

    @property
    def first(self) -> Int64[Tensor, "pair"]:
        """As given."""
        return self._first

    @property
    def second(self) -> Int64[Tensor, "pair"]:
        """As given."""
        return self._second

    def ends(self, values: Shaped[Tensor, "response"]) -> tuple[Tensor, Tensor]:
        """Gathered."""
        first, second = (values.index_select(0, side.to(values.device)) for side in (self._first, self._second))
        return first, second

    def squared_distance(self, rows: Float[Tensor, "response rank"]) -> Float[Tensor, "pair"]:
        """From the differences of gathered rows."""
        return difference(rows, self._first, self._second).square_().sum(dim=1)


class TiledPairs(PairBlock):
    """Every row with every column, row after row.

    Parameters
    ----------
    rows, columns
        The responses on either side.
    dtype
        float64, or float32 where single precision will do.
    """

    def __init__(
        self, rows: Int64[Tensor, "row"], columns: Int64[Tensor, "column"], dtype: torch.dtype = torch.float64
    ) -> None:
        self.rows, self.columns, self.dtype = rows, columns, dtype

    def __len__(self) -> int:
        return self.rows.shape[0] * self.columns.shape[0]

    @property
    def first(self) -> Int64[Tensor, "pair"]:
        """Each row, once for every column."""
        return self.rows.repeat_interleave(len(self.columns))

    @property
    def second(self) -> Int64[Tensor, "pair"]:
        """All columns, once for every row."""
        return self.columns.repeat(len(self.rows))

    def ends(self, values: Shaped[Tensor, "response"]) -> tuple[Tensor, Tensor]:
        """A column and a row."""
        left, right = (values.index_select(0, side.to(values.device)) for side in (self.rows, self.columns))
        if values.is_floating_point():
            left, right = left.to(self.dtype), right.to(self.dtype)
        return left[:, None], right[None, :]

    def squared_distance(self, rows: Float[Tensor, "response rank"]) -> Float[Tensor, "pair"]:
        """One Gram product."""
        used = torch.cat([self.rows, self.columns]).to(rows.device)
        local = torch.arange(len(used))
        here = TiledPairs(local[: len(self.rows)], local[len(self.rows) :], self.dtype)
        return GramRows(rows.index_select(0, used), self.dtype).distance(here).clamp_(min=0.0)


def bounding_slack(rank: int) -> float:
    """What part of ‖u_i‖² + ‖u_j‖² makes up for the rounding of a squared distance in single precision."""
    return 2 * (rank + 8) * torch.finfo(torch.float32).eps


class Scratch:
    """Memory for one tile that the next one overwrites: pages fresh from the system cost as much as the arithmetic."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def tile(self, tile: TiledPairs, like: Tensor) -> Float[Tensor, "row column"]:
        """A matrix with a row for every row of a tile, of the type and on the device of a tensor."""
        if len(self._memory) < len(tile) or self._memory.dtype != like.dtype:
            self._memory = torch.empty(len(tile), dtype=like.dtype, device=like.device)
        return self._memory[: len(tile)].view(len(tile.rows), len(tile.columns))


class GramRows:
    """Rows made ready for many tiles: a squared distance is the product of (−2u, ‖u‖², 1) and (u, 1, ‖u‖²).

    Parameters
    ----------
    rows
        (response, rank) rows u; they are centred.
    dtype
        Of the products.
    slack
        What part of ‖u_i‖² + ‖u_j‖² is added to every distance.
    factor
        What every distance is multiplied with.
    """

    def __init__(
        self, rows: Float[Tensor, "response rank"], dtype: torch.dtype, slack: float = 0.0, factor: float = 1.0
    ) -> None:
        u = rows - rows.mean(dim=0)
        norm = (1 + slack) * u.square().sum(dim=1, keepdim=True)
        one = torch.ones_like(norm)
        self._left = (factor * torch.cat([-2 * u, norm, one], dim=1)).to(dtype)
        self._right = torch.cat([u, one, norm], dim=1).to(dtype)
        self._scratch = Scratch()

    @classmethod
    def bounding(cls, rows: Float[Tensor, "response rank"], factor: float) -> GramRows:
        """In single precision, with the slack that makes distances upper bounds whatever is rounded."""
        return cls(rows, torch.float32, bounding_slack(rows.shape[1]), factor)

    def distance(self, tile: TiledPairs) -> Float[Tensor, "pair"]:
        """Of all pairs of a tile; the next call overwrites them."""
        left = self._left.index_select(0, tile.rows.to(self._left.device))
        right = self._right.index_select(0, tile.columns.to(self._right.device))
        return torch.mm(left, right.T, out=self._scratch.tile(tile, left)).flatten()
