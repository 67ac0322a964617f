"""Two answers of a row, of which one was chosen: what the forms with ``chosen`` and ``rejected`` share.

Answers are texts or messages. A prompt that they repeat is taken off them. Messages that both begin with are the
prompt, or go on with it. A prompt that no column has is what both answers begin with, as in TRL's ``extract_prompt``;
of texts that is a guess, so it is made only where no other column could be the prompt, or where the user says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from bayesrm.data.containers import are_messages
from bayesrm.data.conversation import Conversation, as_conversation, require_text, shared_beginning
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, Table, said, shared_turns
from bayesrm.data.values import has_no_text, is_missing, optional_name, optional_number
from bayesrm.errors import InvalidInputError

BESIDE = frozenset(
    {"source", "dataset", "split", "subset", "lang", "language", "generator", "model", "idx", "index"}
)
"""Columns of text that are no prompt."""
LONG = 20
"""Characters from which on a prompt that both answers begin with was repeated, and is no coincidence."""
LIKELY = ("prompt", "instruction", "question", "query", "input", "context", "post", "task", "message", "history")
"""Words in the names of columns that are likely to be the prompt."""
OTHER_PROMPT = "the prompt is not what chosen and rejected begin with; what they begin with was taken"
RATED_LOWER = "the chosen answer is rated lower than the rejected one; it counts as preferred"


class ChosenRejected(Format):
    """Forms with a chosen and a rejected answer; subclasses name the columns."""

    sides: tuple[str, str] = ("chosen", "rejected")
    ratings: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Columns with the ratings of both; the first that are there are read."""
    generators: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Columns with who wrote both."""

    def __init__(self) -> None:
        self._implicit = False
        self._repeated = False
        self._known: frozenset[str] = frozenset()
        self._likely: str | None = None

    def messages_in(self, sheet: bool) -> frozenset[str]:
        """The prompt and both answers."""
        return self.dialogues | set(self.sides)

    def begin(self, table: Table) -> tuple[str, ...]:
        """Settle where the prompt is, and whether the answers repeat it."""
        rows: list[tuple[Any, list[Any]]] = [
            (row.get("prompt"), [row.get(side) for side in self.sides]) for row in table.sample
        ]
        plain = [(prompt, texts) for prompt, texts in rows if all(isinstance(text, str) for text in texts)]
        others = _others(table, self.requires | self.optional | BESIDE)
        self._known, self._likely = table.columns, _likeliest(others, table.sample)
        asked = [(_question(prompt), texts) for prompt, texts in plain if prompt is not None]
        self._repeated = bool(asked) and all(_repeats(question, texts) for question, texts in asked)
        if "prompt" in table.columns or not plain:
            return ()
        if others and not table.told.implicit_prompt:
            raise InvalidInputError(
                f"expected a column prompt in {table.source}, and {' or '.join(others)} could be it: say "
                f"--prompt-column {self._likely}, or --implicit-prompt if {' and '.join(self.sides)} both begin with "
                "the prompt"
            )
        self._implicit = len(plain) == len(rows)  # a text among messages has lost its prompt
        if not self._implicit:
            return ()
        if table.told.implicit_prompt:
            self._known |= frozenset(name for row in table.sample for name in row)
        return (f"No column has the prompt: it is what {' and '.join(self.sides)} both begin with.",)

    def read(self, row: Row) -> Item:
        """Two answers, the first preferred."""
        notes: list[str] = []
        prompt, texts = self.split(row, notes)
        names = next((names for names in self.generators if any(name in row for name in names)), None)
        writers = [None, None] if names is None else [optional_name(row.get(name)) for name in names]
        answers = tuple(Answer(text, writer) for text, writer in zip(texts, writers, strict=True))
        label = self.label(row, notes)
        return Item(
            prompt,
            answers,
            () if label is None else (label,),
            source=optional_name(row.get("source")),
            notes=tuple(notes),
        )

    def label(self, row: Row, notes: list[str]) -> Label | None:
        """The chosen answer is preferred, by the difference of the ratings."""
        return Label(0, 1, margin=self._margin(row, notes))

    def split(self, row: Row, notes: list[str]) -> tuple[Conversation, tuple[str, str]]:
        """The prompt, and the two answers to it."""
        given = row.get("prompt")
        values: list[Any] = [row.get(side) for side in self.sides]
        prompt = None if has_no_text(given) else as_conversation(given)
        if all(isinstance(value, str) for value in values):
            return self._split_texts(prompt, values, row)
        one, other = (
            as_conversation(value, side, "assistant") for value, side in zip(values, self.sides, strict=True)
        )
        rests = None if prompt is None else [_answer_to(prompt, turns) for turns in (one, other)]
        if prompt is not None and rests is not None and None not in rests:
            first, second = (rest or () for rest in rests)
            shared = shared_turns(first, second)
            prompt = (*(_system(one) if not _system(prompt) else ()), *prompt, *first[:shared])
        else:
            first, second, shared = one, other, shared_turns(one, other)
            prompt = self._shared_prompt(prompt, one[:shared], notes)
        return prompt, (said(first[shared:], self.sides[0]), said(second[shared:], self.sides[1]))

    def _shared_prompt(self, prompt: Conversation | None, shared: Conversation, notes: list[str]) -> Conversation:
        """What two whole dialogues both begin with, which is more than the prompt that a column has."""
        if not shared and prompt is None:
            hint = f": say --prompt-column {self._likely}" if self._likely else ""
            raise InvalidInputError(
                f"expected a prompt, or {' and '.join(self.sides)} that begin with the same messages{hint}"
            )
        if not shared:
            raise InvalidInputError(
                f"expected {' and '.join(self.sides)} to begin with the prompt, or with the same messages"
            )
        if prompt is None:
            return shared
        asked, begun = _spoken(prompt), _spoken(shared)
        if not any(_same(begun[at : at + len(asked)], asked) for at in range(len(begun) - len(asked) + 1)):
            notes.append(OTHER_PROMPT)
        return shared if _system(shared) else (*_system(prompt), *shared)

    def _split_texts(
        self, prompt: Conversation | None, texts: Sequence[str], row: Row
    ) -> tuple[Conversation, tuple[str, str]]:
        first, second = texts
        if prompt is None:
            others = [name for name, value in row.items() if name not in self._known and _is_text(value)]
            if not self._implicit or others:
                raise InvalidInputError("expected a text in prompt, and it is empty")
            shared = shared_beginning(first, second)
            if first[:shared].endswith(" "):
                shared -= 1  # the blank belongs to the answers, as tokens have it
            if not first[:shared].strip():
                raise InvalidInputError(
                    f"expected a prompt, or {' and '.join(self.sides)} that begin with it: they share no beginning"
                )
            prompt, first, second = as_conversation(first[:shared]), first[shared:], second[shared:]
        else:
            asked = _question(prompt)
            if (self._repeated or len(asked) >= LONG) and _repeats(asked, texts):
                first, second = first[len(asked) :].lstrip(), second[len(asked) :].lstrip()
        return prompt, (require_text(first, self.sides[0]), require_text(second, self.sides[1]))

    def _margin(self, row: Row, notes: list[str]) -> float | None:
        given = optional_number(row.get("margin"), "margin", notes)
        if given is not None:
            return given
        names = next((names for names in self.ratings if all(name in row for name in names)), None)
        if names is None:
            return None
        first, second = (optional_number(row.get(name), name, notes) for name in names)
        if first is None or second is None:
            return None
        if first < second:
            notes.append(RATED_LOWER)
        return first - second


def _others(table: Table, known: frozenset[str]) -> list[str]:
    """Columns of text that are read as nothing else: any of them could be the prompt."""
    return sorted(
        name
        for name in table.columns - known
        if not name.lower().endswith(("id", "hash", "sha256", "url", "timestamp"))
        and any(_is_text(row.get(name)) for row in table.sample)
    )


def _is_text(value: Any) -> bool:
    """Whether a value could be a prompt; a number or a flag that a spreadsheet made text is none."""
    if not isinstance(value, str):
        return are_messages(value)
    notes: list[str] = []
    if is_missing(value) or value.strip().lower() in ("true", "false"):
        return False
    return optional_number(value, "", notes) is None


def _likeliest(names: Sequence[str], sample: Sequence[Row]) -> str | None:
    """By its name; else the column with the longest texts."""
    for word in LIKELY:
        for name in names:
            if word in name.lower():
                return name
    return max(names, key=lambda name: sum(len(str(row.get(name) or "")) for row in sample), default=None)


def _question(prompt: Conversation) -> str:
    """What is asked, where that is one turn."""
    spoken = _spoken(prompt)
    return spoken[0].content if len(spoken) == 1 else ""


def _repeats(prompt: str, texts: Sequence[str]) -> bool:
    """Whether all texts begin with the prompt and go on after it, and not within a word."""
    at = len(prompt)
    return bool(prompt) and all(
        text.startswith(prompt) and text[at:].strip() and not (prompt[-1].isalnum() and text[at].isalnum())
        for text in texts
    )


def _answer_to(prompt: Conversation, turns: Conversation) -> Conversation | None:
    """What follows the prompt, or turns that are an answer only; None for a dialogue that begins otherwise."""
    asked, spoken = _spoken(prompt), _spoken(turns)
    if _same(spoken[: len(asked)], asked):
        return spoken[len(asked) :]
    return spoken if not spoken or spoken[0].role != "user" else None


def _spoken(turns: Conversation) -> Conversation:
    return tuple(turn for turn in turns if turn.role != "system")


def _system(turns: Conversation) -> Conversation:
    return tuple(turn for turn in turns if turn.role == "system")


def _same(one: Conversation, other: Conversation) -> bool:
    """Whether the same was said, but for blanks around it."""
    return [(role, content.strip()) for role, content in one] == [
        (role, content.strip()) for role, content in other
    ]
