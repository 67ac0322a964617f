"""The learning curve of the labels that people gave."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.history import NAME, history_finding


class History(Check):
    """How well answers to unseen prompts were predicted as answers came in; needs the order in which they came."""

    name: ClassVar[str] = NAME
    order: ClassVar[int] = 55
    title: ClassVar[str] = "Learning curve"
    caption: ClassVar[str] = (
        "The share of all answers that a fit to the answers told so far predicts, each from answers to other prompts, "
        "with 90% intervals. The band is the most that single answers can be predicted, by how often two annotators "
        "agree."
    )

    def run(self, subject: Subject) -> Finding | None:
        """None where there is no history to look at."""
        return None if subject.history is None else history_finding(subject.history)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Accuracy and log loss against labels, with length alone and the ceiling."""
        left, right = canvas.axes(columns=2)
        labels = data["labels"].values
        for axis, name in ((left, "accuracy"), (right, "log_loss")):
            band = data[f"{name}_low"], data[f"{name}_high"]
            axis.fill_between(labels, *band, color=canvas.blue, alpha=0.2, linewidth=0)
            axis.plot(labels, data[name], color=canvas.blue, marker="o", label="model")
            if f"length_{name}" in data:
                axis.axhline(float(data[f"length_{name}"]), color=canvas.grey, linestyle=":", label="length alone")
            axis.set(xlabel="answers", xlim=(0, None))
        if "ceiling_high" in data:
            ends = float(data["ceiling_low"]), float(data["ceiling_high"])
            left.axhspan(*ends, color=canvas.grey, alpha=0.2, linewidth=0, label="ceiling")
        left.axhline(0.5, color=canvas.grey, linestyle="--", linewidth=1)
        right.axhline(0.6931, color=canvas.grey, linestyle="--", linewidth=1, label="a coin")
        left.set(ylabel="answers predicted, higher is better")
        right.set(ylabel="log loss in nats, lower is better")
        left.legend(frameon=False, fontsize=8)
        right.legend(frameon=False, fontsize=8)
