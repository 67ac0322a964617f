"""Label Studio: tasks and the labelling configuration that goes with them; its JSON and JSON-MIN exports back.

Import the tasks into a project whose labelling interface is the written XML, as it is. The export has, for each task,
``data`` and ``annotations``, each with ``completed_by`` and ``result``; a result of type ``pairwise`` has
``value.selected``, "left" or "right", for the first and second name in the control's ``toName``. The choices beside
it take ties and skips; a cancelled annotation is a skip.
"""

from __future__ import annotations

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
        return task is not None and ("annotations" in task or "annotation_id" in task)

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """Every annotation of every task; predictions and drafts are none."""
        tasks = parsed(data)
        if not isinstance(tasks, list):
            raise InvalidInputError(
                "expected a list of tasks, as Label Studio exports in JSON or JSON-MIN: export in one of the two"
            )
        return [found for number, task in enumerate(tasks, start=1) for found in _of_task(f"task {number}", task)]


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


def _flat_results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a JSON-MIN task, as they stand in the full export."""
    results: list[dict[str, Any]] = []
    for name, key in (("preference", "selected"), ("otherwise", "choices")):
        value = task.get(name)
        for part in value if isinstance(value, list) else [] if value is None else [value]:
            results.append({"value": part if isinstance(part, dict) else {key: part}})
    return results


def _time(annotation: dict[str, Any]) -> Any:
    return annotation.get("updated_at") or annotation.get("created_at")
