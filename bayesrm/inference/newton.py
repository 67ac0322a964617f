r"""The exact mode of the last layer (and of nuisance parameters) by Newton's method, and the Laplace evidence.

At the mode x̂ of the log joint f with negative Hessian Λ, in dimension D,

    log p(y) ≈ f(x̂) + D/2 log 2π − ½ log det Λ.

Everything is float64; Λ is only ever factorised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.log_joint import LogJoint

MAX_STEPS = 100
TOLERANCE = 1e-10
"""Stop where the Newton decrement, twice the objective still to be gained in nats, is below this."""

DAMPINGS = (1e-13, 1e-10, *(10.0**k for k in range(-3, 7)))
"""Multiples of the identity, relative to the mean diagonal, that are tried in turn."""


@dataclass(frozen=True)
class Mode:
    """A maximum of the log joint.

    Parameters
    ----------
    nuisance
        (nuisance,) unconstrained nuisance parameters ν̂.
    beta
        (feature,) β̂.
    joint_cholesky
        (latent, latent) Cholesky factor of Λ, nuisance parameters before β. Its last rows and columns are the
        factor of the *marginal* precision of β, the Schur complement.
    log_likelihood, log_evidence
        At the mode, in nats.
    """

    nuisance: Float[Tensor, "nuisance"]
    beta: Float[Tensor, "feature"]
    joint_cholesky: Float[Tensor, "latent latent"]
    log_likelihood: float
    log_evidence: float

    @property
    def cholesky(self) -> Float[Tensor, "feature feature"]:
        """L with L Lᵀ the marginal precision of β."""
        q = len(self.nuisance)
        return self.joint_cholesky[q:, q:]

    @property
    def latent(self) -> Float[Tensor, "latent"]:
        """x̂ = (ν̂, β̂)."""
        return torch.cat([self.nuisance, self.beta])


def maximise(joint: LogJoint, start: Float[Tensor, "latent"] | None = None) -> Mode:
    """Newton with step halving from ``start`` (default: the prior's middle) to the exact mode."""
    x = joint.start() if start is None else start.clone()
    value = float(joint(x))
    for _ in range(MAX_STEPS):
        gradient, information = joint.curvature(x)
        step = torch.cholesky_solve(gradient[:, None], _ascent_factor(information))[:, 0]
        decrement = float(gradient @ step)
        if decrement < TOLERANCE:
            x = x + step
            value = float(joint(x))
            break
        size = 1.0
        while True:
            candidate = x + size * step
            candidate_value = float(joint(candidate))
            if candidate_value >= value + 0.25 * size * decrement or size < 1e-10:
                break
            size /= 2
        if not candidate_value > value:  # rounding, or a step to where f is not finite
            break
        x, value = candidate, candidate_value
    _, information = joint.curvature(x)
    cholesky = cholesky_factor(information)
    log_evidence = value + len(x) / 2 * math.log(2 * math.pi) - float(cholesky.diagonal().log().sum())
    nu, beta = joint.split(x)
    return Mode(nu, beta, cholesky, float(joint.log_likelihood(x)), log_evidence)


def _ascent_factor(information: Float[Tensor, "latent latent"]) -> Float[Tensor, "latent latent"]:
    """A factor of Λ; with damping where Λ is indefinite, which it can be away from the mode.

    That happens with nuisance parameters and with likelihoods that are not log-concave; what rounding alone has made
    indefinite gets the least jitter that helps.
    """
    factor, info = torch.linalg.cholesky_ex(information)
    scale = float(information.diagonal().abs().mean())
    identity = torch.eye(len(information), dtype=information.dtype, device=information.device)
    for damping in DAMPINGS:
        if int(info) == 0:
            break
        factor, info = torch.linalg.cholesky_ex(information + damping * scale * identity)
    if int(info) != 0:
        raise ArithmeticError("the information matrix is not finite: are the features finite?")
    return factor


def information_cholesky(
    weight: Float[Tensor, "comparison"],
    difference: Float[Tensor, "comparison feature"],
    prior_precision: Float[Tensor, "feature"],
) -> Float[Tensor, "feature feature"]:
    """L with L Lᵀ = Zᵀ diag(w) Z + diag(τ)."""
    information = (difference * weight[:, None]).T @ difference
    information.diagonal().add_(prior_precision)
    return cholesky_factor(information)


def cholesky_factor(matrix: Float[Tensor, "feature feature"]) -> Float[Tensor, "feature feature"]:
    """The Cholesky factor; where rounding has made the matrix indefinite, with the least jitter that helps."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    jitter = 1e-14 * float(matrix.diagonal().mean())
    while int(info) != 0:
        if not math.isfinite(jitter) or jitter > 1e-4 * float(matrix.diagonal().mean()):
            raise ArithmeticError("the information matrix is not positive definite: are the features finite?")
        factor, info = torch.linalg.cholesky_ex(matrix + jitter * torch.eye(len(matrix)).to(matrix))
        jitter *= 10
    return factor
