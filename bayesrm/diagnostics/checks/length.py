"""How much of the ranking is the length of the texts, and what length alone does."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.finding import Finding, Status
from bayesrm.evaluation.baselines import baselines, length_sentence, length_share
from bayesrm.evaluation.metrics import evaluate


class Length(Check):
    """How much of the rewards is length; with a test pool also what needs no label, beside the model."""

    name: ClassVar[str] = "length"
    order: ClassVar[int] = 75
    title: ClassVar[str] = "Length, and what else needs no label"
    caption: ClassVar[str] = (
        "With a test pool, 1 − Spearman within its prompts of rankings that need no label, and of the model; without, "
        "how much of the variance of the model's rewards within prompts is length."
    )

    def run(self, subject: Subject) -> Finding | None:
        """Where there is a posterior; skipped where lengths of the texts are not known."""
        posterior, test = subject.posterior, subject.test
        if posterior is None:
            return None
        pool = posterior.pool if test is None else test[0]
        share = length_share(posterior.reward(pool)[0], pool)
        if share is None:
            why = "the pool has no texts and no covariate that says how long they are"
            return Finding(self.name, "skipped", f"Length does not apply: {why}.")
        shared = xr.Dataset({"length_share": share})
        if test is None:
            return Finding(self.name, "note", length_sentence(share), shared)
        found = baselines(*test, subject.temperature)
        own = evaluate(posterior, *test, subject.temperature)
        values = np.array([scores["one_minus_spearman"] for scores in (*found.values(), own)])
        data = shared.assign(one_minus_spearman=("ranking", values)).assign_coords(ranking=[*found, "model"])
        alone = found["log_characters"]["one_minus_spearman"] if "log_characters" in found else np.inf
        status: Status = "bad" if own["one_minus_spearman"] >= alone else "note"
        return Finding(self.name, status, length_sentence(share, found, own["one_minus_spearman"]), data)

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """A bar a ranking; without a test pool the share of length alone."""
        axis = canvas.axes()
        if "one_minus_spearman" not in data:
            axis.barh(["length", "all else"], [float(data["length_share"]), 1 - float(data["length_share"])])
            axis.set(xlabel="share of the variance of rewards within prompts", xlim=(0, 1))
            return
        names = [str(name) for name in data["ranking"].values]
        colours = [canvas.red if name == "model" else canvas.grey for name in names]
        axis.barh(names, data["one_minus_spearman"].values, color=colours)
        axis.axvline(1.0, color=canvas.grey, linestyle="--")
        axis.set(xlabel="1 − Spearman within test prompts, lower is better")
