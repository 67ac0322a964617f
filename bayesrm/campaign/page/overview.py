"""The owner's read-only view of a campaign while others answer."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime
from typing import Any

from bayesrm.campaign.answers import OUTCOMES
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.page.texts import harmless
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.status import Status, status

FEWEST_TIMED = 10
"""Answers with a time that an annotator has to have before their pace is compared."""
SLOW = 2.5
"""Times the pace of the others that is called slow."""
FEWEST_SHARED = 10
"""Questions shared with others that it takes to say how often they agree."""


def overview(desk: Desk, people: list[str]) -> dict[str, Any]:
    """Progress, agreement, forecast and what is odd about annotators, as JSON-able values."""
    questions, answers = desk.standing()
    now = status(desk.campaign)
    suspicions = _suspicions(desk, now)
    wanted = sum(question.wanted for question in questions)
    given = sum(min(count, question.wanted) for question, count in _counts(questions, answers))
    names = sorted({*people, *(answer.annotator for answer in answers)})
    by_person = {name: [answer for answer in answers if answer.annotator == name] for name in names}
    return {
        "name": harmless(desk.campaign.directory.resolve().name),
        "given": given,
        "wanted": wanted,
        "pairs": len(questions),
        "batches": [
            {
                "number": batch.number,
                "asked": batch.asked[:10],
                "design": batch.design,
                "pairs": batch.questions,
                "wanted": batch.wanted,
                "answered": batch.answered,
                "open": batch.open,
            }
            for batch in now.batches
        ],
        "people": [_person(name, by_person, answers, suspicions.get(name)) for name in names],
        "agreement": str(now.agreement) if len(names) > 1 else "",
        "left_share": None if math.isnan(now.left_share) else now.left_share,
        "forecast": _forecast(now),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _counts(questions: list[Question], answers: list[Answer]) -> list[tuple[Question, int]]:
    counted: dict[str, int] = {}
    for answer in answers:
        counted[answer.question] = counted.get(answer.question, 0) + 1
    return [(question, counted.get(question.id, 0)) for question in questions]


def _suspicions(desk: Desk, now: Status) -> dict[str, str]:
    """Why somebody should look at an annotator's answers, by the last fit of the page itself, else of a command."""
    records = () if desk.chooser is None else desk.chooser.annotators()
    if records or not now.rounds:
        return {record.name: str(record) for record in records if record.suspect}
    people = now.rounds[-1].annotators
    return {one.name: one.said or f"{one.name} answers next to at random." for one in people if one.unreliable}


def _person(
    name: str, by_person: dict[str, list[Answer]], answers: list[Answer], suspicion: str | None
) -> dict[str, Any]:
    """Counts and pace of one annotator, and remarks on what is odd."""
    own = by_person[name]
    pace = {who: _pace(theirs) for who, theirs in by_person.items()}
    others = [seconds for who, seconds in pace.items() if who != name and seconds is not None]
    mine = pace[name]
    shared, same = _shared(name, answers)
    remarks = []
    if mine is not None and others and mine > SLOW * statistics.median(others):
        words = f"{mine:.0f} s an answer, where others take {statistics.median(others):.0f} s"
        remarks.append(f"{name} is slow: {words}.")
    if suspicion is not None:
        remarks.append(suspicion)
    return {
        "name": harmless(name) or "unnamed",
        "answers": len(own),
        "ties": sum(answer.verdict == "tie" for answer in own),
        "skips": sum(answer.verdict == "skip" for answer in own),
        "seconds": mine,
        "last": max((answer.told for answer in own), default=None),
        "shared": shared,
        "same": same / shared if shared >= FEWEST_SHARED else None,
        "remarks": [harmless(remark) for remark in remarks],
    }


def _pace(answers: list[Answer]) -> float | None:
    took = [answer.seconds for answer in answers if answer.seconds is not None]
    return statistics.median(took) if len(took) >= FEWEST_TIMED else None


def _shared(name: str, answers: list[Answer]) -> tuple[int, float]:
    """How many questions an annotator shares with others, and on how many of them the answers are the same."""
    own = {a.question: OUTCOMES[a.verdict] for a in answers if a.annotator == name and a.verdict in OUTCOMES}
    others: dict[str, list[float]] = {}
    for answer in answers:
        if answer.annotator != name and answer.verdict in OUTCOMES and answer.question in own:
            others.setdefault(answer.question, []).append(OUTCOMES[answer.verdict])
    same = math.fsum(
        1 - statistics.fmean(abs(own[question] - outcome) for outcome in theirs)
        for question, theirs in others.items()
    )
    return len(others), same


def _forecast(now: Status) -> dict[str, Any] | None:
    """What the last fit expects, and how many answers it does not know yet."""
    if not now.rounds:
        return None
    last = now.rounds[-1]
    rows = [last.forecast.now, *last.forecast.later]
    return {
        "labels": last.labels,
        "behind": max(0, now.used - last.labels),
        "sentence": last.forecast.sentence(),
        "rows": [
            {
                "labels": row.labels,
                "one_minus_spearman": str(row.one_minus_spearman),
                "regret": str(row.regret),
            }
            for row in rows
        ],
    }
