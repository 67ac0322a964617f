"""Encoders, one a file: from embeddings to the features that rewards are linear in.

A new encoder is a new file here with an :class:`~bayesrm.models.encoders.base.Encoder` that has a ``name``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from bayesrm.errors import InvalidInputError
from bayesrm.models.encoders.base import Encoder
from bayesrm.models.encoders.kernel import KERNEL
from bayesrm.models.encoders.layers import MIXED
from bayesrm.models.encoders.with_linear import WithLinearFeatures
from bayesrm.registry import Registry

AUTO = "auto"
RECOMMENDED_ENCODER, WITH_A_KERNEL = "layers", "layers+kernel"
WITH_A_NETWORK, WITH_BOTH = "layers+mlp", "layers+kernel+mlp"
"""What ``encoder="auto"`` means, with prompt intercepts; and what it becomes where labels say so."""
ENCODERS: Registry[Encoder] = Registry(
    __name__,
    Encoder,
    "encoder",
    also="auto (which the studies recommend), or any torch.nn.Module",
    always_given=("dim",),
)


def make_encoder(
    dim: int,
    encoder: str | nn.Module,
    hidden: tuple[int, ...],
    inputs: str | None = None,
    input_blocks: Mapping[str, slice] | None = None,
) -> Encoder:
    """An encoder by name, or around a user's module (which is copied).

    Parameters
    ----------
    dim
        The dimension p of an embedding.
    encoder
        One of :data:`ENCODERS`, "auto", an Encoder (which is taken as it is), or any module.
    hidden
        Hidden layers, for the encoders that have them.
    inputs
        What the encoder sees; None takes the encoder's default.
    input_blocks
        Blocks of the embedding, for the encoders that know them.

    Raises
    ------
    InvalidInputError
        Where there is no such encoder, or a weight of a module is not a number.
    """
    if isinstance(encoder, nn.Module):
        for path, weights in encoder.named_parameters():
            if not bool(weights.isfinite().all()):
                raise InvalidInputError(
                    f"expected an encoder whose weights are numbers, got NaN or infinite ones in {path}"
                )
    if isinstance(encoder, Encoder):
        return copy.deepcopy(encoder)
    if isinstance(encoder, nn.Module):
        return Encoder(
            dim, copy.deepcopy(encoder), Encoder.default_inputs if inputs is None else inputs, input_blocks
        )
    part: Any = ENCODERS[RECOMMENDED_ENCODER if encoder == AUTO else encoder]
    takes = signature(part).parameters
    given = {
        name: value for name, value in (("hidden", tuple(hidden)), ("input_blocks", input_blocks)) if name in takes
    }
    made: Encoder = part(dim, inputs=part.default_inputs if inputs is None else inputs, **given)
    return made


__all__ = [
    "AUTO",
    "ENCODERS",
    "KERNEL",
    "MIXED",
    "RECOMMENDED_ENCODER",
    "WITH_A_KERNEL",
    "WITH_A_NETWORK",
    "WITH_BOTH",
    "Encoder",
    "WithLinearFeatures",
    "make_encoder",
]


def __getattr__(name: str) -> Any:
    return ENCODERS.exported(name)
