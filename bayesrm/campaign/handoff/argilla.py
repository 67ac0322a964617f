"""Argilla: records and the settings of their dataset; its exports back.

``rg.Settings.from_json`` takes the settings, ``dataset.records.from_json`` the records. What comes back has
the flat columns ``preference.responses`` of ``records.to_list(flatten=True)`` and ``to_datasets``, in JSON or a line
each, or a list of ``user_id, value, status`` under the question's name.

``dataset.records.to_json`` writes ``responses``, question → list of ``user_id`` and ``value``, without their status: a
draft or a discarded response looks like an answer. Of such a file only the one response to a record that is completed
is taken, because that one was submitted; the others are set aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer, Sheet, first_record, parse_answer, parsed
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import write_json

QUESTION = "preference"
FLAT = f"{QUESTION}.responses"
NO_STATUS = (
    "the export does not say whether this response was submitted, is a draft or was discarded: export with "
    "json.dump(dataset.records.to_list(flatten=True), file)"
)
_FIELDS = (("prompt", "Prompt"), ("left", "Left"), ("right", "Right"))


def settings(wanted: int) -> dict[str, Any]:
    """The template of the dataset, for so many answers to each record."""
    return {
        "guidelines": "Which response to the prompt is better, the left or the right one?",
        "fields": [
            {
                "name": name,
                "title": title,
                "required": True,
                "type": "text",
                "settings": {"type": "text", "use_markdown": False},
            }
            for name, title in _FIELDS
        ],
        "questions": [
            {
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
        ],
        "vectors": [],
        "metadata": [],
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": wanted},
        "mapping": None,
    }


class Argilla(HandOff):
    """Argilla's records, with the settings of a dataset for them."""

    name: ClassVar[str] = "argilla"
    next_step: ClassVar[str] = (
        "Make a dataset with rg.Settings.from_json of the settings and fill it with dataset.records.from_json; "
        "export with json.dump(dataset.records.to_list(flatten=True), file), which keeps drafts apart from answers "
        "(records.to_json does not), and: bayesrm campaign tell {directory} FILE"
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
                    "fields": {"prompt": sheet.prompt, "left": sheet.left, "right": sheet.right},
                    "metadata": {"batch": sheet.question.batch},
                    "suggestions": {},
                    "responses": {},
                    "vectors": {},
                }
                for sheet in sheets
            ],
        )
        several = not any(sheet.annotator for sheet in sheets)
        write_json(template, settings(max((s.question.wanted for s in sheets), default=1) if several else 1))
        return [records, template]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """A list of records with fields, or with the question's name."""
        record = first_record(data) or _first_line(data)
        return (
            record is not None
            and ("fields" in record or QUESTION in record or FLAT in record)
            and ("annotation_id" not in record)
        )

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """Every response to every record; suggestions are none."""
        records = parsed(data) if _first_line(data) is None else _lines(data)
        if not isinstance(records, list):
            raise InvalidInputError("expected a list of records, as Argilla's records.to_list(flatten=True) has")
        return [part for number, record in enumerate(records, start=1) for part in _of_record(number, record)]


def _first_line(data: bytes) -> dict[str, Any] | None:
    """The record of the first line, where a file has one a line."""
    try:
        line = json.loads(data.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0].decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and ("fields" in line or QUESTION in line or FLAT in line) else None


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


def _of_record(number: int, record: Any) -> Iterator[ParsedAnswer | Broken]:
    place = f"record {number}"
    if not isinstance(record, dict):
        yield Broken(place, f"expected a record, got {type(record).__name__}")
        return
    question = record.get("external_id") or record.get("id")
    responses = _responses(record)
    if not responses:
        yield parse_answer(place, question, None)
    for count, response in enumerate(responses, start=1):
        here = f"{place}, response {count}"
        if not isinstance(response, dict):
            yield Broken(here, f"expected a response, got {type(response).__name__}")
            continue
        value, status = response.get("value"), response.get("status")
        if isinstance(value, dict):
            value = value.get("value")
        if (
            status is None
            and value is not None
            and not (record.get("status") == "completed" and len(responses) == 1)
        ):
            yield Broken(here, NO_STATUS)
            continue
        if status == "discarded":
            value = "skip"
        elif status in ("draft", "pending"):
            value = None
        when = response.get("updated_at") or response.get("inserted_at")
        yield parse_answer(here, question, value, response.get("user_id"), when)


def _responses(record: dict[str, Any]) -> list[Any]:
    nested = record.get("responses")
    if isinstance(nested, dict):
        return list(nested.get(QUESTION) or [])
    if isinstance(nested, list):  # the server's own form: one object a user, with the values of all questions
        return [
            {**response, "value": (response.get("values") or {}).get(QUESTION)}
            for response in nested
            if isinstance(response, dict)
        ]
    if record.get(FLAT) is not None:
        values = record[FLAT]
        users = record.get(f"{FLAT}.users") or [None] * len(values)
        states = record.get(f"{FLAT}.status") or [None] * len(values)
        return [
            {"value": value, "user_id": user, "status": status}
            for value, user, status in zip(values, users, states, strict=False)
        ]
    return list(record.get(QUESTION) or [])
