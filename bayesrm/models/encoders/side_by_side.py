"""The linear features of every block, and beside them those of another body: the sum of two rewards."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.models.encoders.layers import BlockDirections


class SideBySide(nn.Module):
    """Linear features, then those of another body.

    Parameters
    ----------
    linear
        The linear features.
    other
        Under its name, one body. It says in ``blocks`` where the features of each of its blocks are.
    """

    def __init__(self, linear: BlockDirections, **other: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        ((self._name, body),) = other.items()
        self.add_module(self._name, body)

    @property
    def other(self) -> nn.Module:
        """The other body."""
        return self.get_submodule(self._name)

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the features of each block are."""
        blocks, width = self.linear.blocks, self.linear.width
        others: dict[str, slice] = getattr(self.other, "blocks")  # noqa: B009  (of any module)
        return blocks | {name: slice(width + at.start, width + at.stop) for name, at in others.items()}

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """One beside the other."""
        return torch.cat([self.linear(x), self.other(x)], dim=1)
