"""What a hand-off format is, and how the words of an answer are understood."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.records import Question, as_text
from bayesrm.errors import InvalidInputError

SIDES = {
    "left": ("left", "l", "a", "1", "first", "left is better", "response a"),
    "right": ("right", "r", "b", "2", "second", "right is better", "response b"),
    "tie": ("tie", "t", "=", "both", "equal", "same", "neither", "equally good", "0"),
    "skip": ("skip", "s", "?", "unsure", "cannot say", "can't say", "don't know", "discarded"),
}
"""What an answer may be called: side → words, in any case."""
_SIDE_OF = {word: side for side, words in SIDES.items() for word in words}


@dataclass(frozen=True)
class Sheet:
    """A question as an annotator sees it.

    Parameters
    ----------
    question
        What is asked.
    prompt, left, right
        The texts.
    annotator
        Who is to answer this copy; "" where anybody may.
    """

    question: Question
    prompt: str
    left: str
    right: str
    annotator: str = ""


@dataclass(frozen=True)
class ParsedAnswer:
    """One answer as it stands in a file.

    Parameters
    ----------
    place
        Where, in words, such as "row 7".
    question
        The id that it refers to.
    side
        "left", "right", "tie" or "skip"; None where the question was left open.
    annotator
        Who; "" where the file does not say.
    answered
        When, in ISO 8601 and UTC; None where the file does not say.
    comment
        What else was said.
    """

    place: str
    question: str
    side: str | None
    annotator: str = ""
    answered: str | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Broken:
    """A part of a file that is not an answer, and why."""

    place: str
    reason: str


class HandOff(ABC):
    """A format in which questions go out and answers come back.

    Attributes
    ----------
    name : str
        What it is asked for by: ``bayesrm campaign ask --to NAME``.
    next_step : str
        What to do with the files, in a sentence or two that ends in the next command; ``{directory}`` is the
        campaign's folder.
    identifies_annotators : bool, default True
        Whether answers come back with who gave them, without anybody filling it in: true of tools that have users.
    filled_in : bool, default False
        Whether the written file is what comes back, with answers in it; a tool exports a file of its own.
    order : int, default 0
        When it is asked whether it recognises a file; the formats that look at the content only are asked first.

    See Also
    --------
    bayesrm.Campaign.hand_out : Writes the questions of a batch.
    bayesrm.Campaign.tell : Reads what comes back.

    Examples
    --------
    A new hand-off: a text file with a paragraph a question, for a mail.

    >>> import re
    >>> from bayesrm.campaign.handoff.base import HandOff, parse_answer
    >>> class Letter(HandOff):
    ...     '''A letter with a paragraph a question; answers go after the arrows.'''
    ...     name = "letter"
    ...     next_step = "Mail it; save what comes back, and: bayesrm campaign tell {directory} FILE"
    ...     identifies_annotators = False
    ...     filled_in = True
    ...     def write(self, sheets, stem):
    ...         path = stem.with_name(f"{stem.name}.letter.txt")
    ...         text = "A letter of questions\\n\\n"
    ...         for sheet in sheets:
    ...             text += f"{sheet.prompt}\\nLEFT: {sheet.left}\\nRIGHT: {sheet.right}\\n"
    ...             text += f"{sheet.question.id} -> \\n\\n"
    ...         path.write_text(text, encoding="utf-8")
    ...         return [path]
    ...     def recognises(self, data, suffix):
    ...         return data.startswith(b"A letter of questions")
    ...     def read(self, data):
    ...         answers = re.findall(r"^(\\S+) -> ?(.*)$", data.decode("utf-8"), re.MULTILINE)
    ...         return [parse_answer(f"answer {k}", *answer) for k, answer in enumerate(answers, start=1)]
    """

    name: ClassVar[str]
    next_step: ClassVar[str]
    identifies_annotators: ClassVar[bool] = True
    filled_in: ClassVar[bool] = False
    order: ClassVar[int] = 0

    @abstractmethod
    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """Write files whose names begin with ``stem``, each whole or not at all; what was written, main file first."""

    @abstractmethod
    def recognises(self, data: bytes, suffix: str) -> bool:
        """Whether a file of these bytes and this suffix is one that came back."""

    @abstractmethod
    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """What stands in a file, in its order.

        Raises
        ------
        InvalidInputError
            Where nothing of it can be read.
        """


def side_of(words: Any) -> str | None:
    """The side that an answer names; None for an open question, a ValueError that says why for anything else."""
    said = "" if words is None else str(words).strip().lower().rstrip(".!")
    if said == "":
        return None
    if said.endswith(".0"):  # a spreadsheet's number
        said = said[:-2]
    if said not in _SIDE_OF:
        raise ValueError(f"expected left, right, tie or skip as an answer, got {str(words).strip()[:40]!r}")
    return _SIDE_OF[said]


def time_of(words: Any) -> str | None:
    """A time as the store has it; None where there is none, or none that can be understood."""
    if words is None or str(words).strip() == "":
        return None
    if isinstance(words, int | float) and not isinstance(words, bool):
        try:
            return as_text(datetime.fromtimestamp(float(words), UTC))
        except (OverflowError, OSError, ValueError):
            return None
    try:
        return as_text(datetime.fromisoformat(str(words).strip()))
    except (ValueError, OverflowError):
        return None


def parse_answer(
    place: str, question: Any, words: Any, annotator: Any = None, answered: Any = None, comment: Any = None
) -> ParsedAnswer | Broken:
    """An answer from what stands in a file, or the reason why it is none."""
    if not isinstance(question, str) or not question.strip():
        return Broken(place, "expected the id of a question, and there is none")
    try:
        side = side_of(words)
    except ValueError as error:
        return Broken(place, str(error))
    who = "" if annotator is None else str(annotator).strip()
    said = None if comment is None or not str(comment).strip() else str(comment).strip()
    return ParsedAnswer(place, question.strip(), side, who, time_of(answered), said)


def parsed(data: bytes) -> Any:
    """The JSON of a file; InvalidInputError with the place where it goes wrong."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"expected a file in UTF-8, and byte {error.start} is not: export it again"
        ) from error
    except ValueError as error:
        raise InvalidInputError(f"expected a whole JSON file, and it is not ({error}): export it again") from error


def first_record(data: bytes) -> dict[str, Any] | None:
    """The first object of a JSON list, where a file is one."""
    try:
        value = parsed(data)
    except InvalidInputError:
        return None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]
    return None
