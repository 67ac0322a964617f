"""How the rows of a source become items: which form they are in, and which column is what.

Everything is settled by the columns and some rows before the first row is read, so that a row is never read otherwise
than its neighbours: the form, where the prompt stands, which columns have messages that a file wrote as text.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bayesrm.data.containers import are_messages, looks_like_messages, parse_container
from bayesrm.data.formats import FORMATS, Format
from bayesrm.data.formats.base import MEANINGS, Item, Label, Row, Table, Told
from bayesrm.data.prompts import PROMPT, PromptColumns, find_prompt
from bayesrm.data.sources import SheetRow
from bayesrm.data.values import has_no_text, is_missing, optional_id, optional_number, optional_person
from bayesrm.errors import InvalidInputError
from bayesrm.utils.csv_cells import unharmed

SAMPLE = 100
"""Rows that are looked at to tell the form of a source."""

MAPPED = ("prompt", "response", "chosen", "rejected", "winner", "prompt_id", "generator")
"""Columns that can be mapped by hand."""

VOTE = frozenset({"annotator", "weight", "answered"})
"""Columns that say who gave the labels of a row, how much they count, and when they were given."""

_TEXTS = frozenset({"response", "chosen", "rejected", "winner"})
"""Those whose mapping chooses the form."""
_UNUSED_SHOWN = 12


class Reader:
    """Rows of one form, read.

    Parameters
    ----------
    form
        The form.
    table
        What is known of the source.
    mapping
        What the source calls the columns that have been mapped by hand.
    prompt
        Where the prompt stands; None where no column has it or the form reads its own.
    messages
        Columns whose texts are messages.
    """

    def __init__(
        self,
        form: Format,
        table: Table,
        mapping: Mapping[str, str],
        prompt: PromptColumns | None,
        messages: frozenset[str],
    ) -> None:
        self.form, self._table, self._mapping, self._prompt = form, table, mapping, prompt
        self._messages = messages
        self._texts = (
            form.messages_in(_is_sheet(table.sample)) | (prompt.columns if prompt else set())
        ) - messages
        self.notes: tuple[str, ...] = ()

    def begin(self, columns: frozenset[str]) -> None:
        """Let the form look at the rows as it will get them; ``columns`` are those of the source."""
        sample = []
        for row in self._table.sample:
            try:
                sample.append(self._prepared(row))
            except InvalidInputError:
                continue  # it will be refused when it is read
        notes = []
        if self._prompt is not None and str(self._prompt) != PROMPT and PROMPT not in self._mapping:
            notes.append(f"The prompt is {self._prompt}.")
        notes += self.form.begin(replace(self._table, sample=sample))
        unused = self._unused(columns)
        if unused:
            more = f" and {len(unused) - _UNUSED_SHOWN} more" if len(unused) > _UNUSED_SHOWN else ""
            notes.append(f"Columns that are not used: {', '.join(unused[:_UNUSED_SHOWN])}{more}.")
        self.notes = tuple(notes)

    def items(
        self, rows: Iterable[tuple[int, Row | InvalidInputError]]
    ) -> Iterator[tuple[int, Item | InvalidInputError]]:
        """All items with the numbers of their rows, and errors in the places of rows that cannot be used."""
        if self.form.across_rows:
            yield from self.form.items(self._each(rows))
            return
        for number, row in rows:
            try:
                yield number, self.item(row)
            except InvalidInputError as error:
                yield number, error

    def item(self, row: Row | InvalidInputError) -> Item:
        """One row; InvalidInputError where it cannot be used."""
        if isinstance(row, InvalidInputError):
            raise row
        prepared = self._prepared(mapped(row, self._mapping))
        item = _with_vote(self.form.read(prepared), prepared)
        try:
            return replace(item, prompt_id=optional_id(prepared.get("prompt_id")))
        except InvalidInputError:
            return replace(item, notes=(*item.notes, "prompt_id is no id, and was taken as missing"))

    def _each(
        self, rows: Iterable[tuple[int, Row | InvalidInputError]]
    ) -> Iterator[tuple[int, Row | InvalidInputError]]:
        for number, row in rows:
            try:
                if isinstance(row, InvalidInputError):
                    raise row
                yield number, self._prepared(mapped(row, self._mapping))
            except InvalidInputError as error:
                yield number, error

    def _prepared(self, row: Row) -> dict[str, Any]:
        """A row with lists for the texts that they became, and its prompt as a conversation."""
        ready = dict(row)
        for name in self._messages | self._texts:
            if isinstance(ready.get(name), str):
                ready[name] = self._unpacked(ready[name], name)
        for name in self.form.containers:
            value = ready.get(name)
            if isinstance(value, str) and value.lstrip().startswith(("[", "{", "array(")):
                found = parse_container(value)
                if found is None and name in self.form.requires:
                    raise InvalidInputError(
                        f"expected a list or an object in {name}, and its text is damaged: {value!r:.60}"
                    )
                ready[name] = found
        if self._prompt is not None:
            missing = all(has_no_text(ready.get(name)) for name in self._prompt.parts)
            optional = PROMPT not in self.form.requires
            ready[PROMPT] = None if missing and optional else self._prompt.read(ready)
        return ready

    def _unpacked(self, text: str, name: str) -> Any:
        """The messages that a text was; where the column has none, a text is a text, and messages are refused."""
        if name not in self._messages:
            if looks_like_messages(text) and are_messages(parse_container(text)):
                raise InvalidInputError(
                    f"expected a text in {name} as in most rows, got messages that were written as text: {text!r:.60}"
                )
            return text
        if not text.lstrip().startswith(("[", "{", "array(")):
            return text
        found = parse_container(text)
        if not are_messages(found):
            raise InvalidInputError(f"expected messages in {name} as in other rows, got a text: {text!r:.60}")
        return found

    def _unused(self, columns: frozenset[str]) -> list[str]:
        used = self.form.requires | self.form.optional | {"prompt_id"}
        used |= frozenset() if self.form.across_rows or self.form.lists else VOTE
        used |= self._prompt.columns if self._prompt else set()
        used = (used - _dropped(self._mapping) - set(self._mapping)) | set(self._mapping.values())
        return sorted(name for name in columns - used - set(self._table.told.beside) if name)


class Notes:
    """What happened in rows, counted: each note once, with the number of rows and the first of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int]] = {}

    def add(self, notes: Iterable[str], row: int) -> None:
        """Those of a row."""
        for note in dict.fromkeys(notes):
            count, first = self._found.get(note, (0, row))
            self._found[note] = count + 1, first

    def sentences(self) -> list[str]:
        """One for each note."""
        return [
            f"In {count:,} {'row' if count == 1 else 'rows'} {note} (first in row {row})."
            for note, (count, row) in self._found.items()
        ]


