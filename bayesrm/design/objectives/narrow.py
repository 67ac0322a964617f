"""Few rows of many features, in as many coordinates as there are rows: designs see nothing but inner products."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.utils.span import span_basis


def narrow(
    rows: Float[Tensor, "response rank"], *targets: Float[Tensor, "target rank"]
) -> tuple[Float[Tensor, "_ narrow"], ...]:
    """All of them in coordinates of their common span, where that is much smaller; all inner products stay."""
    basis = span_basis(torch.cat([rows, *targets]))
    return (rows, *targets) if basis is None else tuple(part @ basis for part in (rows, *targets))


def seen_by(
    rows: Float[Tensor, "response rank"], targets: Float[Tensor, "target rank"]
) -> tuple[Float[Tensor, "response narrow"], Float[Tensor, "target narrow"]]:
    """Rows, and of the targets what pairs of rows can tell of: inner products with rows stay, others are less."""
    basis = span_basis(rows)
    return (rows, targets) if basis is None else (rows @ basis, targets @ basis)
