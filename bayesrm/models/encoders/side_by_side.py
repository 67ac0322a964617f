"""The linear features of every block, and beside them those of other bodies: a sum of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.models.encoders.base import Encoder
from bayesrm.models.encoders.layers import BlockDirections, block_directions, own_preparation, spectral_directions
from bayesrm.types import ResponsePool


@runtime_checkable
class Body(Protocol):
    """What can stand beside the linear features."""

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the features of each of its blocks are."""

    def fit_pool(self, pool: ResponsePool, encoder: Encoder) -> None:
        """Learn what needs no labels from embeddings as an encoder prepares them."""

    def __call__(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Its features."""


class SideBySide(nn.Module):
    """Linear features, then those of other bodies.

    Parameters
    ----------
    linear
        The linear features.
    others
        Name → body: modules, each a :class:`Body`.
    """

    def __init__(self, linear: BlockDirections, **others: Body) -> None:
        super().__init__()
        self.linear = linear
        self.names = tuple(others)
        for name, body in others.items():
            assert isinstance(body, nn.Module)
            self.add_module(name, body)

    @property
    def others(self) -> dict[str, Body]:
        """The other bodies."""
        return {name: getattr(self, name) for name in self.names}

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the features of each block are."""
        blocks, width = self.linear.blocks, self.linear.width
        for body in self.others.values():
            own = body.blocks
            blocks |= {name: slice(width + at.start, width + at.stop) for name, at in own.items()}
            width += max(at.stop for at in own.values())
        return blocks

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """One beside the other."""
        return torch.cat([self.linear(x), *(body(x) for body in self.others.values())], dim=1)


class BesideLayers(Encoder):
    """Linear in every block of the embedding along its spectrum and in all mixed, and other bodies beside that.

    Parameters
    ----------
    dim, inputs, input_blocks
        As of :class:`~bayesrm.models.encoders.layers.Layers`.
    others
        As of :class:`SideBySide`.
    """

    default_inputs: ClassVar[str] = "within-prompt"
    own_spectrum: ClassVar[bool] = True

    def __init__(self, dim: int, inputs: str, input_blocks: Mapping[str, slice] | None, **others: Body) -> None:
        body = SideBySide(block_directions(dim, input_blocks), **others)
        super().__init__(dim, body, own_preparation(inputs), input_blocks)
        self.inputs = inputs

    def fit_pool(self, pool: ResponsePool) -> None:
        """Statistics, spectra, and what each body learns."""
        super().fit_pool(pool)
        assert isinstance(self.body, SideBySide)
        self.body.linear.direct_all(spectral_directions(pool, self))
        for body in self.body.others.values():
            body.fit_pool(pool, self)
        self.measure()
