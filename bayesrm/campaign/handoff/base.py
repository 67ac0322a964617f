"""What a hand-off format is, and what it finds in a file."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.handoff.words import is_left_open, side_of
from bayesrm.campaign.rankings import LETTERS, Ranking
from bayesrm.campaign.records import Question, as_text
from bayesrm.data.values import is_missing, optional_person
from bayesrm.errors import InvalidInputError


@dataclass(frozen=True)
class Sheet:
    """A question as an annotator sees it.

    Parameters
    ----------
    question
        What is asked.
    prompt, left, right
        The texts; left and right are empty of a list.
    annotator
        Who is to answer this copy; "" where anybody may.
    responses
        The texts of a list, called A, B, C and so on; empty of a pair.
    grades
        Points of the scale on which one of a pair is better; 0 where only which is asked.
    """

    question: Question
    prompt: str
    left: str
    right: str
    annotator: str = ""
    responses: tuple[str, ...] = ()
    grades: int = 0

    @property
    def lettered(self) -> dict[str, str]:
        """The responses of a list by what they are called."""
        return dict(zip(LETTERS, self.responses, strict=False))

    @property
    def texts(self) -> dict[str, str]:
        """The prompt and the responses, by the names of columns: left and right, or a, b, c and so on."""
        if not self.responses:
            return {"prompt": self.prompt, "left": self.left, "right": self.right}
        return {"prompt": self.prompt} | {name.lower(): text for name, text in self.lettered.items()}


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
        "left", "right", "tie" or "skip", or "ranked" of a list; None where the question was left open.
    annotator
        Who; "" where the file does not say.
    answered
        When, in ISO 8601 and UTC; None where the file does not say.
    comment
        What else was said.
    words
        The answer as it stands there; "" where the question was left open.
    shown
        What the file shows of the question, under the names of :attr:`Sheet.texts`, as far as it does; under ``cells``
        texts of which nobody knows which is which.
    ranking
        What is said of a list, its members by their positions.
    points
        By how many points of a scale that side is better; None where that was not asked, or not said.
    """

    place: str
    question: str
    side: str | None
    annotator: str = ""
    answered: str | None = None
    comment: str | None = None
    words: str = field(default="", compare=False)
    shown: Mapping[str, Any] = field(default_factory=dict, compare=False)
    ranking: Ranking | None = None
    points: int | None = None


@dataclass(frozen=True)
class Broken:
    """A part of a file that is not an answer, and why.

    Parameters
    ----------
    place
        Where, in words.
    reason
        Why.
    question
        The id that it refers to, as far as one can be read: the question is in the file, if not its answer.
    """

    place: str
    reason: str
    question: str = field(default="", compare=False, kw_only=True)


@dataclass(frozen=True)
class Unclear(Broken):
    """An answer in words that name no side, unless somebody says what they mean.

    Parameters
    ----------
    answer
        It, as if the question had been left open.
    """

    answer: ParsedAnswer


class HandOff(ABC):
    """A format in which questions go out and answers come back.

    Attributes
    ----------
    name : str
        What it is asked for by: ``bayesrm campaign ask --to NAME``.
    next_step : str
        What to do with the files, in a sentence or two that ends in the next command; ``{directory}`` is the
        campaign's folder.
    grade_step : str, optional
        The same for pairs whose answers are grades on a scale; None of a format that cannot ask for them.
    rank_step : str, optional
        The same for lists, which annotators rank; None of a format that has pairs only.
    identifies_annotators : bool, default True
        Whether answers come back with who gave them, without anybody filling it in: true of tools that have users.
    filled_in : bool, default False
        Whether the written file is what comes back, with answers in it; a tool exports a file of its own.
    longest_text : int, optional
        Characters that the tool keeps of a text at most; ``bayesrm campaign ask`` warns of longer ones.
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
    ...         answers = re.findall(r"^(\\S+) -> ?(.*)$", data.decode("utf-8", "replace"), re.MULTILINE)
    ...         return [parse_answer(f"answer {k}", *answer) for k, answer in enumerate(answers, start=1)]
    """

    name: ClassVar[str]
    next_step: ClassVar[str]
    grade_step: ClassVar[str | None] = None
    rank_step: ClassVar[str | None] = None
    identifies_annotators: ClassVar[bool] = True
    filled_in: ClassVar[bool] = False
    order: ClassVar[int] = 0
    longest_text: ClassVar[int | None] = None

    @abstractmethod
    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """Write files whose names begin with ``stem``, each whole or not at all; what was written, main file first.

        The sheets are all of pairs, or, with a ``rank_step``, all of lists of one length.
        """

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

    def with_ids(self, data: bytes) -> bytes:
        """A file in which each question has an id, where a tool exports questions that this library did not ask."""
        return data

    def holds_labels(self, data: bytes) -> bool:
        """Whether a file has labels that ``bayesrm campaign labels`` wrote, which any campaign about the pool takes.

        Else what has ids of questions is what ``ask`` wrote, and answers the campaign that asked.
        """
        return False


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
    place: str,
    question: Any,
    words: Any,
    annotator: Any = None,
    answered: Any = None,
    comment: Any = None,
    shown: Mapping[str, Any] | None = None,
) -> ParsedAnswer | Broken:
    """An answer from what stands in a file, or the reason why it is none."""
    if not isinstance(question, str) or not question.strip():
        return Broken(place, "expected the id of a question, and there is none")
    try:
        who = optional_person(annotator)
    except InvalidInputError:
        return Broken(
            place,
            f"expected the name of who answered, got {_writable(annotator)[:40]}",
            question=_writable(question),
        )
    words = None if is_left_open(words) else words
    answer = ParsedAnswer(
        place,
        _writable(question),
        None,
        who or "",
        time_of(answered),
        None if is_missing(comment) else _writable(comment),
        _writable(words),
        {name: _shown(text) for name, text in (shown or {}).items() if _shown(text)},
    )
    try:
        return replace(answer, side=side_of(words))
    except ValueError as error:
        return Unclear(
            place,
            f"{_writable(error)}; if it means one of these, say so with --answers",
            answer,
            question=answer.question,
        )


def _shown(text: Any) -> str | tuple[str, ...]:
    """A text of a question as a file has it, also where a program made a number of it; "" where it has none."""
    if isinstance(text, (str, tuple)):
        return text
    if isinstance(text, bool) or not isinstance(text, (int, float)) or is_missing(text):
        return ""
    return str(int(text) if isinstance(text, float) and text.is_integer() else text)


def _writable(value: Any) -> str:
    """As text, with an escape for half characters, which no store takes."""
    return "" if value is None else str(value).strip().encode(errors="backslashreplace").decode()


def parsed(data: bytes) -> Any:
    """The JSON of a file; InvalidInputError with the place where it goes wrong."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"expected a file in UTF-8, and byte {error.start} is not: export it again"
        ) from error
    except (ValueError, RecursionError) as error:
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
