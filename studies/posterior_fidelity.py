"""Fidelity of Laplace and SVI against NUTS, and what Pareto k̂ says of it.

Random pairs within prompts are labelled and a network is trained on them; its last layer then gets a posterior by
Laplace, by SVI and by NUTS, on the same features. The distance is the sliced Wasserstein distance to NUTS in posterior
standard deviations: the mean distance between projections on random directions. Two halves of NUTS's own draws have a
distance too, the dashed floor in the table. k̂ is estimated from the approximation's own draws and the exact density,
without any NUTS; below 0.7 an approximation can be reweighted to the exact posterior.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import bayesrm as brm
from bayesrm.diagnostics.distance import distance
from bayesrm.diagnostics.importance import pareto_k
from bayesrm.plots.studies import scatter_lines
from bayesrm.runs.cell import Cell
from bayesrm.study import StudyResults

APPROXIMATIONS = ("laplace", "svi")
EXACT = "nuts"


def measure(cell: Cell) -> dict[str, float | list[float]]:
    """Distances to NUTS, k̂, and what each makes of the test prompts."""
    draws = cell.config.draws
    test = cell.test()
    assert test is not None
    exact = cell.posterior(inference=EXACT)
    reference = exact.to_datatree(draws=draws, seed=cell.config.seed)
    measured: dict[str, float | list[float]] = {}
    for name in (*APPROXIMATIONS, EXACT):
        posterior = exact if name == EXACT else cell.posterior(inference=name)
        scores = brm.evaluate(posterior, test[0], test[1], cell.config.temperature)
        measured |= {
            f"{name}_one_minus_spearman": scores["one_minus_spearman"],
            f"{name}_log_loss": scores["log_loss"],
        }
        if name == EXACT:
            continue
        tree = posterior.to_datatree(draws=draws, seed=cell.config.seed)
        far, importance = distance(tree, reference).data, pareto_k(tree).data
        assert far is not None
        measured |= {
            f"{name}_distance": float(far["sliced_wasserstein"]),
            f"{name}_mean_shift": float(np.abs(far["mean_shift"]).mean()),
            f"{name}_sd_ratio": float(far["sd_ratio"].mean()),
            f"{name}_k": float("nan") if importance is None else float(importance["k"]),
            "floor": float(far["sliced_wasserstein_floor"]),
        }
    return measured


def answer(results: StudyResults) -> str:
    """How far each is from NUTS at worst and on average, and whether k̂ tells."""
    table = fidelity(results)
    sentences = []
    for (prior, name), rows in table.groupby(["prior", "inference"], sort=False):
        worst = rows.loc[rows["distance"].idxmax()]
        sentences.append(
            f"With the prior {prior}, {name} lies {rows['distance'].mean():.2f} posterior sd from NUTS on average (two "
            f"halves of NUTS: {rows['floor'].mean():.2f}), at most {worst['distance']:.2f} (width {worst['hidden']}, "
            f"{worst['labels']} labels), with k̂ from {rows['k'].min():.2f} to {rows['k'].max():.2f} and log loss "
            f"{rows['log_loss_less_nuts'].mean():+.4f} nats from that of NUTS."
        )
    rank = float(table[["k", "distance"]].corr(method="spearman").iloc[0, 1])
    return "\n".join(sentences) + f"\nRanked by k̂ and by distance, the {len(table)} fits correlate at {rank:.2f}."


def figures(results: StudyResults) -> dict[str, Figure]:
    """Distance and k̂ against labels, a column a prior and approximation, a line a width."""
    trajectory = results.trajectory.isel(pool=0)
    return {
        "distance_to_nuts": scatter_lines(
            _panels(trajectory, "distance"), "batch_size", "labels", "distance to NUTS, sd"
        ),
        "pareto_k": scatter_lines(_panels(trajectory, "k"), "batch_size", "labels", "Pareto k̂", line=0.7),
    }


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Means over seeds."""
    return {"fidelity": fidelity(results)}


def fidelity(results: StudyResults) -> pd.DataFrame:
    """A row a prior, approximation, width and number of labels; means over seeds."""
    mean = results.trajectory.isel(pool=0).mean("seed")
    axes = (mean[name].values for name in ("prior", "hidden", "batch_size"))
    rows = []
    for name, (prior, hidden, labels) in product(APPROXIMATIONS, product(*axes)):
        cell = mean.sel(prior=prior, hidden=hidden, batch_size=labels)
        rows.append(
            {
                "prior": str(prior),
                "inference": name,
                "hidden": str(hidden),
                "labels": int(labels),
                **{
                    value: _number(cell[f"{name}_{value}"])
                    for value in ("distance", "mean_shift", "sd_ratio", "k", "one_minus_spearman")
                },
                "floor": _number(cell["floor"]),
                "log_loss_less_nuts": _number(cell[f"{name}_log_loss"] - cell[f"{EXACT}_log_loss"]),
            }
        )
    return pd.DataFrame(rows)


def _panels(trajectory: xr.Dataset, value: str) -> dict[str, dict[str, xr.DataArray]]:
    return {
        f"{name}, prior {prior}": {
            f"width {hidden}": _flat(trajectory[f"{name}_{value}"].sel(prior=prior, hidden=hidden))
            for hidden in trajectory["hidden"].values
        }
        for prior, name in product(trajectory["prior"].values, APPROXIMATIONS)
    }


def _flat(values: xr.DataArray) -> xr.DataArray:
    values = values.isel(round=-1) if "round" in values.dims else values
    return values.drop_vars("labels", errors="ignore")


def _number(values: xr.DataArray) -> float:
    return float(_flat(values))
