"""Argilla: records and the settings of their dataset; its exports back.

``rg.Settings.from_json`` takes the settings, ``dataset.records.from_json`` the records. What comes back has
the flat columns ``preference.responses`` of ``records.to_list(flatten=True)``, ``to_dict`` and ``to_datasets``, as
JSON, a line each, by columns or as CSV, or a list of ``user_id, value, status`` under the question's name.

``dataset.records.to_json`` writes ``responses``, question → list of ``user_id`` and ``value``, without their status: a
draft or a discarded response looks like an answer. Of such a file only the one response to a record that is completed
is taken, because that one was submitted; the others are set aside.

Lists are ranked by a ranking question, in which responses may share a rank. Its answers are lists of ``value`` and
``rank`` in the server's records; what the Python client makes of them are the options in their own order, without
ranks (argilla#5712), and is set aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.grades import scale
from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer, Sheet, first_record, parse_answer, parsed
from bayesrm.campaign.handoff.rankings import words_of_ranks
from bayesrm.campaign.handoff.tables import decoded, find_table
from bayesrm.campaign.rankings import LETTERS
from bayesrm.data.containers import parse_container
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import write_json

QUESTION = "preference"
FLAT = f"{QUESTION}.responses"
NO_STATUS = (
    "the export does not say whether this response was submitted, is a draft or was discarded: export with "
    "json.dump(dataset.records.to_list(flatten=True), file)"
)
NO_RANKS = (
    "the export has the options in their own order, without the ranks that were given (argilla#5712): export the "
    "server's records, as ask says"
)
_FIELDS = (("prompt", "Prompt"), ("left", "Left"), ("right", "Right"))
_RESPONSE = "response_"
"""What the fields of a list begin with; a, b, c and so on follow."""


def settings(wanted: int, members: int = 0, grades: int = 0) -> dict[str, Any]:
    """The template of the dataset: answers a record, the length of its lists or 0 for pairs, points of their scale."""
    lettered = tuple((f"{_RESPONSE}{letter.lower()}", letter) for letter in LETTERS[:members])
    return {
        "guidelines": "Rank the responses to the prompt, the best first; equally good ones share a rank."
        if members
        else "Which response to the prompt is better, the left or the right one?",
        "fields": [
            {
                "name": name,
                "title": title,
                "required": True,
                "type": "text",
                "settings": {"type": "text", "use_markdown": False},
            }
            for name, title in ((_FIELDS[0], *lettered) if members else _FIELDS)
        ],
        "questions": [_ranking(members) if members else _grading(grades) if grades else _PREFERENCE],
        "vectors": [],
        "metadata": [],
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": wanted},
        "mapping": None,
    }


_PREFERENCE: dict[str, Any] = {
    "name": QUESTION,
    "title": "Which is better?",
    "description": "Discard the record where you cannot say.",
    "required": True,
    "type": "label_selection",
    "settings": {
        "type": "label_selection",
        "options": [
            {"value": "left", "text": "Left", "description": None},
            {"value": "right", "text": "Right", "description": None},
            {"value": "tie", "text": "Equally good", "description": None},
        ],
        "visible_options": 3,
    },
}


def _grading(grades: int) -> dict[str, Any]:
    """The question how much better one of a pair is."""
    words = [answer for answer, _, _ in scale(grades)]
    options = [{"value": answer, "text": answer[0].upper() + answer[1:], "description": None} for answer in words]
    return _PREFERENCE | {
        "title": "Which is better, and by how much?",
        "settings": {"type": "label_selection", "options": options, "visible_options": len(options)},
    }


def _ranking(members: int) -> dict[str, Any]:
    """The question about a list."""
    options = [{"value": letter, "text": letter, "description": None} for letter in LETTERS[:members]]
    return {
        "name": QUESTION,
        "title": "Rank them, 1 for the best; ties are allowed.",
        "description": "Discard the record where you cannot say.",
        "required": True,
        "type": "ranking",
        "settings": {"type": "ranking", "options": options},
    }


class Argilla(HandOff):
    """Argilla's records, with the settings of a dataset for them."""

    name: ClassVar[str] = "argilla"
    next_step: ClassVar[str] = (
        "Make a dataset with rg.Settings.from_json of the settings and fill it with dataset.records.from_json; "
        "export with json.dump(dataset.records.to_list(flatten=True), file), which keeps drafts apart from answers "
        "(records.to_json does not), and: bayesrm campaign tell {directory} FILE"
    )
    grade_step: ClassVar[str | None] = next_step
    rank_step: ClassVar[str | None] = (
        "Make a dataset with rg.Settings.from_json of the settings and fill it with dataset.records.from_json; export "
        "the server's records, which alone have the ranks: client.http_client.get("
        'f"/api/v1/datasets/{{dataset.id}}/records?include=responses&limit=1000&offset=0").json(), page after page as '
        "a file each, and: bayesrm campaign tell {directory} FILE"
    )

    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """Records and settings, both in JSON."""
        records = stem.with_name(f"{stem.name}.argilla.json")
        template = stem.with_name(f"{stem.name}.argilla-settings.json")
        write_json(
            records,
            [
                {
                    "id": sheet.question.id,
                    "fields": _fields(sheet),
                    "metadata": {"batch": sheet.question.batch},
                    "suggestions": {},
                    "responses": {},
                    "vectors": {},
                }
                for sheet in sheets
            ],
        )
        several = not any(sheet.annotator for sheet in sheets)
        wanted = max((s.question.wanted for s in sheets), default=1) if several else 1
        one = sheets[0] if sheets else None
        write_json(template, settings(wanted, len(one.responses), one.grades) if one else settings(wanted))
        return [records, template]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """Records with fields, or with responses to the question: in a list, a line each, in columns, or a table."""
        record = first_record(data) or _first_line(data) or _first_of_page(data) or _first_of_columns(data)
        return _is_table(data) or (record is not None and _is_record(record) and "annotation_id" not in record)

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """Every response to every record; suggestions are none."""
        return _of_records(_records(data), *(("row", 2) if _is_table(data) else ("record", 1)))

    def holds_labels(self, data: bytes) -> bool:
        """By who answered and when in their metadata; else records have no status, which the tool gives each."""
        records = [record for record in _records(data) if isinstance(record, dict)]
        return any(
            _by_user(record, "annotators")
            or _by_user(record, "answered")
            or (record.get("responses") and not {"status", "_server_id", "external_id"} & set(record))
            for record in records
        )


