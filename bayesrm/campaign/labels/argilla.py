"""Records of Argilla with submitted responses, and the settings of a dataset for them.

Argilla knows users by UUIDs. Each annotator gets one that follows from their name; ``metadata.annotators`` has the
names beside them, and ``metadata.answered`` when each answered, by which the records are read back: its client takes no
response that has more than a value, a user and a status.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from bayesrm.campaign.handoff.argilla import QUESTION, settings
from bayesrm.campaign.labels.base import LabelFormat
from bayesrm.campaign.labels.rows import LabelRow, by_question
from bayesrm.utils.files import write_json


class ArgillaRecords(LabelFormat):
    """Argilla's records with a response for each label, and the settings of a dataset beside them."""

    name: ClassVar[str] = "argilla"
    suffix: ClassVar[str] = "argilla.json"
    weighted: ClassVar[bool] = False
    next_step: ClassVar[str] = (
        "Make a dataset with rg.Settings.from_json of the settings and fill it with dataset.records.from_json of "
        "{file}; annotators that are named need users with the ids in it."
    )

    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """A record a question."""
        groups = list(by_question(rows))
        template = path.with_name(f"{path.name.removesuffix('.json')}-settings.json")
        write_json(path, [_record(group) for group in groups])
        write_json(template, settings(max((len(group) for group in groups), default=1)))
        return [path, template]


def _record(group: Sequence[LabelRow]) -> dict[str, Any]:
    one = group[0]
    left, right = one.left_and_right
    names = sorted({f"{_user(row.annotator)}={row.annotator}" for row in group if row.annotator})
    times = sorted({f"{_user(row.annotator) or ''}={row.answered}" for row in group if row.answered})
    return {
        "id": one.question,
        "fields": {"prompt": one.prompt, "left": left, "right": right},
        "metadata": {"batch": one.batch}
        | ({"annotators": names} if names else {})
        | ({"answered": times} if times else {}),
        "suggestions": {},
        "responses": {QUESTION: [_response(row) for row in group]},
        "vectors": {},
    }


def _response(row: LabelRow) -> dict[str, Any]:
    return {"value": row.side, "user_id": _user(row.annotator), "status": "submitted"}


def _user(annotator: str) -> str | None:
    return str(uuid5(NAMESPACE_URL, f"bayesrm:{annotator}")) if annotator else None
