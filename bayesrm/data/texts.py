"""A source of texts as one table: every response with its prompt, and what was already said of two of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.data.conversation import Conversation, as_conversation, as_text, require_text, to_json
from bayesrm.data.directory import RESPONSES
from bayesrm.data.formats import FORMATS, Format
from bayesrm.data.formats.base import Item
from bayesrm.data.sources import read_rows
from bayesrm.data.table import ROWS_AT_ONCE
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences

SAMPLE = 100
"""Rows that are looked at to tell the form of a source."""

MAPPED = ("prompt", "response", "chosen", "rejected", "prompt_id", "generator")
"""Columns that can be mapped by hand."""

_BESIDE = ("prompt", "prompt_id", "generator", "source", "margin")
_TEXTS = ("response", "responses", "chosen", "rejected")


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

    def __len__(self) -> int:
        return len(self.responses)


def read_texts(
    source: str,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    config: str | None = None,
) -> Texts:
    """Read a source of texts in any of the forms of ``FORMATS``, told by its columns.

    Parameters
    ----------
    source
        A file (.jsonl, .json, .csv, .parquet), a folder of them, or a data set of the hub.
    mapping
        What the source calls ``prompt``, ``response``, ``chosen``, ``rejected``, ``prompt_id``, ``generator``, where
        its columns have other names.
    split, config
        Of a data set of the hub.

    Raises
    ------
    InvalidInputError
        Where the source cannot be read, its columns are in no known form, or not one of its rows can be used.
    """
    mapping = dict(mapping or {})
    unknown = sorted(set(mapping) - set(MAPPED))
    if unknown:
        raise InvalidInputError(f"expected columns for {', '.join(MAPPED)}, got {', '.join(unknown)}")
    rows = read_rows(source, split, config)
    first = list(islice(rows, SAMPLE))
    readable = [row for _, row in first if not isinstance(row, InvalidInputError)]
    if not readable:
        number, reason = first[0] if first else (0, "it has no rows")
        where = f"row {number}: " if number else ""
        raise InvalidInputError(f"expected rows of texts in {source}, and there are none ({where}{reason})")
    columns = frozenset(name for row in readable for name in row)
    _require_columns(mapping, columns, source)
    form = recognise([mapped(row, mapping) for row in readable], source)
    return _collect(form, ((number, mapped(row, mapping)) for number, row in chain(first, rows)), source)


def recognise(sample: Sequence[Mapping[str, Any]], source: str) -> Format:
    """The one form that some rows are in.

    Raises
    ------
    InvalidInputError
        Where there is none, or several.
    """
    columns = frozenset(name for row in sample for name in row)
    found = [form for part in FORMATS.values() if (form := part()).recognises(columns, sample)]
    if len(found) == 1:
        return found[0]
    came = ", ".join(sorted(columns)) or "none"
    if found:
        raise InvalidInputError(
            f"the columns of {source} ({came}) could be {' or '.join(form.name for form in found)}: "
            "say which they are with --prompt-column and --response-column, or --chosen-column and --rejected-column"
        )
    known = "; ".join(f"{name}: {part.columns}" for name, part in FORMATS.items())
    raise InvalidInputError(
        f"the columns of {source} ({came}) are in no known form: say what they are with --prompt-column and "
        f"--response-column, or --chosen-column and --rejected-column, or rename them (known are {known})"
    )


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


class _Table:
    """Responses and labels as they come in."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self.prompts: list[Conversation] = []
        self.responses: list[str] = []
        self.generators: list[str | None] = []
        self.sources: list[str | None] = []
        self.prompt_ids: list[int | str] = []
        self.rows: list[int] = []
        self.labels: list[tuple[int, int, float, float]] = []
        self.identical = 0
        self._numbers: dict[Conversation, int] = {}
        self._known: dict[tuple[int | str, str], int] = {}
        self._named: bool | None = None

    def add(self, item: Item, row: int) -> None:
        """All answers and labels of a row, or none where it does not fit."""
        prompt_id = self._prompt_id(item)
        index = [self._response(item, prompt_id, at, row) for at in range(len(item.answers))]
        for label in item.labels:
            first, second = index[label.first], index[label.second]
            if first == second:
                self.identical += 1
            else:
                margin = np.nan if label.margin is None else label.margin
                self.labels.append((first, second, label.outcome, margin))

    def _prompt_id(self, item: Item) -> int | str:
        given = item.prompt_id
        named = given is not None and given != ""
        if self._named is None:
            self._named = named
        if named != self._named:
            raise InvalidInputError("expected a prompt_id in every row or in none")
        if not named:
            return self._numbers.setdefault(item.prompt, len(self._numbers))
        if isinstance(given, bool) or not isinstance(given, (int, str)):
            raise InvalidInputError(f"expected an integer or a text as prompt_id, got {given!r}")
        return given

    def _response(self, item: Item, prompt_id: int | str, at: int, row: int) -> int:
        """Its number. In pairs, the same text to the same prompt is the same response; in lists, each row is one."""
        answer = item.answers[at]
        if not self.form.lists:
            known = self._known.setdefault((prompt_id, answer.text), len(self.responses))
            if known < len(self.responses):
                return known
        self.prompts.append(item.prompt)
        self.responses.append(answer.text)
        self.generators.append(answer.generator)
        self.sources.append(item.source)
        self.prompt_ids.append(prompt_id)
        self.rows.append(row)
        return len(self.responses) - 1


def _collect(
    form: Format, rows: Iterable[tuple[int, Mapping[str, Any] | InvalidInputError]], source: str
) -> Texts:
    table, broken, count = _Table(form), [], 0
    for number, row in rows:
        count += 1
        try:
            if isinstance(row, InvalidInputError):
                raise row
            table.add(form.read(row), number)
        except InvalidInputError as error:
            broken.append(BrokenRow(number, str(error)))
    if not table.responses:
        raise InvalidInputError(
            f"not one of the {count} rows of {source} can be used as {form.name} ({broken[0]})"
        )
    whole = all(isinstance(prompt_id, int) for prompt_id in table.prompt_ids)
    prompt_id = np.array(table.prompt_ids if whole else [str(one) for one in table.prompt_ids])
    preferences, margins = None, None
    if table.labels:
        first, second, outcome, margins = np.array(table.labels).T
        preferences = Preferences(first.astype(np.int64), second.astype(np.int64), outcome)
        margins = None if np.isnan(margins).all() else margins
    return Texts(
        prompt_id,
        np.array(table.rows, dtype=np.int64),
        table.prompts,
        table.responses,
        table.generators if any(table.generators) else None,
        table.sources if any(table.sources) else None,
        preferences,
        margins,
        form.name,
        count,
        tuple(broken),
        table.identical,
    )


def _require_columns(mapping: Mapping[str, str], columns: frozenset[str], source: str) -> None:
    for name, column in mapping.items():
        if column not in columns:
            raise InvalidInputError(
                f"expected a column {column} for {name} in {source}, got {', '.join(sorted(columns))}"
            )


def mapped(row: Any, mapping: Mapping[str, str]) -> Any:
    """A row under the names that formats know; of other text columns only those that nobody mapped otherwise."""
    if not mapping or isinstance(row, InvalidInputError):
        return row
    kept = set(_BESIDE)
    if not {"response", "chosen", "rejected"} & set(mapping):
        kept |= set(_TEXTS)
    used = set(mapping.values())
    plain = {name: value for name, value in row.items() if name in kept and name not in used}
    return plain | {name: row.get(column) for name, column in mapping.items()}


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