def _records(data: bytes) -> list[Any]:
    """The records of a file; InvalidInputError where it has none."""
    if _is_table(data):
        return _table_records(data)
    records = _page(parsed(data)) if _first_line(data) is None else _lines(data)
    if isinstance(records, dict):
        records = _from_columns(records)
    if not isinstance(records, list):
        raise InvalidInputError("expected a list of records, as Argilla's records.to_list(flatten=True) has")
    return records


def _fields(sheet: Sheet) -> dict[str, str]:
    """The texts of a question by the names of fields."""
    if not sheet.responses:
        return sheet.texts
    return {name if name == "prompt" else f"{_RESPONSE}{name}": text for name, text in sheet.texts.items()}


def _page(value: Any) -> Any:
    """The records of a page that the server sent, under ``items``."""
    items = value.get("items") if isinstance(value, dict) else None
    return items if isinstance(items, list) and all(isinstance(one, dict) for one in items) else value


def _first_of_page(data: bytes) -> dict[str, Any] | None:
    try:
        records = _page(parsed(data))
    except InvalidInputError:
        return None
    return records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else None


def _of_records(records: Sequence[Any], called: str, start: int) -> list[ParsedAnswer | Broken]:
    """All responses; where records have responses to other questions alone, nothing is taken for an answer.

    Raises
    ------
    InvalidInputError
        Where they have none to ours.
    """
    others = sorted({name for record in records if isinstance(record, dict) for name in _others(record)})
    ours = any(isinstance(record, dict) and _has_question(record) for record in records)
    if others and not ours:
        raise InvalidInputError(
            f"expected responses to the question {QUESTION}, and the records have them to {', '.join(others[:5])}: was "
            "the question given another name? Rename it in the file"
        )
    return [
        part for number, record in enumerate(records, start) for part in _of_record(f"{called} {number}", record)
    ]


