"""Tasks of Label Studio with annotations, to look at and go on with there.

Label Studio refuses a whole file with an e-mail of nobody who is a member of its project, and takes whoever imports a
file for the author of annotations that name none. So names stand in the ``meta`` of results, which its exports keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.handoff.label_studio import ANNOTATOR, CONFIGURATION, rendered
from bayesrm.campaign.labels.base import LabelFormat
from bayesrm.campaign.labels.rows import LabelRow, by_question
from bayesrm.utils.files import replacing, write_json


class LabelStudioAnnotations(LabelFormat):
    """Label Studio's tasks with an annotation for each label, and the labelling interface beside them."""

    name: ClassVar[str] = "label-studio"
    suffix: ClassVar[str] = "label-studio.json"
    weighted: ClassVar[bool] = False
    next_step: ClassVar[str] = (
        "Paste the .xml as the labelling interface of a project and import {file}. Annotations are yours there; who "
        "gave them stands in their results, which exports keep and bayesrm campaign tell reads."
    )

    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """A task a question."""
        configuration = path.with_suffix(".xml")
        write_json(path, [_task(group) for group in by_question(rows)])
        with replacing(configuration) as temporary:
            temporary.write_text(CONFIGURATION, encoding="utf-8")
        return [path, configuration]


def _task(group: Sequence[LabelRow]) -> dict[str, Any]:
    one = group[0]
    left, right = one.left_and_right
    texts = {"prompt": one.prompt, "left": left, "right": right}
    return {
        "data": {"question": one.question} | texts | rendered(texts),
        "annotations": [_annotation(row) for row in group],
    }


def _annotation(row: LabelRow) -> dict[str, Any]:
    result: dict[str, Any] = {
        "from_name": "preference",
        "to_name": "prompt",
        "type": "choices",
        "value": {"choices": [row.side]},
    }
    if row.annotator:
        result["meta"] = {ANNOTATOR: row.annotator}
    annotation: dict[str, Any] = {"result": [result], "was_cancelled": False}
    if row.answered:
        annotation["created_at"] = row.answered
    return annotation
