"""The figure of a diagnostic check, drawn by the check itself on a canvas in the style of all figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesrm.diagnostics.checks import CHECKS
from bayesrm.plots.style import BASELINE_COLOUR, COLOURS

SIZE = (5.2, 3.9)
ROW = 0.9
"""Inches that a further row adds."""


class FigureCanvas:
    """A figure that is made when axes are asked for.

    Attributes
    ----------
    figure
        The figure; None as long as nobody asked for axes.
    """

    blue, red, grey = COLOURS[0], COLOURS[1], BASELINE_COLOUR

    def __init__(self) -> None:
        self.figure: Figure | None = None

    def axes(self, rows: int = 1, columns: int = 1, heights: Sequence[float] | None = None) -> Any:
        """One axis, or an array of several."""
        size = (columns * SIZE[0], SIZE[1] + ROW * (rows - 1))
        self.figure = Figure(figsize=size, layout="constrained")
        axes = self.figure.subplots(rows, columns, sharex=rows > 1, height_ratios=heights, squeeze=False)
        for axis in axes.flat:
            _clean(axis)
        return axes[0, 0] if axes.size == 1 else axes.flatten() if 1 in axes.shape else axes


def draw(check: str, data: xr.Dataset) -> Figure | None:
    """The figure of a check; None where it draws nothing."""
    canvas = FigureCanvas()
    CHECKS[check]().draw(data, canvas)
    return canvas.figure


def _clean(axis: Axes) -> None:
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