def _has_question(record: dict[str, Any]) -> bool:
    responses = record.get("responses")
    if isinstance(responses, dict) and QUESTION in responses:
        return True
    if isinstance(responses, list):
        return any(isinstance(one, dict) and QUESTION in _values(one) for one in responses)
    return QUESTION in record or FLAT in record


def _others(record: dict[str, Any]) -> list[str]:
    """Other questions that a record has responses to."""
    responses = record.get("responses")
    names = list(responses) if isinstance(responses, dict) else []
    for one in responses if isinstance(responses, list) else []:
        names += list(_values(one)) if isinstance(one, dict) else []
    names += [name.removesuffix(".responses") for name in record if str(name).endswith(".responses")]
    return [str(name) for name in names if name != QUESTION]


def _is_record(record: dict[str, Any]) -> bool:
    return "fields" in record or QUESTION in record or FLAT in record


def _first_line(data: bytes) -> dict[str, Any] | None:
    """The record of the first line, where a file has one a line."""
    try:
        line = json.loads(data.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0].decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and _is_record(line) and not _in_columns(line) else None


def _lines(data: bytes) -> list[Any]:
    """A record a line; a line that is none is None."""
    records: list[Any] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            try:
                records.append(json.loads(line.decode("utf-8")))
            except (ValueError, RecursionError):
                records.append(None)
    return records


def _in_columns(value: dict[str, Any]) -> bool:
    """Whether an object has all records in it: a list for each column, or each record under its id."""
    ids = value.get("id")
    return isinstance(ids, (list, dict)) or (
        # Records without a response have no column for it.
        all(isinstance(one, dict) for one in value.values()) and any(map(_is_record, value.values()))
    )


def _first_of_columns(data: bytes) -> dict[str, Any] | None:
    try:
        value = parsed(data)
        records = _from_columns(value) if isinstance(value, dict) else []
    except InvalidInputError:
        return None
    return records[0] if records and isinstance(records[0], dict) else None


def _from_columns(value: dict[str, Any]) -> list[Any]:
    """Records of ``records.to_dict`` and of pandas: by columns, by columns and rows, or by their ids."""
    if not _in_columns(value):
        raise InvalidInputError("expected a list of records, as Argilla's records.to_list(flatten=True) has")
    if not isinstance(value.get("id"), (list, dict)):
        return [{"id": name, **record} for name, record in value.items()]
    columns = {name: list(one.values()) if isinstance(one, dict) else one for name, one in value.items()}
    count = len(columns["id"])
    wrong = [name for name, one in columns.items() if not isinstance(one, list) or len(one) != count]
    if wrong:
        raise InvalidInputError(
            f"expected {count} values in every column, one a record, and {str(wrong[0])[:40]} has others: export it "
            "again"
        )
    return [{name: column[at] for name, column in columns.items()} for at in range(count)]


def _is_table(data: bytes) -> bool:
    """Whether a file is the CSV of ``records.to_datasets()``."""
    return not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")) and (
        find_table(decoded(data), frozenset({"id", FLAT})) is not None
    )


def _table_records(data: bytes) -> list[Any]:
    """A record a row, with the lists that its cells were."""
    table = find_table(decoded(data), frozenset({"id", FLAT}), whole=True)
    assert table is not None
    records: list[Any] = []
    for _, row in table.rows:
        cells = dict(zip(table.header, row, strict=False))
        lists = {name: parse_container(cell) for name, cell in cells.items() if name.startswith(FLAT)}
        damaged = len(row) != len(table.header) or any(
            cells[name].strip() and lists[name] is None for name in lists
        )
        records.append(None if damaged else cells | lists)
    return records


