"""A source of texts as one table: every response with its prompt, and what was already said of two of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.data.conversation import Conversation, as_conversation, as_text, require_text, to_json
from bayesrm.data.directory import RESPONSES
from bayesrm.data.formats.base import Item, Label, Told
from bayesrm.data.reading import SAMPLE, Notes, open_reader
from bayesrm.data.sources import SourceRow, read_rows
from bayesrm.data.strengths import grades_of
from bayesrm.data.table import ROWS_AT_ONCE
from bayesrm.data.unpacking import require_parquet
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences


@dataclass(frozen=True)
class BrokenRow:
    """A row that was left out, and why."""

    row: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Texts:
    """Responses with their prompts.

    Parameters
    ----------
    prompt_id
        (response,) integers or strings.
    row
        (response,) the number of the source's row in which each came first.
    prompts
        Of each response.
    responses
        Their texts.
    generators, sources
        Of each response, or None where the source does not say.
    preferences
        What was already labelled; None where nothing was.
    margins
        (comparison,) by how much the preferred answer was better, in the source's unit; NaN where it does not say.
    format
        The name of the form in which the source was read.
    rows
        How many rows the source has.
    broken
        Those left out.
    identical
        Labels that compared a text with itself, and were set aside.
    notes
        What was decided, and what was left out of rows that were read: a sentence each.
    grades
        (comparison,) how much better the first answer was, from 0 to 1; NaN where the source does not say. None where
        it says it of no label.
    """

    prompt_id: np.ndarray
    row: np.ndarray
    prompts: Sequence[Conversation]
    responses: Sequence[str]
    generators: Sequence[str | None] | None
    sources: Sequence[str | None] | None
    preferences: Preferences | None
    margins: np.ndarray | None
    format: str
    rows: int
    broken: tuple[BrokenRow, ...]
    identical: int
    notes: tuple[str, ...] = ()
    grades: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.responses)


def read_texts(
    source: str,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    config: str | None = None,
    winner_values: Mapping[str, str] | None = None,
    implicit_prompt: bool = False,
    beside: Sequence[str] = (),
) -> Texts:
    """Read a source of texts in any of the forms of ``FORMATS``, told by its columns.

    Parameters
    ----------
    source
        A file (.jsonl, .json, .csv, .parquet), a folder of them, or a data set of the hub.
    mapping
        What the source calls the columns in ``reading.MAPPED`` (``prompt``, ``response``, ``chosen``, …), where it has
        other names. With a ``winner``, ``chosen`` and ``rejected`` are the first and the second answer.
    split, config
        Of a data set of the hub.
    winner_values
        What the values of the winner column mean: first, second, tie or skip.
    implicit_prompt
        Whether the prompt is what chosen and rejected both begin with, whatever other columns there are.
    beside
        Columns that somebody reads beside the texts, such as covariates: they are not among those that are not used.

    Raises
    ------
    InvalidInputError
        Where the source cannot be read, its columns are in no known form, or not one of its rows can be used.
    """
    notes: list[str] = []
    rows = read_rows(source, split, config, notes)
    first = list(islice(rows, SAMPLE))
    readable = [row for _, row in first if not isinstance(row, InvalidInputError)]
    if not readable:
        number, reason = first[0] if first else (0, "it has no rows")
        where = f"row {number}: " if number else ""
        raise InvalidInputError(f"expected rows of texts in {source}, and there are none ({where}{reason})")
    reader = open_reader(readable, source, mapping, Told(winner_values, implicit_prompt, beside))
    table, counted = _Table(reader.form.lists), _Count()
    for number, item in reader.items(counted.rows(chain(first, rows))):
        if isinstance(item, InvalidInputError):
            table.broken.append(BrokenRow(number, str(item)))
        else:
            table.add(item, number)
    if not table.items:
        why = f" ({table.broken[0]})" if table.broken else ""
        raise InvalidInputError(
            f"not one of the {counted.count} rows of {source} can be used as {reader.form.name}{why}"
        )
    return table.texts(reader.form.name, counted.count, (*notes, *reader.notes))


def write_texts(path: Path, texts: Texts) -> None:
    """``responses.parquet``: prompt_id, prompt, response, row, and generator, source and messages where there are some.

    ``row`` is the number of the source's row, by which its other columns can be joined. A dialogue is written out in
    ``prompt``, and as JSON in ``messages``.
    """
    several = any(len(prompt) > 1 or prompt[0].role != "user" for prompt in texts.prompts)
    labels = pa.int64() if texts.prompt_id.dtype.kind in "iu" else pa.string()
    fields = [
        ("prompt_id", labels),
        ("prompt", pa.large_string()),
        ("response", pa.large_string()),
        ("row", pa.int64()),
    ]
    fields += [(name, pa.string()) for name in ("generator", "source") if getattr(texts, f"{name}s") is not None]
    if several:
        fields.append(("messages", pa.large_string()))
    schema = pa.schema(fields)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(texts), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            columns = {
                "prompt_id": texts.prompt_id[block].tolist(),
                "prompt": [as_text(prompt) for prompt in texts.prompts[block]],
                "response": list(texts.responses[block]),
                "row": texts.row[block],
                "generator": (texts.generators or [])[block],
                "source": (texts.sources or [])[block],
                "messages": [to_json(prompt) for prompt in texts.prompts[block]] if several else [],
            }
            arrays = [pa.array(columns[field.name], field.type) for field in schema]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


class _Count:
    """How many rows have gone by."""

    def __init__(self) -> None:
        self.count = 0

    def rows(self, rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
        for row in rows:
            self.count += 1
            yield row


class _Table:
    """Responses and labels as they come in.

    Parameters
    ----------
    lists
        Whether each answer is a response of its own, even if another has the same text.
    """

    def __init__(self, lists: bool) -> None:
        self.lists = lists
        self.items: list[tuple[Item, int]] = []
        self.broken: list[BrokenRow] = []
        self._notes = Notes()

    def add(self, item: Item, row: int) -> None:
        """A row that was read."""
        self.items.append((item, row))
        self._notes.add(item.notes, row)

    def texts(self, form: str, rows: int, notes: tuple[str, ...]) -> Texts:
        """All of it."""
        prompt_ids, named = _prompt_ids([item for item, _ in self.items])
        first: list[tuple[Item, int, int, int | str]] = []  # item, place in it, row and prompt of each response
        known: dict[tuple[int | str, str], int] = {}
        labels: list[tuple[int, int, Label]] = []
        identical = 0
        for (item, row), prompt_id in zip(self.items, prompt_ids, strict=True):
            index = []
            for at, answer in enumerate(item.answers):
                found = len(first) if self.lists else known.setdefault((prompt_id, answer.text), len(first))
                if found == len(first):
                    first.append((item, at, row if answer.row is None else answer.row, prompt_id))
                index.append(found)
            for label in item.labels:
                one, other = index[label.first], index[label.second]
                if one == other:
                    identical += 1
                else:
                    labels.append((one, other, label))
        preferences, margins = as_preferences(labels)
        grades = as_grades(labels)
        answers = [item.answers[at] for item, at, _, _ in first]
        generators = [answer.generator for answer in answers]
        sources = [item.source for item, _, _, _ in first]
        happened = self._notes.sentences()
        if 0 < named < len(self.items):
            happened.append(
                f"{len(self.items) - named:,} of {len(self.items):,} rows have no prompt_id; they belong to the rows "
                "with the same prompt."
            )
        return Texts(
            np.array([prompt_id for _, _, _, prompt_id in first]),
            np.array([row for _, _, row, _ in first], dtype=np.int64),
            [item.prompt for item, _, _, _ in first],
            [answer.text for answer in answers],
            generators if any(generators) else None,
            sources if any(sources) else None,
            preferences,
            margins,
            form,
            rows,
            tuple(sorted(self.broken, key=lambda broken: broken.row)),
            identical,
            (*notes, *happened),
            grades,
        )


def as_preferences(labels: Sequence[tuple[int, int, Label]]) -> tuple[Preferences | None, np.ndarray | None]:
    """Labels of responses by their numbers, and margins; None where there are none, NaN where one has none."""
    if not labels:
        return None, None
    said = [label for _, _, label in labels]
    names = np.array([label.annotator or "" for label in said])
    weights = np.array([1.0 if label.weight is None else label.weight for label in said])
    margins = np.array([np.nan if label.margin is None else label.margin for label in said])
    preferences = Preferences(
        np.array([first for first, _, _ in labels]),
        np.array([second for _, second, _ in labels]),
        np.array([label.outcome for label in said]),
        annotator=names if (names != "").any() else None,
        weight=weights if (weights != 1).any() else None,
    )
    return preferences, None if np.isnan(margins).all() else margins


def as_grades(labels: Sequence[tuple[int, int, Label]]) -> np.ndarray | None:
    """How much better the preferred responses are, see :mod:`bayesrm.data.strengths`; None where nothing says it."""
    said = [label for _, _, label in labels]
    margin, points = (
        np.array([np.nan if getattr(label, name) is None else getattr(label, name) for label in said], np.float64)
        for name in ("margin", "grades")
    )
    grades = grades_of(np.array([label.outcome for label in said], np.float64), margin, points)
    return None if np.isnan(grades).all() else grades


def _prompt_ids(items: Sequence[Item]) -> tuple[list[int | str], int]:
    """The prompt_id of each item, integers or strings, and how many had one.

    Equal prompts are one where there are no ids. Where some have one, an item without takes that of an item with the
    same prompt, or else a new one.
    """
    named = [item.prompt_id for item in items if item.prompt_id is not None]
    if not named:
        numbers: dict[Conversation, int] = {}
        return [numbers.setdefault(item.prompt, len(numbers)) for item in items], 0
    whole = all(isinstance(one, int) and -(2**63) <= one < 2**63 for one in named)
    as_label: Callable[[int | str], int | str] = (lambda one: one) if whole else str
    taken = {as_label(one) for one in named}
    by_prompt: dict[Conversation, int | str] = {}
    for item in items:
        if item.prompt_id is not None:
            by_prompt.setdefault(item.prompt, as_label(item.prompt_id))
    fresh: Iterator[int | str] = (one for one in map(as_label, count(1)) if one not in taken)
    labels = []
    for item in items:
        if item.prompt_id is None and item.prompt not in by_prompt:
            by_prompt[item.prompt] = next(fresh)
        labels.append(by_prompt[item.prompt] if item.prompt_id is None else as_label(item.prompt_id))
    return labels, len(named)


def load_pool_texts(path: Path) -> tuple[list[Conversation], list[str]]:
    """Prompts and responses of a pool directory, in its order.

    Raises
    ------
    InvalidInputError
        Where its ``responses.parquet`` is missing or has no texts.
    """
    file = path / RESPONSES
    if not file.exists():
        raise InvalidInputError(
            f"expected {RESPONSES} with the texts of the pool in {path}, but it does not exist"
        )
    try:
        require_parquet(file, ("prompt", "response", "messages"))
        with pq.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            wanted = [name for name in ("prompt", "response", "messages") if name in names]
            columns = opened.read(columns=wanted).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"expected a whole Parquet file, but {file} cannot be read ({error}): copy or write it again"
        ) from error
    if not {"prompt", "response"} <= set(wanted):
        raise InvalidInputError(f"expected the columns prompt and response in {file}, got {', '.join(names)}")
    given = [json.loads(one) for one in columns["messages"]] if "messages" in wanted else columns["prompt"]
    responses = [require_text(response, "response") for response in columns["response"]]
    return [as_conversation(prompt) for prompt in given], responses
