"""ArviZ's estimators on plain arrays, the same from both of its lines.

0.23 has them at the top with InferenceData around them; 1.x has them for arrays, and its ``psislw`` negates what it
is given. Importing 0.23 announces 1.x, which is no news here.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from jaxtyping import Float


def psis(
    log_weight: Float[np.ndarray, "draw"], relative_efficiency: float = 1.0
) -> tuple[Float[np.ndarray, "draw"], float]:
    """Pareto-smoothed, normalised log weights and Pareto k̂ (Vehtari et al. 2024).

    Parameters
    ----------
    log_weight
        (draw,) log importance ratios, in nats; a constant does not matter.
    relative_efficiency
        Effective over nominal number of draws; 1 where these are independent.

    Returns
    -------
    log_weight, k
        Of weights that sum to 1; k̂ is infinite where there are too few draws (fewer than about 25) for a tail.
    """
    weights = np.array(log_weight, dtype=np.float64)
    if _legacy():
        smoothed, k = _arviz().psislw(weights, reff=relative_efficiency)
    else:
        smoothed, k = _arrays().psislw(-weights, r_eff=relative_efficiency)
    return np.asarray(smoothed, dtype=np.float64), float(k)


def r_hat(draws: Float[np.ndarray, "chain draw"]) -> float:
    """Rank-normalised split R̂ (Vehtari et al. 2021)."""
    return float(_arviz().rhat(draws) if _legacy() else _arrays().rhat(draws, chain_axis=0, draw_axis=1))


def effective_draws(draws: Float[np.ndarray, "chain draw"], method: Literal["bulk", "tail"] = "bulk") -> float:
    """Effective sample size of the centre, or of the tails, of a distribution (Vehtari et al. 2021)."""
    if _legacy():
        return float(_arviz().ess(draws, method=method))
    tails = (0.05, 0.95) if method == "tail" else None
    return float(_arrays().ess(draws, chain_axis=0, draw_axis=1, method=method, prob=tails))


@cache
def _legacy() -> bool:
    return version("arviz").startswith("0.")


@cache
def _arviz() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "\nArviZ is undergoing a major refactor", FutureWarning)
        import arviz
    return arviz


@cache
def _arrays() -> Any:
    return import_module("arviz_stats.base").array_stats
