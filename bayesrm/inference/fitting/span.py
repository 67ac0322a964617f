r"""More features than labelled responses: the last layer in the span of the labels.

With β ~ Normal(μ, diag(τ)⁻¹), D = diag(√τ) and Q an orthonormal basis of the span of the rows of Z D⁻¹, labels see
β only through γ = QᵀDβ ~ Normal(QᵀDμ, I): Zβ = (Z D⁻¹ Q) γ. What is orthogonal to the span is independent of γ, and
the labels leave it at its prior. So mode, evidence and curvature are found in n dimensions and carried back to p,

    β̂ = μ + D⁻¹ Q (γ̂ − QᵀDμ),      Λ = D (I + Q (Λ_γ − I) Qᵀ) D,

which is exact. The span of n responses' features holds that of all comparisons of them. A draw of β is one of γ with
a draw of the prior beside it,

    β = μ + D⁻¹ (Q (γ − QᵀDμ) + (I − Q Qᵀ) ε),      ε ~ Normal(0, I).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.newton import Mode
from bayesrm.models.log_joint import CentredPrior, GaussianPrior, LogJoint, Prior
from bayesrm.utils.factors import Factor, SpannedFactor
from bayesrm.utils.span import span_basis


@dataclass(frozen=True)
class Whole:
    """A log joint density as it is, where features are not many more than labels: the same methods as :class:`Span`.

    Parameters
    ----------
    joint
        The log joint density of (ν, β).
    """

    joint: LogJoint

    @property
    def prior(self) -> Prior | None:
        """None: the model's own prior stays."""
        return None

    def rows(self, features: Float[Tensor, "response feature"]) -> Float[Tensor, "response feature"]:
        """The features themselves."""
        return features

    def latent(self, x: Float[Tensor, "latent"]) -> Float[Tensor, "latent"]:
        """(ν, β) itself."""
        return x

    def outside(self, mode: Mode) -> Mode:
        """The mode itself."""
        return mode

    def factor(self, inner: Factor) -> Factor:
        """The factor itself."""
        return inner

    def draws(
        self, drawn: Float[Tensor, "chain draw latent"], generator: np.random.Generator
    ) -> Float[Tensor, "chain draw latent"]:
        """The draws themselves."""
        return drawn


@dataclass(frozen=True)
class Span:
    """A log joint density in the span of its labels.

    Parameters
    ----------
    basis
        (feature, rank) Q.
    root_prior, location
        (feature,) √τ and μ.
    joint
        The log joint density of (ν, γ).
    """

    basis: Float[Tensor, "feature rank"]
    root_prior: Float[Tensor, "feature"]
    location: Float[Tensor, "feature"]
    joint: LogJoint

    def inside(self, beta: Float[Tensor, "feature"]) -> Float[Tensor, "rank"]:
        """γ = QᵀDβ."""
        return self.basis.T @ (self.root_prior * beta)

    @property
    def prior(self) -> Prior | None:
        """That of γ."""
        return self.joint.prior

    def rows(self, features: Float[Tensor, "response feature"]) -> Float[Tensor, "response rank"]:
        """QᵀD⁻¹φ: a difference z in the span has the logit zᵀβ = (QᵀD⁻¹z)ᵀγ."""
        return (features / self.root_prior) @ self.basis

    def latent(self, x: Float[Tensor, "latent"]) -> Float[Tensor, "inner"]:
        """(ν, γ) from (ν, β)."""
        nu, beta = x[: self.joint.nuisance.size], x[self.joint.nuisance.size :]
        return torch.cat([nu, self.inside(beta)])

    def outside(self, mode: Mode) -> Mode:
        """The mode of (ν, β), with the factor of its curvature, from that of (ν, γ)."""
        away = self.basis @ (mode.beta - self.inside(self.location))
        return replace(mode, beta=self.location + away / self.root_prior, joint=self.factor(mode.joint))

    def factor(self, inner: Factor) -> SpannedFactor:
        """D (I + Q (Λ_γ − I) Qᵀ) D, with nuisance parameters before it where they stand before γ."""
        ones = self.root_prior.new_ones(len(inner) - self.basis.shape[1])
        return SpannedFactor(
            torch.cat([ones, self.root_prior]), torch.block_diag(torch.diag(ones), self.basis), inner.cholesky
        )

    def draws(
        self, drawn: Float[Tensor, "chain draw inner"], generator: np.random.Generator
    ) -> Float[Tensor, "chain draw latent"]:
        """Draws of (ν, β) from those of (ν, γ), the prior's beside them."""
        q = self.joint.nuisance.size
        shape = (*drawn.shape[:2], len(self.location))
        noise = torch.from_numpy(generator.standard_normal(shape)).to(drawn.device)
        within = drawn[..., q:] - self.inside(self.location) - noise @ self.basis
        beta = self.location + (noise + within @ self.basis.T) / self.root_prior
        return torch.cat([drawn[..., :q], beta], dim=-1)


def span_of(joint: LogJoint) -> Span | None:
    """The span of the labels; None where features are few or not many more than labels, or the prior is a program's."""
    data, prior = joint.data, joint.prior
    rows = data.difference if data.responses is None else data.responses
    if not isinstance(prior, CentredPrior | GaussianPrior):
        return None
    location, precision = prior({})
    root = precision.sqrt()
    if len(rows) == 0:  # one direction, of which labels say nothing: tensors of width zero would be special cases
        rows = torch.zeros_like(root)[None]
    basis = span_basis(rows / root)
    if basis is None:
        return None
    within = replace(data, difference=(data.difference / root) @ basis, responses=None)
    centre = basis.T @ (root * location)
    prior_within = GaussianPrior(centre, torch.ones_like(centre))
    return Span(basis, root, location, replace(joint, data=within, prior=prior_within))


def coordinates(joint: LogJoint) -> Span | Whole:
    """Where to fit a log joint density: in the span of its labels, where that is much smaller."""
    return span_of(joint) or Whole(joint)
