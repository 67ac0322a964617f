r"""More features than labelled responses: the last layer in the span of the labels.

With β ~ Normal(μ, diag(τ)⁻¹), D = diag(√τ) and Q an orthonormal basis of the span of the rows of Z D⁻¹, labels see
β only through γ = QᵀDβ ~ Normal(QᵀDμ, I): Zβ = (Z D⁻¹ Q) γ. What is orthogonal to the span is independent of γ, and
the labels leave it at its prior. So mode, evidence and curvature are found in n dimensions and carried back to p,

    β̂ = μ + D⁻¹ Q (γ̂ − QᵀDμ),      Λ = D (I + Q (Λ_γ − I) Qᵀ) D,

which is exact. The span of n responses' features holds that of all comparisons of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.newton import Mode
from bayesrm.models.log_joint import CentredPrior, GaussianPrior, LogJoint
from bayesrm.utils.factors import SpannedFactor
from bayesrm.utils.span import span_basis


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

    def outside(self, mode: Mode) -> Mode:
        """The mode of (ν, β), with the factor of its curvature, from that of (ν, γ)."""
        q = len(mode.nuisance)
        away = self.basis @ (mode.beta - self.inside(self.location))
        ones = self.root_prior.new_ones(q)
        factor = SpannedFactor(
            torch.cat([ones, self.root_prior]), torch.block_diag(torch.diag(ones), self.basis), mode.joint.cholesky
        )
        return replace(mode, beta=self.location + away / self.root_prior, joint=factor)


def span_of(joint: LogJoint) -> Span | None:
    """The span of the labels; None where features are few or not many more than labels, or the prior is a program's."""
    data, prior = joint.data, joint.prior
    rows = data.difference if data.responses is None else data.responses
    if not isinstance(prior, CentredPrior | GaussianPrior):
        return None
    location, precision = prior({})
    root = precision.sqrt()
    basis = span_basis(rows / root)
    if basis is None:
        return None
    within = replace(data, difference=(data.difference / root) @ basis, responses=None)
    centre = basis.T @ (root * location)
    prior_within = GaussianPrior(centre, torch.ones_like(centre))
    return Span(basis, root, location, replace(joint, data=within, prior=prior_within))
