r"""A Gaussian process over responses, as features of the last layer: Nyström features of an RBF or Matérn kernel.

On coordinates z in which responses to one prompt differ by E ‖z − z'‖² = 2 (the blocks of the embedding along their
spectra within prompts, see :mod:`bayesrm.models.encoders.layers`, divided by the root of their number),

    k(z, z') = h(‖z − z'‖/ℓ) / (1 − h(√2/ℓ)),     h(r) = exp(−r²/2),  or Matérn's of smoothness 3/2 or 5/2,

so that the difference of two rewards to one prompt has the same prior variance at a usual distance whatever ℓ is.
With m inducing responses, K_mm = L Lᵀ and features φ(z) = L⁻¹ k_m(z), a reward φᵀβ with β ~ Normal(0, σ² I) is that
process (Williams & Seeger 2001), and every inference, design and export works as for any other last layer. Inducing
responses are chosen by pivoted Cholesky, each where the variance that is left is largest, until the part of the
kernel's trace within prompts that is lost falls below a tolerance. σ is chosen by evidence, ℓ by evidence and
log ℓ ~ Normal(log 2, 0.4²). Under a kernel a response far from all labels is uncertain and not extreme, so designs do
not chase outliers. Preference learning with Gaussian processes: Chu & Ghahramani 2005; with crowds and text: GPPL,
Simpson & Gurevych 2020.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from bayesrm.errors import InvalidInputError
from bayesrm.models.encoders.base import Encoder, Evidence
from bayesrm.models.encoders.layers import own_preparation, preparation_key, spectral_directions
from bayesrm.models.spectrum import fix_signs
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.grouped import less_group_means
from bayesrm.utils.linalg import cholesky_factor
from bayesrm.utils.remembered import remembered

KERNEL = "kernel"
"""The name of the block of its features."""
SHAPES = ("rbf", "matern32", "matern52")
USUAL_LENGTH, LOG_LENGTH_SD = 2.0, 0.4
"""Where log ℓ is expected, and the sd of its prior; chosen on the pools of studies/README.md."""
WIDEST = 4 * LOG_LENGTH_SD
INDUCING_ROWS = 2_048
"""Responses, in whole prompts, that inducing ones are chosen among."""
TOLERANCE = 1e-2
"""The part of the kernel's trace within prompts that may be lost."""
MOST_FEATURES = 512


class KernelFeatures(nn.Module):
    """Nyström features of one kernel.

    Parameters
    ----------
    shape
        "rbf", "matern32" or "matern52".
    dim
        The dimension p of an embedding.
    """

    projection: Tensor
    inducing: Tensor
    whiten: Tensor
    length: Tensor
    lost: Tensor

    def __init__(self, shape: str, dim: int) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("projection", torch.zeros((dim, 1)))
        self.register_buffer("inducing", torch.zeros((1, 1)))
        self.register_buffer("whiten", torch.ones((1, 1), dtype=torch.float64))
        self.register_buffer("length", torch.tensor(USUAL_LENGTH, dtype=torch.float64))
        self.register_buffer("lost", torch.tensor(math.nan, dtype=torch.float64))

    def set_length(self, length: float) -> None:
        """Change ℓ; the inducing responses stay."""
        self.length.fill_(length)
        factor = _root_of(self.kernel(self.inducing, self.inducing))
        identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
        self.whiten = torch.linalg.solve_triangular(factor, identity, upper=False).T.contiguous()

    def kernel(self, z: Float[Tensor, "left q"], other: Float[Tensor, "right q"]) -> Float[Tensor, "left right"]:
        """k of every row with every row, float64."""
        distance = torch.cdist(z.double(), other.double(), compute_mode="donot_use_mm_for_euclid_dist")
        return kernel_of_distance(distance, self.length, self.shape)

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """L⁻¹ k_m(z)."""
        return (self.kernel(x @ self.projection, self.inducing) @ self.whiten).to(x)


