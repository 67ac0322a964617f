"""Embeddings standardised with the statistics of a pool, so that a prior scale means the same for every pool.

A dimension that is constant in the pool is dead: it becomes zero, also on new data; and so is one that varies a million
times less than others of its block, which is rounding, as of an embedding that was projected. One dimension alone above
all others, such as a time in seconds, makes no rounding of them. What lies far outside of the usual
range of a dimension is clipped, see :mod:`bayesrm.models.robust`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.models.robust import Limits, usual_range
from bayesrm.types import ResponsePool
from bayesrm.utils.remembered import remembered

STATISTICS_ROWS = 16_384
"""Responses that the statistics of a larger pool are taken from: a standard deviation good to 0.6%."""
ROUNDING = 1e-6
"""A standard deviation below this part of the largest one is rounding."""
ALONE = 1e-3
"""Where the second largest standard deviation is below this part of the largest one, the second is what others are held
against."""
FEW = 0.02
"""Not more than this part of the dimensions is left out as rounding without a word."""
FLOAT32_NOISE = 2.5e-7
"""A standard deviation below this part of the mean is the rounding of a constant."""
RANGE_ROWS = 2_048
"""Responses that the usual range of a dimension is taken from; all that the statistics are from may lie far from it."""
VALUES_READ = 2**29
"""A pool of at most so many values, two gigabytes, is read as a whole to find what lies far out."""
_READ_AT_ONCE = 1_024
_BLOCK = 128


class Standardize(nn.Module):
    """(ψ − mean) / sd, and 0 where the sd of the pool is (numerically) zero.

    Parameters
    ----------
    dim
        The dimension p of an embedding.
    columns
        Its blocks: a dimension is dead beside the others of its own block. Default: one block.
    """

    mean: Tensor
    inverse_scale: Tensor
    lower: Tensor | None
    upper: Tensor | None

    def __init__(self, dim: int, columns: Sequence[slice] | None = None) -> None:
        super().__init__()
        self._columns = [slice(0, dim)] if columns is None else list(columns)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("inverse_scale", torch.ones(dim))
        self.register_buffer("lower", None)
        self.register_buffer("upper", None)

    @property
    def clips(self) -> bool:
        """Whether the pool had responses far outside of the usual range."""
        return self.lower is not None

    def fit(self, pool: ResponsePool) -> None:
        """Take mean, standard deviation and limits from the pool, or from evenly spaced blocks of a large one.

        What lies far out is looked for in all of it, up to ``VALUES_READ`` values.
        """
        widths = tuple((at.start, at.stop) for at in self._columns)
        mean, inverse, limits, small = remembered(pool, ("standardize", widths), lambda: self._statistics(pool))
        if small:
            warnings.warn(
                f"{small} of {len(mean)} dimensions of the embeddings vary a million times less than others and are "
                "left out as rounding: if they mean something, multiply them so that they vary as much",
                stacklevel=2,
            )
        self.mean.copy_(torch.from_numpy(mean))
        self.inverse_scale.copy_(torch.from_numpy(inverse))
        self.lower = self.upper = None
        if limits is not None:
            self.lower, self.upper = (torch.from_numpy(limit).to(self.mean) for limit in limits)

    def _statistics(
        self, pool: ResponsePool
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None, int]:
        """Mean, 1/sd, limits, and how many dimensions are left out although they are no constants, if that is told."""
        total = np.zeros(pool.dim)
        squares = np.zeros(pool.dim)
        count = 0
        blocks = _statistics_blocks(len(pool))
        usual = pool.rows(_evenly_spaced(len(pool))).astype(np.float64)
        lower, upper = usual_range(usual, _extremes(pool, blocks))
        limits = (lower, upper) if np.isfinite(lower).any() else None
        centre = _clipped(pool.rows(blocks[0]), limits).mean(axis=0, dtype=np.float64)
        for block in blocks:
            rows = _clipped(pool.rows(block), limits).astype(np.float64) - centre
            total += rows.sum(axis=0)
            squares += (rows**2).sum(axis=0)
            count += len(rows)
        shift = total / count
        scale = np.sqrt(np.maximum(squares / count - shift**2, 0.0))
        largest = np.concatenate([np.full(at.stop - at.start, _largest(scale[at])) for at in self._columns])
        constant = scale <= np.maximum(FLOAT32_NOISE * np.abs(centre), 1e-36)
        dead = constant | (scale <= ROUNDING * largest)
        small = int((dead & ~constant).sum())
        inverse = np.where(dead, 0.0, 1.0 / np.where(dead, 1.0, scale))
        # Where most are, it is an embedding of few directions, and they are its rounding; a trained encoder has one or
        # two of hundreds that it never used.
        told = FEW * len(scale) < small < (~dead).sum()
        return centre + shift, inverse, limits, small if told else 0

    def forward(self, embeddings: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """Clip and standardise."""
        if self.lower is not None and self.upper is not None:
            embeddings = torch.maximum(torch.minimum(embeddings, self.upper), self.lower)
        return (embeddings - self.mean) * self.inverse_scale

    def distances(self, embeddings: Float[Tensor, "response embedding"]) -> Float[np.ndarray, "response"]:
        """Root mean squares of what :meth:`forward` returns, over dimensions not dead; its input is overwritten."""
        if self.lower is not None and self.upper is not None:
            embeddings.clamp_(self.lower, self.upper)
        z = embeddings.sub_(self.mean).mul_(self.inverse_scale).cpu().numpy()
        alive = max(1, int((self.inverse_scale != 0).sum()))
        return np.sqrt(np.einsum("ij,ij->i", z, z, dtype=np.float64) / alive)


def _largest(scale: np.ndarray) -> float:
    """The largest one, or the second where the first is alone so far above all."""
    first, second = np.sort(np.append(scale, 0.0))[-1:-3:-1]
    return float(second if 0 < second <= ALONE * first else first)


def _clipped(rows: np.ndarray, limits: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    return rows if limits is None else np.clip(rows, *limits)


def _extremes(pool: ResponsePool, blocks: list[np.ndarray]) -> Limits:
    """The smallest and the largest value of each column: one response far out is in few samples, so all are read.

    Of a pool that has more than ``VALUES_READ`` values only these blocks are.
    """
    n = len(pool)
    if n * pool.dim <= VALUES_READ:
        blocks = [np.arange(start, min(start + _READ_AT_ONCE, n)) for start in range(0, n, _READ_AT_ONCE)]
    each = [(rows.min(axis=0), rows.max(axis=0)) for rows in (pool.rows(block) for block in blocks)]
    smallest, largest = (np.array(column, dtype=np.float64) for column in zip(*each, strict=True))
    return smallest.min(axis=0), largest.max(axis=0)


def _evenly_spaced(n: int) -> np.ndarray:
    return np.linspace(0, n - 1, min(n, RANGE_ROWS)).round().astype(np.int64)


def _statistics_blocks(n: int) -> list[np.ndarray]:
    """Indices in contiguous blocks: everything where small, evenly spaced blocks where large."""
    starts = np.arange(0, n, _BLOCK)
    if n > STATISTICS_ROWS:
        keep = STATISTICS_ROWS // _BLOCK
        starts = starts[np.linspace(0, len(starts) - 1, keep).round().astype(int)]
    return [np.arange(start, min(start + _BLOCK, n)) for start in starts.tolist()]
