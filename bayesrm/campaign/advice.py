"""Whether to go on with a campaign, in one sentence: from where it stands and what its last fit found."""

from __future__ import annotations

from bayesrm.campaign.findings import Findings
from bayesrm.campaign.status import Status
from bayesrm.utils.wording import counted, one_or_many

FEWEST_FOR_FORECAST = 250
"""Number of labels with which the replays of forecasts began, see :mod:`bayesrm.evaluation.forecast`."""
WORTH_IT, HARDLY = 0.10, 0.03
"""Parts of the regret that the middle number of further labels cuts: above the first go on, below the other stop."""


def advice(status: Status) -> str:
    """Go on, look first, or stop; and why."""
    if not status.used:
        wanted = sum(entry.open for entry in status.batches)
        if not wanted:
            return "Go on: nothing was asked yet."
        return f"Go on: none of {counted(wanted, 'question')} that {one_or_many(wanted, 'is', 'are')} open is answered."
    if not status.rounds:
        return "Go on: fit the answers first, for a word on how good they make the ranking."
    findings = status.rounds[-1]
    suspects = [person.name for person in findings.annotators if person.unreliable]
    if suspects:
        return f"Look at the answers of {' and '.join(suspects)} first; then {_worth(findings)}"
    verdict = _worth(findings)
    return verdict[0].upper() + verdict[1:]


def _worth(findings: Findings) -> str:
    """What more labels are worth, as the rest of a sentence."""
    outlook = findings.forecast
    if not outlook.later:
        return "stop: no pairs are left to ask about."
    at = outlook.later[len(outlook.later) // 2]
    now, then = outlook.now.regret.mean, at.regret.mean
    share = (now - then) / now if now > 0 else 0.0
    more = (
        f"{counted(at.labels, 'more label')} {one_or_many(at.labels, 'is', 'are')} expected to cut the regret by"
    )
    figures = f"{more} {max(share, 0.0):.0%}, from {now:.3f} to {then:.3f}"
    if findings.labels < FEWEST_FOR_FORECAST:
        return f"go on: {figures}, as far as {counted(findings.labels, 'answer')} can tell."
    if share >= WORTH_IT:
        return f"go on: {figures}."
    if share >= HARDLY:
        return f"go on only if labels are cheap: {figures}."
    return f"stop: {figures}, which is hardly worth asking for."
