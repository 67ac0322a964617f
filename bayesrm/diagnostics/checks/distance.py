"""A posterior against one that is believed."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.distance import distance
from bayesrm.diagnostics.finding import Finding


class Distance(Check):
    """How far the posterior is from a reference, such as long NUTS; needs the reference."""

    name: ClassVar[str] = "distance"
    order: ClassVar[int] = 40
    title: ClassVar[str] = "Against the reference posterior"
    caption: ClassVar[str] = "Bars are two Monte Carlo standard errors."

    def run(self, subject: Subject) -> Finding | None:
        """Where there is a reference."""
        return None if subject.reference is None else distance(subject.tree, subject.reference, subject.seed)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Means and sds against the reference, with two standard errors."""
        axis = canvas.axes()
        axis.errorbar(
            data["mean_shift"],
            data["sd_ratio"],
            xerr=2 * data["shift_error"],
            yerr=2 * data["ratio_error"],
            fmt="o",
            markersize=4,
            color=canvas.blue,
            elinewidth=0.6,
        )
        axis.axhline(1, color=canvas.grey, linestyle="--")
        axis.axvline(0, color=canvas.grey, linestyle="--")
        axis.set(xlabel="mean − reference mean, sd", ylabel="sd / reference sd", title="One dot a quantity")
