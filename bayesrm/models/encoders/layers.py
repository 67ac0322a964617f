r"""Every block of an embedding, such as a hidden layer, along its own spectrum within prompts, and all of them mixed.

With x_b the standardised columns of block b and C_b = V_b diag(λ_b) V_bᵀ their covariance within prompts,

    f_b = c_b diag(λ_b^{a/2}) V_bᵀ x_b,    a = 2,    with c_b such that E ‖f_b − f̄_b,prompt‖² = 1,

and one block more, "mixed", of the same form with a = ½ for the leading directions of all blocks together. a = 2
expects a reward to change along the few directions in which responses to a prompt differ most, a = ½ almost along all
of them: which is right is not known before there are labels, and a prior scale each lets them decide
(:mod:`bayesrm.inference.fitting.scale_prior`). No label is needed for the features themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.errors import InvalidInputError
from bayesrm.models.encoders.base import INPUTS, Encoder
from bayesrm.models.spectrum import NOTHING, fix_signs, within_prompt_covariance
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.remembered import remembered

MIXED = "mixed"
"""The name of the block of all blocks together."""
LAYER_POWER, MIXED_POWER = 2.0, 0.5
LAYER_TAIL, MIXED_TAIL = 1e-3, 1e-2
"""Trailing directions that hold less than this part of a block's prior variance are left out."""
LEADING = 128
"""Directions of each block that the mixed one is made from: those that responses to a prompt differ most along."""
MOST_LEADING = 256
"""Directions of each block that are remembered."""

Spectrum: TypeAlias = tuple[Float[Tensor, "feature"], Float[Tensor, "column feature"]]
"""Eigenvalues of a covariance, the largest first, and their eigenvectors."""


class BlockDirections(nn.Module):
    """Projections of some columns each, one after the other.

    Parameters
    ----------
    columns
        Name → columns of the block.
    """

    def __init__(self, columns: Mapping[str, slice]) -> None:
        super().__init__()
        self.columns = dict(columns)
        for at, columns_of_block in enumerate(self.columns.values()):
            self.register_buffer(
                f"directions_{at}", torch.zeros((columns_of_block.stop - columns_of_block.start, 1))
            )

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the features of each block are."""
        ends = np.cumsum([0, *(self.directions(at).shape[1] for at in range(len(self.columns)))]).tolist()
        return {name: slice(ends[k], ends[k + 1]) for k, name in enumerate(self.columns)}

    @property
    def width(self) -> int:
        """The number of features."""
        return max(at.stop for at in self.blocks.values())

    def directions(self, at: int) -> Float[Tensor, "column feature"]:
        """The projection of one block."""
        matrix: Tensor = getattr(self, f"directions_{at}")
        return matrix

    def direct_all(self, matrices: list[Float[Tensor, "column feature"]]) -> None:
        """Change the projections, in order; without any, the columns are left as they are."""
        kept = matrices or [torch.eye(at.stop - at.start) for at in self.columns.values()]
        for at, matrix in enumerate(kept):
            # As a file has them: products are rounded by how a matrix lies in memory.
            setattr(self, f"directions_{at}", matrix.to(self.directions(at)).contiguous())

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Project block by block."""
        parts = enumerate(self.columns.values())
        return torch.cat([x[:, columns] @ self.directions(at) for at, columns in parts], dim=1)


class Layers(Encoder):
    """Every block of the embedding along its spectrum within prompts, and all mixed: linear, with a prior scale each.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding.
    inputs : str
        "within-prompt", or "raw" for embeddings that are not to be standardised before.
    input_blocks : mapping of str to slice, optional
        The blocks, such as hidden layers, see ``ResponsePool.blocks``.
    """

    name: ClassVar[str] = "layers"
    default_inputs: ClassVar[str] = "within-prompt"
    own_spectrum: ClassVar[bool] = True

    @checked
    def __init__(
        self, dim: Count, inputs: str = "within-prompt", input_blocks: Mapping[str, slice] | None = None
    ) -> None:
        super().__init__(dim, block_directions(dim, input_blocks), own_preparation(inputs), input_blocks)
        self.inputs = inputs

    def fit_pool(self, pool: ResponsePool) -> None:
        """Statistics, and the spectra of all blocks."""
        super().fit_pool(pool)
        assert isinstance(self.body, BlockDirections)
        self.body.direct_all(spectral_directions(pool, self))
        self.measure()


