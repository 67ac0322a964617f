"""Who gave an answer in a file that does not say it: known from what was asked and told, or asked about; never guessed.

A question that was put to one person was answered by that person, and answers without a name that were found to be
somebody's (``bayesrm campaign rename --unnamed``) are theirs when they come again. Where more than one person can have
answered, nothing of the file is taken until its user says who did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bayesrm.campaign.handoff.base import Broken, ParsedAnswer
from bayesrm.campaign.names import Names
from bayesrm.campaign.records import Answer, Question
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted, one_or_many


def who_answered(
    name: str,
    parts: Sequence[ParsedAnswer | Broken],
    questions: Mapping[str, Question],
    answers: Sequence[Answer],
    names: Names,
    annotator: str = "",
) -> list[str]:
    """The name that each part of a file is told under, "" for one without an answer or of nobody in particular.

    Parameters
    ----------
    name
        Of the file.
    parts
        What stands in it.
    questions
        Id → question.
    answers
        Those that stand.
    names
        Who is called what now.
    annotator
        Who answered, where the file does not say.

    Raises
    ------
    InvalidInputError
        Where answers without a name may be those of more than one person.
    """
    told: dict[str, set[str]] = {}
    found_out: dict[str, set[str]] = {}
    for answer in answers:
        if answer.annotator:
            told.setdefault(answer.question, set()).add(answer.annotator)
            if not answer.told_as:
                found_out.setdefault(answer.question, set()).add(answer.annotator)
    people: list[str] = []
    unnamed: dict[str, tuple[object, str]] = {}
    doubts: list[tuple[str, str]] = []
    for part in parts:
        if isinstance(part, Broken) or part.side is None or part.question not in questions:
            people.append("")
            continue
        who = part.annotator or annotator
        question = questions[part.question]
        for only in (set(question.annotators), found_out.get(question.id, set())):
            if not who and len(only) == 1:
                (who,) = only
        people.append(who)
        if who:
            continue
        if len(question.annotators) > 1 or question.wanted > 1:
            asked = _listed(question.annotators) if question.annotators else f"{question.wanted} annotators"
            doubts.append((part.place, f"was put to {asked}"))
        elif question.id in told:
            doubts.append((part.place, f"was answered by {_listed(sorted(told[question.id]))} before"))
        elif unnamed.setdefault(question.id, ((part.side, part.ranking), part.place))[0] != (
            part.side,
            part.ranking,
        ):
            doubts.append((part.place, f"is answered in another way in {unnamed[question.id][1]}"))
    if doubts:
        (reason, _), *_ = Counter(reason for _, reason in doubts).most_common()
        place = next(place for place, why in doubts if why == reason)
        raise InvalidInputError(
            f"{counted(len(doubts), 'answer')} of {name} {one_or_many(len(doubts), 'does', 'do')} not say who gave "
            f"{one_or_many(len(doubts), 'it', 'them')}, and more than one person can have: the question of {place} "
            f"{reason}; nothing was taken: say who answered with --annotator, one file a person"
        )
    return people


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