def open_reader(
    sample: Sequence[Row], source: str, mapping: Mapping[str, str] | None = None, told: Told | None = None
) -> Reader:
    """How the rows of a source are read, settled by some of them.

    Parameters
    ----------
    sample
        Some rows, as they are in the source.
    source
        What it is called in messages.
    mapping
        What the source calls the columns in ``MAPPED``, where it has other names.
    told
        What else the user said.

    Raises
    ------
    InvalidInputError
        Where the columns are in no form, or in several, or could mean several things.
    """
    mapping, told = dict(mapping or {}), told or Told()
    _require_mapping(mapping, told, sample, source)
    forced = _TEXTS & set(mapping)
    columns = frozenset(name for row in sample for name in row)
    own = (columns - _dropped(mapping)) | set(mapping)
    # A prompt that was mapped by hand is that column alone; else it may be in several.
    prompt = PromptColumns((PROMPT,)) if PROMPT in mapping else None
    doubt: InvalidInputError | None = None
    if prompt is None:
        try:
            prompt = find_prompt(own, sample, source)
        except InvalidInputError as error:
            doubt = error
    known = own | ({PROMPT} if prompt is not None or doubt is not None else frozenset())
    rows = [mapped(row, mapping) for row in sample]
    form = _recognised(known, rows, source, forced, columns)
    reads_prompt = PROMPT in form.requires | form.optional and not form.own_prompt
    if doubt is not None and reads_prompt:
        raise doubt
    prompt = prompt if reads_prompt else None
    dialogues = form.messages_in(_is_sheet(sample))
    if prompt is not None:
        dialogues |= prompt.columns
    messages = frozenset(name for name in dialogues if _mostly_messages(name, rows))
    if _is_sheet(sample):
        rows = [SheetRow(row) for row in rows]
    reader = Reader(form, Table(source, known, rows, told), mapping, prompt, messages)
    reader.begin(columns)
    return reader


def _with_vote(item: Item, row: Row) -> Item:
    """The item with who gave its labels, how much they count, when and to which question, where its row says so."""
    # A column of this name is also what some files call the prompt, so that it is not among those of votes.
    question = row.get("question") if isinstance(row.get("question"), str) else None
    if not item.labels or (question is None and VOTE.isdisjoint(row)):
        return item
    notes: list[str] = []
    weight = optional_number(row.get("weight"), "weight", notes)
    if weight is not None and weight <= 0:
        weight = None
        notes.append("weight is not above 0 and was taken as missing")
    answered, annotator = row.get("answered"), None
    try:
        annotator = optional_person(row.get("annotator"))
    except InvalidInputError:
        notes.append("annotator is no name and was taken as missing")

    def voted(label: Label) -> Label:
        return replace(
            label,
            annotator=None if annotator is None else unharmed(annotator),
            weight=weight,
            answered=None if is_missing(answered) else str(answered).strip(),
            question=None if question is None else question.strip(),
        )

    return replace(item, labels=tuple(map(voted, item.labels)), notes=(*item.notes, *notes))


def mapped(row: Row, mapping: Mapping[str, str]) -> Row:
    """A row under the names that forms know.

    Where the user said which columns have the answers, no other column of the form's own names is read for one.
    """
    if not mapping:
        return row
    dropped = _dropped(mapping)
    plain = {name: value for name, value in row.items() if name not in dropped}
    return plain | {name: row.get(column) for name, column in mapping.items()}