class Kernels(nn.Module):
    """The features of several kernels, each a block.

    Parameters
    ----------
    shape, dim
        As of :class:`KernelFeatures`.
    names
        One a kernel. Several are for one block of the embedding each.
    most
        The largest number of inducing responses of a kernel.
    kept
        The part of their features' trace within prompts for which leading combinations of them are kept.
    """

    def __init__(
        self, shape: str, dim: int, names: list[str], most: int = MOST_FEATURES, kept: float = 1.0
    ) -> None:
        super().__init__()
        if shape not in SHAPES:
            raise InvalidInputError(f"unknown kernel {shape!r}: there are {', '.join(SHAPES)}")
        self.names, self.most, self.kept = names, most, kept
        self.parts = nn.ModuleList(KernelFeatures(shape, dim) for _ in names)

    @property
    def kernels(self) -> list[KernelFeatures]:
        """The kernels, in order."""
        return [part for part in self.parts if isinstance(part, KernelFeatures)]

    @property
    def blocks(self) -> dict[str, slice]:
        """Where the features of each are."""
        ends = np.cumsum([0, *(part.whiten.shape[1] for part in self.kernels)]).tolist()
        return {name: slice(ends[k], ends[k + 1]) for k, name in enumerate(self.names)}

    def fit_pool(self, pool: ResponsePool, encoder: Encoder) -> None:
        """Inducing responses at the usual length scale, from embeddings as their encoder prepares them."""
        settings = (self.kernels[0].shape, len(self.names), self.most, self.kept)
        found = remembered(
            pool, ("kernel", *settings, *preparation_key(encoder)), lambda: self._nystrom(pool, encoder)
        )
        for part, (projection, inducing, combined, lost) in zip(self.kernels, found, strict=True):
            part.projection, part.inducing = projection.to(part.length).float(), inducing.to(part.length).float()
            part.set_length(USUAL_LENGTH)
            if combined is not None:
                part.whiten = part.whiten @ combined.to(part.whiten)
            part.lost.fill_(lost)

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """One after the other."""
        return torch.cat([part(x) for part in self.parts], dim=1)

    def _nystrom(self, pool: ResponsePool, encoder: Encoder) -> list[tuple[Tensor, Tensor, Tensor | None, float]]:
        """For each kernel the projection onto z, its inducing rows, combinations of features, and what is lost."""
        rows, group = _some_prompts(pool)
        with torch.no_grad():
            x = encoder.prepare(torch.from_numpy(pool.rows(rows)).to(encoder.device)).cpu()
        found = []
        for projection in kernel_coordinates(pool, encoder, additive=len(self.names) > 1):
            z = (x @ projection).double()
            matrix = kernel_of_distance(torch.cdist(z, z), USUAL_LENGTH, self.kernels[0].shape)
            pivots, lost = inducing_rows(matrix, group, self.most, TOLERANCE)
            combined = None
            if self.kept < 1:
                combined, held = _leading_combinations(matrix, pivots, group, self.kept)
                lost += (1 - lost) * (1 - held)
            found.append((projection, z[pivots], combined, lost))
        return found


