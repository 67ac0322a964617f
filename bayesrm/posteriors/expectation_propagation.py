r"""Evidence of latent differences of two responses by expectation propagation (Minka 2001; Rasmussen & Williams 3.6).

With η ~ Normal(m, K) for the labelled pairs and any log-likelihood ℓ_p of each, a Gaussian site exp(ν_p η − ½ τ_p η²)
stands for every exp ℓ_p(η): the one with which the product has the mean and the variance of the tilted distribution,

    p̂(η_p) ∝ Normal(η_p; μ_∖p, v_∖p) exp ℓ_p(η_p),

whose moments are sums over a grid that spans what p̂ spans: many answers to a pair leave little of a cavity. Where few
answers belong to a latent, as here, Laplace's evidence is biased towards small variances and this one is not (Kuss &
Rasmussen 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

REACH, NODES = 7.0, 65
"""Standard deviations of a first grid about the mean of a cavity, and the points of every grid."""
NEGLIGIBLE = 30.0
"""Nats below its maximum where a tilted density ends."""
MOST_GRIDS, SAME = 8, 0.8
"""How often a grid is narrowed, and the part of it below which it was."""
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
        eta, tilted = _tilted(cavity_mean, cavity_variance, log_likelihood)
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


def _tilted(
    mean: Float[Tensor, "pair"], variance: Float[Tensor, "pair"], log_likelihood: LogLikelihood
) -> tuple[Float[Tensor, "pair node"], Float[Tensor, "pair node"]]:
    """A grid for each p̂, as wide as it is, and the log masses of its points, not normalised."""
    share = torch.linspace(0, 1, NODES, dtype=mean.dtype, device=mean.device)
    low, high = (mean + side * REACH * variance.sqrt() for side in (-1, 1))
    for narrowed in range(MOST_GRIDS + 1):
        eta = low[:, None] + (high - low)[:, None] * share
        log_density = log_likelihood(eta) - 0.5 * (eta - mean[:, None]).square() / variance[:, None]
        held = (log_density > log_density.amax(dim=1, keepdim=True) - NEGLIGIBLE).byte()
        first, last = held.argmax(dim=1), NODES - 1 - held.flip(1).argmax(dim=1)
        if narrowed == MOST_GRIDS or int((last - first).min()) >= SAME * (NODES - 1):
            break
        ends = (first - 1).clamp(min=0), (last + 1).clamp(max=NODES - 1)
        low, high = (eta.gather(1, end[:, None])[:, 0] for end in ends)
    width = (eta[:, 1:2] - eta[:, :1]) / (2 * math.pi * variance[:, None]).sqrt()
    return eta, log_density + width.log()
