"""Figures, from datasets alone: nothing here knows of models."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesrm.evaluation.names import BASELINE, METRIC_NAMES, NEEDS_NO_LABEL
from bayesrm.plots.style import BASELINE_COLOUR, COLOURS, colours_of, in_order, share_scales
from bayesrm.utils.wording import counted

LENGTH_ALONE = f"{NEEDS_NO_LABEL}log_characters"


def learning_curves(
    trajectory: xr.Dataset, metrics: tuple[str, ...] = ("one_minus_spearman", "best_of_n")
) -> Figure:
    """Metrics against labels: a row a metric, a column for each setting that was run, a line a design.

    Parameters
    ----------
    trajectory
        Combined ``trajectory`` (dimensions design, seed, round, and any others, which are the settings); bands are
        one standard error over seeds. Of ``best_of_n`` the largest N is drawn.
    metrics
        Names of variables.
    """
    metrics = tuple(name for name in metrics if name in trajectory)
    columns = _settings(trajectory, metrics[0])
    figure = Figure(figsize=(4.6 * len(columns) + 1.6, 3.4 * len(metrics)), layout="constrained")
    axes = figure.subplots(len(metrics), len(columns), squeeze=False, sharex=True)
    for i, metric in enumerate(metrics):
        for j, place in enumerate(columns):
            axis = axes[i, j]
            values = trajectory[metric].sel(place)
            name, better = METRIC_NAMES.get(metric, (metric, ""))
            if "n" in values.dims:
                n = int(values["n"].max())
                values, name = values.sel(n=n), name.replace("of N", f"of {n}")
            _lines(axis, values)
            if metric == "one_minus_spearman" and LENGTH_ALONE in trajectory:
                alone = trajectory[LENGTH_ALONE].sel(place)
                if bool(alone.notnull().any()):
                    axis.axhline(float(alone.mean()), color=BASELINE_COLOUR, linestyle=":", label="length alone")
            if i == 0:
                axis.set_title(_title(place, trajectory))
            if j == 0:
                axis.set_ylabel(f"{name}\n({better} is better)" if better else name)
            if i == len(metrics) - 1:
                axis.set_xlabel("labels")
    for row, shared in zip(axes, share_scales(axes), strict=True):
        if not shared:
            row[0].set_ylabel(f"{row[0].get_ylabel()}\n(each panel has its own scale)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, title=_legend_title(trajectory))
    return figure


def _settings(trajectory: xr.Dataset, metric: str) -> list[dict[str, Any]]:
    """The combinations of all dimensions but design, seed and round that have a value."""
    names = [n for n in trajectory[metric].dims if n not in ("design", "seed", "round", "n", "test_prompt")]
    places = [
        dict(zip(map(str, names), labels, strict=True))
        for labels in product(*(trajectory[n].values for n in names))
    ]
    return [place for place in places if bool(trajectory[metric].sel(place).notnull().any())]


def _title(place: dict[str, Any], trajectory: xr.Dataset) -> str:
    """Inference and scope always, other settings where they differ."""
    shown = [str(place[name]) for name in ("inference",) if name in place]
    shown += [f"{place[name]} pairs" for name in ("scope",) if name in place]
    shown += [
        str(value) if isinstance(value, str) else f"{name.replace('_', ' ')} {value}"
        for name, value in place.items()
        if name not in ("inference", "scope") and trajectory.sizes[name] > 1
    ]
    return ", ".join(shown)


def _legend_title(trajectory: xr.Dataset) -> str:
    seeds = trajectory.sizes["seed"]
    return "design" if seeds == 1 else f"design\n(mean ± 1 s.e.,\n{seeds} seeds)"


def batch_projection(projection: xr.Dataset) -> Figure:
    """Where a batch lies: responses as points, pairs as lines, darker the more they gained.

    Parameters
    ----------
    projection
        Of ``batch.explain()``.
    """
    figure = Figure(figsize=(6.4, 5.0), layout="constrained")
    axis = figure.subplots()
    position, gain = projection["position"].values, projection["gain"].values
    axis.scatter(
        position[:, 0], position[:, 1], s=6, color=BASELINE_COLOUR, alpha=0.4, linewidths=0, label="responses"
    )
    ends = np.stack([projection["first_position"].values, projection["second_position"].values], axis=1)
    most = gain.max(initial=0.0)
    # The first are drawn last: they gained most, and lie on top.
    strength = 0.2 + 0.8 * (gain / most if most > 0 else np.ones(len(gain)))
    for line, alpha in zip(ends[::-1], strength[::-1], strict=True):
        axis.plot(*line.T, color=COLOURS[0], alpha=float(alpha), linewidth=1.0, marker="o", markersize=2.5)
    share = projection["share"].values
    axis.set_xlabel(f"direction 1, {share[0]:.0%} of the variance (standard deviations of a logit)")
    axis.set_ylabel(f"direction 2, {share[1]:.0%} of the variance")
    axis.set_title(f"{counted(len(ends), 'pair')} chosen by {projection.attrs['design']}")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG (or by the path's suffix)."""
    figure.savefig(path, dpi=150)


def svg(figure: Figure) -> str:
    """A figure as an SVG element, to stand inside a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _lines(axis: Axes, values: xr.DataArray) -> None:
    """One line a design, with its standard error over seeds."""
    colours = colours_of(values["design"].values)
    for design in in_order(values["design"].values):
        style: dict[str, Any] = {"color": colours[design], "linestyle": "--" if design == BASELINE else "-"}
        curve = values.sel(design=design).dropna("seed", how="all")
        if curve.sizes["seed"] == 0:
            continue
        labels, mean = curve["labels"].values, curve.mean("seed").values
        axis.plot(labels, mean, label=design, marker="o", markersize=3, **style)
        if curve.sizes["seed"] > 1:
            error = curve.std("seed", ddof=1).values / np.sqrt(curve.sizes["seed"])
            axis.fill_between(labels, mean - error, mean + error, color=style["color"], alpha=0.15, linewidth=0)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
