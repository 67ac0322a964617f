"""The layouts of the paper's figures, from a study's trajectory, and what they say in words.

Studies of the paper's figures have a dimension ``approach`` whose labels are "paper <design>" or "ours <design>": the
paper's computation, and this project's, side by side. A pool may be labelled "<generator> <task>": tasks then get
figures of their own, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bayesrm.evaluation.comparison import compare, saving_sentence
from bayesrm.evaluation.names import BASELINE
from bayesrm.plots.studies import METRICS, Line, Panel, curve_grid, design_line, factor_lines
from bayesrm.utils.wording import counted, one_or_many

if TYPE_CHECKING:
    from bayesrm.study import StudyResults

NAMES = {
    "random": "Random",
    "entropy": "Entropy",
    "maxdiff": "Maxdiff",
    "xtx": "det(XtX)",
    "coreset": "Coreset",
    "batchbald": "BatchBALD",
    "dopt": "D-opt",
    "pa-dopt": "PA D-opt",
    "bald": "BALD",
    "epig": "EPIG",
    "default": "all defaults",
}
"""The paper's names of designs, and ours."""
WHO = {"paper": "as the paper computes it", "ours": "ours"}


def split(approach: str) -> tuple[str, str]:
    """Who computes an approach, and its design."""
    who, _, design = approach.partition(" ")
    return who, design


def display(approach: str) -> str:
    """An approach's name in the paper, "ours" said where it is."""
    who, design = split(approach)
    return NAMES.get(design, design) if who == "paper" else f"{who}: {NAMES.get(design, design)}"


def tasks(trajectory: xr.Dataset) -> dict[str, list[str]]:
    """Task → the pools that pose it; one nameless task where pools are not labelled so."""
    pools = [str(pool) for pool in trajectory["pool"].values]
    if not all(" " in pool for pool in pools):
        return {"": pools}
    found: dict[str, list[str]] = {}
    for pool in pools:
        found.setdefault(pool.rpartition(" ")[2], []).append(pool)
    return found


