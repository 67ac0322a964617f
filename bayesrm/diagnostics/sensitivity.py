r"""How much prior and likelihood each move the posterior: power scaling (Kallioinen et al. 2023).

Raising one of the two to a power α next to 1 reweights the draws by p(β)^(α−1) or p(y | β)^(α−1). The distance
between a marginal before and after is the cumulative Jensen–Shannon distance of its distribution functions P and Q,

    CJS² = [∫ P log₂(2P / (P + Q)) + Q log₂(2Q / (P + Q)) dx] / ∫ P + Q dx,

the larger of x and −x, and the sensitivity is its slope in log₂ α. Draws of an approximation carry their own
importance weights throughout, so that it is the exact posterior that is scaled.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesrm.diagnostics.arviz_lines import psis
from bayesrm.diagnostics.draws import (
    flat,
    from_chains,
    label,
    log_joint,
    log_likelihood,
    log_prior,
    quantities,
    statistic,
)
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.importance import good_k, importance_weights

SENSITIVE = 0.05
"""Above this the paper calls a posterior sensitive."""
STEP = 0.01


def sensitivity(tree: xr.DataTree) -> Finding:
    """Prior and likelihood sensitivity of every quantity.

    Returns
    -------
    Finding
        Variables ``prior`` and ``likelihood`` by quantity.
    """
    name, table = label(tree), quantities(tree)
    joint, prior, likelihood = log_joint(tree), log_prior(tree), log_likelihood(tree)
    draws, log_q = flat(table), statistic(tree, "log_q")
    exact = log_q is not None or from_chains(tree)
    if joint is None or prior is None or likelihood is None or not exact or len(draws) < 25:
        why = "there are no draws that stand for a posterior of known prior and likelihood"
        return Finding("sensitivity", "skipped", f"Power scaling does not apply to the {name} posterior: {why}.")
    base = np.zeros(len(draws))
    if log_q is not None:
        _, k = importance_weights(joint, log_q)
        if k >= good_k(len(draws)):
            return Finding(
                "sensitivity",
                "skipped",
                f"Power scaling does not apply: the {name} draws do not stand for the posterior (k̂ = {k:.2f}).",
            )
        base = joint - log_q
    parts = {"prior": prior, "likelihood": likelihood}
    data = xr.Dataset(
        {part: ("quantity", power_sensitivity(draws, component, base)) for part, component in parts.items()},
        {"quantity": table["quantity"].values},
    )
    by_prior, by_labels = (data[part].values > SENSITIVE for part in parts)
    total, conflict, strong = len(by_prior), int((by_prior & by_labels).sum()), int((by_prior & ~by_labels).sum())
    if strong:
        return Finding(
            "sensitivity",
            "note",
            f"The prior says more than the labels of {strong} of {total} quantities (power-scaling sensitivity above "
            f"{SENSITIVE} to the prior only)"
            + (f"; prior and labels disagree on {conflict}." if conflict else "."),
            data,
        )
    if conflict:
        return Finding(
            "sensitivity",
            "note",
            f"Prior and labels pull {conflict} of {total} quantities apart (sensitivity to both above {SENSITIVE}): "
            "the prior scale matters here.",
            data,
        )
    return Finding(
        "sensitivity",
        "good",
        f"The prior scale hardly matters: sensitivity to it is at most {data['prior'].max():.3f}, below {SENSITIVE}.",
        data,
    )


def power_sensitivity(
    draws: Float[np.ndarray, "draw quantity"],
    component: Float[np.ndarray, "draw"],
    log_weight: Float[np.ndarray, "draw"],
) -> Float[np.ndarray, "quantity"]:
    """The slope of CJS in log₂ α at α = 1, by finite differences to both sides.

    Parameters
    ----------
    draws
        (draw, quantity) draws.
    component
        (draw,) log density of what is scaled.
    log_weight
        (draw,) log importance weights that the draws have already; zeros for draws of the posterior itself.
    """
    plain = _normalised(log_weight)
    total = np.zeros(draws.shape[1])
    for power in (1 / (1 + STEP), 1 + STEP):
        scaled = _normalised(log_weight + (power - 1) * component)
        total += np.maximum(cjs_distance(draws, plain, scaled), cjs_distance(-draws, plain, scaled))
    return total / (2 * np.log2(1 + STEP))


def cjs_distance(
    draws: Float[np.ndarray, "draw quantity"],
    weight: Float[np.ndarray, "draw"],
    other: Float[np.ndarray, "draw"],
) -> Float[np.ndarray, "quantity"]:
    """The cumulative Jensen–Shannon distance between two weightings of the same draws, by quantity."""
    order = np.argsort(draws, axis=0, kind="stable")
    width = np.diff(np.take_along_axis(draws, order, axis=0), axis=0)
    p, q = (np.minimum(np.cumsum(weights[order], axis=0)[:-1], 1.0) for weights in (weight, other))
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
        squared = (width * gap).sum(axis=0) / (width * (p + q)).sum(axis=0)
    return np.sqrt(np.maximum(np.nan_to_num(squared), 0.0))


def _normalised(log_weight: Float[np.ndarray, "draw"]) -> Float[np.ndarray, "draw"]:
    if np.ptp(log_weight) < 1e-12:
        return np.full(len(log_weight), 1 / len(log_weight))
    return np.exp(psis(log_weight)[0])
