"""When something is done in the span of a few long rows, and an orthonormal basis of it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FEWEST = 256
"""With fewer columns than this square matrices of them are no trouble."""
TIMES = 2
"""So many times as many columns as rows make it worth while."""


def span_basis(rows: Float[Tensor, "row column"]) -> Float[Tensor, "column rank"] | None:
    """Q with orthonormal columns, one for each row, whose span holds all rows; None where columns are not many more."""
    count, columns = rows.shape
    if columns < FEWEST or count == 0 or columns < TIMES * count:
        return None
    return torch.linalg.qr(rows.T).Q
