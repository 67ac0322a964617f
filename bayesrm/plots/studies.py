"""Figures of studies: grids of learning curves, forests of intervals, tables of shades, rewards on a plane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayesrm.evaluation.names import BASELINE, METRIC_NAMES
from bayesrm.plots.runs import LENGTH_ALONE
from bayesrm.plots.style import BASELINE_COLOUR, COLOURS, DESIGN_COLOURS, share_scales

METRICS = ("one_minus_spearman", "best_of_n")
"""The paper's rows."""

OTHER_NAMES = {"gain": "gain of a batch, nats"}
"""Axis labels of what is no metric of ranking or calibration."""


@dataclass(frozen=True)
class Line:
    """One curve with its band.

    Parameters
    ----------
    label
        In the legend.
    values
        Dataset with the dimensions ``seed`` and ``round``, a coordinate ``labels``, and a variable a metric.
    colour
        Of the curve and its band.
    dashed
        For what the others are held against.
    """

    label: str
    values: xr.Dataset
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """A column of a grid of learning curves: a title and its lines."""

    title: str
    lines: Sequence[Line]


def design_line(label: str, design: str, values: xr.Dataset) -> Line:
    """A line in its design's colour, dashed where the design is the baseline."""
    return Line(label, values, DESIGN_COLOURS.get(design, COLOURS[0]), dashed=design == BASELINE)


def factor_lines(values: Mapping[str, xr.Dataset]) -> list[Line]:
    """Lines for the values of a factor, in the order given."""
    colours = ("#56B4E9", "#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7")
    return [Line(label, data, colours[i % len(colours)]) for i, (label, data) in enumerate(values.items())]


def curve_grid(
    panels: Sequence[Panel], metrics: Sequence[str] = METRICS, legend: str = "", width: float = 3.6
) -> Figure:
    """Metrics against labels: a row a metric, a column a panel, as in the paper's figures.

    Parameters
    ----------
    panels
        The columns; a legend at the right covers all of them.
    metrics
        Names of variables; of ``best_of_n`` the largest N is drawn. Bands are one standard error over seeds.
    legend
        Its title.
    width
        Of a column, in inches.
    """
    figure = Figure(figsize=(width * len(panels) + 1.7, 2.9 * len(metrics) + 0.3), layout="constrained")
    axes = figure.subplots(len(metrics), len(panels), squeeze=False, sharex="col")
    for i, metric in enumerate(metrics):
        for j, panel in enumerate(panels):
            axis = axes[i, j]
            _clean(axis)
            for line in panel.lines:
                _curve(axis, line, metric)
            _length_alone(axis, panel, metric)
            if i == 0:
                axis.set_title(panel.title, fontsize=10)
            if j == 0:
                axis.set_ylabel(_metric_label(metric, panel))
            if i == len(metrics) - 1:
                axis.set_xlabel("labels")
    for row, shared in zip(axes, share_scales(axes), strict=True):
        if not shared:
            row[0].set_ylabel(f"{row[0].get_ylabel()}\n(each panel has its own scale)")
    seen = {line.label: line for panel in panels for line in panel.lines}
    handles = [
        Line2D([], [], color=line.colour, linestyle=_style(line), marker="o", markersize=3)
        for line in seen.values()
    ]
    figure.legend(handles, list(seen), loc="outside right center", frameon=False, title=legend or None)
    return figure


