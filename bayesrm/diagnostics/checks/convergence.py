"""Mixing of Markov chains."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.convergence import convergence
from bayesrm.diagnostics.finding import Finding


class Convergence(Check):
    """Whether chains have mixed: R̂, effective draws, divergences."""

    name: ClassVar[str] = "convergence"
    order: ClassVar[int] = 20
    title: ClassVar[str] = "Mixing of the chains"
    caption: ClassVar[str] = "Effective draws of the centre and of the tails."

    def run(self, subject: Subject) -> Finding | None:
        """Of the chains."""
        return convergence(subject.tree)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Effective draws of every quantity."""
        axis = canvas.axes()
        place = np.arange(data.sizes["quantity"])
        for name, colour in (("ess_bulk", canvas.blue), ("ess_tail", canvas.red)):
            axis.plot(place, data[name], "o", color=colour, markersize=4, label=name.replace("ess_", ""))
        axis.axhline(data.attrs["chains"] * data.attrs["draws"], color=canvas.grey, linestyle="--", label="draws")
        axis.set(xlabel="quantity", ylabel="effective draws")
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=8)
