"""What a form of data set is: columns it is known by, and how a row becomes a prompt with answers and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar

from bayesrm.data.conversation import Conversation, Turn, as_conversation, as_text, require_text
from bayesrm.data.values import optional_name
from bayesrm.errors import InvalidInputError

Row = Mapping[str, Any]
MEANINGS = ("first", "second", "tie", "skip")
"""What a value of the winner column can mean; skip keeps both answers and no label."""


@dataclass(frozen=True)
class Answer:
    """A response to a prompt, and who wrote it where that is known.

    ``place`` is its position in the row, where others were left out; ``row`` the number of its row, where the answers
    of a prompt stand in several.
    """

    text: str
    generator: str | None = None
    place: int | None = None
    row: int | None = None


@dataclass(frozen=True)
class Label:
    """What was said of two answers of a row: ``outcome`` is 1 where the first was preferred, ½ for a tie.

    ``margin`` says by how much, in the data set's own unit; ``grades`` is how many points the scale has that it counts,
    seven where a preference goes from −3 to 3. ``annotator``, ``weight``, ``answered`` and ``question`` stand in
    columns of these names and are filled in by the reader: who said it, how much it counts, when it was said, and under
    which id a campaign asked about it.
    """

    first: int
    second: int
    outcome: float = 1.0
    margin: float | None = None
    annotator: str | None = None
    weight: float | None = None
    answered: str | None = None
    grades: int | None = None
    question: str | None = None


@dataclass(frozen=True)
class Item:
    """A prompt with its answers; ``labels`` refer to them by position.

    ``places`` is how many answers the row has, with those that were left out; ``notes`` say what was left out or
    decided, in words that are the same for all rows that it happened in.
    """

    prompt: Conversation
    answers: tuple[Answer, ...]
    labels: tuple[Label, ...] = ()
    prompt_id: int | str | None = None
    source: str | None = None
    places: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """What the user said of a source, beside its columns' names.

    Parameters
    ----------
    winners
        A value of the winner column → one of ``MEANINGS``; None where nobody said.
    implicit_prompt
        Whether the prompt is what chosen and rejected have in common, whatever other columns there are.
    beside
        Columns that are read beside the texts, such as covariates.
    """

    winners: Mapping[str, str] | None = None
    implicit_prompt: bool = False
    beside: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """What is known of a source before its rows are read.

    Parameters
    ----------
    source
        What it is called in messages.
    columns
        Its columns, under the names that forms know, and ``prompt`` if the prompt was found in others.
    sample
        Some of its rows.
    told
        What the user said.
    """

    source: str
    columns: frozenset[str]
    sample: Sequence[Row]
    told: Told = field(default_factory=Told)


class Format(ABC):
    """A form of data set.

    A new form is a new file in this folder with a subclass, and nothing else: messages, help texts and tests read what
    follows from the class.

    Examples
    --------
    >>> from bayesrm.data.conversation import require_text
    >>> from bayesrm.data.formats.base import Answer, Format, Item, Row, by_score
    >>> from bayesrm.data.values import number
    >>> class Stars(Format):
    ...     "Two reviews with stars: the one with more is preferred."
    ...     name = "stars"
    ...     columns = "prompt, review_1, review_2, stars_1, stars_2"
    ...     requires = frozenset({"prompt", "review_1", "review_2", "stars_1", "stars_2"})
    ...     example = (
    ...         {"prompt": "Name a bird.", "review_1": "Owl.", "review_2": "Trout.", "stars_1": 5, "stars_2": 1},
    ...     )
    ...
    ...     def read(self, row: Row) -> Item:
    ...         first, second = (number(row[f"stars_{side}"], f"stars_{side}") for side in (1, 2))
    ...         answers = tuple(Answer(require_text(row[f"review_{side}"], "review")) for side in (1, 2))
    ...         return Item(row["prompt"], answers, (by_score(0, 1, first, second),))
    """

    name: ClassVar[str]
    columns: ClassVar[str]
    """In words, what it is known by, for lists and messages."""
    example: ClassVar[tuple[Row, ...]] = ()
    """A row in this form, or those of one prompt where they are several: what the documentation shows of it."""
    requires: ClassVar[frozenset[str]]
    """Columns that must be there. ``prompt`` may stand in a column of another name, see ``data.prompts``."""
    optional: ClassVar[frozenset[str]] = frozenset()
    """Other columns that are read where they are there; what is in neither is said to be unused."""
    dialogues: ClassVar[frozenset[str]] = frozenset({"prompt"})
    """Columns that may have messages, which a file may have written as text."""
    containers: ClassVar[frozenset[str]] = frozenset()
    """Columns that always have lists or dictionaries, which a file may have written as text."""
    by_hand: ClassVar[frozenset[str]] = frozenset()
    """Columns whose mapping by the user chooses this form."""
    priority: ClassVar[int] = 2
    """Of several forms that rows are in, the one of the highest priority is taken: what is more specific."""
    lists: ClassVar[bool] = False
    """Whether each row or answer is a response of its own, even if another has the same text."""
    own_prompt: ClassVar[bool] = False
    """Whether the form reads the column ``prompt`` itself, because it is neither a text nor messages there."""
    across_rows: ClassVar[bool] = False
    """Whether the answers to a prompt stand in several rows, so that no row can be read alone."""

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Whether rows of these columns are in this form; ``sample`` has some of them."""
        return self.requires <= columns

    def messages_in(self, sheet: bool) -> frozenset[str]:
        """``dialogues``; ``sheet`` where every value of the source is a text, as in CSV."""
        return self.dialogues

    def begin(self, table: Table) -> tuple[str, ...]:
        """Look at a source before its rows are read; what the user should know of how they are.

        Raises
        ------
        InvalidInputError
            Where they cannot be read without guessing.
        """
        return ()

    @abstractmethod
    def read(self, row: Row) -> Item:
        """A row, whose ``prompt`` is a conversation already; InvalidInputError where it cannot be used."""

    def items(
        self, rows: Iterable[tuple[int, Row | InvalidInputError]]
    ) -> Iterator[tuple[int, Item | InvalidInputError]]:
        """All items with the numbers of their rows, errors in their places. Forms across rows define it."""
        for number, row in rows:
            if isinstance(row, InvalidInputError):
                yield number, row
                continue
            try:
                yield number, self.read(row)
            except InvalidInputError as error:
                yield number, error


