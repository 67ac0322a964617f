"""How much features leave out of a reward, and whether the labels say so."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.utils.wording import counted


class Unexplained(Check):
    """The spread of what features cannot say, for predictive intervals; needs a posterior of the last layer."""

    name: ClassVar[str] = "unexplained"
    order: ClassVar[int] = 72
    title: ClassVar[str] = "What features leave out of a reward"
    caption: ClassVar[str] = (
        "The posterior of its standard deviation, from answers that share a response. Where it is wide, so is the "
        "doubt about predictive intervals."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Where there are labels and a posterior of the last layer."""
        posterior = subject.posterior
        if not isinstance(posterior, LastLayerPosterior) or len(posterior.preferences) == 0:
            return None
        u = posterior.unexplained
        low, high = u.interval()
        data = xr.Dataset({"probability": ("sd", u.probability)}, {"sd": u.sd}, {"products": u.products})
        figures = f"a standard deviation of {low:.2f} to {high:.2f} logits (90% interval)"
        from_what = f"from {counted(u.products, 'pair')} of answers that share a response"
        if u.identified:
            return Finding(
                self.name, "good", f"What features leave out of a reward has {figures}, {from_what}.", data
            )
        return Finding(
            self.name,
            "note",
            f"The labels do not say how much features leave out of a reward: {figures}, {from_what}. Predictive "
            "intervals may be too wide or too narrow by as much: ask some pairs of two people (campaign ask "
            "--overlap 2), or more pairs about the same responses.",
            data,
        )

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """The probability of each standard deviation."""
        axis = canvas.axes()
        axis.plot(data["sd"].values, data["probability"].values, color=canvas.blue)
        axis.set(
            xlabel="standard deviation of what features leave out, logits", ylabel="probability", xscale="log"
        )
