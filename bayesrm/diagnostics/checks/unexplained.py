"""How much features leave out of a reward, and what share of rewards predictive intervals hold therefore."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.repeats import (
    HIGH,
    LOW,
    PEOPLE,
    as_it_should_be,
    foreseen,
    known_coverage,
    pairs_to_repeat,
)
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.predictive import Coverage, Predictive
from bayesrm.types import ResponsePool
from bayesrm.utils.wording import counted

A_FEW = 50
"""Pairs that people might answer for the sake of intervals."""
GAIN = 0.03
"""What they are worth it for: so much less between the bounds of coverage."""


class Unexplained(Check):
    """The spread of what features cannot say, for predictive intervals; needs a posterior of the last layer."""

    name: ClassVar[str] = "unexplained"
    order: ClassVar[int] = 72
    title: ClassVar[str] = "What features leave out of a reward"
    caption: ClassVar[str] = (
        "The posterior of its standard deviation, from answers that share a response. Where it is wide, predictive "
        "intervals may be too wide or too narrow by as much. Whether its tails are heavy labels hardly say: both are "
        "counted on."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Where there are labels and a posterior of the last layer."""
        posterior = subject.posterior
        if not isinstance(posterior, LastLayerPosterior) or len(posterior.preferences) == 0:
            return None
        predictive, u = posterior.predictive, posterior.unexplained
        coverage = known_coverage(predictive, posterior.pool)
        low, high = u.interval()
        least, most = coverage.quantile(0.05), coverage.quantile(0.95)
        data = xr.Dataset(
            {"probability": ("sd", u.probability)},
            {"sd": u.sd},
            {"pairs": u.pairs, "repeated": u.repeated, "least_coverage": least, "most_coverage": most},
        )
        figures = (
            f"90% intervals of a response's reward cover {least:.0%} to {most:.0%}, as far as labels say how much "
            f"features leave out: a standard deviation of {low:.2f} to {high:.2f} logits (90% interval), from "
            f"{counted(u.pairs, 'pair')}, {u.repeated} of them answered more than once"
        )
        if as_it_should_be(coverage):
            return Finding(self.name, "good", f"{figures}.", data)
        return Finding(self.name, "note", f"{figures}. {self._what_to_do(predictive, posterior.pool)}", data)

    def _what_to_do(self, predictive: Predictive, pool: ResponsePool) -> str:
        soon, pairs = foreseen(predictive, pool, A_FEW), pairs_to_repeat(predictive, pool)
        few = (
            f"{counted(A_FEW, 'pair')} answered by {PEOPLE} people each (campaign ask --overlap {PEOPLE}) would bring "
            f"that to about {soon.quantile(0.05):.0%} to {soon.quantile(0.95):.0%}, and say more than as many answers "
            "to different pairs"
        )
        if pairs is None and _width(soon) > _width(known_coverage(predictive, pool)) - GAIN:
            return (
                f"{LOW:.0%} to {HIGH:.0%} takes more labels of other pairs first: how far apart rewards lie is more "
                "open than what features leave out."
            )
        if pairs is None:
            return (
                f"{few}; {LOW:.0%} to {HIGH:.0%} takes more labels of other pairs too, as how far apart rewards lie is "
                "as open."
            )
        return f"{few}; {LOW:.0%} to {HIGH:.0%} takes about {_rounded(pairs)}."

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """The probability of each standard deviation."""
        axis = canvas.axes()
        axis.plot(data["sd"].values, data["probability"].values, color=canvas.blue)
        axis.set(
            xlabel="standard deviation of what features leave out, logits", ylabel="probability", xscale="log"
        )


def _width(coverage: Coverage) -> float:
    return coverage.quantile(0.95) - coverage.quantile(0.05)


def _rounded(pairs: int) -> int:
    """To two digits, as it is an estimate."""
    unit = 10 ** max(0, len(str(pairs)) - 2)
    return -(-pairs // unit) * unit
