"""Turns a choice on the page or in the terminal into an answer of the store."""

from __future__ import annotations

from dataclasses import replace

from bayesrm.campaign.grades import outcome_of_points, points_of
from bayesrm.campaign.handoff.rankings import parse_ranking
from bayesrm.campaign.records import Answer, Question
from bayesrm.errors import InvalidInputError


def answer_of(
    question: Question, grades: int | None, side: str, order: str | None = None, points: int | None = None
) -> Answer:
    """An answer, by nobody yet.

    Parameters
    ----------
    question
        What was asked.
    grades
        Points of the campaign's scale; None where it has none.
    side
        "left", "right", "tie" or "skip"; "ranked" of a list.
    order
        How a list is ranked, such as "B > A = D".
    points
        By how many points that side is better; None where nobody said.

    Raises
    ------
    InvalidInputError
        Where that is no answer to such a question.
    """
    sides = ("ranked", "tie", "skip") if question.is_list else ("left", "right", "tie", "skip")
    if side not in sides:
        raise InvalidInputError(f"expected {', '.join(sides[:-1])} or skip, got {side[:40]!r}")
    if side == "ranked":
        return _ranked(question, order or "")
    answer = Answer(question.id, "", question.verdict(side))
    if question.is_list or points is None or grades is None or side == "skip":
        return answer
    least, most = (0, 0) if side == "tie" else (1, points_of(grades))
    if not least <= points <= most:
        raise InvalidInputError(f"expected from {least} to {most} points for {side}, got {points}")
    return replace(answer, margin=float(points), grade=outcome_of_points(answer.verdict, points, grades))


def _ranked(question: Question, order: str) -> Answer:
    try:
        found = parse_ranking(order, len(question.members))
    except ValueError as error:
        raise InvalidInputError(str(error)) from error
    if found is None:
        raise InvalidInputError("expected an order such as B > A = D, the best first, got none")
    if isinstance(found, str):
        return Answer(question.id, "", found)
    return Answer(question.id, "", "ranked", ranking=found.of(question.members).as_json())
