"""Linear features beside those of another body: what is linear need not be learnt."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.models.spectrum import BlockLeading, Leading


class WithLinearFeatures(nn.Module):
    """The features of a body beside its inputs: what is linear need not be learnt.

    Parameters
    ----------
    name, body
        The body, and what its block of features is called.
    linear
        The linear features, or the number p of inputs.
    """

    def __init__(self, name: str, body: nn.Module, linear: Leading | BlockLeading | int) -> None:
        super().__init__()
        self.name, self.body = name, body
        self.linear = Leading(linear) if isinstance(linear, int) else linear
        columns = (
            self.linear.columns.values() if isinstance(self.linear, BlockLeading) else ((0, self.linear.dim),)
        )
        with torch.no_grad():
            self.width = int(body(torch.zeros(1, max(stop for _, stop in columns))).shape[1])

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the body's features are, and where the linear ones."""
        return {self.name: slice(0, self.width)} | {
            name: slice(self.width + at.start, self.width + at.stop) for name, at in self._linear.items()
        }

    @property
    def linear_blocks(self) -> tuple[str, ...]:
        """The names of the linear ones."""
        return tuple(self._linear)

    @property
    def _linear(self) -> dict[str, slice]:
        if isinstance(self.linear, BlockLeading):
            return self.linear.blocks
        return {"linear": slice(0, self.linear.width)}

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """[body(x), x]."""
        return torch.cat([self.body(x), self.linear(x)], dim=-1)

    def without_linear(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """[body(x), 0], for the training of the body alone."""
        learnt = self.body(x)
        return torch.cat([learnt, learnt.new_zeros((len(x), self.linear.width))], dim=-1)
