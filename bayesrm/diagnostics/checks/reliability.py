"""Calibration of preference probabilities."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.reliability import reliability, reliability_verdict
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.metrics import predict
from bayesrm.types import require_within


class Reliability(Check):
    """Whether preferences come as often as they are predicted; needs a test pool or held-out answers."""

    name: ClassVar[str] = "reliability"
    order: ClassVar[int] = 60
    title: ClassVar[str] = "Calibration of preference probabilities"
    caption: ClassVar[str] = "Each pair counts in both orientations; bars are 95% intervals."

    def run(self, subject: Subject) -> Finding | None:
        """Against golden probabilities of a test pool, else against held-out answers.

        Raises
        ------
        InvalidInputError
            Where held-out preferences are none, or of another pool.
        """
        posterior, held_out = subject.posterior, subject.held_out
        if posterior is None:
            return None
        if subject.test is not None:
            predicted = predict(posterior, *subject.test, subject.temperature)
            group = predicted.group[predicted.first]
            data = reliability(predicted.probability, predicted.golden_probability, group, subject.seed)
            return reliability_verdict(data, "pairs of test responses")
        if held_out is None and subject.history is not None:
            told = subject.history
            predicted_of, outcome = told["probability"].values, told["outcome"].values
            data = reliability(predicted_of, outcome, told["prompt"].values, subject.seed)
            return reliability_verdict(data, "answers to prompts that were held out")
        if held_out is None:
            return None
        require_within(held_out, posterior.pool)
        if len(held_out) == 0:
            raise InvalidInputError("expected held-out preferences, and there are none")
        probability = posterior.preference_probability(posterior.pool, held_out.first, held_out.second)
        data = reliability(probability, held_out.outcome, posterior.pool.group[held_out.first], subject.seed)
        return reliability_verdict(data, "held-out comparisons")

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Observed against predicted preference probability, with 95% intervals, and how many pairs a bin has."""
        axis, below = canvas.axes(rows=2, heights=(4.0, 1.0))
        kept = data.isel(bin=np.flatnonzero(data["pairs"].values > 0))
        observed = kept["observed"]
        bars = np.maximum([observed - kept["lower"], kept["upper"] - observed], 0.0)
        axis.plot([0, 1], [0, 1], color=canvas.grey, linestyle="--", label="calibrated")
        style = {"color": canvas.blue, "marker": "o", "capsize": 3, "label": "observed"}
        axis.errorbar(kept["predicted"], observed, yerr=bars, **style)
        axis.set(ylabel="first preferred")
        axis.legend(frameon=False, fontsize=8)
        below.bar(data["bin"], data["pairs"], width=0.9 / data.sizes["bin"], color=canvas.grey)
        below.set(xlabel="predicted P(first preferred)", ylabel="pairs")