def by_who(trajectory: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """The approaches of each who computes some, in order."""
    approaches = [str(approach) for approach in trajectory["approach"].values]
    for who in dict.fromkeys(split(approach)[0] for approach in approaches):
        yield who, trajectory.sel({"approach": [approach for approach in approaches if split(approach)[0] == who]})


def efficiency(trajectory: xr.Dataset) -> dict[str, Figure]:
    """Figures 3, 5, 6, 7: a figure a scope and task, a column a pool and computation, a line a design."""
    figures = {}
    for scope in trajectory["scope"].values:
        for task, pools in tasks(trajectory).items():
            panels = [
                Panel(f"{pool}, {WHO.get(who, who)}", list(_designs(part.sel(pool=pool, scope=scope))))
                for who, part in by_who(trajectory)
                for pool in pools
            ]
            name = "_".join(filter(None, [str(scope).replace("-", "_"), task]))
            figures[name] = curve_grid(panels, METRICS, _seeds("design", trajectory))
    return figures


class FactorStudy(NamedTuple):
    """What the script of a study of one factor has: its answer, figures and tables."""

    answer: Callable[[StudyResults], str]
    figures: Callable[[StudyResults], dict[str, Figure]]
    tables: Callable[[StudyResults], dict[str, pd.DataFrame]]


def factor_study(name: str, noun: str) -> FactorStudy:
    """A study of what one factor does to every approach.

    Parameters
    ----------
    name
        The factor's dimension.
    noun
        What its values are, as in "50 instead of 100 labels a round".
    """
    return FactorStudy(
        lambda results: says_factor(results.trajectory, name, noun),
        lambda results: factor(results.trajectory, name, noun),
        lambda results: {"effects": factor_effects(results.trajectory, name)},
    )


def factor(trajectory: xr.Dataset, name: str, title: str) -> dict[str, Figure]:
    """Figures 4 and 8 to 22: a figure a pool, a column an approach, a line a value of the factor.

    Parameters
    ----------
    trajectory
        With the dimensions pool, approach, seed, round and the factor's.
    name
        The factor's dimension.
    title
        What its values are, for the legend.
    """
    figures = {}
    for pool in trajectory["pool"].values:
        panels = []
        for approach in trajectory["approach"].values:
            cells = trajectory.sel({"pool": pool, "approach": approach})
            values = {str(value): cells.sel({name: value}) for value in trajectory[name].values}
            panels.append(Panel(display(str(approach)), factor_lines(values)))
        figures[f"by_method_{str(pool).replace(' ', '_')}"] = curve_grid(
            panels, METRICS, _seeds(title, trajectory), width=2.3
        )
    return figures


def _designs(cells: xr.Dataset) -> Iterator[Line]:
    """Lines of the approaches that were run; random, which others are held against, comes last."""
    approaches = [str(approach) for approach in cells["approach"].values]
    for approach in sorted(approaches, key=lambda label: split(label)[1] == BASELINE):
        design = split(approach)[1]
        yield design_line(NAMES.get(design, design), design, cells.sel(approach=approach))


def _seeds(title: str, trajectory: xr.Dataset) -> str:
    seeds = trajectory.sizes["seed"]
    return title if seeds == 1 else f"{title}\n(mean ± 1 s.e.,\n{seeds} seeds)"


def standings(trajectory: xr.Dataset) -> pd.DataFrame:
    """Every approach against random of the same computation, see :func:`bayesrm.evaluation.comparison.compare`."""
    parts = []
    for who, part in by_who(trajectory):
        baseline = f"{who} {BASELINE}"
        if baseline in part["approach"].values and part.sizes["approach"] > 1:
            parts.append(compare(part, over="approach", baseline=baseline))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def says_who_wins(trajectory: xr.Dataset) -> str:
    """A sentence for each computation: its best approach, and how many are clearly better or worse than random."""
    table = standings(trajectory)
    sentences = []
    for who, part in by_who(trajectory):
        rows = table[table["approach"].isin([str(approach) for approach in part["approach"].values])]
        rows = rows[rows["approach"] != f"{who} {BASELINE}"]
        if len(rows):
            sentences.append(f"{_subject(who)} {_verdict(rows)}")
    return "\n".join(sentences)


def _subject(who: str) -> str:
    return "As the paper computes them," if who == "paper" else "With our model,"


def _verdict(rows: pd.DataFrame) -> str:
    better, worse = int((rows["area_difference_high"] < 0).sum()), int((rows["area_difference_low"] > 0).sum())
    mean = rows.groupby("approach")["area_difference"].mean()
    best = str(mean.idxmin())
    own = rows[rows["approach"] == best].sort_values("area_difference")
    row = own.iloc[0]
    low, high = row["area_difference_low"], row["area_difference_high"]
    saved = saving_sentence({**row, "approach": display(best), "baseline": NAMES[BASELINE]}, over="approach")
    where = ", ".join(str(row[name]) for name in ("pool", "scope") if name in row)
    if mean[best] < 0:
        which = f"the best is {display(best)}"
    elif len(mean) > 1:
        which = f"none is better than random on average, and {display(best)} comes closest"
    else:
        which = f"{display(best)} is no better than random on average"
    return (
        f"{better} of {counted(len(rows), 'comparison')} of a design with random pairs "
        f"{one_or_many(better, 'is', 'are')} clearly better and {worse} clearly worse (95% intervals); {which} "
        f"({row['area_difference']:+.3f}, {low:+.3f} to {high:+.3f}, in 1 − Spearman averaged over the curve; {where}):"
        f" {saved}."
    )


def factor_effects(trajectory: xr.Dataset, name: str) -> pd.DataFrame:
    """For each approach, the values of a factor against the first: see :mod:`bayesrm.evaluation.comparison`.

    Runs of more labels at a time are compared over the numbers of labels that both come to.
    """
    table = compare(trajectory, over=name, baseline=trajectory[name].values[0].item())
    return table.assign(approach=[display(str(approach)) for approach in table["approach"]])


def says_factor(trajectory: xr.Dataset, name: str, noun: str) -> str:
    """A sentence for each value of a factor but the first: what changes, and for how many approaches clearly."""
    table = factor_effects(trajectory, name)
    first = trajectory[name].values[0]
    sentences = []
    for value in trajectory[name].values[1:]:
        rows = table[table[name] == value]
        if len(rows) == 0:
            continue
        change = rows["area_difference"]
        better, worse = int((rows["area_difference_high"] < 0).sum()), int((rows["area_difference_low"] > 0).sum())
        least, most = rows.loc[change.idxmin()], rows.loc[change.idxmax()]
        sentences.append(
            f"{value} instead of {first} {noun} changes 1 − Spearman, averaged over the curve, by "
            f"{change.mean():+.3f} on average over {counted(len(rows), 'approach', 'approaches')}, from "
            f"{change.min():+.3f} ({least['approach']}) to {change.max():+.3f} ({most['approach']}); it is clearly "
            f"better for {better} and clearly worse for {worse} (95% intervals)."
        )
    return "\n".join(sentences)