def block_directions(dim: int, input_blocks: Mapping[str, slice] | None) -> BlockDirections:
    """Projections of each block, and of all mixed where there are several; not yet learnt from a pool."""
    blocks = {"embedding": slice(0, dim)} if not input_blocks else dict(input_blocks)
    return BlockDirections(blocks | ({MIXED: slice(0, dim)} if len(blocks) > 1 else {}))


def own_preparation(inputs: str) -> str:
    """How an encoder that has spectra of its own prepares embeddings before: standardised, unless they are raw."""
    if inputs not in INPUTS:
        raise InvalidInputError(f"unknown inputs {inputs!r}: there are {', '.join(INPUTS)}")
    return "raw" if inputs == "raw" else "standardized"


def spectral_directions(pool: ResponsePool, encoder: Encoder) -> list[Float[Tensor, "column feature"]]:
    """The projection of each block, and of all mixed where there are several; none where nothing varies in prompts.

    Remembered for the pool.
    """
    return _remembered(pool, encoder)[0]


def leading_spectra(pool: ResponsePool, encoder: Encoder) -> list[Spectrum]:
    """The :data:`MOST_LEADING` largest eigenvalues of each block's covariance within prompts, and their eigenvectors.

    None where nothing varies in prompts. Remembered for the pool: of thousands of columns they take minutes to find.
    """
    return _remembered(pool, encoder)[1]


def _remembered(pool: ResponsePool, encoder: Encoder) -> tuple[list[Tensor], list[Spectrum]]:
    key = ("spectral directions", *preparation_key(encoder))
    return remembered(pool, key, lambda: _directions_and_spectra(pool, encoder))


def preparation_key(encoder: Encoder) -> tuple[Hashable, ...]:
    """What decides how an encoder prepares embeddings, for what is remembered of a pool."""
    blocks = tuple((name, at.start, at.stop) for name, at in encoder.input_blocks.items())
    return encoder.inputs, encoder.device.type, blocks


def _directions_and_spectra(pool: ResponsePool, encoder: Encoder) -> tuple[list[Tensor], list[Spectrum]]:
    columns, device = list(encoder.input_blocks.values()), encoder.device
    covariances = within_prompt_covariance(pool, encoder.prepare, columns, device)
    if not covariances:
        return [], []
    spectra = [spectrum_of(covariance) for covariance in covariances]
    found = [_scaled(*spectrum, LAYER_POWER, LAYER_TAIL) for spectrum in spectra]
    if len(columns) > 1:
        widest = max(at.stop for at in columns)
        leading = [vectors[:, :LEADING] for _, vectors in spectra]
        axes = torch.zeros((widest, sum(part.shape[1] for part in leading)), dtype=torch.float64)
        start = 0
        for at, part in zip(columns, leading, strict=True):
            axes[at, start : start + part.shape[1]] = part
            start += part.shape[1]
        single = axes.float()
        (covariance,) = within_prompt_covariance(
            pool, lambda rows: encoder.prepare(rows).cpu() @ single, [slice(0, axes.shape[1])], device
        )
        found.append(axes @ _scaled(*spectrum_of(covariance), MIXED_POWER, MIXED_TAIL))
    kept = [(values[:MOST_LEADING].clone(), vectors[:, :MOST_LEADING].clone()) for values, vectors in spectra]
    return [matrix.float() for matrix in found], kept


def spectrum_of(covariance: Float[Tensor, "column column"]) -> Spectrum:
    """Eigenvalues, the largest first, and eigenvectors of fixed sign."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    eigenvalues = eigenvalues.flip(0).clamp(min=1e-12 * max(float(eigenvalues[-1]), 1e-300))
    return eigenvalues, fix_signs(vectors.flip(1))


def _scaled(
    eigenvalues: Float[Tensor, "column"], vectors: Float[Tensor, "column column"], power: float, tail: float
) -> Float[Tensor, "column feature"]:
    """V diag(c λ^{a/2}), without the trailing directions; one feature that is zero where nothing varies."""
    if float(eigenvalues[0]) <= NOTHING:
        # Such as the input embeddings of a decoder at the last token, which ends every text.
        return torch.zeros((len(vectors), 1), dtype=vectors.dtype)
    share = eigenvalues ** (1 + power)
    kept = int((1 - (share / share.sum()).cumsum(dim=0) > tail).sum()) + 1
    return (vectors * (eigenvalues ** (power / 2) / share.sum().sqrt()))[:, :kept]
