r"""The information of all candidates together, Σ_m w_m v_m v_mᵀ with v_m = u_i − u_j.

For a list it is a sum over pairs. In a tile it takes matrix products only: with the weights W of all pairs as a
symmetric matrix,

    Σ_{i<j} w_ij (u_i − u_j)(u_i − u_j)ᵀ = Uᵀ (diag(W 1) − W) U,

so each tile adds to the row sums W 1 and to W U. Tiles are computed in single precision, summed up in double. That no
weak direction of U drowns in the rounding of a strong one, U is first taken to principal axes of unit variance.

Where the weight is a product of rows, W = G Gᵀ, no tile is needed: W 1 = G (Gᵀ1) and UᵀW U = (GᵀU)ᵀ(GᵀU) take as many
steps as there are responses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import PairBlock

RESPONSES_AT_ONCE = 4_096
LOST = 1e-12
"""Principal axes of less than this part of the largest variance are rounding."""


def pair_information(
    rows: Float[Tensor, "response rank"],
    weight: Callable[[PairBlock], Float[Tensor, "pair"]],
    candidates: CandidateSet,
) -> Float[Tensor, "rank rank"]:
    """Σ w (u_i − u_j)(u_i − u_j)ᵀ over all candidates, float64."""
    waves = getattr(weight, "waves", None)
    total = _of_tiles(rows, weight, candidates) if waves is None else _of_waves(rows, waves, candidates)
    for _, pairs in candidates.listed():
        total += _of_list(rows, weight, pairs)
    for pairs in candidates.hidden_in_tiles():
        total -= _of_list(rows, weight, pairs)
    return total


def _of_list(
    rows: Float[Tensor, "response rank"], weight: Callable[[PairBlock], Float[Tensor, "pair"]], pairs: PairBlock
) -> Float[Tensor, "rank rank"]:
    v = difference(rows, pairs.first, pairs.second)
    return (v * weight(pairs)[:, None]).T @ v


def _of_tiles(
    rows: Float[Tensor, "response rank"],
    weight: Callable[[PairBlock], Float[Tensor, "pair"]],
    candidates: CandidateSet,
) -> Float[Tensor, "rank rank"]:
    axes, back = _principal(rows)
    single = axes.float()
    degree = rows.new_zeros(len(rows))
    product = torch.zeros_like(axes)
    for tile in candidates.tiles():
        w = tile.hide(weight(tile.pairs(torch.float32)), 0.0)
        degree.index_add_(0, tile.rows, w.sum(dim=1).double())
        degree.index_add_(0, tile.columns, w.sum(dim=0).double())
        product.index_add_(0, tile.rows, (w @ single[tile.columns]).double())
    cross = axes.T @ product
    total = (axes * degree[:, None]).T @ axes - cross - cross.T
    return back.T @ total @ back


def _of_waves(
    rows: Float[Tensor, "response rank"],
    waves: Callable[[Int64[Tensor, "response"]], Float[Tensor, "response wave"]],
    candidates: CandidateSet,
) -> Float[Tensor, "rank rank"]:
    """The same, without looking at pairs; a response with itself adds nothing."""
    axes, back = _principal(rows)
    total = axes.new_zeros((axes.shape[1],) * 2)
    for group in candidates.tiled_groups():
        parts = group.split(RESPONSES_AT_ONCE)
        ones = torch.stack([waves(part).sum(dim=0) for part in parts]).sum(dim=0)
        product = torch.stack([waves(part).T @ axes[part] for part in parts]).sum(dim=0)
        for part in parts:
            total += (axes[part] * (waves(part) @ ones)[:, None]).T @ axes[part]
        total -= product.T @ product
    return back.T @ total @ back


def _principal(
    rows: Float[Tensor, "response rank"],
) -> tuple[Float[Tensor, "response axis"], Float[Tensor, "axis rank"]]:
    """Rows in principal axes of unit variance, and the way back: centred rows are their product."""
    centred = rows - rows.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    kept = values > LOST * values.amax()
    scale = values[kept].sqrt()
    return centred @ (vectors[:, kept] / scale), (vectors[:, kept] * scale).T
