"""Figures of a diagnosis, one a check, from its datasets alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesrm.plots.runs import BASELINE_COLOUR, COLOURS

BLUE, RED = COLOURS[0], COLOURS[1]
GREY = BASELINE_COLOUR
SIZE = (5.2, 3.9)


def draw(check: str, data: xr.Dataset) -> Figure | None:
    """The figure of a check; None where it has none."""
    return FIGURES[check](data) if check in FIGURES else None


def rank_curves(data: xr.Dataset) -> Figure:
    """Empirical CDFs of simulation-based calibration, less the diagonal, with the band of uniform ones."""
    figure, axis = _figure()
    points = data["point"].values
    band: dict[str, Any] = {"step": "post", "color": GREY, "alpha": 0.2, "linewidth": 0}
    axis.fill_between(
        points, data["lower"] - points, data["upper"] - points, label="95% of exact posteriors", **band
    )
    outside = ((data["ecdf"] < data["lower"]) | (data["ecdf"] > data["upper"])).any("point").values
    for curve, out in zip(data["ecdf"].values, outside, strict=True):
        axis.plot(points, curve - points, color=RED if out else BLUE, linewidth=1.2, alpha=0.9 if out else 0.5)
    axis.plot([], [], color=BLUE, label=f"{int((~outside).sum())} quantities within")
    if outside.any():
        axis.plot([], [], color=RED, label=f"{int(outside.sum())} quantities outside")
    axis.set(xlabel="rank of the truth among draws", ylabel="cumulative frequency − expected")
    axis.legend(frameon=False, fontsize=8)
    return figure


def coverage_curve(data: xr.Dataset) -> Figure:
    """Coverage of central intervals against their level, with three standard errors."""
    figure, axis = _figure()
    level = data["level"].values
    axis.plot([0.45, 1], [0.45, 1], color=GREY, linestyle="--", label="as it should be")
    axis.errorbar(
        level, data["coverage"], yerr=3 * data["error"], color=BLUE, marker="o", capsize=3, label="measured"
    )
    axis.set(xlabel="level of the interval", ylabel="truths inside", title="Bars are 3 standard errors")
    axis.legend(frameon=False, fontsize=8)
    return figure


def reliability_diagram(data: xr.Dataset) -> Figure:
    """Observed against predicted preference probability, with 95% intervals, and how many pairs a bin has."""
    figure = Figure(figsize=(SIZE[0], SIZE[1] + 0.9), layout="constrained")
    axis, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _clean(axis)
    _clean(below)
    kept = data.isel(bin=np.flatnonzero(data["pairs"].values > 0))
    observed = kept["observed"]
    bars = np.maximum([observed - kept["lower"], kept["upper"] - observed], 0.0)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="calibrated")
    axis.errorbar(kept["predicted"], observed, yerr=bars, color=BLUE, marker="o", capsize=3, label="observed")
    axis.set(ylabel="first preferred")
    axis.legend(frameon=False, fontsize=8)
    below.bar(data["bin"], data["pairs"], width=0.9 / data.sizes["bin"], color=GREY)
    below.set(xlabel="predicted P(first preferred)", ylabel="pairs")
    return figure


def importance_figure(data: xr.Dataset) -> Figure:
    """Importance ratios in order, and what reweighting by them does to means and sds."""
    figure = Figure(figsize=(2 * SIZE[0], SIZE[1]), layout="constrained")
    ratios, moments = figure.subplots(1, 2)
    _clean(ratios)
    _clean(moments)
    ratios.plot(data["draw"], data["log_ratio"], color=BLUE)
    ratios.set(
        xlabel="draw, in order",
        ylabel="log exact density − log approximation, nats",
        title=f"Pareto k̂ = {float(data['k']):.2f} (good below {float(data['good_k']):.2f})",
    )
    if np.isfinite(data["corrected_mean"]).all():
        shift = (data["corrected_mean"] - data["mean"]) / data["corrected_sd"]
        error = 2 * data["shift_error"] / data["corrected_sd"]
        ratio = data["sd"] / data["corrected_sd"]
        moments.errorbar(shift, ratio, xerr=error, fmt="o", markersize=4, color=BLUE, elinewidth=0.6)
    else:
        moments.text(0.5, 0.5, "k̂ is too large to correct", ha="center", transform=moments.transAxes, color=GREY)
    moments.axhline(1, color=GREY, linestyle="--")
    moments.axvline(0, color=GREY, linestyle="--")
    moments.set(xlabel="exact mean − approximate, sd", ylabel="approximate sd / exact", title="One dot a quantity")
    return figure


def sensitivity_figure(data: xr.Dataset) -> Figure:
    """Prior against likelihood sensitivity, with the threshold of the paper."""
    figure, axis = _figure()
    axis.scatter(data["likelihood"], data["prior"], color=BLUE, s=18)
    axis.axhline(0.05, color=GREY, linestyle="--")
    axis.axvline(0.05, color=GREY, linestyle="--")
    axis.set(xlabel="sensitivity to the labels", ylabel="sensitivity to the prior", title="One dot a quantity")
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    return figure


def spectrum_figure(data: xr.Dataset) -> Figure:
    """Eigenvalues of the features' covariance, as shares."""
    figure, axis = _figure()
    value = data["eigenvalue"].values
    share = value / max(value.sum(), np.finfo(float).tiny)
    axis.plot(np.arange(1, len(share) + 1), share, color=BLUE, marker="o", markersize=3)
    axis.axvline(float(data["entropy_rank"]), color=RED, linestyle="--", label="effective rank, by entropy")
    axis.set(xlabel="direction", ylabel="share of the variance")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=8)
    return figure


def mixing_figure(data: xr.Dataset) -> Figure:
    """Effective draws of every quantity."""
    figure, axis = _figure()
    place = np.arange(data.sizes["quantity"])
    for name, colour in (("ess_bulk", BLUE), ("ess_tail", RED)):
        axis.plot(place, data[name], "o", color=colour, markersize=4, label=name.replace("ess_", ""))
    axis.axhline(data.attrs["chains"] * data.attrs["draws"], color=GREY, linestyle="--", label="draws")
    axis.set(xlabel="quantity", ylabel="effective draws")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=8)
    return figure


def distance_figure(data: xr.Dataset) -> Figure:
    """Means and sds against the reference, with two standard errors."""
    figure, axis = _figure()
    axis.errorbar(
        data["mean_shift"],
        data["sd_ratio"],
        xerr=2 * data["shift_error"],
        yerr=2 * data["ratio_error"],
        fmt="o",
        markersize=4,
        color=BLUE,
        elinewidth=0.6,
    )
    axis.axhline(1, color=GREY, linestyle="--")
    axis.axvline(0, color=GREY, linestyle="--")
    axis.set(xlabel="mean − reference mean, sd", ylabel="sd / reference sd", title="One dot a quantity")
    return figure


FIGURES: dict[str, Callable[[xr.Dataset], Figure]] = {
    "sbc": rank_curves,
    "coverage": coverage_curve,
    "golden_coverage": coverage_curve,
    "reliability": reliability_diagram,
    "pareto_k": importance_figure,
    "convergence": mixing_figure,
    "sensitivity": sensitivity_figure,
    "feature_rank": spectrum_figure,
    "distance": distance_figure,
}


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axis = figure.subplots()
    _clean(axis)
    return figure, axis


def _clean(axis: Axes) -> None:
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
