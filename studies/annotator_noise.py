"""Noise of annotators: how designs and models bear it.

A simulated annotator prefers the first response with the probability sigmoid(temperature × difference of golden
rewards), in standard deviations of the golden reward. Answers may also be flipped, or come from five annotators whose
log temperatures have a standard deviation of 1.5. "modelled" means that the likelihood has the flip rate or the
annotators' temperatures as parameters; else it is plain Bradley–Terry, which takes every answer at its word.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.evaluation.comparison import compare
from bayesrm.evaluation.intervals import paired_interval
from bayesrm.evaluation.names import BASELINE
from bayesrm.plots.studies import METRICS, Panel, curve_grid, design_line, shades
from bayesrm.study import StudyResults

MODELLED = ", modelled"


def answer(results: StudyResults) -> str:
    """How many designs beat random under each noise, and what modelling the noise is worth."""
    table = compare(results.trajectory, over="design", baseline=BASELINE)
    others = table[table["design"] != BASELINE]
    better = others[others["area_difference_high"] < 0]
    worse = others[others["area_difference_low"] > 0]
    worth = modelling(results)
    clear = worth[(worth["high"] < 0) | (worth["low"] > 0)]
    said = "; ".join(
        f"{row.design} with {row.noise} {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
        for row in clear.itertuples()
    )
    return (
        f"Of {len(others)} combinations of noise and design, {len(better)} are clearly better than random pairs and "
        f"{len(worse)} clearly worse over the learning curve"
        + (f" (better: {_listed(better)}; worse: {_listed(worse)})." if len(better) + len(worse) else ".")
        + f"\nModelling the noise changes 1 − Spearman at the end by {worth['difference'].mean():+.3f} on average over "
        f"{len(worth)} combinations" + (f", clearly for {said}." if said else "; no single change is clear.")
    )


def figures(results: StudyResults) -> dict[str, Figure]:
    """Learning curves under each noise, and the end of each."""
    trajectory = results.trajectory.isel(pool=0)
    designs = sorted(map(str, trajectory["design"].values), key=lambda design: design == BASELINE)
    panels = [
        Panel(str(noise), [design_line(d, d, trajectory.sel(noise=noise, design=d)) for d in designs])
        for noise in trajectory["noise"].values
    ]
    last = trajectory["one_minus_spearman"].isel(round=-1).mean("seed").transpose("noise", "design").to_pandas()
    return {
        "learning_curves": curve_grid(panels, METRICS, f"design\n({trajectory.sizes['seed']} seeds)", width=2.3),
        "at_the_end": shades({"1 − Spearman at the end": last}, "1 − Spearman"),
    }


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Designs against random by noise, and modelling against not."""
    return {
        "designs": compare(results.trajectory, over="design", baseline=BASELINE),
        "modelling_the_noise": modelling(results),
    }


def modelling(results: StudyResults) -> pd.DataFrame:
    """1 − Spearman at the end with the noise modelled, less that without, paired by seed."""
    last = results.trajectory.isel(pool=0, round=-1)["one_minus_spearman"]
    noises = [str(noise) for noise in last["noise"].values]
    rows = []
    for noise in noises:
        plain = noise.removesuffix(MODELLED)
        if plain == noise or plain not in noises:
            continue
        for design in last["design"].values:
            pair = last.sel(noise=noise, design=design), last.sel(noise=plain, design=design)
            interval = paired_interval(pair[0].values, pair[1].values)
            rows.append(
                {
                    "noise": plain,
                    "design": str(design),
                    "modelled": float(pair[0].mean()),
                    "not_modelled": float(pair[1].mean()),
                    "difference": interval.estimate,
                    "low": interval.low,
                    "high": interval.high,
                }
            )
    return pd.DataFrame(rows, columns=["noise", "design", "modelled", "not_modelled", "difference", "low", "high"])


def _listed(rows: pd.DataFrame) -> str:
    return ", ".join(f"{row.design} with {row.noise}" for row in rows.itertuples()) or "none"