class Kernel(Encoder):
    """A Gaussian process on the embedding, by Nyström features; its length scale by evidence.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding.
    shape : str
        "rbf" (smooth), "matern52" or "matern32" (rougher).
    additive : bool
        Whether the reward is a sum of processes, one for each block of the embedding with a prior scale of its own, and
        not one process on all blocks side by side.
    features : int
        The largest number of inducing responses of a kernel.
    inputs : str
        "within-prompt", or "raw" for embeddings that are not to be standardised before.
    input_blocks : mapping of str to slice, optional
        Blocks of the embedding, see ``ResponsePool.blocks``.
    """

    name: ClassVar[str] = "kernel"
    default_inputs: ClassVar[str] = "within-prompt"
    own_spectrum: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        dim: Count,
        shape: str = "rbf",
        additive: bool = False,
        features: Count = MOST_FEATURES,
        inputs: str = "within-prompt",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        names = [f"{KERNEL} {name}" for name in input_blocks or ()] if additive else []
        body = Kernels(shape, dim, names or [KERNEL], features)
        super().__init__(dim, body, own_preparation(inputs), input_blocks)
        self.inputs = inputs
        self.shape, self.additive, self.most = shape, additive, features

    @property
    def settings(self) -> dict[str, Any]:
        """Shape of the kernel, whether it is additive, and the most features."""
        return {"shape": self.shape, "additive": self.additive, "features": self.most}

    @property
    def lost(self) -> float:
        """The largest part of a kernel's trace within prompts that its features lack; NaN before a fit."""
        return max(float(part.lost) for part in self._kernels)

    @property
    def length(self) -> float:
        """ℓ, in units of the root of half the mean squared distance of responses to one prompt."""
        return float(self._kernels[0].length)

    def fit_pool(self, pool: ResponsePool) -> None:
        """Statistics, spectra, and inducing responses at the usual length scale."""
        super().fit_pool(pool)
        assert isinstance(self.body, Kernels)
        self.body.fit_pool(pool, self)
        self.measure()

    def fit_labels(self, pool: ResponsePool, preferences: Preferences, evidence: Evidence) -> None:
        """ℓ by evidence and its prior, the same for all kernels."""

        def loss(log_ratio: float) -> float:
            trial = copy.deepcopy(self)
            for part in trial._kernels:
                part.set_length(USUAL_LENGTH * math.exp(log_ratio))
            return -evidence(trial) + 0.5 * (log_ratio / LOG_LENGTH_SD) ** 2

        found = minimize_scalar(
            loss, bounds=(-WIDEST, WIDEST), method="bounded", options={"xatol": 0.1, "maxiter": 10}
        )
        for part in self._kernels:
            part.set_length(USUAL_LENGTH * math.exp(float(found.x)))

    @property
    def _kernels(self) -> list[KernelFeatures]:
        assert isinstance(self.body, Kernels)
        return self.body.kernels


def kernel_coordinates(
    pool: ResponsePool, encoder: Encoder, additive: bool = False
) -> list[Float[Tensor, "embedding coordinate"]]:
    """From prepared embeddings to z: one projection for all blocks side by side, or additive ones, one a block."""
    directions = spectral_directions(pool, encoder)[: len(encoder.input_blocks)]
    columns = list(encoder.input_blocks.values())
    if not directions:  # nothing varies within a prompt, or there is one response to each: the embedding as it is
        widths = [at.stop - at.start for at in columns]
        directions = [torch.eye(width) / width**0.5 for width in widths]
    whole = [_in_place(at, part, encoder.dim) for at, part in zip(columns, directions, strict=True)]
    return whole if additive and len(whole) > 1 else [torch.cat(whole, dim=1) / len(whole) ** 0.5]


def kernel_of_distance(
    distance: Float[Tensor, "*pair"], length: float | Float[Tensor, ""], shape: str
) -> Float[Tensor, "*pair"]:
    """k at these distances: 1/(1 − h(√2/ℓ)) at zero, one less at √2."""
    h = _SHAPES[shape]
    usual = h(torch.as_tensor(math.sqrt(2.0) / length, dtype=torch.float64))
    return h(distance / length) / (1 - usual)


def _matern32(r: Tensor) -> Tensor:
    scaled = math.sqrt(3.0) * r
    return (1 + scaled) * torch.exp(-scaled)


def _matern52(r: Tensor) -> Tensor:
    scaled = math.sqrt(5.0) * r
    return (1 + scaled + scaled.square() / 3) * torch.exp(-scaled)


_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "rbf": lambda r: torch.exp(-0.5 * r.square()),
    "matern32": _matern32,
    "matern52": _matern52,
}