LEFT_OUT = "an answer is empty or no text, and was left out"


def several_answers(
    texts: Sequence[Any], name: str, generators: Sequence[Any] | None, notes: list[str], row: int | None = None
) -> dict[int, Answer]:
    """Answers that say something, by their place; those that do not are noted.

    Raises
    ------
    InvalidInputError
        Where not one does.
    """
    found: dict[int, Answer] = {}
    reason = None
    for place, text in enumerate(texts):
        try:
            generator = None if generators is None else optional_name(generators[place])
            found[place] = Answer(require_text(text, name), generator, place, row)
        except InvalidInputError as error:
            reason = reason or error
            notes.append(LEFT_OUT)
    if not found:
        raise reason or InvalidInputError(f"expected at least one answer in {name}, got an empty list")
    return found


def one_each(values: Any, count: int, what: str, notes: list[str]) -> Sequence[Any] | None:
    """One value for each answer, or None: a list that does not fit is left out and noted."""
    if values is None or (isinstance(values, (list, tuple)) and not values):
        return None
    if not isinstance(values, (list, tuple)):
        return [values] * count
    if len(values) != count:
        notes.append(f"{what} do not fit the answers in number, and were left out")
        return None
    return values


def by_score(first: int, second: int, score: float, other: float) -> Label:
    """The label of two answers of which the one with the higher score is better."""
    return Label(first, second, 0.5 if score == other else float(score > other), margin=abs(score - other))


def all_pairs(scores: Sequence[float | None]) -> tuple[Label, ...]:
    """A label for every two answers that have a score; more is better."""
    labels = []
    for (i, one), (j, other) in combinations(enumerate(scores), 2):
        if one is not None and other is not None:
            labels.append(by_score(i, j, one, other))
    return tuple(labels)


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


def prompt_of(row: Row, name: str = "prompt") -> Conversation:
    """A prompt that stands in a column of the form's own."""
    return as_conversation(row.get(name), name)
