"""Power scaling of prior and likelihood."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.sensitivity import SENSITIVE, sensitivity


class Sensitivity(Check):
    """How much prior and labels each move the posterior, by power scaling."""

    name: ClassVar[str] = "sensitivity"
    order: ClassVar[int] = 30
    title: ClassVar[str] = "Sensitivity to prior and labels"
    caption: ClassVar[str] = (
        "Power scaling: above the line the prior scale matters; there and left of the other, the prior speaks alone."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Of the draws' densities."""
        return sensitivity(subject.tree)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Prior against likelihood sensitivity, with the threshold of the paper."""
        axis = canvas.axes()
        axis.scatter(data["likelihood"], data["prior"], color=canvas.blue, s=18)
        axis.axhline(SENSITIVE, color=canvas.grey, linestyle="--")
        axis.axvline(SENSITIVE, color=canvas.grey, linestyle="--")
        labels = {"xlabel": "sensitivity to the labels", "ylabel": "sensitivity to the prior"}
        axis.set(**labels, title="One dot a quantity")
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
