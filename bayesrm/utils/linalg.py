"""Cholesky factors of precision and covariance matrices, for inference and for design; float64."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_ROWS = 64
_COLUMNS = 192
"""Of one product in :func:`weighted_gram`."""


def cholesky_factor(matrix: Float[Tensor, "feature feature"]) -> Float[Tensor, "feature feature"]:
    """The Cholesky factor; where rounding has made the matrix indefinite, with the least jitter that helps."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    jitter = 1e-14 * float(matrix.diagonal().mean())
    while int(info) != 0:
        if not 0 < jitter < math.inf or jitter > 1e-4 * float(matrix.diagonal().mean()):
            raise ArithmeticError("the information matrix is not positive definite: are the features finite?")
        factor, info = torch.linalg.cholesky_ex(matrix + jitter * torch.eye(len(matrix)).to(matrix))
        jitter *= 10
    return factor


def weighted_gram(
    rows: Float[Tensor, "row feature"], weight: Float[Tensor, "row"]
) -> Float[Tensor, "feature feature"]:
    """Xᵀ diag(w) X, of which only the lower half is computed, some columns at a time: two thirds of the time.

    Differentiable in the weights.
    """
    d = rows.shape[1]
    weighted = rows * weight[:, None]
    if d <= _COLUMNS or weighted.requires_grad:
        return weighted.T @ rows
    gram = rows.new_empty((d, d))
    for start in range(0, d, _COLUMNS):
        own, before = slice(start, start + _COLUMNS), slice(0, start)
        gram[own, : start + _COLUMNS] = weighted[:, own].T @ rows[:, : start + _COLUMNS]
        gram[before, own] = gram[own, before].T
    return gram


def lower_root(factor: Float[Tensor, "feature rank"]) -> Float[Tensor, "feature feature"]:
    """The lower-triangular T with T Tᵀ = C Cᵀ: R of a QR of Cᵀ, transposed; columns beyond the rank are zero."""
    d, rank = factor.shape
    if rank == 0:
        return factor.new_zeros((d, d))
    upper = torch.linalg.qr(factor.T, mode="r").R
    sign = torch.where(upper.diagonal() < 0, -1.0, 1.0)
    root = (upper * sign[:, None]).T
    return torch.cat([root, root.new_zeros((d, d - root.shape[1]))], dim=1)


def updated_diagonal(
    diagonal: Float[Tensor, "feature"],
    rows: Float[Tensor, "feature rank"],
    change: Float[Tensor, "rank rank"],
) -> Float[Tensor, "feature feature"]:
    """The Cholesky factor of diag(d) + U S Uᵀ, block by block of its rows, in the rank of S.

    With U_1 the first rows and L_1 the Cholesky factor of diag(d_1) + U_1 S U_1ᵀ, the rows below have U_2 Gᵀ in its
    columns, G = L_1⁻¹ U_1 S, and what is left to factorise is diag(d_2) + U_2 (S − GᵀG) U_2ᵀ.
    """
    n = len(diagonal)
    lower = diagonal.new_zeros((n, n))
    for start in range(0, n, _ROWS):
        own, below = slice(start, start + _ROWS), slice(start + _ROWS, n)
        pulled = rows[own] @ change
        block = pulled @ rows[own].T
        block.diagonal().add_(diagonal[own])
        lower[own, own] = corner = cholesky_factor(block)
        g = torch.linalg.solve_triangular(corner, pulled, upper=False)
        lower[below, own] = rows[below] @ g.T
        change = change - g.T @ g
    return lower
