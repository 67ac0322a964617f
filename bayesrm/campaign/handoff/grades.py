"""Grades as people and tools write them: which side is better, and by how much.

"left much better", "left better" and "left slightly better" on seven points, without "better" on five; the same of the
right, and "about equal". L3, L2, L1, R1, R2, R3 and 0 say the same in short. A side alone says nothing of how much.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bayesrm.campaign.grades import EQUAL, points_of, scale
from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Unclear
from bayesrm.campaign.handoff.words import plain, side_of
from bayesrm.campaign.records import Question

_SHORT = re.compile(r"([lr])\s*([1-9])")
_SIDES = {"l": "left", "r": "right"}
_IS = re.compile(r"\b(is|the|response|one|answer)\b")
_SAME = {"somewhat": "slightly", "a bit": "slightly", "a little": "slightly", "far": "much", "a lot": "much"}


def of_grades(
    parts: Sequence[ParsedAnswer | Broken], questions: Mapping[str, Question], grades: int | None
) -> list[ParsedAnswer | Broken]:
    """The parts of a file, those about pairs read as grades on a scale; as they are where there is none."""
    return list(parts) if grades is None else [_of_pair(part, questions, grades) for part in parts]


def _of_pair(part: ParsedAnswer | Broken, questions: Mapping[str, Question], grades: int) -> ParsedAnswer | Broken:
    answer = part.answer if isinstance(part, Unclear) else part
    question = questions.get(answer.question) if isinstance(answer, ParsedAnswer) else None
    if question is None or question.is_list or not isinstance(answer, ParsedAnswer):
        return part
    try:
        side, points = parse_grade(answer.words, grades)
    except ValueError as error:
        return Unclear(answer.place, str(error), answer, question=answer.question)
    return replace(answer, side=side, points=points)


def parse_grade(words: str, grades: int) -> tuple[str | None, int | None]:
    """Side and points of an answer; a side alone has no points, and an open question has neither.

    Raises
    ------
    ValueError
        With the reason, where words are no such answer.
    """
    said = plain(words)
    if said in ("0", EQUAL):
        return "tie", 0
    short = _SHORT.fullmatch(said)
    if short is not None and int(short[2]) <= points_of(grades):
        return _SIDES[short[1]], int(short[2])
    known = {answer: (side, points) for answer, side, points in scale(grades)}
    text = " ".join(_IS.sub(" ", said).split())
    for other, word in _SAME.items():
        text = text.replace(other, word)
    if text in known:
        return known[text]
    try:
        side = side_of(words)
    except ValueError as error:
        listed = ", ".join(answer for answer, _, _ in scale(grades))
        raise ValueError(f"expected {listed} or skip as an answer, got {str(words).strip()[:40]!r}") from error
    return side, 0 if side == "tie" else None
