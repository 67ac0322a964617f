"""Coverage of true values in simulated data."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.coverage import coverage, coverage_verdict
from bayesrm.diagnostics.draws import quantities
from bayesrm.diagnostics.finding import Finding


class Coverage(Check):
    """How often intervals hold the simulated truth; needs simulation."""

    name: ClassVar[str] = "coverage"
    order: ClassVar[int] = 90
    title: ClassVar[str] = "Coverage in simulated data"
    caption: ClassVar[str] = "How often central intervals hold the simulated truth."

    def run(self, subject: Subject) -> Finding | None:
        """Where data were simulated."""
        if subject.simulated is None:
            return None
        pit = quantities(subject.simulated, "prior_sbc").values[0]
        replication = np.repeat(np.arange(len(pit)), pit.shape[1])
        data = coverage(pit.reshape(-1), replication)
        return coverage_verdict(self.name, subject.name, data, "of the true values in simulated data")

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Coverage against level."""
        coverage_curve(data, canvas)


def coverage_curve(data: xr.Dataset, canvas: Canvas) -> None:
    """Coverage of central intervals against their level, with three standard errors."""
    axis = canvas.axes()
    axis.plot([0.45, 1], [0.45, 1], color=canvas.grey, linestyle="--", label="as it should be")
    style = {"color": canvas.blue, "marker": "o", "capsize": 3, "label": "measured"}
    axis.errorbar(data["level"].values, data["coverage"], yerr=3 * data["error"], **style)
    axis.set(xlabel="level of the interval", ylabel="truths inside", title="Bars are 3 standard errors")
    axis.legend(frameon=False, fontsize=8)
