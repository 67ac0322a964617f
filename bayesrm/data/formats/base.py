"""What a form of data set is: columns it is known by, and how a row becomes a prompt with answers and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bayesrm.data.conversation import Conversation, Turn, as_text, require_text
from bayesrm.errors import InvalidInputError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """A response to a prompt, and who wrote it where that is known."""

    text: str
    generator: str | None = None


@dataclass(frozen=True)
class Label:
    """What was said of two answers of a row: ``outcome`` is 1 where the first was preferred, ½ for a tie.

    ``margin`` says by how much, in the data set's own unit.
    """

    first: int
    second: int
    outcome: float = 1.0
    margin: float | None = None


@dataclass(frozen=True)
class Item:
    """A prompt with its answers; ``labels`` refer to them by position."""

    prompt: Conversation
    answers: tuple[Answer, ...]
    labels: tuple[Label, ...] = ()
    prompt_id: int | str | None = None
    source: str | None = None


class Format(ABC):
    """A form of data set.

    ``columns`` says in words what it is known by, for messages; ``needs`` are the columns that must be there,
    ``foreign`` those of other forms that must not.
    """

    name: ClassVar[str]
    columns: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    foreign: ClassVar[frozenset[str]] = frozenset()
    lists: ClassVar[bool] = False
    """Whether each row or answer is a response of its own, even if another has the same text."""

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Whether rows of these columns are in this form; ``sample`` has some of them."""
        return self.needs <= columns and not self.foreign & columns

    @abstractmethod
    def read(self, row: Row) -> Item:
        """A row; InvalidInputError where it cannot be used."""


def said(turns: Sequence[Turn], name: str) -> str:
    """An answer of one turn as it is; of several, the rest of a dialogue, as text."""
    if not turns:
        raise InvalidInputError(f"expected an answer in {name}, and there is none after the prompt")
    return require_text(as_text(tuple(turns)), name)


def shared_turns(first: Conversation, second: Conversation) -> int:
    """How many turns two dialogues have in common before an answer in which they differ."""
    shared = 0
    for one, other in zip(first[:-1], second[:-1], strict=False):
        if one != other:
            break
        shared += 1
    while shared and first[shared - 1].role == "assistant":
        shared -= 1
    return shared


def number(value: Any, name: str) -> float:
    """A finite number, also where a spreadsheet made it text."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not abs(found) < float("inf"):
        raise InvalidInputError(f"expected a number in {name}, got {value!r}")
    return found


def optional_text(value: Any) -> str | None:
    """A name, or None where there is none."""
    return None if value is None or value == "" else str(value)
