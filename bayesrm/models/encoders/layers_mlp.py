r"""Linear in every block of the embedding, and beside that a network: a sum of two rewards.

    r = Σ_b f_bᵀ β_b + h(z)ᵀ β_mlp,     h(z) = gelu(W₂ᵀ gelu(W₁ᵀ z + b₁) + b₂)

with the features f_b of :mod:`bayesrm.models.encoders.layers` and z the coordinates of each block along the directions
in which responses to a prompt differ most. The network learns what a linear reward leaves of the labels, see
:mod:`bayesrm.inference.fitting.network_beside`: it starts at nothing beside the linear reward of the largest evidence,
and stops where held-out prompts are predicted best. It can find directions that matter by themselves, as rewards have
that are one thing or the other, but not both; a kernel has to know all directions alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bayesrm.errors import InvalidInputError
from bayesrm.models.encoders.base import Encoder
from bayesrm.models.encoders.layers import MOST_LEADING, Layers, leading_spectra, preparation_key, spectrum_of
from bayesrm.models.encoders.side_by_side import BesideLayers, SideBySide
from bayesrm.models.spectrum import NOTHING, SPECTRUM_ROWS, within_prompt_covariance
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.remembered import remembered

MLP = "mlp"
"""The name of the block of its features."""
HIDDEN = (64, 64)
INPUTS = MOST_LEADING
"""The coordinates that the network sees, of all blocks together."""
SPREAD = 16.0
"""Root of E ‖z − z̄_prompt‖²; twice that of 64 standardised inputs."""


class Network(nn.Module):
    """A network of hidden layers with GELU on some directions; its weights are buffers, which a fit of its own sets.

    Parameters
    ----------
    dim
        The dimension p of an embedding.
    hidden
        Sizes of the hidden layers; the last is the number of features.
    """

    directions: Tensor

    def __init__(self, dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        if not hidden:
            raise InvalidInputError(
                "expected the sizes of hidden layers, got none: for no network, use 'layers' or 'layers+kernel'"
            )
        self.hidden = tuple(hidden)
        self.register_buffer("directions", torch.zeros((dim, INPUTS)))
        for at, (inputs, outputs) in enumerate(zip((INPUTS, *hidden[:-1]), hidden, strict=True)):
            self.register_buffer(f"weight_{at}", torch.zeros((inputs, outputs)))
            self.register_buffer(f"bias_{at}", torch.zeros((1, outputs)))

    @property
    def blocks(self) -> dict[str, slice]:
        """Where its features are."""
        return {MLP: slice(0, self.hidden[-1])}

    @property
    def weights(self) -> list[Tensor]:
        """Matrices and biases, layer by layer: (input, unit) and (1, unit)."""
        layers = range(len(self.hidden))
        return [getattr(self, f"{kind}_{at}") for at in layers for kind in ("weight", "bias")]

    def set_weights(self, weights: Sequence[Tensor]) -> None:
        """Change them, in the order of :attr:`weights`."""
        for old, new in zip(self.weights, weights, strict=True):
            old.copy_(new)

    def fit_pool(self, pool: ResponsePool, encoder: Encoder) -> None:
        """The directions that it sees."""
        key = ("network directions", *preparation_key(encoder))
        self.directions.copy_(remembered(pool, key, lambda: _leading_directions(pool, encoder)))

    def inputs(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response input"]:
        """z."""
        return x @ self.directions

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """h(z)."""
        return hidden_features(self.inputs(x), self.weights)


def hidden_features(
    z: Float[Tensor, "... response input"], weights: Sequence[Tensor]
) -> Float[Tensor, "... response feature"]:
    """h(z), of one network or of a stack of them."""
    for matrix, bias in zip(weights[::2], weights[1::2], strict=True):
        z = functional.gelu(z @ matrix + bias)
    return z


class BesideLayersAndNetwork(BesideLayers):
    """A sum of rewards of which one is a network's, which :mod:`bayesrm.inference.fitting.network_beside` trains."""

    def without_network(self) -> Encoder:
        """An encoder that has all but the network, with the same settings; it knows no pool yet."""
        raise NotImplementedError

    @property
    def network(self) -> Network:
        """The network."""
        assert isinstance(self.body, SideBySide)
        network = self.body.others["network"]
        assert isinstance(network, Network)
        return network

    @property
    def learns_features(self) -> bool:
        """Where there is a network: its weights are buffers, and learnt."""
        return any(bool(part.any()) for part in self.network.weights)


class LayersMLP(BesideLayersAndNetwork):
    """Linear in every block of the embedding along its spectrum and in all mixed, and a network beside them.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding.
    network : tuple of int
        Sizes of the network's hidden layers.
    inputs : str
        "within-prompt", or "raw" for embeddings that are not to be standardised before.
    input_blocks : mapping of str to slice, optional
        The blocks, such as hidden layers, see ``ResponsePool.blocks``.
    """

    name: ClassVar[str] = "layers+mlp"

    @checked
    def __init__(
        self,
        dim: Count,
        network: Sequence[Count] = HIDDEN,
        inputs: str = "within-prompt",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        super().__init__(dim, inputs, input_blocks, network=Network(dim, network))

    @property
    def settings(self) -> dict[str, Any]:
        """The network's hidden layers."""
        return {"network": list(self.network.hidden)}

    def without_network(self) -> Layers:
        """Linear in every block of the embedding."""
        return Layers(self.dim, self.inputs, self.input_blocks)


def _leading_directions(pool: ResponsePool, encoder: Encoder) -> Float[Tensor, "embedding input"]:
    """Those of each block along which responses to a prompt differ most, as many of each, block after block.

    Of more blocks than inputs some are taken, evenly spaced.

    Not rotated into those of all blocks: Adam's steps are as long along every axis, so that axes with a meaning help.
    """
    blocks = list(encoder.input_blocks.values())
    some = np.unique(np.linspace(0, len(blocks) - 1, INPUTS).round().astype(int)).tolist()
    known = leading_spectra(pool, encoder)
    spectra = [known[block] for block in some] if known else []
    if max((float(eigenvalues[0]) for eigenvalues, _ in spectra), default=0.0) <= NOTHING:
        # As with one response a prompt, comparisons can only be across prompts.
        one = ResponsePool(_some_rows(pool), np.zeros(min(len(pool), SPECTRUM_ROWS), np.int64))
        columns = [blocks[block] for block in some]
        covariances = within_prompt_covariance(one, encoder.prepare, columns, encoder.device)
        spectra = [spectrum_of(covariance) for covariance in covariances]
    placed, total = torch.zeros((encoder.dim, INPUTS), dtype=torch.float64), 0.0
    if not spectra:  # responses that are all alike
        return placed.float()
    most = INPUTS // len(some)
    for k, (block, spectrum) in enumerate(zip(some, spectra, strict=True)):
        eigenvalues, vectors = (part[..., :most] for part in spectrum)
        placed[blocks[block], k * most : k * most + len(eigenvalues)] = vectors
        total += float(eigenvalues.sum())
    return (placed * (SPREAD / math.sqrt(total))).float()


def _some_rows(pool: ResponsePool) -> Float[np.ndarray, "some embedding"]:
    """Evenly spaced ones of a large pool, else all."""
    return pool.rows(np.linspace(0, len(pool) - 1, min(len(pool), SPECTRUM_ROWS)).round().astype(np.int64))
