r"""The exact mode of the last layer (and of nuisance parameters) by Newton's method, and the Laplace evidence.

At the mode x̂ of the log joint f with negative Hessian Λ, in dimension D,

    log p(y) ≈ f(x̂) + D/2 log 2π − ½ log det Λ.

Everything is float64; Λ is only ever factorised. With many features that is nearly all the time it takes, so each
factor is used for several steps, for as long as they come closer quickly (Shamanskii 1967). So is that of a mode at
which the search starts: one near by takes one new factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.log_joint import LogJoint
from bayesrm.utils.factors import DenseFactor, Factor
from bayesrm.utils.linalg import cholesky_factor

MAX_STEPS = 100
TOLERANCE = 1e-10
"""The last step is where the Newton decrement, twice the objective still to be gained in nats, is below this."""
AT_THE_MODE = 1e-22
"""A decrement at which not even a last step changes anything."""
MANY = 50
"""Dimensions from which a factor costs more than a gradient."""
QUICKLY = 0.25
"""What is left of the decrement, at most, after a step with a factor that is kept."""
ROUNDING = 1e-10
"""Damping up to here makes up for rounding; where more is needed the curvature is that of a saddle."""
DAMPINGS = (1e-13, ROUNDING, *(10.0**k for k in range(-3, 7)))
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
    joint
        The factor of Λ, nuisance parameters before β.
    log_likelihood, log_evidence
        At the mode, in nats.
    given
        The Cholesky factor of the precision of β given ν̂, in the coordinates that the search was in; None: not known.
    """

    nuisance: Float[Tensor, "nuisance"]
    beta: Float[Tensor, "feature"]
    joint: Factor
    log_likelihood: float
    log_evidence: float
    given: Float[Tensor, "_ _"] | None = None

    @cached_property
    def information(self) -> Factor:
        """Of the *marginal* precision of β."""
        return self.joint.last(len(self.nuisance))

    @property
    def joint_cholesky(self) -> Float[Tensor, "latent latent"]:
        """The Cholesky factor of Λ. Its last rows and columns are that of the marginal precision of β."""
        return self.joint.cholesky

    @property
    def cholesky(self) -> Float[Tensor, "feature feature"]:
        """L with L Lᵀ the marginal precision of β."""
        return self.information.cholesky

    @property
    def latent(self) -> Float[Tensor, "latent"]:
        """x̂ = (ν̂, β̂)."""
        return torch.cat([self.nuisance, self.beta])


def maximise(
    joint: LogJoint,
    start: Float[Tensor, "latent"] | None = None,
    known: Float[Tensor, "_ _"] | None = None,
) -> Mode:
    """Newton with step halving from ``start`` (default: the prior's middle) to the exact mode.

    ``known`` is the Cholesky factor of the curvature of a density like this one, near ``start``.
    """
    x = joint.start() if start is None else start.clone()
    value = float(joint(x))
    if known is not None and len(known) == len(x) >= MANY:
        x, value = _more_steps(joint, x, value, known, math.inf)
    gradient, information = joint.curvature(x)
    factor, damping = _ascent_factor(information)
    for _ in range(MAX_STEPS):
        step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        decrement = float(gradient @ step)
        converged = decrement < TOLERANCE
        if damping <= ROUNDING and decrement < AT_THE_MODE:
            break
        if converged and damping > ROUNDING:
            converged, step = False, _off_saddle(joint, x, value, gradient, information)
        size = 1.0
        candidate, candidate_value = x + step, float(joint(x + step))
        while not (converged or candidate_value >= value + 0.25 * size * decrement or size < 1e-10):
            size /= 2
            candidate = x + size * step
            candidate_value = float(joint(candidate))
        if not converged and not candidate_value > value:  # rounding, or a step to where f is not finite
            break
        x, value = candidate, candidate_value
        if size == 1 and damping <= ROUNDING and (converged or len(x) >= MANY):
            x, value = _more_steps(joint, x, value, factor, decrement)
        gradient, information = joint.curvature(x)
        factor, damping = _ascent_factor(information)
        # Where f is flat, the last step may come to where it is no maximum any more: then it goes on from there.
        if converged and damping <= ROUNDING:
            break
    factor_at_mode = DenseFactor(factor if damping == 0 else cholesky_factor(information))
    log_evidence = value + len(x) / 2 * math.log(2 * math.pi) - factor_at_mode.half_log_det
    nu, beta = joint.split(x)
    return Mode(nu, beta, factor_at_mode, float(joint.log_likelihood(x)), log_evidence, factor_at_mode.lower)


def _more_steps(
    joint: LogJoint,
    x: Float[Tensor, "latent"],
    value: float,
    factor: Float[Tensor, "latent latent"],
    decrement: float,
) -> tuple[Float[Tensor, "latent"], float]:
    """Where steps with the factor of a point nearby lead, for as long as each leaves little of the decrement."""
    at = x
    while decrement > AT_THE_MODE:
        gradient = joint.gradient(at)
        step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        before, decrement = decrement, float(gradient @ step)
        if not 0 < decrement <= QUICKLY * before:
            break
        at = at + step
    found = float(joint(at))
    return (at, found) if found > value - TOLERANCE else (x, value)


def _off_saddle(
    joint: LogJoint,
    x: Float[Tensor, "latent"],
    value: float,
    gradient: Float[Tensor, "latent"],
    information: Float[Tensor, "latent latent"],
) -> Float[Tensor, "latent"]:
    """A step to where f is larger, from where its gradient is none but its curvature is not a maximum's.

    Likelihoods that are not log-concave have such places under a wide prior. The step goes along the most negative
    curvature −λ, by 1/√λ, half a nat's worth, or less.
    """
    values, vectors = torch.linalg.eigh(information)
    step = vectors[:, 0] * (-values[0]).clamp(min=1e-300).rsqrt()
    step = step if float(gradient @ step) >= 0 else -step
    for _ in range(60):
        if float(joint(x + step)) > value:
            return step
        if float(joint(x - step)) > value:
            return -step
        step = step / 2
    return torch.zeros_like(x)


def _ascent_factor(
    information: Float[Tensor, "latent latent"],
) -> tuple[Float[Tensor, "latent latent"], float]:
    """A factor of Λ; with damping, the second value, where Λ is indefinite, which it can be away from the mode.

    That happens with nuisance parameters and with likelihoods that are not log-concave; what rounding alone has made
    indefinite gets the least jitter that helps.
    """
    factor, info = torch.linalg.cholesky_ex(information)
    scale = float(information.diagonal().abs().mean())
    identity = torch.eye(len(information), dtype=information.dtype, device=information.device)
    used = 0.0
    for damping in DAMPINGS:
        if int(info) == 0:
            break
        factor, info = torch.linalg.cholesky_ex(information + damping * scale * identity)
        used = damping
    if int(info) != 0:
        raise ArithmeticError("the information matrix is not finite: are the features finite?")
    return factor, used
