"""Who the users of a tool are, which a file names by numbers or addresses: said by whoever tells it, never guessed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from bayesrm.campaign.handoff.base import Broken, ParsedAnswer
from bayesrm.campaign.names import Names
from bayesrm.campaign.records import Answer, Question
from bayesrm.errors import InvalidInputError

_LISTED = 8
_NUMBER = re.compile(r"\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What Label Studio and Argilla call their users where they give no names."""


def parse_users(text: str) -> dict[str, str]:
    """``10=ana,11=bo`` as a dictionary; a user may itself have an equals sign.

    Raises
    ------
    InvalidInputError
        Where it is none, or somebody is named twice.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        user, _, name = (word.strip() for word in part.rpartition("="))
        if not user or not name or user in found:
            raise InvalidInputError(
                f"expected --users such as 10=ana,11=bo, each user of the file once with a name, got {text[:80]}"
            )
        found[user] = name
    return found


def with_names(parts: Sequence[ParsedAnswer | Broken], users: Mapping[str, str]) -> list[ParsedAnswer | Broken]:
    """The parts of a file, with the names of the users that gave them."""
    return [
        dataclasses.replace(part, annotator=users.get(part.annotator, part.annotator))
        if isinstance(part, ParsedAnswer)
        else part
        for part in parts
    ]


def refuse_second_name(users: Mapping[str, str], answers: Iterable[Answer]) -> None:
    """InvalidInputError where answers were told under a user's number before, so that each would count twice."""
    before = {answer.annotator for answer in answers}
    for user, name in users.items():
        if user in before and user != name:
            raise InvalidInputError(
                f"answers of {user} were told under that name before, and these would count a second time as those of "
                f"{name}: bayesrm campaign rename DIR {user} {name} names them, and those of later files, and then "
                "tell it without --users"
            )


def notes_on_users(
    parts: Sequence[ParsedAnswer | Broken],
    questions: Mapping[str, Question],
    names: Names,
    users: Mapping[str, str],
) -> list[str]:
    """Which users a file has that are not known by a name, and which were named that it does not have."""
    seen: dict[str, bool] = {}
    for part in parts:
        if isinstance(part, ParsedAnswer) and part.annotator and part.question in questions:
            asked = questions[part.question].annotators
            who = names.of(users.get(part.annotator, part.annotator))
            nameless = _NUMBER.fullmatch(who) is not None or bool(asked and who not in asked)
            seen[part.annotator] = seen.get(part.annotator, False) or nameless
    notes = []
    unknown = [user for user, lacks_name in seen.items() if lacks_name]
    if unknown:
        people = sorted({name for question in questions.values() for name in question.annotators})
        example = ",".join(f"{user}={name}" for user, name in zip(unknown, people or ["ana", "bo"], strict=False))
        notes.append(
            f"It calls who answered {_listed(unknown)}"
            + (f", and those who were asked are called {_listed(people)}" if people else "")
            + f": --users {example} says who is who where a file is told, and bayesrm campaign rename for what "
            "was told."
        )
    if missing := [user for user in users if user not in seen]:
        notes.append(
            f"It has no answer of {_listed(missing)}; there are answers of {_listed(list(seen) or ['nobody'])}."
        )
    return notes


def _listed(users: Sequence[str]) -> str:
    more = [f"{len(users) - _LISTED} more"] if len(users) > _LISTED else []
    *others, last = [*(user[:40] for user in users[:_LISTED]), *more]
    return f"{', '.join(others)} and {last}" if others else last
