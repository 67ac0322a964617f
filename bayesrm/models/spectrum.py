r"""Embeddings scaled by how much the responses to one prompt vary along each direction.

With x standardised embeddings and C = Σ_n (x_n − x̄_prompt)(x_n − x̄_prompt)ᵀ / (n − P) = V diag(λ) Vᵀ their
covariance within prompts, linear features are the leading coordinates of

    f = c · diag(λ^{a/2}) Vᵀ x.

A prior that is the same for every weight of f then says of x: β ~ Normal(0, σ² C^a). Preferences are about
responses to the same prompt, so rewards are expected to change along the directions in which such responses differ;
what only prompts differ in cannot matter, and an isotropic prior spends most of its freedom there. No label is
needed for it. The power a is chosen by evidence (:mod:`bayesrm.inference.fitting.linear_part`); a = 0 is a
rotation, which changes nothing for a linear reward.

A network sees V diag(λ^{a/4}) Vᵀ x: half the power, as it learns a scale of its own, and turned back, as it trains
more easily on mixed coordinates than on very unequal ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.types import ResponsePool
from bayesrm.utils.span import FEWEST, TIMES

SPECTRUM_ROWS = 16_384
"""Responses, in whole prompts, that the covariance of a larger pool is taken from."""
NOTHING = 1e-12
"""A variance within prompts of standardised columns that is rounding, also as a part of the largest."""
NEGLIGIBLE = 1e-3
"""Trailing directions that together hold less than this part of the prior variance of a reward are left out of linear
features."""
_ROWS_AT_ONCE = 1024
DEFAULT_POWER = 2.0
"""Until labels clearly say otherwise."""


class WithinPromptSpectrum(nn.Module):
    """The map x ↦ f; the identity where no prompt has two responses.

    Parameters
    ----------
    dim
        The dimension p of an embedding.
    """

    rotation: Tensor
    eigenvalues: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("rotation", torch.eye(dim))
        self.register_buffer("eigenvalues", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim))
        self.power = 0.0
        self.kept = dim
        self._directions = self.rotation

    @property
    def informative(self) -> bool:
        """Whether there was any variation within prompts to learn from."""
        return bool((self.eigenvalues != self.eigenvalues[0]).any())

    def fit(self, pool: ResponsePool, standardize: nn.Module) -> None:
        """Take V and λ from the pool, or from evenly spaced prompts of a large one."""
        if len(pool) * TIMES <= pool.dim and pool.dim >= FEWEST:
            for rows in _all_centred(pool, standardize, self.rotation.device):
                self.learn_from(rows)
            return
        for covariance in within_prompt_covariance(pool, standardize, [slice(0, pool.dim)], self.rotation.device):
            self.learn(covariance)

    def learn(self, covariance: Float[Tensor, "embedding embedding"]) -> None:
        """Take V and λ from the covariance within prompts."""
        eigenvalues, rotation = torch.linalg.eigh(covariance)
        self.rotation.copy_(fix_signs(rotation).flip(1))
        self.eigenvalues.copy_(eigenvalues.flip(0).clamp(min=NOTHING * float(eigenvalues[-1])))

    def learn_from(self, rows: Float[Tensor, "response embedding"]) -> None:
        """Take V and λ from fewer rows X than dimensions, C = XᵀX, by their singular values."""
        leading = torch.linalg.svd(rows, full_matrices=False)
        # Householder's reflections complete V; what is orthogonal to all rows has no variance.
        rotation = torch.linalg.qr(leading.Vh.T, mode="complete").Q
        eigenvalues = torch.zeros_like(self.eigenvalues)
        eigenvalues[: len(leading.S)] = leading.S.square().to(eigenvalues)
        self.rotation.copy_(fix_signs(rotation))
        self.eigenvalues.copy_(eigenvalues.clamp(min=NOTHING * float(eigenvalues[0])))

    def set_power(self, power: float) -> None:
        """Scale by λ^{a/2} for linear features, by λ^{a/4} for a network."""
        share = self.eigenvalues ** (1 + power)
        self.power = float(power)
        self.scale.copy_(self._scale(power / 2))
        remaining = 1 - (share / share.sum()).cumsum(dim=0)
        self.kept = int((remaining > NEGLIGIBLE).sum()) + 1
        self._directions = self.rotation[:, : self.kept] * (self._scale(power) / self.scale)[: self.kept].to(
            self.rotation
        )

    @property
    def directions(self) -> Float[Tensor, "embedding kept"]:
        """From what :meth:`forward` returns to linear features."""
        return self._directions

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """Scale along V and turn back."""
        return ((x @ self.rotation) * self.scale) @ self.rotation.T

    def _scale(self, power: float) -> Tensor:
        """λ^{a/2}, with a constant such that responses to one prompt keep their mean square."""
        weight = self.eigenvalues**power
        return (weight * self.eigenvalues.sum() / (self.eigenvalues * weight).sum()).sqrt()


class BlockSpectrum(nn.Module):
    """A spectrum for each block of an embedding: directions of one hidden layer do not mix with those of another.

    Parameters
    ----------
    blocks
        Name → columns.
    """

    def __init__(self, blocks: Mapping[str, slice]) -> None:
        super().__init__()
        self.columns = list(blocks.values())
        self.parts = nn.ModuleList(WithinPromptSpectrum(at.stop - at.start) for at in self.columns)
        self.power = 0.0

    @property
    def informative(self) -> bool:
        """Whether there was any variation within prompts to learn from."""
        return any(part.informative for part in self._spectra)

    @property
    def kept(self) -> list[int]:
        """Directions of each block that linear features have."""
        return [part.kept for part in self._spectra]

    @kept.setter
    def kept(self, kept: list[int]) -> None:
        for part, count in zip(self._spectra, kept, strict=True):
            part.kept = count

    def fit(self, pool: ResponsePool, standardize: nn.Module) -> None:
        """Take V and λ of every block from the pool, which is read once."""
        device = self._spectra[0].rotation.device
        covariances = within_prompt_covariance(pool, standardize, self.columns, device)
        for part, covariance in zip(self._spectra, covariances, strict=bool(covariances)):
            if float(covariance.diagonal().max()) > NOTHING:
                part.learn(covariance)

    def set_power(self, power: float) -> None:
        """The same power for all blocks; a block without variation within prompts stays as it is."""
        self.power = float(power)
        for part in self._spectra:
            part.set_power(power if part.informative else 0.0)

    @property
    def directions(self) -> list[Float[Tensor, "embedding kept"]]:
        """From what :meth:`forward` returns to linear features, block by block."""
        return [part.directions for part in self._spectra]

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """Scale each block along its V and turn back."""
        parts = zip(self.parts, self.columns, strict=True)
        return torch.cat([part(x[:, at]) for part, at in parts], dim=1)

    @property
    def _spectra(self) -> list[WithinPromptSpectrum]:
        return [part for part in self.parts if isinstance(part, WithinPromptSpectrum)]


def fix_signs(vectors: Float[Tensor, "_ column"]) -> Float[Tensor, "_ column"]:
    """The sign of an eigenvector is free; its largest entry is made positive, so that every machine has the same."""
    top = vectors.abs().argmax(dim=0)
    return vectors * vectors[top, torch.arange(vectors.shape[1])].sign()


def within_prompt_covariance(
    pool: ResponsePool, standardize: Callable[[Tensor], Tensor], columns: Sequence[slice], device: torch.device
) -> list[Float[Tensor, "embedding embedding"]]:
    """C of each block of columns, from the pool or evenly spaced prompts of a large one; none where nothing varies."""
    totals = [torch.zeros((at.stop - at.start,) * 2, dtype=torch.float64) for at in columns]
    freedom = 0
    waiting: list[Tensor] = []
    for rows in _centred(pool, standardize, device):
        waiting.append(rows)
        freedom += len(rows) - 1
        if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
            _add_products(totals, waiting, columns)
    _add_products(totals, waiting, columns)
    if freedom == 0 or max(float(total.diagonal().max()) for total in totals) <= 0.0:
        return []
    return [total / freedom for total in totals]


def _centred(
    pool: ResponsePool, standardize: Callable[[Tensor], Tensor], device: torch.device
) -> Iterator[Float[Tensor, "response embedding"]]:
    """Rows x − x̄_prompt of each prompt with two responses or more, or of evenly spaced ones of a large pool."""
    members = [member for member in pool.members if len(member) > 1]
    keep = max(1, int(len(members) * min(1.0, SPECTRUM_ROWS / max(1, sum(map(len, members))))))
    for at in np.linspace(0, len(members) - 1, keep).round().astype(int) if members else ():
        rows = standardize(torch.from_numpy(pool.rows(members[at])).to(device))
        yield (rows - rows.mean(dim=0)).double().cpu()


def _all_centred(
    pool: ResponsePool, standardize: Callable[[Tensor], Tensor], device: torch.device
) -> list[Float[Tensor, "response embedding"]]:
    """X with C = XᵀX, of a small pool; none where nothing varies."""
    parts = list(_centred(pool, standardize, device))
    freedom = sum(len(part) - 1 for part in parts)
    if freedom == 0 or max(float(part.abs().max()) for part in parts) <= 0.0:
        return []
    return [torch.cat(parts) / freedom**0.5]


def _add_products(totals: list[Tensor], waiting: list[Tensor], columns: Sequence[slice]) -> None:
    if waiting:
        centred = torch.cat(waiting)
        waiting.clear()
        for total, own in zip(totals, columns, strict=True):
            total.addmm_(centred[:, own].T, centred[:, own])


class Leading(nn.Module):
    """Linear features: the inputs, or their coordinates along some directions."""

    directions: Tensor | None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("directions", None)

    @property
    def width(self) -> int:
        """The number of features."""
        return self.dim if self.directions is None else int(self.directions.shape[1])

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Project."""
        return x if self.directions is None else x @ self.directions


