"""What follows from a fit of a campaign, in sentences: for the terminal and for the report."""

from __future__ import annotations

from bayesrm.campaign.advice import FEWEST_FOR_FORECAST
from bayesrm.campaign.findings import Findings
from bayesrm.evaluation.baselines import length_sentence
from bayesrm.utils.wording import counted


def sentences(findings: Findings) -> list[str]:
    """What the forecast says, on what it rests, how far to trust it, and who answers at random."""
    outlook = findings.forecast
    by_design = any(later.random is not None for later in outlook.later)
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
    lines.append(
        f"All of this takes it that two annotators answer alike {outlook.agreement.mean:.0%} of the time (90%: "
        f"{outlook.agreement.low:.0%} to {outlook.agreement.high:.0%}; {_rests_on(findings)}), of which follows that "
        f"embeddings explain {outlook.explained.mean:.0%} of what they prefer."
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
    if findings.room is not None:
        lines += findings.room.sentences()
    lines += [person.said for person in findings.annotators if person.unreliable]
    return lines


def _rests_on(findings: Findings) -> str:
    """Where the agreement of a forecast comes from, and why it is not the share that was counted."""
    counted_on = findings.forecast.counted
    if not counted_on:
        return "as published ones do; ask with --overlap 2"
    unreliable = [person.name for person in findings.annotators if person.unreliable]
    without = f" without {' and '.join(unreliable)}" if unreliable else ""
    return f"counted on {counted(round(counted_on), 'question')}{without}, and on what published annotators do"
