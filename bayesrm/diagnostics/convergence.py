"""Whether chains have mixed: R̂, effective draws, divergences. Draws of an approximation are independent already."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesrm.diagnostics.arviz_lines import effective_draws, r_hat
from bayesrm.diagnostics.draws import from_chains, label, quantities
from bayesrm.diagnostics.finding import Finding

MAX_R_HAT = 1.01
MIN_EFFECTIVE = 100
"""Effective draws a chain (Vehtari et al. 2021 ask for 50 of each half)."""


def convergence(tree: xr.DataTree) -> Finding:
    """R̂ and effective sample sizes of every quantity of a posterior from Markov chains, and its divergences.

    Returns
    -------
    Finding
        Variables ``r_hat`` (NaN of one chain), ``ess_bulk`` and ``ess_tail`` by quantity, and ``divergences``.
    """
    name, table = label(tree), quantities(tree)
    chains, draws = table.sizes["chain"], table.sizes["draw"]
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    if not from_chains(tree):
        why = "it is one point" if draws == 1 else "its draws are independent, in one chain"
        return Finding("convergence", "skipped", f"R̂ and ESS do not apply to the {name} posterior: {why}.")
    if draws < 8:
        return Finding("convergence", "skipped", f"R̂ and ESS do not apply: {draws} draws a chain are too few.")
    columns = table.transpose("quantity", "chain", "draw").values
    hats = [r_hat(column) if chains > 1 else np.nan for column in columns]
    diverging = int(stats["diverging"].sum()) if "diverging" in stats else 0
    data = xr.Dataset(
        {
            "r_hat": ("quantity", hats),
            "ess_bulk": ("quantity", [effective_draws(column) for column in columns]),
            "ess_tail": ("quantity", [effective_draws(column, "tail") for column in columns]),
            "divergences": diverging,
        },
        {"quantity": table["quantity"].values},
        {"chains": chains, "draws": draws},
    )
    worst = float(data["r_hat"].max()) if chains > 1 else np.nan
    fewest = float(min(data["ess_bulk"].min(), data["ess_tail"].min()))
    mixing = f"R̂ at most {worst:.3f}" if chains > 1 else "R̂ of one chain does not exist"
    figures = f"{mixing}, at least {fewest:.0f} effective of {chains * draws} draws, {diverging} divergences"
    if diverging or worst > MAX_R_HAT or fewest < MIN_EFFECTIVE * chains:
        return Finding(
            "convergence", "bad", f"The chains have not converged: {figures}; draw more, or tune.", data
        )
    return Finding("convergence", "good", f"The chains have mixed: {figures}.", data)