def _dropped(mapping: Mapping[str, str]) -> set[str]:
    """Columns that are not read under their own names."""
    answers = set(mapping) & {"response", "chosen", "rejected"}
    return set(mapping.values()) | (_TEXTS | {"responses"} if answers else set())


def _recognised(
    columns: frozenset[str], sample: Sequence[Row], source: str, forced: frozenset[str], raw: frozenset[str]
) -> Format:
    """The one form of the highest priority that rows of these columns are in; ``raw`` are those of the source."""
    forms = [part() for part in FORMATS.values()]
    if forced:
        forms = [form for form in forms if forced <= form.by_hand]
        if not forms:
            raise InvalidInputError(
                f"expected columns of one form to be mapped by hand, got {' and '.join(sorted(forced))}: a response "
                "stands alone, chosen and rejected go together"
            )
        missing = sorted({"chosen", "rejected"} - columns) if forced <= {"chosen", "rejected"} else []
        if missing:
            raise InvalidInputError(
                f"expected also a column for {missing[0]} in {source}: say --{missing[0]}-column"
            )
        if "winner" in forced:
            return next(form for form in forms if "winner" in form.requires)
        if "response" in forced and PROMPT not in columns:
            raise InvalidInputError(
                f"expected also a column with the prompt in {source}, got {_listed(raw)}: say --prompt-column"
            )
    found = [form for form in forms if form.recognises(columns, sample)]
    best = [form for form in found if form.priority == max(one.priority for one in found)]
    if len(best) == 1:
        return best[0]
    if best:
        raise InvalidInputError(
            f"the columns of {source} ({_listed(raw)}) could be {' or '.join(form.name for form in best)}: "
            "say which they are with --prompt-column and --response-column, or --chosen-column and --rejected-column"
        )
    raise InvalidInputError(
        f"the columns of {source} ({_listed(raw)}) are in no known form: say what they are with --prompt-column "
        "and --response-column, or --chosen-column and --rejected-column, with --winner-column where that says which "
        f"is better{_suggestion(raw)}{_nearest(columns, forms)} (bayesrm formats lists the forms that are known)"
    )


LIKELY = {
    "prompt": ("prompt", "instruction", "question", "query", "input", "task", "request", "frage"),
    "response": ("response", "answer", "completion", "output", "reply", "generation", "text", "antwort"),
}
"""Words that the name of a column has where it is likely to be meant."""


def _suggestion(columns: Iterable[str]) -> str:
    """Options with the columns whose names look like prompts and responses, as they would be typed."""
    found: dict[str, str] = {}
    for option, words in LIKELY.items():
        likely = [
            name
            for word in words
            for name in sorted(columns)
            if word in name.lower() and name not in found.values()
        ]
        if likely:
            found[option] = likely[0]
    if not found:
        return ""
    said = " ".join(f"--{option}-column {shlex.quote(name)}" for option, name in found.items())
    return f"; perhaps {said}"


def _nearest(columns: frozenset[str], forms: Sequence[Format]) -> str:
    """The form of which most columns are there, if more than half are."""
    shares = [(len(form.requires & columns) / len(form.requires), form) for form in forms]
    share, form = max(shares, key=lambda one: one[0])
    if share <= 0.5:
        return ""
    return f"; of {form.name} there is no {', '.join(sorted(form.requires - columns)) or 'column with answers'}"


def _require_mapping(mapping: Mapping[str, str], told: Told, sample: Sequence[Row], source: str) -> None:
    unknown = sorted(set(mapping) - set(MAPPED))
    if unknown:
        raise InvalidInputError(f"expected columns for {', '.join(MAPPED)}, got {', '.join(unknown)}")
    columns = frozenset(name for row in sample for name in row)
    for name, column in mapping.items():
        if column not in columns:
            raise InvalidInputError(f"expected a column {column} for {name} in {source}, got {_listed(columns)}")
    wrong = sorted({meaning for meaning in (told.winners or {}).values() if meaning not in MEANINGS})
    if wrong:
        raise InvalidInputError(f"expected winners to mean {', '.join(MEANINGS)}, got {', '.join(wrong)}")
    if told.implicit_prompt and PROMPT in mapping:
        raise InvalidInputError("expected a column for the prompt or an implicit prompt, got both")


def _mostly_messages(name: str, rows: Sequence[Row]) -> bool:
    """Whether the texts of a column are messages that a file wrote as text: at least half of them, or damaged ones."""
    texts = [value for row in rows if isinstance(value := row.get(name), str) and value.strip()]
    seeming = [text for text in texts if looks_like_messages(text)]
    return 2 * len(seeming) >= len(texts) and any(are_messages(parse_container(text)) for text in seeming)


def _is_sheet(rows: Sequence[Row]) -> bool:
    return bool(rows) and isinstance(rows[0], SheetRow)


def _listed(columns: Iterable[str]) -> str:
    names = sorted(columns)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{', '.join(names[:20])}{more}" or "none"
