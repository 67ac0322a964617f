"""Faults that only a whole file shows: missing rows, or a column that was sorted apart from the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import groupby

from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Unclear
from bayesrm.campaign.records import Question
from bayesrm.utils.wording import counted, one_or_many

CHANCE = 1e-4
"""Answers that stand in blocks are told of where random ones would do so less often."""


def notes_on(
    parts: Sequence[ParsedAnswer | Broken], questions: Mapping[str, Question], annotator: str
) -> list[str]:
    """Sentences about a file that people filled in.

    Parameters
    ----------
    parts
        What stands in it.
    questions
        All that was asked, by id.
    annotator
        Who answered, where the file does not say.
    """
    given = [part.answer if isinstance(part, Unclear) else part for part in parts]
    answers = [part for part in given if isinstance(part, ParsedAnswer) and part.question in questions]
    # A question whose row was set aside is in the file all the same, with a reason of its own.
    there = {part.question for part in given if part.question in questions}
    return [*_missing(there, answers, questions, annotator), *_sorted_apart(answers, questions)]


def _missing(
    there: Set[str], answers: Sequence[ParsedAnswer], questions: Mapping[str, Question], annotator: str
) -> list[str]:
    """Questions of a batch that the file has a part of; of those that are put to people, theirs."""
    names = {answer.annotator or annotator for answer in answers}
    notes = []
    for batch in sorted({questions[name].batch for name in there}):
        own = [q for q in questions.values() if q.batch == batch and (not q.annotators or names & {*q.annotators})]
        missing = sum(question.id not in there for question in own)
        if missing:
            are = one_or_many(missing, "is", "are")
            notes.append(
                f"{missing} of the {counted(len(own), 'question')} of batch {batch} {are} not in this file."
            )
    return notes


def _sorted_apart(answers: Sequence[ParsedAnswer], questions: Mapping[str, Question]) -> list[str]:
    """Answers in blocks beside questions in the order in which they were asked."""
    given = [answer for answer in answers if answer.side is not None]
    asked = [(questions[answer.question].batch, questions[answer.question].place) for answer in given]
    blocks = [(side, len(list(group))) for side, group in groupby(str(answer.side) for answer in given)]
    kinds = Counter(answer.side for answer in given)
    if len(blocks) != len(kinds) or asked != sorted(asked):
        return []
    orders = math.lgamma(len(given) + 1) - sum(math.lgamma(count + 1) for count in kinds.values())
    if math.lgamma(len(kinds) + 1) - orders > math.log(CHANCE):
        return []
    listed = ", then ".join(f"{count} {side}" for side, count in blocks)
    return [
        f"The answers stand in blocks ({listed}) beside questions in the order in which they were asked: if the column "
        "was sorted without the others, take these answers back."
    ]
