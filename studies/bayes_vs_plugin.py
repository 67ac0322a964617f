"""Does a posterior help the choice of comparisons, the estimate from them, or both?

Every run chooses with one inference and one design. To tell choice from estimate, the labels that it bought are then
fitted by each of several inferences: a column of the second figure reads off what choosing with another posterior is
worth at the same estimate, a row what estimating with another one is worth on the same labels. The network, its
training and its early stopping are the same for all; plug-in, Laplace, SVI and NUTS differ in the last layer alone, and
the ensemble has ten networks.

SVI and NUTS choose but are not among the inferences that estimate on others' labels: what they say of the same labels
is held against Laplace in the study of their fidelity, and a fit of NUTS takes as long as a whole run.
"""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import bayesrm as brm
from bayesrm.evaluation.comparison import compare
from bayesrm.evaluation.intervals import paired_interval
from bayesrm.evaluation.names import BASELINE
from bayesrm.plots.studies import Panel, curve_grid, design_line, shades
from bayesrm.runs.cell import Cell
from bayesrm.study import StudyResults

ESTIMATORS = ("plugin", "laplace", "ensemble")
METRICS = ("one_minus_spearman", "log_loss")
LABELS = {"one_minus_spearman": "1 − Spearman", "log_loss": "log loss, nats"}


def measure(cell: Cell) -> dict[str, float | list[float]]:
    """What other inferences make of the labels of a run."""
    measured: dict[str, float | list[float]] = {}
    test = cell.test()
    assert test is not None
    for name in ESTIMATORS:
        if name == cell.config.inference:
            last = cell.records()[-1].metrics
            scores = {metric: last[metric] for metric in METRICS}
        else:
            posterior = cell.posterior(inference=name)
            found = brm.evaluate(posterior, test[0], test[1], cell.config.temperature)
            scores = {metric: found[metric] for metric in METRICS}
        measured |= {f"{metric}_by_{name}": scores[metric] for metric in METRICS}
    return measured


def answer(results: StudyResults) -> str:
    """The worth of a posterior for the choice, and for the estimate."""
    choice, estimate = effects(results)
    best = choice.loc[choice["difference"].idxmin()]
    worth = estimate.loc[estimate["estimate with"] == "laplace"].iloc[0]
    clear = int((choice["high"] < 0).sum())
    return (
        f"Estimate: on the same labels, Laplace instead of the plug-in changes 1 − Spearman by "
        f"{worth['one_minus_spearman']:+.3f} ({worth['one_minus_spearman_low']:+.3f} to "
        f"{worth['one_minus_spearman_high']:+.3f}) and log loss by {worth['log_loss']:+.3f} nats "
        f"({worth['log_loss_low']:+.3f} to {worth['log_loss_high']:+.3f}).\n"
        "Choice: at the same estimate (Laplace), choosing with a posterior instead of the plug-in is clearly better in "
        f"{clear} of {len(choice)} combinations of posterior and design; {_largest(best)} is {best['difference']:+.3f} "
        f"({best['low']:+.3f} to {best['high']:+.3f}), of {best['choose with']} with {best['design']}."
    )


def _largest(best: pd.Series) -> str:
    """What the most favourable difference is called: no gain where all are losses."""
    return "the largest gain" if best["difference"] < 0 else "no difference is a gain, and the smallest loss"


def figures(results: StudyResults) -> dict[str, Figure]:
    """Learning curves by inference, and choice against estimate."""
    trajectory = results.trajectory.isel(pool=0)
    panels = [
        Panel(
            f"{inference}",
            [
                design_line(str(d), str(d), trajectory.sel(inference=inference, design=d))
                for d in _designs(trajectory)
            ],
        )
        for inference in trajectory["inference"].values
    ]
    crossed = {
        f"{design}: {LABELS[METRICS[0]]}": _crossed(trajectory, str(design), METRICS[0])
        for design in trajectory["design"].values
        if str(design) != BASELINE
    }
    return {
        "learning_curves": curve_grid(panels, METRICS, f"design\n({trajectory.sizes['seed']} seeds)", width=2.8),
        "choose_and_estimate": shades(crossed, LABELS[METRICS[0]]),
    }


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Effects of choice and of estimate, and every design against random of its inference."""
    choice, estimate = effects(results)
    return {
        "effect_of_the_choice": choice,
        "effect_of_the_estimate": estimate,
        "designs": compare(results.trajectory, over="design", baseline=BASELINE),
    }


def effects(results: StudyResults) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choosing with each posterior against the plug-in, estimated alike; estimating with each, chosen alike."""
    trajectory = results.trajectory.isel(pool=0)
    choice = []
    for inference in trajectory["inference"].values:
        for design in trajectory["design"].values:
            own = _last(trajectory, "one_minus_spearman_by_laplace").sel(inference=inference, design=design)
            other = _last(trajectory, "one_minus_spearman_by_laplace").sel(inference="plugin", design=design)
            # A point cannot be asked for BALD: there, the posterior's choice is held against random pairs.
            against = "plugin" if other.notnull().any() else BASELINE
            if against == BASELINE:
                other = _last(trajectory, "one_minus_spearman_by_laplace").sel(inference="plugin", design=BASELINE)
            if inference == "plugin" or design == BASELINE or not (own.notnull() & other.notnull()).any():
                continue
            interval = paired_interval(own.values, other.values)
            choice.append(
                {
                    "choose with": inference,
                    "design": design,
                    "against": against,
                    "difference": interval.estimate,
                    "low": interval.low,
                    "high": interval.high,
                }
            )
    estimate = []
    for name in ESTIMATORS:
        row: dict[str, object] = {"estimate with": name}
        for metric in METRICS:
            difference = _last(trajectory, f"{metric}_by_{name}") - _last(trajectory, f"{metric}_by_plugin")
            by_seed = difference.mean(["inference", "design"]).values
            interval = paired_interval(by_seed, by_seed * 0)
            row |= {metric: interval.estimate, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        estimate.append(row)
    return pd.DataFrame(choice), pd.DataFrame(estimate)


def _crossed(trajectory: xr.Dataset, design: str, metric: str) -> pd.DataFrame:
    """Mean over seeds, by inference that chose and inference that estimated."""
    columns = {
        name: _last(trajectory, f"{metric}_by_{name}").sel(design=design).mean("seed").to_series()
        for name in ESTIMATORS
    }
    table = pd.DataFrame(columns).dropna(how="all")
    table.index.name, table.columns.name = "chosen with", "estimated with"
    return table


def _last(trajectory: xr.Dataset, name: str) -> xr.DataArray:
    values = trajectory[name]
    return values.isel(round=-1) if "round" in values.dims else values


def _designs(trajectory: xr.Dataset) -> list[str]:
    return sorted(map(str, trajectory["design"].values), key=lambda design: design == BASELINE)