def forest(
    table: pd.DataFrame, label: str, group: str | None, title: str, reference: float = 1.0, log: bool = True
) -> Figure:
    """Estimates with intervals, one a line, beside a reference.

    Parameters
    ----------
    table
        Columns ``estimate``, ``low``, ``high`` and those below; rows are drawn from the top. An interval may be open:
        infinite ends are arrows.
    label, group
        Column with the name of a row; column whose values get a colour each, None for one colour.
    title
        Of the horizontal axis.
    reference
        Where nothing is gained.
    log
        Whether the axis is logarithmic, as ratios want it.
    """
    figure = Figure(figsize=(6.4, 0.27 * len(table) + 1.0), layout="constrained")
    axis = figure.subplots()
    _clean(axis)
    groups = [] if group is None else list(dict.fromkeys(table[group]))
    finite = table[["estimate", "low", "high"]].to_numpy(dtype=float)
    finite = finite[np.isfinite(finite) & ((finite > 0) | (not log))]
    left, right = (finite.min(), finite.max()) if len(finite) else (0.5, 2.0)
    left, right = min(left, reference), max(right, reference)
    margin = (right / left) ** 0.08 if log else 0.06 * (right - left or 1.0)
    left, right = (left / margin, right * margin) if log else (left - margin, right + margin)
    for place, (_, row) in enumerate(table.iterrows()):
        colour = COLOURS[0] if group is None else COLOURS[groups.index(row[group]) % len(COLOURS)]
        low, high, estimate = (float(row[name]) for name in ("low", "high", "estimate"))
        if math.isnan(estimate):
            axis.text(reference, place, " not reached", va="center", fontsize=7, color=BASELINE_COLOUR)
            continue
        ends = max(low, left), min(high, right)
        axis.plot(ends, [place, place], color=colour, linewidth=1.6)
        if high > right:
            axis.plot(right, place, marker=">", color=colour, markersize=5)
        if low < left:
            axis.plot(left, place, marker="<", color=colour, markersize=5)
        if left <= estimate <= right:
            axis.plot(estimate, place, "o", color=colour, markersize=5)
    axis.axvline(reference, color=BASELINE_COLOUR, linestyle="--", linewidth=1)
    axis.set_yticks(np.arange(len(table)), [str(name) for name in table[label]], fontsize=8)
    axis.set_ylim(len(table) - 0.4, -0.6)
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.tick_params(axis="x", which="both", labelsize=8)
    axis.set_xlim(left, right)
    axis.set_xlabel(title)
    if group is not None and len(groups) > 1:
        handles = [Line2D([], [], color=COLOURS[i % len(COLOURS)], marker="o") for i in range(len(groups))]
        figure.legend(handles, [str(name) for name in groups], loc="outside right center", frameon=False)
    return figure


def shades(tables: Mapping[str, pd.DataFrame], colour_label: str, centre: float | None = None) -> Figure:
    """Matrices of numbers as shades of a colour, side by side on one scale; lower is better and blue.

    Parameters
    ----------
    tables
        Title → matrix, its index down and its columns across; NaN is left white.
    colour_label
        What the numbers are.
    centre
        The number that is white, by default the mean of all.
    """
    columns = max(table.shape[1] for table in tables.values())
    rows = max(table.shape[0] for table in tables.values())
    size = (len(tables) * (0.72 * columns + 1.3) + 0.9, 0.46 * rows + 1.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(tables), squeeze=False)[0]
    everything = np.concatenate([table.to_numpy(dtype=float).ravel() for table in tables.values()])
    middle = float(np.nanmean(everything)) if centre is None else centre
    reach = float(np.nanmax(np.abs(everything - middle))) or 1.0
    norm = TwoSlopeNorm(middle, middle - reach, middle + reach)
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        values = table.to_numpy(dtype=float)
        axis.imshow(values, cmap="RdBu_r", norm=norm, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                strong = abs(value - middle) > 0.6 * reach
                colour = "white" if strong else "black"
                axis.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=8, color=colour)
        axis.set_xticks(range(table.shape[1]), [str(name) for name in table.columns], rotation=35, ha="right")
        axis.set_yticks(range(table.shape[0]), [str(name) for name in table.index])
        axis.set_xlabel(str(table.columns.name or ""))
        axis.set_ylabel(str(table.index.name or ""))
        axis.set_title(title, fontsize=10)
    figure.colorbar(ScalarMappable(norm, "RdBu_r"), ax=list(axes), label=colour_label, shrink=0.8)
    return figure


def reward_maps(maps: xr.Dataset) -> Figure:
    """Rewards learned on a plane and the pairs that were asked about: the paper's figure 1.

    Parameters
    ----------
    maps
        Variables ``reward`` (design, round, y, x); ``pair`` (design, round, comparison, end, axis), the places of
        both responses of each comparison; ``candidate`` (design, point, axis), those of the first round;
        ``truth`` (y, x). Rewards are centred and scaled map by map, as comparisons leave scale to the annotator;
        contours are the truth's.
    """
    designs, rounds = maps["design"].values, maps["round"].values
    figure = Figure(figsize=(1.6 * len(rounds) + 0.8, 1.6 * len(designs) + 0.4), layout="constrained")
    axes = figure.subplots(len(designs), len(rounds), squeeze=False, sharex=True, sharey=True)
    x, y = maps["x"].values, maps["y"].values
    levels = np.quantile(maps["truth"].values, [0.25, 0.5, 0.75, 0.9, 0.97])
    for i, design in enumerate(designs):
        for j, number in enumerate(rounds):
            axis, cell = axes[i, j], maps.sel(design=design, round=number)
            axis.grid(False)
            reward = cell["reward"].values
            spread = reward.std()
            scaled = (reward - reward.mean()) / (spread if spread > 0 else 1.0)
            axis.pcolormesh(x, y, scaled, cmap="viridis", vmin=-2.5, vmax=2.5, shading="nearest", rasterized=True)
            axis.contour(x, y, maps["truth"].values, levels=levels, colors="white", linewidths=0.5, alpha=0.7)
            if j == 0:
                points = cell["candidate"].values
                axis.plot(*points.T, ".", color="#BBBBBB", markersize=1.2, alpha=0.8, rasterized=True)
                axis.set_ylabel(str(design))
            ends = cell["pair"].values
            ends = ends[np.isfinite(ends).all(axis=(1, 2))]
            axis.add_collection(LineCollection(list(ends), colors="#E41A1C", linewidths=0.3, alpha=0.45))
            axis.plot(*ends.reshape(-1, 2).T, ".", color="#E41A1C", markersize=1.8, rasterized=True)
            if i == 0:
                axis.set_title(f"round {int(number) + 1}", fontsize=10)
            axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal")
    return figure


