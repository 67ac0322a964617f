r"""The curvature of g(ν) ≈ log p(y, ν), of :mod:`bayesrm.inference.fitting.nested`, in closed form.

With M = Z Λ_ββ⁻¹ Zᵀ, h its diagonal, V = diag(v), and of each comparison the score s and curvature c = −∂s/∂η, all
derivatives at ν̂ and η̂ = Zβ̂:

    E = dη̂/dν = M V ∂s/∂ν,        C = dc/dν = ∂c/∂ν + ∂c/∂η ∘ E,        t = M V (h ∘ ∂c/∂η),

    ∇²g = ∇²_δ [ Σ_k v_k log p(η̂_k, ν̂ + δ) + log p(ν̂ + δ) − ½ Σ_k v_k (h_k c + t_k s)(η̂_k + E_kᵀδ, ν̂ + δ) ]
          + (∂s/∂ν)ᵀ V E + ½ (V C)ᵀ (M ∘ M) (V C).

The bracket is a function of ν alone, which is differentiated automatically; t stands for how η̂ bends, (M ∘ M) for how h
changes. It takes one product of a comparison × comparison matrix, in blocks, where differences of ∇g take two searches
for a mode for each nuisance parameter: of which there is one an annotator.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.newton import Mode
from bayesrm.models.log_joint import LogJoint

ROWS = 1024
"""Comparisons of which M is held at once."""


def nested_curvature(
    joint: LogJoint, nu: Float[Tensor, "nuisance"], mode: Mode
) -> Float[Tensor, "nuisance nuisance"] | None:
    """−∇²g; None where the prior of β depends on ν, or a derivative is not finite.

    Parameters
    ----------
    joint
        The log joint density of (ν, β).
    nu
        ν̂.
    mode
        That of β given ν̂.
    """
    z, weight, outcome = joint.data.difference, joint.data.weight, joint.data.outcome
    white = torch.linalg.solve_triangular(mode.cholesky, z.T, upper=False)
    leverage = white.square().sum(dim=0)

    def spread(columns: Float[Tensor, "comparison column"]) -> Float[Tensor, "comparison column"]:
        """M V of something."""
        return white.T @ (white @ (weight[:, None] * columns))

    with torch.inference_mode(False), torch.enable_grad():
        nu, logit = nu.detach().clone(), (z @ mode.beta).detach().clone()
        at, eta = nu.clone().requires_grad_(True), logit.clone().requires_grad_(True)
        if any(part.requires_grad for part in joint.prior(joint.nuisance.values(at))):
            return None
        _, score, curvature = _derivatives(joint, eta, outcome, at)
        bend, c_nu = (_by_nuisance(of, at) for of in (score, curvature))
        (c_eta,) = torch.autograd.grad(curvature.sum(), eta, materialize_grads=True)
        moving = spread(bend)
        turning = spread((leverage * c_eta)[:, None])[:, 0]
        delta = torch.zeros_like(nu).requires_grad_(True)
        still, _, _ = _derivatives(joint, logit.clone().requires_grad_(True), outcome, nu + delta)
        _, score, curvature = _derivatives(joint, logit + moving @ delta, outcome, nu + delta)
        volume = (weight * (leverage * curvature + turning * score)).sum()
        value = (weight * still).sum() + joint.nuisance.log_prior(nu + delta) - 0.5 * volume
        (slope,) = torch.autograd.grad(value, delta, create_graph=True)
        second = _by_nuisance(slope, delta)
    change = weight[:, None] * (c_nu + c_eta[:, None] * moving)
    spreading = torch.empty_like(change)
    for k in range(0, len(logit), ROWS):
        spreading[k : k + ROWS] = (white[:, k : k + ROWS].T @ white).square() @ change
    information = -(second + bend.T @ (weight[:, None] * moving) + 0.5 * change.T @ spreading)
    return (information + information.T) / 2 if bool(information.isfinite().all()) else None


def _derivatives(
    joint: LogJoint, eta: Float[Tensor, "comparison"], outcome: Float[Tensor, "comparison"], nu: Tensor
) -> tuple[Float[Tensor, "comparison"], Float[Tensor, "comparison"], Float[Tensor, "comparison"]]:
    """log p, s and c of each comparison; differentiable."""
    likelihood = joint.likelihood.given(joint.nuisance.values(nu), joint.data.context)
    return likelihood.differentiable_derivatives(eta, outcome)


def _by_nuisance(of: Float[Tensor, "row"], nu: Float[Tensor, "nuisance"]) -> Float[Tensor, "row nuisance"]:
    """The derivative of each by each nuisance parameter: the sum of all with weights a, by ν, is linear in a."""
    a = torch.ones_like(of).requires_grad_(True)
    (total,) = torch.autograd.grad((a * of).sum(), nu, create_graph=True, materialize_grads=True)
    columns = [torch.autograd.grad(each, a, retain_graph=True, materialize_grads=True)[0] for each in total]
    return torch.stack(columns, dim=1).detach()
