r"""Square roots F of a precision matrix, Λ = F Fᵀ: dense, or of a prior that labels changed along few directions.

With a prior of diagonal precision τ and n labelled responses the information of p > n features is

    Λ = D (I + Q (Λ̃ − I) Qᵀ) D,      D = diag(√τ),   Λ̃ = L Lᵀ,

with Q an orthonormal basis of the span of the labelled differences times D⁻¹, and Λ̃ the precision within it: outside of
it the prior is left as it was. Then F = D (I + Q (L − I) Qᵀ), and what needs F⁻¹ costs n p instead of p².
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.utils.linalg import lower_root, updated_diagonal

MOST_SHRUNK = 1e3
"""How many times smaller a posterior sd may be than the prior one, for a covariance as prior less what labels told."""


class Factor(ABC):
    """F with Λ = F Fᵀ."""

    @abstractmethod
    def whiten(self, rows: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """Rows u = F⁻¹φ: with Σ = Λ⁻¹, u_i·u_j = φ_iᵀ Σ φ_j."""

    @abstractmethod
    def colour(self, noise: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """Rows F⁻ᵀε: of covariance Λ⁻¹ where the ε are standard normal."""

    @abstractmethod
    def last(self, start: int) -> Factor:
        """Of the marginal precision of all variables from the ``start``-th on."""

    @property
    @abstractmethod
    def half_log_det(self) -> float:
        """½ log det Λ."""

    @property
    @abstractmethod
    def matrix(self) -> Float[Tensor, "latent latent"]:
        """Λ."""

    @property
    @abstractmethod
    def cholesky(self) -> Float[Tensor, "latent latent"]:
        """The lower triangular root of Λ."""

    @property
    def covariance_factor(self) -> Float[Tensor, "latent latent"]:
        """F⁻ᵀ, since Λ⁻¹ = F⁻ᵀ F⁻¹."""
        return self.whiten(torch.eye(len(self), dtype=torch.float64, device=self.device))

    def covariance_tril(self, order: Int64[Tensor, "latent"]) -> Float[Tensor, "latent latent"]:
        """The lower-triangular root of Λ⁻¹ with its rows and columns in this order."""
        return lower_root(self.covariance_factor[order])

    @abstractmethod
    def __len__(self) -> int:
        """The number of variables."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it is kept."""


@dataclass(frozen=True, eq=False)
class DenseFactor(Factor):
    """The Cholesky factor.

    Parameters
    ----------
    lower
        (latent, latent) lower triangular, float64.
    """

    lower: Float[Tensor, "latent latent"]

    def whiten(self, rows: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """By forward substitution."""
        return torch.linalg.solve_triangular(self.lower, rows.T, upper=False).T.contiguous()

    def colour(self, noise: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """By backward substitution."""
        return torch.linalg.solve_triangular(self.lower.T, noise.T, upper=True).T

    def last(self, start: int) -> DenseFactor:
        """The last rows and columns: the factor of the Schur complement."""
        return DenseFactor(self.lower[start:, start:].contiguous())

    @property
    def half_log_det(self) -> float:
        """Of the diagonal."""
        return float(self.lower.diagonal().log().sum())

    @property
    def matrix(self) -> Float[Tensor, "latent latent"]:
        """L Lᵀ."""
        return self.lower @ self.lower.T

    @property
    def cholesky(self) -> Float[Tensor, "latent latent"]:
        """F itself."""
        return self.lower

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def device(self) -> torch.device:
        """That of the factor."""
        return self.lower.device


@dataclass(frozen=True, eq=False)
class SpannedFactor(Factor):
    """As in the module.

    Parameters
    ----------
    root_prior
        (latent,) √τ, float64.
    basis
        (latent, rank) Q, with orthonormal columns. For :meth:`last` the first ones are unit vectors.
    inner
        (rank, rank) L, lower triangular.
    """

    root_prior: Float[Tensor, "latent"]
    basis: Float[Tensor, "latent rank"]
    inner: Float[Tensor, "rank rank"]

    def whiten(self, rows: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """F⁻¹ = (I + Q (L⁻¹ − I) Qᵀ) D⁻¹."""
        plain = rows / self.root_prior
        within = plain @ self.basis
        changed = torch.linalg.solve_triangular(self.inner, within.T, upper=False).T
        return plain + (changed - within) @ self.basis.T

    def colour(self, noise: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """F⁻ᵀ = D⁻¹ (I + Q (L⁻ᵀ − I) Qᵀ)."""
        within = noise @ self.basis
        changed = torch.linalg.solve_triangular(self.inner.T, within.T, upper=True).T
        return (noise + (changed - within) @ self.basis.T) / self.root_prior

    def last(self, start: int) -> SpannedFactor:
        """The last rows and columns of each part, Q being the identity for the first variables."""
        return SpannedFactor(
            self.root_prior[start:],
            self.basis[start:, start:].contiguous(),
            self.inner[start:, start:].contiguous(),
        )

    @property
    def half_log_det(self) -> float:
        """½ log det D² + ½ log det Λ̃."""
        return float(self.root_prior.log().sum()) + float(self.inner.diagonal().log().sum())

    @property
    def matrix(self) -> Float[Tensor, "latent latent"]:
        """D (I + Q (L Lᵀ − I) Qᵀ) D."""
        scaled = self.root_prior[:, None] * self.basis
        change = self.inner @ self.inner.T
        change.diagonal().sub_(1.0)
        found = scaled @ change @ scaled.T
        found.diagonal().add_(self.root_prior.square())
        return found

    @cached_property
    def cholesky(self) -> Float[Tensor, "latent latent"]:
        """Of D² + DQ (Λ̃ − I) QᵀD, made when it is first asked for: as large as the dense one."""
        change = self.inner @ self.inner.T
        change.diagonal().sub_(1.0)
        return updated_diagonal(self.root_prior.square(), self.root_prior[:, None] * self.basis, change)

    def covariance_tril(self, order: Int64[Tensor, "latent"]) -> Float[Tensor, "latent latent"]:
        """Of D⁻² + D⁻¹Q (Λ̃⁻¹ − I) QᵀD⁻¹, where no variance is so small beside its prior that the sum would lose it."""
        if float(torch.linalg.matrix_norm(self.inner, 2)) > MOST_SHRUNK:
            return super().covariance_tril(order)
        change = torch.cholesky_inverse(self.inner)
        change.diagonal().sub_(1.0)
        root = self.root_prior[order]
        return updated_diagonal(root.pow(-2), self.basis[order] / root[:, None], change)

    def to(self, device: torch.device) -> SpannedFactor:
        """The same on another device."""
        return SpannedFactor(self.root_prior.to(device), self.basis.to(device), self.inner.to(device))

    def __len__(self) -> int:
        return len(self.root_prior)

    @property
    def device(self) -> torch.device:
        """That of Q."""
        return self.basis.device
