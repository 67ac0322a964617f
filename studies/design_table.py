"""Every design against random: which of them can be a default, on a pool with golden rewards.

Every design × {plug-in MLP, Laplace MLP beside linear features} × both scopes, the same seeds for all, so that
differences to random are paired: seed by seed they share the random choices of candidates, folds and initial weights.
Seeds come outermost, so a study that is stopped has whole tables of fewer seeds. Runs keep every round on disk; called
again the study goes on where it was, and ``--table`` makes the table of what is there.

    python studies/design_table.py --tiny
    python studies/design_table.py --pool POOL --test TEST --out runs/designs
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import t

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.evaluation.names import BASELINE
from bayesrm.runs.combine import SETTINGS, Part, combine_parts, run_folders
from bayesrm.runs.config import RunConfig
from bayesrm.runs.journal import RUN_FILE, read_records
from bayesrm.runs.results import RESULTS_FILE, write_results
from bayesrm.runs.sweep import cells_of, sweep
from bayesrm.utils.csv_cells import csv_of
from bayesrm.utils.files import read_json

QUICKSTART = Path(__file__).resolve().parents[1] / "data" / "quickstart"
SCOPES = ("within-prompt", "cross-prompt")
MODELS = {"laplace": "mlp+linear", "plugin": "mlp"}
"""Inference → encoder."""
FIRST = ("random", "within-first", "vopt", "rank-vopt", "pa-dopt", "dopt", "power-bald", "entropy", "epig", "bald")
"""The designs that others are held against, or that were at the front elsewhere; all others follow."""
METRICS = ("one_minus_spearman", "best_of_n", "log_loss")
CONFIDENCE = 0.95


def plan(
    pool: Path, test: Path, designs: list[str], inferences: list[str], seeds: range, **settings: int
) -> list[RunConfig]:
    """All runs that make sense, seeds outermost: designs that need a spread are left out of plug-ins."""
    return [
        RunConfig(
            pool=pool,
            test=test,
            scope=scope,
            encoder=MODELS[inference],
            inference=inference,
            design=design,
            temperature=2.0,
            seed=seed,
            **settings,
        )
        for seed in seeds
        for design in designs
        for inference in inferences
        for scope in SCOPES
        if inference != "plugin" or works_with_a_point(design)
    ]


def works_with_a_point(design: str) -> bool:
    """Whether a design says anything without a posterior that has spread."""
    return "spread" not in CRITERIA[design].requires


def ordered(designs: dict[str, str]) -> list[str]:
    """The designs to begin with, then the rest."""
    return [*FIRST, *sorted(set(designs) - set(FIRST))]


def paired_table(trajectory: xr.Dataset) -> pd.DataFrame:
    """Metrics after the last round and their paired differences to random, with Student t intervals over seeds.

    Parameters
    ----------
    trajectory
        Combined ``trajectory``, see :func:`bayesrm.runs.results.combine`. Best-of-N is that of the largest N.

    Returns
    -------
    DataFrame
        A row for each scope, inference and design: ``<metric>`` (mean over seeds), ``<metric>_difference`` (over
        seeds that random has too) and ``<metric>_half_width``; ``curve_difference`` and ``curve_half_width`` are
        those of 1 − Spearman averaged over all rounds. Half widths are NaN with one seed.
    """
    data = trajectory.isel(n=-1) if "n" in trajectory.dims else trajectory
    rows = []
    for scope in data["scope"].values:
        for inference in data["inference"].values:
            for design in data["design"].values:
                place = {"scope": scope, "inference": inference}
                own = data.sel(place | {"design": design})
                if np.isnan(own[METRICS[0]].isel(round=-1)).all():
                    continue
                base = data.sel(place | {"design": BASELINE})
                row: dict[str, object] = {**place, "design": design}
                row["seeds"] = int((~np.isnan(own[METRICS[0]].isel(round=-1))).sum())
                for metric in METRICS:
                    last, reference = own[metric].isel(round=-1), base[metric].isel(round=-1)
                    row[metric] = float(last.mean())
                    row |= _difference(metric, last - reference)
                curve = (own[METRICS[0]] - base[METRICS[0]]).mean("round", skipna=False)
                rows.append(row | _difference("curve", curve))
    return pd.DataFrame(rows)


def _difference(name: str, paired: xr.DataArray) -> dict[str, float]:
    values = paired.values[~np.isnan(paired.values)]
    if len(values) == 0:
        return {f"{name}_difference": np.nan, f"{name}_half_width": np.nan}
    width = np.nan
    if len(values) > 1:
        width = t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return {f"{name}_difference": float(values.mean()), f"{name}_half_width": float(width)}


def markdown(table: pd.DataFrame, labels: int) -> str:
    """The table for people, one for each scope and model, best first."""
    parts = []
    for (scope, inference), rows in table.groupby(["scope", "inference"], sort=False):
        absent = [] if inference != "plugin" else [name for name in brm.designs() if not works_with_a_point(name)]
        parts += [
            f"\n**{scope}, {inference} {MODELS[inference]}**, after {labels} labels; "
            "± is the half width of a 95% interval of the paired difference to random\n",
            "| design | seeds | 1 − Spearman | − random | in all rounds | best of N | − random | log loss | − random |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for _, row in rows.sort_values(METRICS[0]).iterrows():
            figures = [f"{row[METRICS[0]]:.3f}", _signed(row, METRICS[0]), _signed(row, "curve")]
            for metric in METRICS[1:]:
                figures += [f"{row[metric]:.3f}", _signed(row, metric)]
            parts.append(f"| {row['design']} | {row['seeds']} | " + " | ".join(figures) + " |")
        if absent:
            parts.append(f"\nNeed a posterior with spread: {', '.join(absent)}.")
    return "\n".join(parts) + "\n"


def _signed(row: pd.Series, name: str) -> str:
    mean, width = row[f"{name}_difference"], row[f"{name}_half_width"]
    if row["design"] == BASELINE or np.isnan(mean):
        return "–"
    return f"{mean:+.3f}" + ("" if np.isnan(width) else f" ± {width:.3f}")


def eligible(table: pd.DataFrame, name: str = METRICS[0]) -> pd.DataFrame:
    """Designs that are not worse than random beyond their interval in either scope, and better across prompts.

    Sorted by the mean of both differences; a row for each inference and design.
    """
    both = table.pivot(
        index=["inference", "design"], columns="scope", values=[f"{name}_difference", f"{name}_half_width"]
    )
    difference, width = both[f"{name}_difference"][list(SCOPES)], both[f"{name}_half_width"][list(SCOPES)]
    fine = (difference - width <= 0).all(axis=1) & ((difference + width)["cross-prompt"] < 0)
    return difference[fine].loc[difference[fine].mean(axis=1).sort_values().index]


def contents(folders: list[Path], pool: brm.ResponsePool, golden: np.ndarray) -> pd.DataFrame:
    """What the batches contain, means over all pairs of all rounds and seeds.

    Returns
    -------
    DataFrame
        By scope, inference and design: ``within``, the share of pairs within a prompt; ``prompts``, how many prompts a
        batch touches for each of its pairs; ``gap``, |difference of golden rewards|; ``distance``, the squared
        distance of the two standardised embeddings, and ``oddity``, the squared distance of either response from the
        mean of its prompt, both as multiples of what they are for random pairs within prompts.
    """
    x = pool.rows(np.arange(len(pool))).astype(np.float64)
    sd = x.std(axis=0)
    x = np.where(sd > 1e-6 * sd.max(), (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1), 0)
    centred = x.copy()
    for members in pool.members:
        centred[members] -= x[members].mean(axis=0)
    odd = np.square(centred).sum(axis=1)
    usual = brm.candidates(pool, prompts=None, size=5_000)

    def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.square(x[first] - x[second]).sum(axis=1)

    typical = distance(usual.first, usual.second).mean()
    typical_oddity = odd[np.concatenate([usual.first, usual.second])].mean()
    rows = []
    for folder in folders:
        place = read_json(folder / RUN_FILE)
        for record in read_records(folder):
            a, b = record.selection.first, record.selection.second
            rows.append(
                {name: place[name] for name in ("scope", "inference", "design")}
                | {
                    "within": (pool.group[a] == pool.group[b]).mean(),
                    "prompts": len(np.unique(pool.group[np.concatenate([a, b])])) / len(a),
                    "gap": np.abs(golden[a] - golden[b]).mean(),
                    "distance": distance(a, b).mean() / typical,
                    "oddity": odd[np.concatenate([a, b])].mean() / typical_oddity,
                }
            )
    return pd.DataFrame(rows).groupby(["scope", "inference", "design"]).mean()


def _plain(table: pd.DataFrame) -> str:
    lines = [" | ".join(table.columns), " | ".join(["---"] * table.shape[1])]
    for row in table.itertuples(index=False):
        lines.append(" | ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def report(out: Path, pool: Path) -> str:
    """Combine what is in a folder into results.nc, table.csv, contents.csv and table.md; return the latter."""
    folders = run_folders(out)
    places = [{name: read_json(folder / RUN_FILE)[name] for name in SETTINGS} for folder in folders]
    tree = combine_parts([Part(folder, place) for folder, place in zip(folders, places, strict=True)])
    write_results(tree, out / RESULTS_FILE)
    trajectory = tree["trajectory"].to_dataset()
    table = paired_table(trajectory)
    (out / "table.csv").write_text(csv_of(table), encoding="utf-8")
    text = markdown(table, int(trajectory["labels"][-1]))
    text += "\nNot worse than random in either scope beyond its interval, and better across prompts: "
    names = [f"{design} ({inference})" for inference, design in eligible(table).index]
    text += (", ".join(names) or "none") + ".\n"
    inside = contents(folders, brm.load_pool(pool), brm.load_golden(pool))
    (out / "contents.csv").write_text(csv_of(inside.round(3), index=True), encoding="utf-8")
    text += "\nWhat the batches contain:\n\n" + _plain(inside.reset_index())
    (out / "table.md").write_text(text)
    return text


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="few designs, rounds and seeds, for a look and for CI")
    parser.add_argument("--table", action="store_true", help="only make the table of the runs that are there")
    parser.add_argument("--pool", type=Path, default=QUICKSTART / "pool")
    parser.add_argument("--test", type=Path, default=QUICKSTART / "test")
    parser.add_argument("--out", type=Path, default=Path("runs/designs"))
    parser.add_argument("--design", action="append", help="only this one; may be given several times")
    parser.add_argument("--inference", action="append", choices=list(MODELS), help="only this one")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=8, help="of 125 labels each")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    asked = parser.parse_args()
    designs = asked.design or ordered(brm.designs())
    settings = {"batch_size": 125, "rounds": asked.rounds}
    seeds, inferences = range(asked.seeds), asked.inference or list(MODELS)
    if asked.tiny:
        designs, seeds = list(FIRST[:2]), range(2)
        settings = {"batch_size": 10, "rounds": 2, "prompts": 20, "candidates": 300, "draws": 16}
    if not asked.table:
        configs = plan(asked.pool, asked.test, designs, inferences, seeds, **settings)
        sweep(cells_of(configs, asked.out), asked.out, asked.workers)
    print(report(asked.out, asked.pool))


if __name__ == "__main__":
    main()
