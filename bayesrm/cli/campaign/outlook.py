"""What the commands print of a fit: quality now and later, and what follows from the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrm.cli.app import View, say, show
from bayesrm.utils.wording import counted

if TYPE_CHECKING:
    from bayesrm.campaign.findings import Findings

FEWEST_FOR_FORECAST = 250
"""Replays of forecasts began with so many labels, see :mod:`bayesrm.evaluation.forecast`."""


def print_outlook(findings: Findings, before: tuple[Findings, ...] = ()) -> None:
    """The table of a fit's forecast, and its sentences."""
    from bayesrm.evaluation.baselines import length_sentence

    outlook = findings.forecast
    view = View(f"Quality, likelihood {findings.likelihood}")
    view.add_column("labels", justify="right")
    view.add_column("1−Spearman ↓ (90%)", justify="right", no_wrap=True)
    view.add_column("regret ↓ (90%)", justify="right", no_wrap=True)
    by_design = any(later.random is not None for later in outlook.later)
    if by_design:
        view.add_column("random needs", justify="right")
    for earlier in before[-5:]:
        figures = earlier.forecast.now
        view.add_row(f"{earlier.labels}", str(figures.one_minus_spearman), str(figures.regret))
    now = outlook.now
    view.add_row(f"{findings.labels} now", str(now.one_minus_spearman), str(now.regret), style="bold")
    for later in outlook.later:
        row = [f"+{later.labels}", str(later.one_minus_spearman), str(later.regret)]
        if by_design and later.random is not None:
            row.append(f"> {5 * later.labels}" if later.random == float("inf") else f"{later.random:.0f}")
        view.add_row(*row)
    show(view)
    lines = [outlook.sentence()]
    if by_design:
        lines.append(
            f"Forecast for the design {outlook.design}; beside it what random pairs would need for the same."
        )
    else:
        lines.append(f"Forecast for pairs chosen at random, as the design {outlook.design} does.")
    lines.append(
        "Regret: by how much more often than half of the time an annotator would prefer the best response to a prompt "
        "to the one that is ranked first."
    )
    rests = (
        f"counted on {outlook.counted:.0f} pairs"
        if outlook.counted
        else "as published ones do; ask with --overlap 2"
    )
    lines.append(
        f"All of this takes it that two annotators answer alike {outlook.agreement.mean:.0%} of the time ({rests}), of "
        f"which follows that embeddings explain {outlook.explained.mean:.0%} of what they prefer."
    )
    if findings.labels < FEWEST_FOR_FORECAST:
        lines.append(
            f"With fewer than {FEWEST_FOR_FORECAST} answers, as here, these figures can be far off: in replays they "
            "held from there on."
        )
    if findings.held_out is not None:
        lines.append(str(findings.held_out))
    if findings.length is not None:
        lines.append(length_sentence(findings.length))
    if findings.reason:
        lines.append(f"Likelihood {findings.likelihood}: {findings.reason}.")
    for person in findings.annotators:
        if person.unreliable:
            lines.append(
                f"{person.name} answers next to at random: {person.right:.0%} of "
                f"{counted(person.answers, 'answer')} go as predicted, where "
                f"{person.expected:.0%} of a typical annotator's would; such answers count little."
            )
    for line in lines:
        say(line)
