r"""Pareto k̂ of an approximation q against the exact joint density p, and the moments that p itself has.

Draws β_s ~ q with importance ratios p(β_s, y) / q(β_s) stand for the exact posterior; the tail of the ratios is
fitted by a generalised Pareto distribution whose shape k̂ says whether that can work (Yao et al. 2018, "Yes, but did
it work?"; Vehtari et al. 2024). Below min(1 − 1/log₁₀ S, 0.7) for S draws, the moments reweighted by the smoothed
ratios are those of the exact posterior, and their distance from the plain ones is the error of q.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesrm.diagnostics.arviz_lines import psis
from bayesrm.diagnostics.draws import flat, label, log_joint, quantities, statistic
from bayesrm.diagnostics.finding import Finding, Status
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted, one_or_many

SAME_DENSITY = 1e-6
"""Log ratios that differ by less than this, in nats, differ by rounding: q is the posterior itself."""
LARGE_SHIFT, LARGE_SCALE = 0.2, 0.15
"""An error of a mean, in sds, and a relative error of an sd, both on average, that a reader should hear of."""
LARGE_FACTOR, ENOUGH_DRAWS = 1.5, 100
"""How far off the sd of a single nuisance parameter may be, and the effective draws it takes to say so."""
WEIGHTS = "beta"
"""The name of the last layer's weights; whatever else has draws is read by itself."""


def good_k(draws: int) -> float:
    """The largest k̂ at which this number of draws can be reweighted: min(1 − 1/log₁₀ S, 0.7)."""
    return min(1 - 1 / math.log10(draws), 0.7) if draws > 10 else 0.0


def importance_weights(
    log_p: Float[np.ndarray, "draw"], log_q: Float[np.ndarray, "draw"]
) -> tuple[Float[np.ndarray, "draw"], float]:
    """Smoothed importance weights, which sum to 1, and k̂; equal weights and 0 where p and q are the same.

    Raises
    ------
    InvalidInputError
        Where a density is not finite.
    """
    ratio = log_p - log_q
    if not np.isfinite(ratio).all():
        raise InvalidInputError(
            f"expected finite log_p and log_q, got {int((~np.isfinite(ratio)).sum())} of {len(ratio)} draws without"
        )
    if np.ptp(ratio) < SAME_DENSITY:
        return np.full(len(ratio), 1 / len(ratio)), 0.0
    smoothed, k = psis(ratio)
    return np.exp(smoothed), k


def weighted_moments(
    draws: Float[np.ndarray, "draw quantity"], weight: Float[np.ndarray, "draw"]
) -> tuple[Float[np.ndarray, "quantity"], Float[np.ndarray, "quantity"]]:
    """Mean and standard deviation of draws under weights that sum to 1."""
    mean = weight @ draws
    return mean, np.sqrt(weight @ (draws - mean) ** 2)


def pareto_k(tree: xr.DataTree) -> Finding:
    """Hold an approximation against the exact joint density, from ``log_p`` and ``log_q`` of its draws.

    Returns
    -------
    Finding
        Variables ``k``, ``good_k``, ``effective_draws`` (1/Σw²), ``log_ratio`` (draw); by quantity ``mean``, ``sd``,
        ``corrected_mean``, ``corrected_sd`` (NaN where k̂ is too large), and ``shift_error``, the Monte Carlo standard
        error of corrected − plain mean.
    """
    name, table = label(tree), quantities(tree)
    log_p, log_q = log_joint(tree), statistic(tree, "log_q")
    if log_p is None or log_q is None:
        return Finding(
            "pareto_k", "skipped", "Pareto k̂ does not apply: these draws come from no approximate density."
        )
    draws = flat(table)
    if len(draws) < 25:
        few = f"{counted(len(draws), 'draw')} {one_or_many(len(draws), 'has', 'have')}"
        return Finding("pareto_k", "skipped", f"Pareto k̂ does not apply: {few} no tail to look at.")
    weight, k = importance_weights(log_p, log_q)
    limit, usable = good_k(len(draws)), k < good_k(len(draws))
    equal = np.full(len(draws), 1 / len(draws))
    mean, sd = weighted_moments(draws, equal)
    exact_mean, exact_sd = weighted_moments(draws, weight) if usable else (np.full_like(mean, np.nan),) * 2
    shift_error = np.sqrt(((weight - equal) ** 2) @ (draws - mean) ** 2)
    data = xr.Dataset(
        {
            "k": k,
            "good_k": limit,
            "effective_draws": 1 / (weight**2).sum(),
            "log_ratio": ("draw", np.sort(log_p - log_q - (log_p - log_q).max())),
            "mean": ("quantity", mean),
            "sd": ("quantity", sd),
            "corrected_mean": ("quantity", exact_mean),
            "corrected_sd": ("quantity", exact_sd),
            "shift_error": ("quantity", shift_error),
        },
        {"draw": np.arange(len(draws)), "quantity": table["quantity"].values},
    )
    return Finding("pareto_k", *_verdict(name, data), data)


def _verdict(name: str, data: xr.Dataset) -> tuple[Status, str]:
    k, limit = float(data["k"]), float(data["good_k"])
    if not k < limit:
        return "bad", (
            f"The {name} posterior is far from the exact one somewhere: Pareto k̂ = {k:.2f}, above {limit:.2f}; "
            "reweighting cannot mend it, use inference='nuts'."
        )
    shift = ((data["corrected_mean"] - data["mean"]) / data["corrected_sd"]).values
    scale = (data["sd"] / data["corrected_sd"]).values - 1
    error = (data["shift_error"] / data["corrected_sd"]).values
    typical, spread = float(np.sqrt(np.mean(shift**2))), round(float(np.mean(scale)), 2) + 0.0
    monte_carlo = float(np.sqrt(np.mean(error**2)))
    figures = (
        f"its means are off by {typical:.2f} sd (Monte Carlo error {monte_carlo:.2f}) and its sds by {spread:+.0%} "
        "on average"
    )
    if typical > LARGE_SHIFT or abs(spread) > LARGE_SCALE:
        return (
            "note",
            f"The {name} posterior can be reweighted to the exact one (k̂ = {k:.2f}), and should be: {figures}.",
        )
    worst = _worst_nuisance(data)
    if worst is not None:
        at = data.sel(quantity=worst)
        return (
            "note",
            f"The {name} posterior is close to the exact one (k̂ = {k:.2f}; {figures}), but not in {worst}: it has mean "
            f"{float(at['mean']):.2f} and sd {float(at['sd']):.2f}, and reweighted to the exact one "
            f"{float(at['corrected_mean']):.2f} and {float(at['corrected_sd']):.2f}.",
        )
    return (
        "good",
        f"The {name} posterior is close to the exact one: Pareto k̂ = {k:.2f}, below {limit:.2f}; {figures}.",
    )


def _worst_nuisance(data: xr.Dataset) -> str | None:
    """The nuisance parameter whose sd is off most, where that is far, and known."""
    others = [name for name in data["quantity"].values.tolist() if name.split("[")[0] != WEIGHTS]
    if not others or float(data["effective_draws"]) < ENOUGH_DRAWS:
        return None
    own = data.sel(quantity=others)
    off = np.abs(np.log(own["sd"].values / own["corrected_sd"].values))
    return others[int(off.argmax())] if off.max() > math.log(LARGE_FACTOR) else None
