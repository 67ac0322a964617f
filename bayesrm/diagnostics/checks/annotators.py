"""Who answers like the others, and who at random."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.annotators import NAME, SUSPECT, annotators, can_be_judged
from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding


class Annotators(Check):
    """Whether each annotator answers as the others' answers predict; needs several named annotators."""

    name: ClassVar[str] = NAME
    order: ClassVar[int] = 65
    title: ClassVar[str] = "Annotators"
    caption: ClassVar[str] = (
        "Dots: the share of an annotator's answers that go as a fit to the others' answers predicts, with 90% "
        "intervals. Bars: what it would be of a typical annotator. Dashed: answers at random."
    )

    def run(self, subject: Subject) -> Finding | None:
        """None where fewer than two annotators are named, or answers cannot be left out."""
        if subject.posterior is None or not can_be_judged(subject.posterior):
            return None
        return annotators(subject.posterior)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """A row an annotator."""
        axis = canvas.axes()
        place = np.arange(data.sizes["annotator"])[::-1]
        right = data["right"].values
        ends = np.maximum([right - data["right_low"].values, data["right_high"].values - right], 0.0)
        suspect = np.maximum(data["random"].values, data["confused"].values)
        for at, row in enumerate(place):
            colour = canvas.red if suspect[at] >= SUSPECT else canvas.blue
            axis.errorbar(right[at], row, xerr=ends[:, [at]], fmt="o", color=colour, capsize=3)
        axis.plot(data["expected"].values, place, "|", color=canvas.grey, markersize=16, markeredgewidth=2)
        axis.axvline(0.5, color=canvas.grey, linestyle="--")
        names = [
            f"{name} ({count})"
            for name, count in zip(data["annotator"].values, data["answers"].values, strict=True)
        ]
        axis.set_yticks(place, [name if len(name) <= 28 else f"{name[:27]}…" for name in names], parse_math=False)
        axis.set(xlabel="answers as the others' answers predict", xlim=(0, 1), ylim=(-0.6, len(place) - 0.4))
