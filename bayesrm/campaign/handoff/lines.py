"""JSONL: one object a line, for scripts and for models as judges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.handoff.base import (
    Broken,
    HandOff,
    ParsedAnswer,
    Sheet,
    Unclear,
    first_record,
    parse_answer,
    parsed,
)
from bayesrm.campaign.handoff.rankings import words_of_places
from bayesrm.campaign.rankings import LETTERS
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import replacing


class Lines(HandOff):
    """An object a line with question, prompt, left and right, or responses to rank, and answer to fill in."""

    name: ClassVar[str] = "jsonl"
    order: ClassVar[int] = 10
    identifies_annotators: ClassVar[bool] = False
    filled_in: ClassVar[bool] = True
    next_step: ClassVar[str] = (
        'Set "answer" to left, right, tie or skip in each line, and: bayesrm campaign tell {directory} FILE'
    )
    grade_step: ClassVar[str | None] = (
        'Set "answer" in each line to how much better one is, such as "left much better" or "L3", "about equal" or '
        '"skip", and: bayesrm campaign tell {directory} FILE'
    )
    rank_step: ClassVar[str | None] = (
        'Set "answer" in each line, the responses being A, B, C and so on: "B > A = D > C", or ["B", ["A", "D"], "C"], '
        '"B" for the best alone, "B ... C" for the best and the worst, tie or skip; and: bayesrm campaign tell '
        "{directory} FILE"
    )

    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """One file."""
        path = stem.with_name(f"{stem.name}.jsonl")
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
            for sheet in sheets:
                texts = {"left": sheet.left, "right": sheet.right}
                line = {
                    "question": sheet.question.id,
                    "prompt": sheet.prompt,
                    **({"responses": list(sheet.responses)} if sheet.responses else texts),
                    "answer": None,
                    "annotator": sheet.annotator or None,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return [path]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """By its suffix, by a first line that is an object, or a list of such objects."""
        record = first_record(data)
        if record is not None:
            return {"question", "answer"} <= set(record)
        return suffix in (".jsonl", ".ndjson") or data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b'{"question"')

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """An answer for each line; a line that is no object is broken, the others count. A list has its lines."""
        called = "line"
        if first_record(data) is not None:
            data, called = b"\n".join(json.dumps(one).encode() for one in parsed(data)), "record"
        found: list[ParsedAnswer | Broken] = []
        for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            place = f"{called} {number}"
            if not raw.strip():
                continue
            try:
                line = json.loads(raw.decode("utf-8"))
            except UnicodeDecodeError:
                found.append(Broken(place, "expected a line in UTF-8, and it is not"))
                continue
            except (ValueError, RecursionError):
                found.append(Broken(place, "expected a line of JSON, and it is not whole"))
                continue
            if not isinstance(line, dict):
                found.append(Broken(place, f"expected an object, got {type(line).__name__}"))
                continue
            shown = {key: line.get(key) for key in ("prompt", "left", "right")} | _responses(line)
            question, words, who, when, comment = (
                line.get(key) for key in ("question", "answer", "annotator", "answered", "comment")
            )
            found.append(parse_answer(place, question, words_of_places(words), who, when, comment, shown))
        if found and not any(isinstance(part, (ParsedAnswer, Unclear)) for part in found):
            raise InvalidInputError(
                f"expected lines of JSON with question and answer, and none of {len(found)} is one: {found[0].reason}"  # type: ignore[union-attr]
            )
        return found


def _responses(line: dict[str, Any]) -> dict[str, Any]:
    """The responses of a list that a line shows, by what they are called."""
    responses = line.get("responses")
    return dict(zip(LETTERS.lower(), responses, strict=False)) if isinstance(responses, list) else {}