def _of_record(place: str, record: Any) -> Iterator[ParsedAnswer | Broken]:
    if not isinstance(record, dict):
        yield Broken(place, f"expected a record, got {'damage' if record is None else type(record).__name__}")
        return
    question = record.get("external_id") or record.get("id")
    names, times = (_by_user(record, name) for name in ("annotators", "answered"))
    fields = record.get("fields")
    texts = fields if isinstance(fields, dict) else record
    shown = {name: texts.get(name) for name, _ in _FIELDS}
    shown |= {letter: texts.get(f"{_RESPONSE}{letter}") for letter in LETTERS.lower()}
    try:
        responses = _responses(record)
    except InvalidInputError as error:
        yield Broken(place, str(error))
        return
    if not responses:
        yield parse_answer(place, question, None, shown=shown)
    for count, response in enumerate(responses, start=1):
        here = f"{place}, response {count}"
        if not isinstance(response, dict):
            yield Broken(here, f"expected a response, got {type(response).__name__}")
            continue
        value = response.get("value")
        status = None if response.get("status") is None else str(response["status"]).strip().lower()
        if isinstance(value, dict):
            value = value.get("value")
        sure = record.get("status") == "completed" and len(responses) == 1
        if status not in (None, "submitted", "discarded", "draft", "pending"):
            yield Broken(here, f"expected submitted, draft or discarded as its status, got {status!r:.40}")
            continue
        if status is None and value is not None and not sure:
            yield Broken(here, NO_STATUS)
            continue
        if status == "discarded":
            value = "skip"
        elif status in ("draft", "pending"):
            value = None
        if isinstance(value, list):
            ranks = [one.get("rank") if isinstance(one, dict) else None for one in value]
            if not all(isinstance(rank, (int, float)) for rank in ranks):
                yield Broken(here, NO_RANKS)
                continue
            value = words_of_ranks([(str(one.get("value")), float(one["rank"])) for one in value])
        user = response.get("user_id")
        when = times.get(str(user or "")) or response.get("updated_at") or response.get("inserted_at")
        yield parse_answer(here, question, value, names.get(str(user), user), when, shown=shown)


def _by_user(record: dict[str, Any], name: str) -> dict[str, str]:
    """User id → what some metadata say of them, in records that bayesrm campaign labels wrote, flattened or not."""
    metadata = record.get("metadata")
    listed = (metadata if isinstance(metadata, dict) else record).get(name)
    pairs = [str(entry).partition("=") for entry in listed] if isinstance(listed, list) else []
    return {user: said for user, equals, said in pairs if equals}


def _responses(record: dict[str, Any]) -> list[Any]:
    """Responses as objects of value, user_id and status.

    Raises
    ------
    InvalidInputError
        Where values, users and statuses are not as many.
    """
    nested = record.get("responses")
    if isinstance(nested, dict):
        return _list(nested.get(QUESTION))
    if isinstance(nested, list):  # the server's own form: one object a user, with the values of all questions
        return [
            {**response, "value": _values(response).get(QUESTION)}
            for response in nested
            if isinstance(response, dict)
        ]
    if record.get(FLAT) is not None:
        values = _list(record[FLAT])
        users, states = (_list(record.get(f"{FLAT}.{name}")) for name in ("users", "status"))
        if any(column and len(column) != len(values) for column in (users, states)):
            raise InvalidInputError(
                f"expected as many users and statuses as responses ({len(values)}), got {len(users)} and {len(states)}"
            )
        empty = [None] * len(values)
        return [
            {"value": value, "user_id": user, "status": status}
            for value, user, status in zip(values, users or empty, states or empty, strict=True)
        ]
    return _list(record.get(QUESTION))


def _values(response: dict[str, Any]) -> dict[str, Any]:
    values = response.get("values")
    return values if isinstance(values, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