def inducing_rows(
    matrix: Float[Tensor, "response response"], group: Int64[np.ndarray, "response"], most: int, tolerance: float
) -> tuple[Int64[Tensor, "inducing"], float]:
    """Rows by pivoted Cholesky, until no more of the trace within prompts is lost than tolerated, or all are used.

    Returns
    -------
    rows, lost
        The rows, in order of choice; the part of Σ_i ‖φ_i − φ̄_prompt‖² that features from them lack.
    """
    left = matrix.diagonal().clone()
    total = _within_trace(matrix, group)
    factor = torch.zeros((len(matrix), min(most, len(matrix))), dtype=matrix.dtype)
    chosen: list[int] = []
    kept = 0.0
    for at in range(factor.shape[1]):
        pivot = int(left.argmax())
        if float(left[pivot]) < 1e-9 * float(matrix.diagonal().max()):
            break
        column = (matrix[:, pivot] - factor[:, :at] @ factor[pivot, :at]) / left[pivot].sqrt()
        factor[:, at] = column
        left = (left - column.square()).clamp_(min=0.0)
        left[pivot] = 0.0
        chosen.append(pivot)
        kept += _within_square(column.numpy(), group)
        if total - kept < tolerance * total:
            break
    return torch.tensor(chosen), max(0.0, 1 - kept / total) if total > 0 else 0.0


def _leading_combinations(
    matrix: Float[Tensor, "response response"],
    pivots: Int64[Tensor, "inducing"],
    group: Int64[np.ndarray, "response"],
    kept: float,
) -> tuple[Float[Tensor, "inducing feature"], float]:
    """Principal components within prompts of the features of inducing responses, and the part of their trace held."""
    factor = _root_of(matrix[pivots][:, pivots])
    features = torch.linalg.solve_triangular(factor, matrix[pivots], upper=False).T
    within = torch.from_numpy(less_group_means(features.numpy(), group))
    eigenvalues, vectors = torch.linalg.eigh(within.T @ within)
    held = eigenvalues.flip(0).clamp(min=0.0).cumsum(dim=0)
    if float(held[-1]) <= 0:
        return torch.eye(len(pivots), 1, dtype=matrix.dtype), 1.0
    held = held / held[-1]
    count = int((held < kept).sum()) + 1
    return fix_signs(vectors.flip(1)[:, :count]), float(held[count - 1])


def _root_of(inside: Float[Tensor, "inducing inducing"]) -> Float[Tensor, "inducing inducing"]:
    """The Cholesky factor of the kernel of inducing responses, of which some may be nearly alike."""
    return cholesky_factor(inside + 1e-8 * inside.diagonal().mean() * torch.eye(len(inside)).to(inside))


def _within_trace(matrix: Float[Tensor, "response response"], group: Int64[np.ndarray, "response"]) -> float:
    """The trace of a kernel less what the means over prompts hold of it."""
    onehot = torch.from_numpy(np.eye(int(group.max()) + 1)[group])
    means = ((onehot.T @ matrix) * onehot.T).sum(dim=1) / onehot.sum(dim=0)
    return float(matrix.trace() - means.sum())


def _within_square(column: Float[np.ndarray, "response"], group: Int64[np.ndarray, "response"]) -> float:
    return float((less_group_means(column[:, None], group) ** 2).sum())


def _some_prompts(pool: ResponsePool) -> tuple[Int64[np.ndarray, "response"], Int64[np.ndarray, "response"]]:
    """Responses to evenly spaced prompts, and the number of the prompt of each."""
    keep = max(1, int(pool.n_prompts * min(1.0, INDUCING_ROWS / len(pool))))
    chosen = np.unique(np.linspace(0, pool.n_prompts - 1, keep).round().astype(int))
    members = [pool.members[k] for k in chosen]
    sizes = [len(member) for member in members]
    rows, group = np.concatenate(members), np.repeat(np.arange(len(members)), sizes)
    if max(sizes) == 1:  # comparisons can only be across prompts: as if there were one
        group = np.zeros_like(group)
    return rows[:INDUCING_ROWS], group[:INDUCING_ROWS]


def _in_place(
    columns: slice, directions: Float[Tensor, "column feature"], dim: int
) -> Float[Tensor, "dim feature"]:
    placed = torch.zeros((dim, directions.shape[1]))
    placed[columns] = directions
    return placed
