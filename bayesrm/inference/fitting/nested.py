r"""Laplace with nuisance parameters, one inside the other: β given ν, then ν on what is left (Rue et al. 2009).

With β̂(ν) the mode of β for given ν and Λ_ββ the negative Hessian of the log joint f in β there,

    g(ν) = f(ν, β̂(ν)) + d/2 log 2π − ½ log det Λ_ββ  ≈  log p(y, ν),

and ν̂ is the maximum of g, not that of f. Where β has as many dimensions as there are labels, or more, the joint mode
is no place to be: a huge temperature lets few labels be fitted perfectly, for a region of β so small that it has
no probability. With one feature the two hardly differ.

    ∇g = ∂f/∂ν − ½ (∂A/∂ν + ∂B/∂ν),     A(η, ν) = Σ_k v_k h_k c(η_k, ν) + Σ_j Σ_jj τ_j(ν),
                                        B(ν) = (Zu)ᵀ (v ∘ s(η, ν)) − uᵀ τ(ν) ∘ (β̂ − μ(ν)),     u = Λ_ββ⁻¹ Zᵀ ∂A/∂η,

with h_k = z_kᵀ Λ_ββ⁻¹ z_k, score s and curvature c of log p; A says how log det Λ_ββ changes with ν, B how it does as β̂
moves. A spread, which says how far apart the effects of annotators lie, is found in the same way with these integrated:
together with them it would be far too large. The Gaussian of (ν, β) has the curvature H of g for ν, see
:mod:`bayesrm.inference.fitting.nested_curvature`, and β | ν as at ν̂.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.nested_curvature import nested_curvature
from bayesrm.inference.fitting.newton import QUICKLY, Mode, maximise
from bayesrm.inference.fitting.span import span_of
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.nuisance import NuisanceSpace
from bayesrm.utils.factors import DenseFactor
from bayesrm.utils.linalg import cholesky_factor

MAX_STEPS = 60
TOLERANCE, ROUGHLY = 1e-9, 1e-5
"""In nats: for a posterior, and where modes are only compared, as for other prior scales or without some labels."""
DIFFERENCE = 1e-3
"""Of ν, for the curvature of g by differences of ∇g."""
USUAL_SPREAD, WIDE, HELD = math.log(0.3), 0.2, 1e-7
"""Where the search for the log of a spread begins, the offset of its differences, and the tolerance of what is held."""
MOST_TURNS, LEAST_BEND = 20, 1e-3
"""Steps of that search, and the curvature that is taken where it ends elsewhere than at a maximum."""
LONGEST = 2.0
"""Of a step in any nuisance parameter: on their unconstrained scale they are a few units wide."""


def find_mode(
    joint: LogJoint, start: Float[Tensor, "latent"] | Mode | None = None, tolerance: float = TOLERANCE
) -> Mode:
    """The Gaussian approximation of (ν, β): the exact mode without nuisance parameters, else one inside the other.

    Where features are many more than labels it is found in the span of the labels, see
    :mod:`bayesrm.inference.fitting.span`.

    Parameters
    ----------
    joint
        The log joint density f.
    start
        Where to begin, default in the middle of the prior; the mode of a density like this one also says how curved
        it is there.
    tolerance
        The search for ν stops where g is within half of this of its maximum, in nats, by its quadratic model.
    """
    latent, known = (start.latent, start.given) if isinstance(start, Mode) else (start, None)
    q = joint.nuisance.size
    span = span_of(joint)
    if span is not None:
        inside = span.latent(joint.start() if latent is None else latent)
        begin = replace(start, beta=inside[q:]) if isinstance(start, Mode) else inside
        return span.outside(find_mode(span.joint, begin, tolerance))
    if q == 0:
        return maximise(joint, latent, known)
    spread = joint.likelihood.spread
    if spread is not None and q > 1 and joint.nuisance.place(spread) is not None:
        return _with_spread(joint, spread, start, tolerance)
    at = _inside(joint, *joint.split(joint.start() if latent is None else latent), known)
    curvature: Float[Tensor, "nuisance nuisance"] | None = None  # at ``at``, where it is known
    if isinstance(start, Mode):
        information = _known_information(start, q)
    else:
        curvature = _curvature(joint, at)
        information = _positive(curvature)
    for _ in range(MAX_STEPS):
        step = torch.linalg.solve(information, at.gradient)
        step = step * min(1.0, LONGEST / float(step.abs().max().clamp(min=1e-300)))
        decrement = float(at.gradient @ step)
        if decrement < tolerance:
            break
        size, found = 1.0, at
        while size > 1e-8:
            found = _inside(joint, at.nu + size * step, at.mode.beta, at.mode.given)
            if found.value >= at.value + 1e-4 * size * decrement:
                break
            size /= 2
        if not found.value > at.value:  # rounding, or a step to where g is not finite
            break
        information = _updated(information, found.nu - at.nu, at.gradient - found.gradient)
        left = float(found.gradient @ torch.linalg.solve(information, found.gradient))
        curvature = None
        if not 0 <= left <= QUICKLY * decrement:
            curvature = nested_curvature(joint, found.nu, found.mode)
            information = information if curvature is None else _positive(curvature)
        at = found
    return _joint_mode(joint, at, _positive(_curvature(joint, at) if curvature is None else curvature))


def _with_spread(
    joint: LogJoint, spread: str, start: Float[Tensor, "latent"] | Mode | None, tolerance: float
) -> Mode:
    """The same where one nuisance parameter says how far the others lie apart, h: that one with these integrated."""
    q, place = joint.nuisance.size, joint.nuisance.place(spread)
    assert place is not None
    others = torch.tensor([k for k in range(q) if not place.start <= k < place.stop], device=joint.nuisance.device)
    inner: Float[Tensor, "latent"] | Mode | None = None
    h, told = torch.full((1,), USUAL_SPREAD, dtype=torch.float64, device=joint.nuisance.device), None
    if start is not None:
        nu, beta = joint.split(start.latent if isinstance(start, Mode) else start)
        inner = torch.cat([nu[others], beta])
    if isinstance(start, Mode):
        h, told = nu[place], _known_information(start, q)

    def given(h: Float[Tensor, "one"]) -> float:
        nonlocal inner
        held, log_prior = joint.nuisance.holding(spread, h)
        inner = find_mode(replace(joint, nuisance=held), inner, min(tolerance, HELD))
        return inner.log_evidence + float(log_prior)

    if told is not None and tolerance > TOLERANCE:  # as it was
        given(h)
        bend = 1 / float(torch.linalg.inv(told)[place, place])
    else:
        h, bend = _peak(given, h, 1e-2 if tolerance > TOLERANCE else 1e-6)
    assert isinstance(inner, Mode)
    nu = torch.empty(q, dtype=torch.float64, device=h.device)
    nu[place], nu[others] = h, inner.nuisance
    at = _inside(joint, nu, inner.beta, inner.given)
    information = _curvature(joint, at)
    within, across = _positive(information[others][:, others]), information[others][:, place]
    information[others[:, None], others] = within
    information[place, place] = bend + across.T @ torch.linalg.solve(within, across)
    return _joint_mode(joint, at, information)


def _peak(
    value: Callable[[Float[Tensor, "one"]], float], h: Float[Tensor, "one"], tolerance: float
) -> tuple[Float[Tensor, "one"], float]:
    """Where a smooth function of one variable is largest near ``h``, and its curvature there, by differences.

    The last call is at the place that is returned.
    """
    bend = 1.0
    for _ in range(MOST_TURNS):
        up, down, middle = (value(h + offset) for offset in (WIDE, -WIDE, 0.0))
        slope, bend = (up - down) / (2 * WIDE), (2 * middle - up - down) / WIDE**2
        step = math.copysign(1.0, slope) if bend <= 0 else min(max(slope / bend, -1.0), 1.0)
        if abs(step) < tolerance:
            return h, bend
        h = h + step
    value(h)
    return h, max(bend, LEAST_BEND)


def hold_nuisance(joint: LogJoint, start: Mode) -> Mode:
    """The exact mode of β for the nuisance parameters of another mode, which keep their uncertainty, too."""
    q = joint.nuisance.size
    span = span_of(joint)
    if span is not None:
        inside = replace(start, beta=span.latent(start.latent)[q:])
        return span.outside(_held(span.joint, inside, _known_information(start, q)))
    return _held(joint, start, _known_information(start, q))


def _held(joint: LogJoint, start: Mode, information: Float[Tensor, "nuisance nuisance"]) -> Mode:
    mode, value = _given(joint, start.nuisance, start.beta, start.given)
    return _joint_mode(joint, _Inside(start.nuisance, mode, value, torch.zeros_like(start.nuisance)), information)


def _known_information(mode: Mode, nuisance: int) -> Float[Tensor, "nuisance nuisance"]:
    """Of ν, whatever β is."""
    axes = torch.eye(len(mode.joint), dtype=torch.float64, device=mode.beta.device)[:nuisance]
    rows = mode.joint.whiten(axes)
    return torch.cholesky_inverse(cholesky_factor(rows @ rows.T))


@dataclass(frozen=True)
class _Inside:
    """The mode of β for given ν, g there, and its gradient."""

    nu: Float[Tensor, "nuisance"]
    mode: Mode
    value: float
    gradient: Float[Tensor, "nuisance"]


def _given(
    joint: LogJoint,
    nu: Float[Tensor, "nuisance"],
    beta: Float[Tensor, "feature"],
    known: Float[Tensor, "_ _"] | None,
) -> tuple[Mode, float]:
    """The mode of β for given ν, and g there; β and what is known of the curvature are those for ν near by."""
    with torch.no_grad():
        at = joint.nuisance.at(nu)
    given = replace(joint, nuisance=NuisanceSpace(lambda: at.values, joint.nuisance.device))
    mode = maximise(given, beta, known)
    return mode, mode.log_evidence + float(at.log_prior)


def _inside(
    joint: LogJoint,
    nu: Float[Tensor, "nuisance"],
    beta: Float[Tensor, "feature"],
    known: Float[Tensor, "_ _"] | None = None,
) -> _Inside:
    mode, value = _given(joint, nu, beta, known)
    if not math.isfinite(value):
        return _Inside(nu, mode, -math.inf, torch.zeros_like(nu))
    return _Inside(nu, mode, value, _gradient(joint, nu, mode))


def _gradient(joint: LogJoint, nu: Float[Tensor, "nuisance"], mode: Mode) -> Float[Tensor, "nuisance"]:
    """∇g, see the module."""
    z, weight, outcome = joint.data.difference, joint.data.weight, joint.data.outcome
    leverage = torch.linalg.solve_triangular(mode.cholesky, z.T, upper=False).square().sum(dim=0)
    with torch.inference_mode(False), torch.enable_grad():
        nu, beta = nu.detach().clone().requires_grad_(True), mode.beta.detach().clone()
        logit = (z @ beta).clone().requires_grad_(True)
        at = joint.nuisance.at(nu)
        location, precision = joint.prior(at.values)
        likelihood = joint.likelihood.given(at.values, joint.data.context)
        log_prob, score, curvature = likelihood.differentiable_derivatives(logit, outcome)
        log_prior = 0.5 * (torch.log(precision).sum() - (precision * (beta - location).square()).sum())
        volume = (weight * leverage * curvature).sum()
        if precision.requires_grad:
            volume = volume + torch.cholesky_inverse(mode.cholesky).diagonal() @ precision
        by_logit, by_nu = torch.autograd.grad(volume, (logit, nu), retain_graph=True, materialize_grads=True)
        u = torch.cholesky_solve((z.T @ by_logit)[:, None], mode.cholesky)[:, 0]
        moved = ((z @ u) * weight * score).sum() - (u * precision * (beta - location)).sum()
        total = (weight * log_prob).sum() + log_prior + at.log_prior - 0.5 * moved
        (direct,) = torch.autograd.grad(total, nu, materialize_grads=True)
    return direct.detach() - 0.5 * by_nu.detach()


def _curvature(joint: LogJoint, at: _Inside) -> Float[Tensor, "nuisance nuisance"]:
    """H = −∇²g, by central differences of ∇g where there is no closed form."""
    closed = nested_curvature(joint, at.nu, at.mode)
    return _by_differences(joint, at) if closed is None else closed


def _by_differences(joint: LogJoint, at: _Inside) -> Float[Tensor, "nuisance nuisance"]:
    rows = []
    for j in range(len(at.nu)):
        offset = torch.zeros_like(at.nu)
        offset[j] = DIFFERENCE
        near = (_inside(joint, at.nu + sign * offset, at.mode.beta, at.mode.given) for sign in (1, -1))
        up, down = (each.gradient for each in near)
        rows.append((down - up) / (2 * DIFFERENCE))
    information = torch.stack(rows)
    return (information + information.T) / 2


def _updated(
    information: Float[Tensor, "nuisance nuisance"],
    step: Float[Tensor, "nuisance"],
    change: Float[Tensor, "nuisance"],
) -> Float[Tensor, "nuisance nuisance"]:
    """By Broyden, Fletcher, Goldfarb and Shanno, where the step met positive curvature."""
    along = information @ step
    if not float(step @ change) > 1e-10 * float(step @ along):
        return information
    return information + torch.outer(change, change) / (step @ change) - torch.outer(along, along) / (step @ along)


def _positive(information: Float[Tensor, "nuisance nuisance"]) -> Float[Tensor, "nuisance nuisance"]:
    """With the absolute values of its eigenvalues: at a maximum the same, and away from it steps lead upwards."""
    values, vectors = torch.linalg.eigh(information)
    values = values.abs()
    return (vectors * values.clamp(min=1e-6 * float(values.max().clamp(min=1e-6)))) @ vectors.T


def _joint_mode(joint: LogJoint, at: _Inside, information: Float[Tensor, "nuisance nuisance"]) -> Mode:
    """The Gaussian of (ν, β) with H for ν and β | ν ~ Normal(β̂ − Λ_ββ⁻¹ Λ_βν (ν − ν̂), Λ_ββ⁻¹)."""
    q = len(at.nu)
    _, whole = joint.curvature(torch.cat([at.nu, at.mode.beta]))
    cross = torch.linalg.solve_triangular(at.mode.cholesky, whole[q:, :q], upper=False)
    whole[:q, :q] = information + cross.T @ cross
    cholesky = cholesky_factor(whole)
    determined = float(torch.linalg.cholesky(information).diagonal().log().sum())
    return replace(
        at.mode,
        nuisance=at.nu,
        joint=DenseFactor(cholesky),
        log_evidence=at.value + q / 2 * math.log(2 * math.pi) - determined,
    )
