r"""How the Laplace evidence rises with the prior scale of each weight.

With β_j ~ Normal(μ_j, σ_j²), p_j = σ_j⁻², the mode β̂, Λ the negative Hessian of the log joint there, Σ = Λ⁻¹ and
A(η) = tr(Σ Λ(η)) for the logits η = Zβ,

    ∂ log p(y) / ∂ log σ_j = p_j (β̂_j − μ_j)² − (1 − p_j Σ_jj) − p_j (β̂_j − μ_j) u_j,    u = Σ Zᵀ ∂A/∂η.

The first two terms are MacKay's (1992), squares against the number of weights that the labels determine; the third
says how log det Λ changes as the mode moves. The slope of a block is the sum over its weights.

With nuisance parameters ν the evidence is that of both, ∫ p(y, ν) dν, and Σ the *marginal* covariance of β: the log
determinant of the joint curvature depends on p_j directly by Σ_jj. With the covariance of β given ν in its place the
slope is exactly that of the evidence at ν̂, for every likelihood, and farther from what is maximised: of fifteen labels
on seven grades by up to .08 nats instead of .02. What is left out is how the curvature for ν changes as β moves: for a
rate of flips, which few labels hardly tell, .2 to 1.3 nats; several nats for ties of which there is not one. The scale
that is found costs less than .05 nats of evidence for it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.span import span_of
from bayesrm.models.log_joint import LogJoint


def evidence_slope(
    joint: LogJoint, mode: Mode
) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"], Float[Tensor, "feature"]]:
    """The three terms of the slope in log σ, for each weight: squares, weights determined, and the moving mode.

    Parameters
    ----------
    joint
        The log joint density.
    mode
        Its mode; nuisance parameters are held there, and Σ is the marginal covariance.
    """
    span = span_of(joint)
    if span is not None:
        rows = mode.information.whiten((span.root_prior[:, None] * span.basis).T)
        covariance = rows @ rows.T
        whitened = span.joint.data.difference @ rows
        away, by_beta = _moving(span.joint, mode.nuisance, span.inside(mode.beta), whitened)
        away, u = span.basis @ away, span.basis @ (covariance @ by_beta)
        identity = torch.eye(len(covariance)).to(covariance)
        determined = ((span.basis @ (identity - covariance)) * span.basis).sum(dim=1)
        return away.square(), determined, away * u
    covariance = torch.cholesky_inverse(mode.cholesky)
    whitened = torch.linalg.solve_triangular(mode.cholesky, joint.data.difference.T, upper=False).T
    away, by_beta = _moving(joint, mode.nuisance, mode.beta, whitened)
    u = covariance @ by_beta
    _, precision = joint.prior(joint.nuisance.values(mode.nuisance))
    return precision * away.square(), 1 - precision * covariance.diagonal(), precision * away * u


def _moving(
    joint: LogJoint,
    nuisance: Float[Tensor, "nuisance"],
    beta: Float[Tensor, "feature"],
    whitened: Float[Tensor, "comparison column"],
) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
    """β̂ − μ and Zᵀ ∂A/∂η, from rows Z C with Σ = C Cᵀ."""
    values = joint.nuisance.values(nuisance)
    location, _ = joint.prior(values)
    likelihood, data = joint.likelihood.given(values, joint.data.context), joint.data
    with torch.inference_mode(False), torch.enable_grad():
        logit = (data.difference @ beta).detach().clone().requires_grad_(True)
        volume = likelihood.information_trace(whitened, logit, data.outcome, data.weight)
        (by_logit,) = torch.autograd.grad(volume, logit, materialize_grads=True)
    return beta - location, data.difference.T @ by_logit
