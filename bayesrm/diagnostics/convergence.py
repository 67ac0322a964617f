r"""Whether chains have mixed: R̂, effective draws, divergences. Draws of an approximation are independent already.

R̂ below 1.01 and 100 effective draws a chain (Vehtari et al. 2021) are for one quantity. Of many the largest R̂ is above
1.01 by chance alone: for split chains that have converged, M halves of n draws with S effective draws in all,

    R̂² ≈ 1 − 1/n + (M/S) χ²_{M−1} / (M − 1)

(the variance of their means is M/S of that within; cf. Vats & Knudson 2021), so the limit is where the largest of K
quantities, each with the R̂ of its bulk and of its tails, comes with probability 1% at most, and never below 1.01.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy.stats import chi2

from bayesrm.diagnostics.arviz_lines import effective_draws, r_hat
from bayesrm.diagnostics.draws import from_chains, label, quantities
from bayesrm.diagnostics.finding import Finding
from bayesrm.utils.wording import counted

MAX_R_HAT = 1.01
MIN_EFFECTIVE = 100
"""Effective draws a chain."""
CHANCE = 0.01


def convergence(tree: xr.DataTree) -> Finding:
    """R̂ and effective sample sizes of every quantity of a posterior from Markov chains, and what the sampler met.

    Returns
    -------
    Finding
        Variables ``r_hat`` (NaN of one chain), ``ess_bulk`` and ``ess_tail`` by quantity, ``r_hat_limit``,
        ``divergences`` and ``max_treedepth_hits``, both of all draws of the sampler where the tree's attributes have
        them, else of the draws in the tree.
    """
    name, table = label(tree), quantities(tree)
    chains, draws = table.sizes["chain"], table.sizes["draw"]
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    if not from_chains(tree):
        why = "it is one point" if draws == 1 else "its draws are independent"
        return Finding("convergence", "skipped", f"R̂ and ESS do not apply to the {name} posterior: {why}.")
    if draws < 8:
        return Finding("convergence", "skipped", f"R̂ and ESS do not apply: {draws} draws a chain are too few.")
    columns = table.transpose("quantity", "chain", "draw").values
    hats = [r_hat(column) if chains > 1 else np.nan for column in columns]
    kept = int(stats["diverging"].sum()) if "diverging" in stats else 0
    diverging = max(kept, int(tree.attrs.get("divergences", 0)))
    longest = int(tree.attrs.get("max_treedepth_hits", 0))
    data = xr.Dataset(
        {
            "r_hat": ("quantity", hats),
            "ess_bulk": ("quantity", [effective_draws(column) for column in columns]),
            "ess_tail": ("quantity", [effective_draws(column, "tail") for column in columns]),
            "divergences": diverging,
            "max_treedepth_hits": longest,
        },
        {"quantity": table["quantity"].values},
        {"chains": chains, "draws": draws},
    )
    # Of a typical quantity: one that has not mixed has few effective draws, which must not excuse its R̂.
    typical = float(min(data["ess_bulk"].median(), data["ess_tail"].median()))
    limit = r_hat_limit(chains, draws, typical, len(hats))
    data["r_hat_limit"] = limit
    worst = float(data["r_hat"].max()) if chains > 1 else np.nan
    fewest = float(min(data["ess_bulk"].min(), data["ess_tail"].min()))
    mixing = f"R̂ at most {worst:.3f}" if chains > 1 else "R̂ of one chain does not exist"
    if worst > MAX_R_HAT:
        mixing += f" (of {len(hats)} quantities up to {limit:.3f} by chance)"
    figures = (
        f"{mixing}, at least {fewest:.0f} effective of {chains * draws} draws, {counted(diverging, 'divergence')}"
    )
    if longest:
        figures += f", {counted(longest, 'trajectory', 'trajectories')} cut off at the greatest length"
    few = fewest < MIN_EFFECTIVE * chains
    if diverging or worst > limit or (few and chains == 1):
        return Finding(
            "convergence", "bad", f"The chains have not converged: {figures}; draw more, or tune.", data
        )
    if few:
        return Finding(
            "convergence", "note", f"The chains agree, on few effective draws: {figures}; draw more.", data
        )
    if longest:
        return Finding("convergence", "note", f"The chains have mixed, with long trajectories: {figures}.", data)
    return Finding("convergence", "good", f"The chains have mixed: {figures}.", data)


def r_hat_limit(chains: int, draws: int, effective: float, quantities: int) -> float:
    """Above what the largest R̂ of several quantities says that chains have not converged.

    Parameters
    ----------
    chains, draws
        Chains, and draws of each.
    effective
        Effective draws of all chains together; counted as at least 100 a chain, as with fewer chains that are stuck
        apart cannot be told from chance.
    quantities
        How many R̂ are looked at.
    """
    halves, n = 2 * chains, draws // 2
    unlikely = float(chi2.isf(CHANCE / (2 * quantities), halves - 1)) / (halves - 1)
    square = 1 - 1 / n + halves / max(effective, MIN_EFFECTIVE * chains) * unlikely
    return max(MAX_R_HAT, math.sqrt(square))