class BlockLeading(nn.Module):
    """Linear features of each block of an embedding, one after the other.

    Parameters
    ----------
    columns
        Name → (start, stop) of the block's columns.
    """

    def __init__(self, columns: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.columns = {name: [int(start), int(stop)] for name, (start, stop) in columns.items()}
        self.parts = nn.ModuleList(Leading(stop - start) for start, stop in self.columns.values())

    @property
    def width(self) -> int:
        """The number of features."""
        return sum(part.width for part in self.parts if isinstance(part, Leading))

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the features of each block are."""
        ends = np.cumsum([0, *(part.width for part in self.parts if isinstance(part, Leading))]).tolist()
        return {name: slice(ends[k], ends[k + 1]) for k, name in enumerate(self.columns)}

    def direct(self, directions: Sequence[Float[Tensor, "_ _"]]) -> None:
        """Take the coordinates of each block along these directions."""
        for part, own in zip(self.parts, directions, strict=True):
            part.directions = own

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Project block by block."""
        parts = zip(self.parts, self.columns.values(), strict=True)
        return torch.cat([part(x[:, start:stop]) for part, (start, stop) in parts], dim=1)


def linear_features(dim: int, blocks: Mapping[str, slice] | None = None) -> Leading | BlockLeading:
    """Linear features of an embedding, in its blocks where it has several."""
    if blocks is None or len(blocks) < 2:
        return Leading(dim)
    return BlockLeading({name: (at.start, at.stop) for name, at in blocks.items()})