def scatter_lines(
    panels: Mapping[str, Mapping[str, xr.DataArray]],
    dimension: str,
    xlabel: str,
    ylabel: str,
    line: float | None = None,
) -> Figure:
    """Anything against anything: a column a panel, a line a label, bars of one standard error over seeds.

    Parameters
    ----------
    panels
        Title → label → values with the dimensions ``seed`` and ``dimension``; a coordinate ``labels``, if there is one,
        gives the places.
    dimension
        Along which lines run.
    xlabel, ylabel
        Of the axes.
    line
        A horizontal line to read values against.
    """
    figure = Figure(figsize=(3.4 * len(panels) + 1.7, 3.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(label for lines in panels.values() for label in lines))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        _clean(axis)
        for label, values in lines.items():
            place = values["labels"].values if "labels" in values.coords else values[dimension].values
            count = values.notnull().sum("seed").values
            mean = values.mean("seed").values
            error = np.where(count > 1, values.std("seed", ddof=1 if values.sizes["seed"] > 1 else 0).values, 0.0)
            axis.errorbar(
                place,
                mean,
                yerr=error / np.sqrt(np.maximum(count, 1)),
                color=COLOURS[names.index(label) % len(COLOURS)],
                marker="o",
                markersize=4,
                capsize=2,
                label=label,
            )
        if line is not None:
            axis.axhline(line, color=BASELINE_COLOUR, linestyle="--", linewidth=1)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(xlabel)
    axes[0].set_ylabel(ylabel)
    handles = [Line2D([], [], color=COLOURS[i % len(COLOURS)], marker="o") for i in range(len(names))]
    figure.legend(handles, names, loc="outside right center", frameon=False)
    return figure


def _length_alone(axis: Axes, panel: Panel, metric: str) -> None:
    """What length ranks at without any label, where the runs know it."""
    known = [line.values[LENGTH_ALONE] for line in panel.lines if LENGTH_ALONE in line.values]
    values = [float(alone.mean()) for alone in known if bool(alone.notnull().any())]
    if metric == "one_minus_spearman" and values:
        height = float(np.mean(values))
        axis.axhline(height, color=BASELINE_COLOUR, linestyle=":", linewidth=1)
        axis.annotate(
            "length alone", (1, height), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="bottom"
        )


def _curve(axis: Axes, line: Line, metric: str) -> None:
    if metric not in line.values:
        return
    values = line.values[metric]
    if "n" in values.dims:
        values = values.sel(n=int(values["n"].max()))
    values = values.transpose("seed", "round")
    known = values.notnull()
    count = known.sum("seed").values
    kept = count > 0
    if not kept.any():
        return
    labels = np.broadcast_to(values["labels"].values, (values.sizes["round"],))[kept]
    cells = np.ma.masked_invalid(values.values[:, kept])
    mean = cells.mean(axis=0)
    axis.plot(labels, mean, color=line.colour, linestyle=_style(line), marker="o", markersize=3, linewidth=1.3)
    if len(cells) > 1:
        error = cells.std(axis=0, ddof=1) / np.sqrt(count[kept])
        if len(labels) == 1:
            axis.errorbar(labels, mean, error, color=line.colour, linewidth=1.3)
        axis.fill_between(labels, mean - error, mean + error, color=line.colour, alpha=0.13, linewidth=0)


def _metric_label(metric: str, panel: Panel) -> str:
    name, better = METRIC_NAMES.get(metric, (OTHER_NAMES.get(metric, metric), ""))
    sizes = [int(line.values["n"].max()) for line in panel.lines if "n" in line.values.dims]
    if metric == "best_of_n" and sizes:
        name = name.replace("of N", f"of {max(sizes)}")
    return f"{name}\n({better} is better)" if better else name


def _style(line: Line) -> str:
    return "--" if line.dashed else "-"


def _clean(axis: Axes) -> None:
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
