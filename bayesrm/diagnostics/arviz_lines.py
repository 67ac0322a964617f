"""ArviZ's estimators on plain arrays, the same from both of its lines.

0.23 has them at the top with InferenceData around them; 1.x has them for arrays, and its ``psislw`` negates what it
is given. Importing 0.23 announces 1.x, which is no news here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from tempfile import TemporaryDirectory
from typing import Any, Literal
from unittest import mock

import numpy as np
import xarray as xr
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
        smoothed, k = load_arviz().psislw(weights, reff=relative_efficiency)
    else:
        smoothed, k = _arrays().psislw(-weights, r_eff=relative_efficiency)
    return np.asarray(smoothed, dtype=np.float64), float(k)


def r_hat(draws: Float[np.ndarray, "chain draw"]) -> float:
    """Rank-normalised split R̂ (Vehtari et al. 2021)."""
    return float(load_arviz().rhat(draws) if _legacy() else _arrays().rhat(draws, chain_axis=0, draw_axis=1))


def effective_draws(draws: Float[np.ndarray, "chain draw"], method: Literal["bulk", "tail"] = "bulk") -> float:
    """Effective sample size of the centre, or of the tails, of a distribution (Vehtari et al. 2021)."""
    if _legacy():
        return float(load_arviz().ess(draws, method=method))
    tails = (0.05, 0.95) if method == "tail" else None
    return float(_arrays().ess(draws, chain_axis=0, draw_axis=1, method=method, prob=tails))


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What leave-one-out says of one posterior.

    Parameters
    ----------
    elpd, parameters
        Expected log predictive density in nats, and the effective number of parameters.
    pointwise, k
        (comparison,) summands of elpd, and Pareto k̂ of each.
    found
        ArviZ's own, which its comparison takes.
    """

    elpd: float
    parameters: float
    pointwise: Float[np.ndarray, "comparison"]
    k: Float[np.ndarray, "comparison"]
    found: Any


def leave_one_out(tree: xr.DataTree, independent: bool) -> LeftOut:
    """PSIS-LOO of a tree with the groups ``posterior`` and ``log_likelihood`` (one variable, ``outcome``).

    Parameters
    ----------
    tree
        Dimensions chain, draw and comparison.
    independent
        Whether draws are; if not, their efficiency is estimated from the chains.
    """
    efficiency = 1.0 if independent else None
    with warnings.catch_warnings():
        # Both are figures of the result, k̂ and few draws for it.
        warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
        warnings.filterwarnings("ignore", "Not enough tail values|Not all tail values", UserWarning)
        data = load_arviz().InferenceData.from_datatree(tree) if _legacy() else tree
        found = load_arviz().loo(data, pointwise=True, reff=efficiency)
    names = ("elpd_loo", "p_loo", "loo_i") if _legacy() else ("elpd", "p", "elpd_i")
    elpd, parameters, pointwise = (found[name] if _legacy() else getattr(found, name) for name in names)
    return LeftOut(float(elpd), float(parameters), np.asarray(pointwise), np.asarray(found.pareto_k), found)


def stacking_weights(scores: Mapping[str, LeftOut]) -> dict[str, float]:
    """Weights of the mixture of models that predicts labels left out best, by name (Yao et al. 2018)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
        # 0.23 on pandas ≥ 3.1.
        warnings.filterwarnings("ignore", "The inplace keyword in DataFrame.sort_values", DeprecationWarning)
        rounded: dict[str, str] = {} if _legacy() else {"round_to": "none"}
        found = {name: score.found for name, score in scores.items()}
        table = load_arviz().compare(found, method="stacking", **rounded)
    return {str(name): float(weight) for name, weight in table["weight"].items()}


@cache
def _legacy() -> bool:
    return version("arviz").startswith("0.")


@cache
def load_arviz() -> Any:
    """The package, imported without its announcement.

    0.23 keeps the date of its announcement in the user's cache. Where the cache cannot be written, or another process
    writes it at the same moment, its import fails with an OSError; then it is imported with a temporary cache.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "\nArviZ is undergoing a major refactor", FutureWarning)
        try:
            return import_module("arviz")
        except OSError:
            with TemporaryDirectory() as folder, mock.patch("platformdirs.user_cache_dir", return_value=folder):
                return import_module("arviz")


@cache
def _arrays() -> Any:
    return import_module("arviz_stats.base").array_stats
