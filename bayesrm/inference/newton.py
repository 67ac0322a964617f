r"""Exact MAP of the last layer by Newton's method (IRLS), and the Laplace evidence.

With z_k = φ_first − φ_second, weights v_k and a diagonal prior precision τ, maximise

    f(β) = Σ_k v_k log p(y_k | z_kᵀβ) − ½ βᵀ diag(τ) β.

The gradient is Zᵀ(v ∘ s) − τ∘β and the negative Hessian Λ = Zᵀ diag(v ∘ c) Z + diag(τ), with s and c the first
and negative second derivative of log p. Everything is float64; Λ is only ever factorised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.likelihoods.base import Likelihood

MAX_STEPS = 100
TOLERANCE = 1e-10
"""Stop where the Newton decrement, twice the objective still to be gained in nats, is below this."""


@dataclass(frozen=True)
class LabelledDifferences:
    """What the last layer sees of the preferences: feature differences, outcomes, weights; float64.

    Parameters
    ----------
    difference
        (comparison, feature) z_k.
    outcome, weight
        (comparison,) y_k and v_k.
    """

    difference: Float[Tensor, "comparison feature"]
    outcome: Float[Tensor, "comparison"]
    weight: Float[Tensor, "comparison"]


@dataclass(frozen=True)
class Mode:
    """A maximum of f: β̂, the Cholesky factor of Λ there, the log-likelihood and the log evidence."""

    beta: Float[Tensor, "feature"]
    cholesky: Float[Tensor, "feature feature"]
    log_likelihood: float
    log_evidence: float


def maximise(
    likelihood: Likelihood,
    data: LabelledDifferences,
    prior_precision: Float[Tensor, "feature"],
    start: Float[Tensor, "feature"] | None = None,
) -> Mode:
    r"""Newton with step halving from ``start`` (default 0) to the exact MAP.

    Returns
    -------
    Mode
        With log evidence ℓ(β̂) − ½ β̂ᵀτβ̂ + ½ Σ log τ − ½ log det Λ.
    """
    beta = torch.zeros_like(prior_precision) if start is None else start.clone()
    value = _objective(likelihood, data, prior_precision, beta)
    for _ in range(MAX_STEPS):
        gradient, cholesky = _curvature(likelihood, data, prior_precision, beta)
        step = torch.cholesky_solve(gradient[:, None], cholesky)[:, 0]
        decrement = float(gradient @ step)
        if decrement < TOLERANCE:
            beta = beta + step
            value = _objective(likelihood, data, prior_precision, beta)
            break
        size = 1.0
        while True:
            candidate = beta + size * step
            candidate_value = _objective(likelihood, data, prior_precision, candidate)
            if candidate_value >= value + 0.25 * size * decrement or size < 1e-10:
                break
            size /= 2
        if candidate_value <= value and decrement < 1e-6:
            break
        beta, value = candidate, candidate_value
    _, cholesky = _curvature(likelihood, data, prior_precision, beta)
    log_likelihood = value + 0.5 * float((prior_precision * beta.square()).sum())
    log_evidence = value + 0.5 * float(prior_precision.log().sum()) - float(cholesky.diagonal().log().sum())
    return Mode(beta, cholesky, log_likelihood, log_evidence)


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


def _objective(likelihood: Likelihood, data: LabelledDifferences, prior_precision: Tensor, beta: Tensor) -> float:
    log_prob = likelihood.log_prob(data.difference @ beta, data.outcome)
    return float((data.weight * log_prob).sum() - 0.5 * (prior_precision * beta.square()).sum())


def _curvature(
    likelihood: Likelihood, data: LabelledDifferences, prior_precision: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor]:
    score, curvature = likelihood.derivatives(data.difference @ beta, data.outcome)
    gradient = data.difference.T @ (data.weight * score) - prior_precision * beta
    return gradient, information_cholesky(data.weight * curvature, data.difference, prior_precision)
