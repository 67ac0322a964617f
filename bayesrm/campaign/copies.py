"""The same sheet told under two names: one person's answers would count as two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bayesrm.campaign.answers import latest
from bayesrm.campaign.names import Names
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.writing import ToldFile
from bayesrm.errors import InvalidInputError

FEWEST_OF_A_COPY = 5
"""With fewer answers, two people agree on all of them often enough."""


def refuse_copy(
    name: str,
    annotator: str,
    taken: Sequence[Answer],
    known: Sequence[ToldFile],
    questions: Mapping[str, Question],
    before: Sequence[Answer],
    names: Names,
) -> None:
    """InvalidInputError where a file is one that was told under another name, as it was or saved again.

    Two people who answer the same questions alike are told from a copy by what was asked: an overlap was asked for, or
    each of them was to answer.

    Parameters
    ----------
    name, annotator
        Of the file, and who is said to have answered it.
    taken
        Its answers that are new.
    known
        Files of the same bytes that were told.
    questions
        Id → question.
    before
        Answers that stand.
    names
        Who is called what now.
    """
    for there in known:
        if there.annotator != annotator:
            raise InvalidInputError(
                _same(f"{name} is the file {there.name}", there.annotator, f" at {there.told[:19]}Z")
            )
    given: dict[str, dict[str, str]] = {}
    for answer in taken:
        given.setdefault(names.of(answer.annotator), {})[answer.question] = answer.said
    standing: dict[str, dict[str, str]] = {}
    for (question, who), answer in latest(before).items():
        standing.setdefault(who, {})[question] = answer.said
    for who, said in given.items():
        asked = any(who in questions[id].annotators or questions[id].wanted > 1 for id in said)
        if len(said) < FEWEST_OF_A_COPY or asked:
            continue
        for other, theirs in standing.items():
            if other != who and said.items() <= theirs.items():
                raise InvalidInputError(
                    _same(
                        f"the {len(said)} answers of {name} under {who or 'no name'} are those", other, "", "were"
                    )
                )


def _same(what: str, annotator: str, when: str, was: str = "was") -> str:
    """Says which file was told before, and what to do."""
    if annotator:
        return (
            f"{what} that {was} told as {annotator}'s{when}, so nothing was taken: if that name was wrong, "
            "bayesrm campaign rename says so; if two people answered alike, add --again"
        )
    return (
        f"{what} that {was} told without a name{when}, so nothing was taken: if they are the same person's, "
        "bayesrm campaign rename --unnamed NAME says so; if two people answered alike, add --again"
    )
