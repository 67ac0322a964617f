"""Coverage of golden logits on test prompts."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.checks.coverage import coverage_curve
from bayesrm.diagnostics.coverage import coverage, coverage_verdict, golden_pit
from bayesrm.diagnostics.finding import Finding


class GoldenCoverage(Check):
    """How often intervals hold golden logits of test pairs; needs a test pool and a posterior with spread."""

    name: ClassVar[str] = "golden_coverage"
    order: ClassVar[int] = 70
    title: ClassVar[str] = "Coverage of golden logits"
    caption: ClassVar[str] = (
        "How often central intervals hold the golden logit of a test pair. The prior, and what features cannot "
        "express, are in this too: simulation is about the inference alone."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Where there are golden rewards and a spread."""
        posterior, test = subject.posterior, subject.test
        if posterior is None or test is None or "spread" not in posterior.provides:
            return None
        pit, cluster = golden_pit(posterior, *test, subject.temperature, subject.draws, subject.seed)
        of_what = "of the golden logits of test pairs (prior and features are in this too)"
        return coverage_verdict(self.name, subject.name, coverage(pit, cluster), of_what)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Coverage against level."""
        coverage_curve(data, canvas)
