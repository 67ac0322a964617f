"""What the pairs of a batch leave of the covariance of whitened weights."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.utils.linalg import cholesky_factor


class Covariance:
    """A⁻¹ = (I + Σ_C w v vᵀ)⁻¹: of an empty batch I, by which nothing has to be multiplied.

    Parameters
    ----------
    u
        Whitened rows, of the rank and on the device that it has.
    """

    def __init__(self, u: Float[Tensor, "response rank"]) -> None:
        self._matrix = torch.eye(u.shape[1], dtype=torch.float64, device=u.device)
        self._grown = False

    def times(self, rows: Float[Tensor, "*some rank"]) -> Float[Tensor, "*some rank"]:
        """Rows times A⁻¹."""
        return rows @ self._matrix if self._grown else rows

    def rooted(self, rows: Float[Tensor, "some rank"]) -> Float[Tensor, "some rank"]:
        """Rows times L with L Lᵀ = A⁻¹: squared distances of them are vᵀA⁻¹v."""
        return rows @ cholesky_factor(self._matrix) if self._grown else rows

    def subtract(self, change: Float[Tensor, "rank rank"]) -> None:
        """What is added to the batch takes this off it; what is taken out, its negative."""
        self._matrix -= change
        self._grown = True
