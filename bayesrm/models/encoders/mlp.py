"""The paper's encoder: Linear and GELU for each hidden layer; the last layer β has no bias and is not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from bayesrm.errors import InvalidInputError
from bayesrm.models.encoders.base import Encoder
from bayesrm.utils.checked import Count, checked

HIDDEN = (64, 64, 64)
"""The paper's hidden layers."""


class MLP(Encoder):
    """The paper's network of hidden layers with GELU, trained with the labels; its last hidden layer are the features.

    Parameters
    ----------
    dim, inputs, input_blocks
        As of every encoder.
    hidden
        Sizes of the hidden layers; the last is the number of features d.
    """

    name: ClassVar[str] = "mlp"

    @checked
    def __init__(
        self,
        dim: Count,
        hidden: Sequence[Count] = HIDDEN,
        inputs: str = "standardized",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        super().__init__(dim, mlp_body(dim, tuple(hidden)), inputs, input_blocks)
        self.hidden = tuple(hidden)

    @property
    def settings(self) -> dict[str, Any]:
        """The hidden layers."""
        return {"hidden": list(self.hidden)}


def mlp_body(dim: int, hidden: tuple[int, ...]) -> nn.Module:
    """Linear and GELU for each hidden layer."""
    if not hidden or min(hidden) < 1:
        raise InvalidInputError(f"expected hidden layer sizes of at least 1, got {hidden}")
    layers: list[nn.Module] = []
    for inputs, outputs in zip((dim, *hidden[:-1]), hidden, strict=True):
        layers += [nn.Linear(inputs, outputs), nn.GELU()]
    return nn.Sequential(*layers)
