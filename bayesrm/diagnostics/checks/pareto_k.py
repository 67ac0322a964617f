"""Pareto k̂: an approximation against the exact density."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.importance import pareto_k


class ParetoK(Check):
    """Whether an approximation can be reweighted to the exact posterior, by Pareto k̂ of its importance ratios."""

    name: ClassVar[str] = "pareto_k"
    order: ClassVar[int] = 10
    title: ClassVar[str] = "The approximation against the exact density"
    caption: ClassVar[str] = (
        "Left: importance ratios of the draws. Right: the moments that the exact posterior has, by reweighting; bars "
        "are two Monte Carlo standard errors."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Of the draws' densities."""
        return pareto_k(subject.tree)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Importance ratios in order, and what reweighting by them does to means and sds."""
        ratios, moments = canvas.axes(columns=2)
        ratios.plot(data["draw"], data["log_ratio"], color=canvas.blue)
        ratios.set(
            xlabel="draw, in order",
            ylabel="log exact density − log approximation, nats",
            title=f"Pareto k̂ = {float(data['k']):.2f} (good below {float(data['good_k']):.2f})",
        )
        if np.isfinite(data["corrected_mean"]).all():
            shift = (data["corrected_mean"] - data["mean"]) / data["corrected_sd"]
            error = 2 * data["shift_error"] / data["corrected_sd"]
            ratio = data["sd"] / data["corrected_sd"]
            moments.errorbar(shift, ratio, xerr=error, fmt="o", markersize=4, color=canvas.blue, elinewidth=0.6)
        else:
            place = {"ha": "center", "transform": moments.transAxes, "color": canvas.grey}
            moments.text(0.5, 0.5, "k̂ is too large to correct", **place)
        moments.axhline(1, color=canvas.grey, linestyle="--")
        moments.axvline(0, color=canvas.grey, linestyle="--")
        moments.set(
            xlabel="exact mean − approximate, sd", ylabel="approximate sd / exact", title="One dot a quantity"
        )
