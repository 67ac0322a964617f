r"""Evidence of latent differences of two responses by expectation propagation (Minka 2001; Rasmussen & Williams 3.6).

With η ~ Normal(m, K) for the labelled pairs and any log-likelihood ℓ_p of each, a Gaussian site exp(ν_p η − ½ τ_p η²)
stands for every exp ℓ_p(η): the one with which the product has the mean and the variance of the tilted distribution,

    p̂(η_p) ∝ Normal(η_p; μ_∖p, v_∖p) exp ℓ_p(η_p),

whose moments are sums over a grid. Where few answers belong to a latent, as here, Laplace's evidence is biased towards
small variances and this one is not (Kuss & Rasmussen 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

REACH, NODES = 7.0, 65
"""Standard deviations of the grid about the mean of a cavity, and its points."""
MOST_SWEEPS, TOLERANCE, DAMPING = 40, 1e-3, 0.9
LEAST = 1e-8
"""Precision of a site, which may be negative for likelihoods that are not log-concave."""

LogLikelihood = Callable[[Float[Tensor, "pair node"]], Float[Tensor, "pair node"]]


@dataclass(frozen=True)
class Sites:
    """Gaussian sites and the evidence that they come to.

    Parameters
    ----------
    precision, shift
        (pair,) τ and ν.
    log_evidence
        log ∫ Normal(η; m, K) Π_p exp ℓ_p(η_p) dη, in nats.
    """

    precision: Float[Tensor, "pair"]
    shift: Float[Tensor, "pair"]
    log_evidence: float


def propagate(
    mean: Float[Tensor, "pair"],
    covariance: Float[Tensor, "pair pair"],
    log_likelihood: LogLikelihood,
    start: Sites | None = None,
) -> Sites:
    """Sites in parallel sweeps, until they no longer move.

    Parameters
    ----------
    mean, covariance
        m and K, float64.
    log_likelihood
        ℓ of every pair at some values of its η.
    start
        Sites of a problem like this one.
    """
    n = len(mean)
    tau = torch.full_like(mean, 0.1) if start is None else start.precision
    nu = torch.zeros_like(mean) if start is None else start.shift
    steps = torch.linspace(-REACH, REACH, NODES, dtype=mean.dtype, device=mean.device)
    gauss = torch.log_softmax(-0.5 * steps.square(), dim=0)
    identity = torch.eye(n, dtype=mean.dtype, device=mean.device)
    log_evidence = -torch.inf
    for _ in range(MOST_SWEEPS):
        root = tau.sqrt()
        # Σ = (K⁻¹ + diag τ)⁻¹ = K − K √τ B⁻¹ √τ K, with B = I + √τ K √τ.
        factor = torch.linalg.cholesky(identity + root[:, None] * covariance * root)
        half = torch.linalg.solve_triangular(factor, root[:, None] * covariance, upper=False)
        variance = covariance.diagonal() - half.square().sum(dim=0)
        pull = nu - tau * mean
        shifted = covariance @ pull
        moved = (
            shifted - half.T @ torch.linalg.solve_triangular(factor, (root * shifted)[:, None], upper=False)[:, 0]
        )
        cavity_variance = 1 / (1 / variance - tau).clamp(min=1e-12)
        cavity_mean = cavity_variance * ((mean + moved) / variance - nu)
        eta = cavity_mean[:, None] + cavity_variance.sqrt()[:, None] * steps
        tilted = gauss + log_likelihood(eta)
        log_mass = tilted.logsumexp(dim=1)
        p = (tilted - log_mass[:, None]).exp()
        tilted_mean = (p * eta).sum(dim=1)
        tilted_variance = (p * (eta - tilted_mean[:, None]).square()).sum(dim=1)
        away = cavity_mean - mean
        log_evidence = float(
            log_mass.sum()
            + 0.5 * torch.log1p(tau * cavity_variance).sum()
            - factor.diagonal().log().sum()
            + 0.5 * pull @ moved
            - 0.5
            * (
                (pull.square() * cavity_variance + 2 * pull * away - tau * away.square())
                / (1 + tau * cavity_variance)
            ).sum()
        )
        next_tau = (1 / tilted_variance - 1 / cavity_variance).clamp(min=LEAST)
        next_nu = tilted_mean / tilted_variance - cavity_mean / cavity_variance
        change = max(float((next_tau - tau).abs().max()), float((next_nu - nu).abs().max()))
        if change < TOLERANCE:
            break
        tau, nu = tau + DAMPING * (next_tau - tau), nu + DAMPING * (next_nu - nu)
    return Sites(tau, nu, log_evidence)
