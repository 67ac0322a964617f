"""Simulation-based calibration."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.sbc import calibration_verdict
from bayesrm.utils.wording import counted


class SimulationBasedCalibration(Check):
    """Whether simulated truths rank evenly among posterior draws; needs simulation."""

    name: ClassVar[str] = "sbc"
    order: ClassVar[int] = 80
    title: ClassVar[str] = "Simulation-based calibration"
    caption: ClassVar[str] = (
        "Truths drawn from the prior, answers simulated, models fitted: ranks of truths among posterior draws. Exact "
        "posteriors stay within the band. Too narrow ones are above it on the left and below it on the right, too wide "
        "ones the other way round."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Where data were simulated."""
        if subject.simulated is None:
            return None
        return calibration_verdict(subject.simulated, subject.name, subject.seed)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Empirical CDFs less the diagonal, with the band of uniform ones."""
        axis = canvas.axes()
        points = data["point"].values
        band = {"step": "post", "color": canvas.grey, "alpha": 0.2, "linewidth": 0}
        lower, upper = data["lower"] - points, data["upper"] - points
        axis.fill_between(points, lower, upper, label="95% of exact posteriors", **band)
        outside = ((data["ecdf"] < data["lower"]) | (data["ecdf"] > data["upper"])).any("point").values
        for curve, out in zip(data["ecdf"].values, outside, strict=True):
            colour, alpha = (canvas.red, 0.9) if out else (canvas.blue, 0.5)
            axis.plot(points, curve - points, color=colour, linewidth=1.2, alpha=alpha)
        axis.plot([], [], color=canvas.blue, label=f"{counted((~outside).sum(), 'quantity', 'quantities')} within")
        if outside.any():
            axis.plot(
                [], [], color=canvas.red, label=f"{counted(outside.sum(), 'quantity', 'quantities')} outside"
            )
        axis.set(xlabel="rank of the truth among draws", ylabel="cumulative frequency − expected")
        axis.legend(frameon=False, fontsize=8)
