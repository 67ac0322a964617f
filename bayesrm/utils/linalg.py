"""Cholesky factors of precision matrices, for inference and for design; float64."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def cholesky_factor(matrix: Float[Tensor, "feature feature"]) -> Float[Tensor, "feature feature"]:
    """The Cholesky factor; where rounding has made the matrix indefinite, with the least jitter that helps."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    jitter = 1e-14 * float(matrix.diagonal().mean())
    while int(info) != 0:
        if not math.isfinite(jitter) or jitter > 1e-4 * float(matrix.diagonal().mean()):
            raise ArithmeticError("the information matrix is not positive definite: are the features finite?")
        factor, info = torch.linalg.cholesky_ex(matrix + jitter * torch.eye(len(matrix)).to(matrix))
        jitter *= 10
    return factor
