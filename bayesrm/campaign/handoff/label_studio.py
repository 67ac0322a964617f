"""Label Studio: tasks and the labelling configuration that goes with them; its JSON, JSON-MIN and CSV exports back.

Import the tasks into a project whose labelling interface is the written XML, as it is. The export has, for each task,
``data`` and ``annotations``, each with ``completed_by`` and ``result``; a result of type ``pairwise`` has
``value.selected``, "left" or "right", for the first and second name in the control's ``toName``. The choices beside
it take ties and skips; a cancelled annotation is a skip. Controls that somebody added to the interface are no answers.
JSON-MIN and CSV have one annotation in each object or row, with a column for each control.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer, Sheet, first_record, parse_answer, parsed
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import replacing, write_json

CONFIGURATION = """<View>
  <Header value="Which response to the prompt is better?"/>
  <Text name="prompt" value="$prompt"/>
  <Pairwise name="preference" toName="left,right"/>
  <View style="display: flex; gap: 1em">
    <View style="flex: 50%"><Header value="Left"/><Text name="left" value="$left"/></View>
    <View style="flex: 50%"><Header value="Right"/><Text name="right" value="$right"/></View>
  </View>
  <Header value="If neither is better, choose here and neither above."/>
  <Choices name="otherwise" toName="prompt" choice="single-radio" showInline="true" required="false">
    <Choice value="tie"/>
    <Choice value="cannot say"/>
  </Choices>
</View>
"""
CONTROLS = {"preference": "selected", "otherwise": "choices"}
"""The controls that have the answer, and where in a result."""


class LabelStudio(HandOff):
    """Label Studio's tasks, with a pairwise labelling configuration."""

    name: ClassVar[str] = "label-studio"
    next_step: ClassVar[str] = (
        "Paste the .xml as the labelling interface of a project and import the .json; export in JSON, and: "
        "bayesrm campaign tell {directory} FILE"
    )

    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """Tasks in JSON, and the configuration in XML."""
        tasks = stem.with_name(f"{stem.name}.label-studio.json")
        configuration = stem.with_name(f"{stem.name}.label-studio.xml")
        write_json(
            tasks,
            [
                {
                    "data": {
                        "question": sheet.question.id,
                        "prompt": sheet.prompt,
                        "left": sheet.left,
                        "right": sheet.right,
                    }
                }
                for sheet in sheets
            ],
        )
        with replacing(configuration) as temporary:
            temporary.write_text(CONFIGURATION, encoding="utf-8")
        return [tasks, configuration]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """A list of tasks with data and annotations, or of the flat ones of JSON-MIN."""
        task = first_record(data)
        return (task is not None and ("annotations" in task or "annotation_id" in task)) or _is_table(data)

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """Every annotation of every task; predictions and drafts are none."""
        if _is_table(data):
            return _of_table(data)
        tasks = parsed(data)
        if not isinstance(tasks, list):
            raise InvalidInputError(
                "expected a list of tasks, as Label Studio exports in JSON, JSON-MIN or CSV: export in one of these"
            )
        return [found for number, task in enumerate(tasks, start=1) for found in _of_task(f"task {number}", task)]


def _is_table(data: bytes) -> bool:
    """Whether a file begins with the header of a CSV export."""
    header = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", errors="replace")
    names = {name.strip().strip('"') for name in header.split(",")}
    return {"question", "annotation_id"} <= names


def _of_table(data: bytes) -> list[ParsedAnswer | Broken]:
    """An annotation a row, read as the object that JSON-MIN has for it."""
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header, *rows = [row for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            f"expected a whole CSV file in UTF-8, and it is not ({error}): export it again"
        ) from error
    found: list[ParsedAnswer | Broken] = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            found.append(Broken(f"row {number}", f"expected {len(header)} cells, got {len(row)}"))
            continue
        task = {name: _cell(cell) for name, cell in zip(header, row, strict=True)}
        found.extend(_of_task(f"row {number}", {name: cell for name, cell in task.items() if name != "data"}))
    return found


def _cell(cell: str) -> Any:
    """What a cell has: a list or an object as JSON, a text, or nothing."""
    if cell.lstrip().startswith(("[", "{")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell if cell.strip() else None


def _of_task(place: str, task: Any) -> Iterator[ParsedAnswer | Broken]:
    if not isinstance(task, dict):
        yield Broken(place, f"expected a task, got {type(task).__name__}")
        return
    if "data" not in task:  # JSON-MIN: data and the one annotation in one object
        yield _of_results(place, task.get("question"), _flat_results(task), task.get("annotator"), task)
        return
    question = task["data"].get("question") if isinstance(task["data"], dict) else None
    annotations = task.get("annotations")
    if not annotations:
        yield parse_answer(place, question, None)
        return
    for number, annotation in enumerate(annotations if isinstance(annotations, list) else [annotations], start=1):
        here = f"{place}, annotation {number}"
        if not isinstance(annotation, dict):
            yield Broken(here, f"expected an annotation, got {type(annotation).__name__}")
            continue
        who = annotation.get("completed_by")
        if isinstance(who, dict):
            who = who.get("email") or who.get("id")
        if annotation.get("was_cancelled"):
            yield parse_answer(here, question, "skip", who, _time(annotation))
        else:
            yield _of_results(here, question, annotation.get("result"), who, annotation)


def _of_results(place: str, question: Any, results: Any, who: Any, times: dict[str, Any]) -> ParsedAnswer | Broken:
    """What the results of one annotation say together."""
    said = []
    for result in results if isinstance(results, list) else []:
        if isinstance(result, dict) and not _is_ours(result):
            continue
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            return Broken(place, "expected each result to have a type and a value")
        if "selected" in value:
            said.append(value["selected"])
        elif "choices" in value:
            said.extend(value["choices"] if isinstance(value["choices"], list) else [value["choices"]])
    said = list(dict.fromkeys(map(str, said)))
    if len(said) > 1:
        return Broken(place, f"expected one answer, got {' and '.join(said)}")
    return parse_answer(place, question, said[0] if said else None, who, _time(times))


def _is_ours(result: dict[str, Any]) -> bool:
    """Whether a result is of a control that asks for the answer; a pairwise one is, whatever it is called."""
    control = result.get("from_name")
    return control is None or control in CONTROLS or result.get("type") == "pairwise"


def _flat_results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a JSON-MIN task, as they stand in the full export."""
    results: list[dict[str, Any]] = []
    for name, key in CONTROLS.items():
        value = task.get(name)
        for part in value if isinstance(value, list) else [] if value is None else [value]:
            results.append({"value": part if isinstance(part, dict) else {key: part}})
    return results


def _time(annotation: dict[str, Any]) -> Any:
    return annotation.get("updated_at") or annotation.get("created_at")
