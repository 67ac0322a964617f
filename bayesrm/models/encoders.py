"""Encoders F_θ: standardised embeddings (response, embedding) → features (response, feature).

Embeddings are standardised with the statistics of the pool, so that a prior scale means the same for every
pool. A dimension that is constant in the pool is dead: it becomes zero, also on new data.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.errors import InvalidInputError
from bayesrm.models.spectrum import DEFAULT_POWER, Leading, WithinPromptSpectrum
from bayesrm.types import ResponsePool

STATISTICS_ROWS = 16_384
"""Responses that the statistics of a larger pool are taken from: a standard deviation good to 0.6%."""
FLOAT32_NOISE = 2.5e-7
"""A standard deviation below this part of the mean is the rounding of a constant."""
_BLOCK = 128


class Standardize(nn.Module):
    """(ψ − mean) / sd, and 0 where the sd of the pool is (numerically) zero."""

    mean: Tensor
    inverse_scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("inverse_scale", torch.ones(dim))

    def fit(self, pool: ResponsePool) -> None:
        """Take mean and standard deviation from the pool, or from evenly spaced blocks of a large one."""
        total = np.zeros(pool.dim)
        squares = np.zeros(pool.dim)
        count = 0
        blocks = _statistics_blocks(len(pool))
        centre = pool.rows(blocks[0]).mean(axis=0, dtype=np.float64)
        for block in blocks:
            rows = pool.rows(block).astype(np.float64) - centre
            total += rows.sum(axis=0)
            squares += (rows**2).sum(axis=0)
            count += len(rows)
        shift = total / count
        scale = np.sqrt(np.maximum(squares / count - shift**2, 0.0))
        dead = (scale <= 1e-6 * max(float(scale.max()), 1e-30)) | (scale <= FLOAT32_NOISE * np.abs(centre))
        self.mean.copy_(torch.from_numpy(centre + shift))
        self.inverse_scale.copy_(torch.from_numpy(np.where(dead, 0.0, 1.0 / np.where(dead, 1.0, scale))))

    def forward(self, embeddings: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """Standardise."""
        return (embeddings - self.mean) * self.inverse_scale


INPUTS = ("raw", "standardized", "within-prompt")


class Encoder(nn.Module):
    """Preparation of the embeddings followed by a body.

    Parameters
    ----------
    dim
        The dimension p of an embedding.
    body
        A module (response, embedding) → (response, feature) on prepared embeddings.
    inputs
        "raw" embeddings, for a body that was trained on them; "standardized"; or "within-prompt": standardised,
        then scaled by their spectrum within prompts, see :mod:`bayesrm.models.spectrum`.
    """

    def __init__(self, dim: int, body: nn.Module, inputs: str = "standardized") -> None:
        super().__init__()
        if inputs not in INPUTS:
            raise InvalidInputError(f"unknown inputs {inputs!r}: there are {', '.join(INPUTS)}")
        self.dim, self.inputs = dim, inputs
        self.standardize = None if inputs == "raw" else Standardize(dim)
        self.spectrum = WithinPromptSpectrum(dim) if inputs == "within-prompt" else None
        self.body = body
        try:
            with torch.no_grad():
                shape = tuple(body(torch.zeros(2, dim)).shape)
        except RuntimeError as error:
            raise InvalidInputError(
                f"expected an encoder that maps (response, {dim}) to (response, feature), and it fails: {error}"
            ) from error
        if len(shape) != 2 or shape[0] != 2:
            raise InvalidInputError(
                f"expected an encoder that maps (response, {dim}) to (response, feature), "
                f"got {shape} from an input of shape (2, {dim})"
            )
        self.features = shape[1]

    @property
    def blocks(self) -> dict[str, slice]:
        """The features in blocks that deserve a prior scale each; one block unless the body says otherwise."""
        blocks: dict[str, slice] = getattr(self.body, "blocks", {"features": slice(0, self.features)})
        return blocks

    def set_power(self, power: float) -> None:
        """Scale embeddings by this power of their spectrum; linear features that are negligible are left out."""
        if self.spectrum is not None:
            self.spectrum.set_power(power)
            for module in self.body.modules():
                if isinstance(module, Leading):
                    module.directions = self.spectrum.directions
            with torch.no_grad():
                probe = torch.zeros((1, self.dim), device=self.spectrum.scale.device)
                self.features = int(self.body(probe).shape[1])

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train before the last layer."""
        return any(parameter.requires_grad for parameter in self.body.parameters())

    def fit_statistics(self, pool: ResponsePool) -> None:
        """Set the standardisation to the pool's statistics."""
        if self.standardize is not None:
            self.standardize.fit(pool)
        if self.spectrum is not None and self.standardize is not None:
            self.spectrum.fit(pool, self.standardize)
            self.set_power(DEFAULT_POWER if self.spectrum.informative else 0.0)

    def prepare(self, embeddings: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """What the body sees."""
        x = embeddings if self.standardize is None else self.standardize(embeddings)
        prepared: Tensor = x if self.spectrum is None else self.spectrum(x)
        return prepared

    def forward(self, embeddings: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Encode each response once."""
        features: Tensor = self.body(self.prepare(embeddings))
        return features


def mlp(dim: int, hidden: tuple[int, ...]) -> nn.Module:
    """The paper's body: Linear and GELU for each hidden layer; the last layer β has no bias and is not here."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip((dim, *hidden[:-1]), hidden, strict=True):
        layers += [nn.Linear(inputs, outputs), nn.GELU()]
    return nn.Sequential(*layers)


class WithLinearFeatures(nn.Module):
    """The features of a body beside its inputs: what is linear need not be learnt.

    Parameters
    ----------
    name, body
        The body, and what its block of features is called.
    dim
        The number p of inputs.
    """

    def __init__(self, name: str, body: nn.Module, dim: int) -> None:
        super().__init__()
        self.name, self.body, self.linear = name, body, Leading(dim)
        with torch.no_grad():
            self.width = int(body(torch.zeros(1, dim)).shape[1])

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the body's features are, and where the linear ones."""
        return {self.name: slice(0, self.width), "linear": slice(self.width, self.width + self.linear.width)}

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """[body(x), x]."""
        return torch.cat([self.body(x), self.linear(x)], dim=-1)

    def without_linear(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """[body(x), 0], for the training of the body alone."""
        learnt = self.body(x)
        return torch.cat([learnt, learnt.new_zeros((len(x), self.linear.width))], dim=-1)


def make_encoder(
    dim: int, encoder: str | nn.Module, hidden: tuple[int, ...], inputs: str = "standardized"
) -> Encoder:
    """An encoder by name, or around a user's module (which is copied)."""
    if isinstance(encoder, Encoder):
        return copy.deepcopy(encoder)
    if isinstance(encoder, nn.Module):
        return Encoder(dim, copy.deepcopy(encoder), inputs)
    if encoder == "linear":
        return Encoder(dim, Leading(dim), inputs)
    if encoder in ("mlp", "mlp+linear"):
        if not hidden or min(hidden) < 1:
            raise InvalidInputError(f"expected hidden layer sizes of at least 1, got {hidden}")
        body = mlp(dim, tuple(hidden))
        return Encoder(dim, body if encoder == "mlp" else WithLinearFeatures("mlp", body, dim), inputs)
    raise InvalidInputError(
        f"unknown encoder {encoder!r}: there are linear, mlp, mlp+linear, auto, or any torch.nn.Module"
    )


def _statistics_blocks(n: int) -> list[np.ndarray]:
    """Indices in contiguous blocks: everything where small, evenly spaced blocks where large."""
    starts = np.arange(0, n, _BLOCK)
    if n > STATISTICS_ROWS:
        keep = STATISTICS_ROWS // _BLOCK
        starts = starts[np.linspace(0, len(starts) - 1, keep).round().astype(int)]
    return [np.arange(start, min(start + _BLOCK, n)) for start in starts.tolist()]
