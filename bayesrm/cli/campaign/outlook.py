"""Prints what a fit found: quality now and later, and what follows from the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrm.cli.app import View, say, show

if TYPE_CHECKING:
    from bayesrm.campaign.findings import Findings


def print_outlook(findings: Findings, before: tuple[Findings, ...] = ()) -> None:
    """The table of a fit's forecast, and its sentences."""
    from bayesrm.campaign.outlook import sentences

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
    for line in sentences(findings):
        say(line)
