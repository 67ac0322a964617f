"""Label Studio: tasks and the labelling configuration that goes with them; its JSON, JSON-MIN and CSV exports back.

Import the tasks into a project whose labelling interface is the written XML, as it is. It asks by one control of four
choices with a key each, of which exactly one has to be chosen: left *and* a tie, or nothing, is refused where it is
submitted. The choices of left and right stand in the panes with the texts, and a click anywhere in a pane is one on its
choice: a style stretches the label over the pane. Texts are shown as sanitised HTML made from their Markdown, and stand
in the tasks as they are too.

The export has, for each task, ``data`` and ``annotations``, each with ``completed_by`` and ``result``, whose ``value``
has ``choices``. Other interfaces have a control of type ``pairwise`` with ``value.selected``, "left" or "right", for
the first and second name in its ``toName``, and choices of ties and skips beside it. A cancelled annotation is a skip.
Lists are sorted into buckets by a ranker, a bucket for each place, whose result has ``ranker``: bucket → ids of its
responses. Those in one bucket are a tie, and those that were left lying are worse than all that were moved; the last
bucket is for the worst one.
Controls that somebody added to the interface are no answers. JSON-MIN and CSV have one annotation in each object or
row, with a column for each control.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.grades import scale
from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer, Sheet, first_record, parse_answer, parsed
from bayesrm.campaign.handoff.rankings import words_of_places
from bayesrm.campaign.handoff.tables import Table, decoded, find_table
from bayesrm.campaign.page.texts import RENDERED, harmless, shown
from bayesrm.campaign.rankings import LETTERS
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import replacing, write_json

CONFIGURATION = """<View>
  <Style>
    .pair, .others { display: flex; gap: 1em; align-items: stretch }
    .pane { position: relative; flex: 1 1 50%; min-width: 0; padding: 0.5em; border: 1px solid #999 }
    .pane:hover { border-color: #06c }
    .pane:has(input:checked) { outline: 3px solid #06c }
    .pane label, .pane [class*="choice"] { position: static }
    .pane label::after { content: ""; position: absolute; inset: 0; width: auto; z-index: 1; cursor: pointer }
    .others label { padding: 0.75em 1em }
  </Style>
  <Header value="Which response to the prompt is better? Click on it, or press a key; then submit."/>
  <HyperText name="prompt" value="$prompt_html"/>
  <Header size="5" value="Press 1 for left, 2 for right, 3 where they are equally good, 4 where you cannot say."/>
  <Choices name="preference" toName="prompt" choice="single-radio" showInline="true"
           required="true" requiredMessage="Choose left, right, tie or cannot say before you submit.">
    <View className="pair">
      <View className="pane">
        <Choice value="left" hotkey="1" hint="The left response is better"/>
        <HyperText name="left" value="$left_html"/>
      </View>
      <View className="pane">
        <Choice value="right" hotkey="2" hint="The right response is better"/>
        <HyperText name="right" value="$right_html"/>
      </View>
    </View>
    <View className="others">
      <Choice value="tie" hotkey="3" hint="Neither is better"/>
      <Choice value="cannot say" hotkey="4" hint="Skip this pair"/>
    </View>
  </Choices>
</View>
"""
GRADING = """<View>
  <Style>
    .grades label { padding: 0.75em 1em }
  </Style>
  <Header value="Which response to the prompt is better?"/>
  <HyperText name="prompt" value="$prompt_html"/>
  <View style="display: flex; gap: 1em; align-items: stretch">
    <View style="flex: 1 1 50%; min-width: 0">
      <Header value="Left"/>
      <HyperText name="left" value="$left_html"/>
    </View>
    <View style="flex: 1 1 50%; min-width: 0">
      <Header value="Right"/>
      <HyperText name="right" value="$right_html"/>
    </View>
  </View>
  <Header value="How much better is one of them? Press a key, 1 for the first answer and so on; then submit."/>
  <View className="grades">
    <Choices name="preference" toName="prompt" choice="single-radio" showInline="true"
             required="true" requiredMessage="Choose how much better one is before you submit.">
{choices}
    </Choices>
  </View>
</View>
"""
RANKING = """<View>
  <Header value="Sort the responses to the prompt: the best into the first place, and so on."/>
  <HyperText name="prompt" value="$prompt_html"/>
  <Header value="Equally good ones share a place. What you leave in the list is worse than all that you moved."/>
  <List name="responses" value="$items" title="Responses"/>
  <Ranker name="ranking" toName="responses">
{buckets}
  </Ranker>
  <Choices name="otherwise" toName="prompt" choice="single-radio" showInline="true">
    <Choice value="tie" hint="All are equally good"/>
    <Choice value="cannot say" hint="Skip this list"/>
  </Choices>
</View>
"""
_CHOICE = '      <Choice value="{value}" hotkey="{key}"/>'
_BUCKET = '    <Bucket name="place_{place}" title="{title}"/>'
CONTROLS = {"preference": "selected", "otherwise": "choices", "ranking": "ranker"}
"""The controls that have the answer, and where in a result."""
ANNOTATOR = "annotator"
"""Under which name the meta of a result has who gave it, where that is not the user who imported it."""
TEXTS = ("prompt", "left", "right", *LETTERS.lower())
_TAG = re.compile(r"<[^>]*>")


class LabelStudio(HandOff):
    """Label Studio's tasks, with a labelling configuration for pairs or for rankings."""

    name: ClassVar[str] = "label-studio"
    next_step: ClassVar[str] = (
        "Paste the .xml as the labelling interface of a project and import the .json; where pairs are for several "
        "annotators, set as many annotations per task in the settings of the project, which no file can. Export in "
        "JSON, and: bayesrm campaign tell {directory} FILE"
    )
    grade_step: ClassVar[str | None] = next_step
    rank_step: ClassVar[str | None] = next_step.replace("where pairs are", "where lists are")

    def write(self, sheets: Sequence[Sheet], stem: Path) -> list[Path]:
        """Tasks in JSON, and the configuration in XML."""
        tasks = stem.with_name(f"{stem.name}.label-studio.json")
        configuration = stem.with_name(f"{stem.name}.label-studio.xml")
        write_json(
            tasks,
            [
                {"data": {"question": sheet.question.id} | sheet.texts | (_items(sheet) or rendered(sheet.texts))}
                for sheet in sheets
            ],
        )
        with replacing(configuration) as temporary:
            temporary.write_text(_interface(sheets[0]) if sheets else CONFIGURATION, encoding="utf-8")
        return [tasks, configuration]

    def recognises(self, data: bytes, suffix: str) -> bool:
        """A list of tasks with data and annotations, or of the flat ones of JSON-MIN."""
        task = first_record(data)
        return (task is not None and ("annotations" in task or "annotation_id" in task)) or _table(
            data
        ) is not None

    def read(self, data: bytes) -> list[ParsedAnswer | Broken]:
        """Every annotation of every task; predictions and drafts are none."""
        table = _table(data, whole=True)
        if table is not None:
            return _of_table(table)
        tasks = parsed(data)
        if not isinstance(tasks, list):
            raise InvalidInputError(
                "expected a list of tasks, as Label Studio exports in JSON, JSON-MIN or CSV: export in one of these"
            )
        return _of_tasks([(f"task {number}", task) for number, task in enumerate(tasks, start=1)])

    def with_ids(self, data: bytes) -> bytes:
        """Tasks of a project of somebody's own, which have no ids of questions, get their places as ids."""
        if _table(data) is not None:
            return data
        tasks = parsed(data)
        for number, task in enumerate(tasks if isinstance(tasks, list) else [], start=1):
            texts = task.get("data", task) if isinstance(task, dict) else None
            if isinstance(texts, dict):
                texts["question"] = texts.get("question") or f"task {number}"
        return json.dumps(tasks).encode()

    def holds_labels(self, data: bytes) -> bool:
        """What somebody answers in the tool gets an id there; imported labels have none, also when exported again."""
        tasks = [] if _table(data) is not None else _list(parsed(data))
        annotations = [one for task in tasks if isinstance(task, dict) for one in _list(task.get("annotations"))]
        results = [one for part in annotations if isinstance(part, dict) for one in _list(part.get("result"))]
        return any(isinstance(result, dict) and "id" not in result for result in results)


def _interface(sheet: Sheet) -> str:
    """The labelling configuration for questions like this one."""
    if sheet.responses:
        return _ranker(len(sheet.responses))
    if not sheet.grades:
        return CONFIGURATION
    answers = [*(answer for answer, _, _ in scale(sheet.grades)), "cannot say"]
    choices = [_CHOICE.format(value=answer, key=key) for key, answer in enumerate(answers, start=1)]
    return GRADING.replace("{choices}", "\n".join(choices))


def _ranker(members: int) -> str:
    """The labelling configuration for lists of some length."""
    titles = ["1: the best", *(f"{place}" for place in range(2, members)), f"{members}: the worst"]
    places = enumerate(titles, start=1)
    return RANKING.format(buckets="\n".join(_BUCKET.format(place=place, title=title) for place, title in places))


def rendered(texts: Mapping[str, str]) -> dict[str, str]:
    """What the configuration shows of some texts."""
    return {f"{name}_html": _html(text) for name, text in texts.items()}


def _items(sheet: Sheet) -> dict[str, Any]:
    """The items to sort, for a list; none for a pair."""
    items = [{"id": name, "title": name, "html": _html(text)} for name, text in sheet.lettered.items()]
    return rendered({"prompt": sheet.prompt}) | {"items": items} if items else {}


def _html(text: str) -> str:
    """A text for the page: its Markdown, or itself where it is too long to render."""
    return shown(text).html if len(text) <= RENDERED else f"<pre>{html.escape(harmless(text))}</pre>"


def _table(data: bytes, whole: bool = False) -> Table | None:
    """The table of a CSV or TSV export; None where a file is none."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")):
        return None
    return find_table(decoded(data), frozenset({"question", "annotation_id"}), whole)


def _of_table(table: Table) -> list[ParsedAnswer | Broken]:
    """An annotation a row, read as the object that JSON-MIN has for it."""
    found: list[ParsedAnswer | Broken] = []
    tasks: list[tuple[str, Any]] = []
    for number, row in table.rows:
        if len(row) != len(table.header):
            found.append(Broken(f"row {number}", f"expected {len(table.header)} cells, got {len(row)}"))
            continue
        task = {name: _cell(name, cell) for name, cell in zip(table.header, row, strict=True)}
        tasks.append((f"row {number}", {name: cell for name, cell in task.items() if name != "data"}))
    return [*found, *_of_tasks(tasks)]


def _cell(name: str, cell: str) -> Any:
    """What a cell has: a list or an object as JSON, a text, or nothing."""
    if name not in TEXTS and cell.lstrip().startswith(("[", "{")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell if cell.strip() else None


def _of_tasks(tasks: Sequence[tuple[str, Any]]) -> list[ParsedAnswer | Broken]:
    controls = _controls([task for _, task in tasks if isinstance(task, dict)])
    return [found for place, task in tasks for found in _of_task(place, task, controls)]


def _controls(tasks: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The controls that have the answers, and where in a result: ours, or one pairwise control of another name.

    Raises
    ------
    InvalidInputError
        Where there are several of other names, and ours is not among them.
    """
    seen = {name for task in tasks for name in _pairwise(task)}
    if not seen or seen & set(CONTROLS):
        return CONTROLS
    if len(seen) > 1:
        raise InvalidInputError(
            f"expected the answers in the control preference, and there are {', '.join(sorted(map(str, seen))[:5])}: "
            "rename the one that asks which response is better"
        )
    return CONTROLS | {seen.pop(): "selected"}


def _pairwise(task: dict[str, Any]) -> Iterator[str]:
    """Names of the pairwise controls that were used on a task."""
    if "data" not in task:
        for name, value in task.items():
            one = value[0] if isinstance(value, list) and value else value
            if isinstance(one, dict) and "selected" in one:
                yield name
        return
    for annotation in _list(task.get("annotations")):
        yield from _pairwise_of(annotation.get("result") if isinstance(annotation, dict) else None)


def _pairwise_of(results: Any) -> Iterator[str]:
    for result in _list(results):
        if isinstance(result, dict) and result.get("type") == "pairwise":
            yield str(result.get("from_name", "preference"))


def _of_task(place: str, task: Any, controls: Mapping[str, str]) -> Iterator[ParsedAnswer | Broken]:
    if not isinstance(task, dict):
        yield Broken(place, f"expected a task, got {type(task).__name__}")
        return
    if "data" not in task:  # JSON-MIN: data and the one annotation in one object
        if task.get("annotation_id", task) is None:
            yield parse_answer(place, task.get("question"), None, shown=_shown(task))
            return
        yield _of_results(place, task, _flat_results(task, controls), task.get("annotator"), task, controls)
        return
    data = task["data"] if isinstance(task["data"], dict) else {}
    annotations = _list(task.get("annotations"))
    if not annotations:
        yield parse_answer(place, data.get("question"), None, shown=_shown(data))
        return
    for number, annotation in enumerate(annotations, start=1):
        here = f"{place}, annotation {number}"
        if not isinstance(annotation, dict):
            yield Broken(here, f"expected an annotation, got {type(annotation).__name__}")
            continue
        who = _named(annotation.get("result")) or annotation.get("completed_by")
        if isinstance(who, dict):
            who = who.get("email") or who.get("id")
        if annotation.get("was_cancelled"):
            yield parse_answer(here, data.get("question"), "skip", who, _time(annotation), shown=_shown(data))
        else:
            yield _of_results(here, data, annotation.get("result"), who, annotation, controls)


def _of_results(
    place: str, data: dict[str, Any], results: Any, who: Any, times: dict[str, Any], controls: Mapping[str, str]
) -> ParsedAnswer | Broken:
    """The answer that the results of one annotation give together."""
    said: list[Any] = []
    for result in results if isinstance(results, list) else []:
        if isinstance(result, dict) and str(result.get("from_name", "preference")) not in controls:
            continue
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            return Broken(place, "expected each result to have a type and a value")
        if "selected" in value:
            said.append(value["selected"])
        elif "choices" in value:
            said.extend(_list(value["choices"]))
        elif "ranker" in value:
            said.append(_of_buckets(value["ranker"], len(_list(data.get("items")))))
    said = [words for words in said if words != ""]
    said = list(dict.fromkeys(map(str, said)))
    if len(said) > 1:
        return Broken(place, f"expected one answer, got {' and '.join(said):.80}")
    words = said[0] if said else None
    other = next((name for name in _pairwise_of(results) if name not in controls), None) if words is None else None
    if other is not None:
        return Broken(place, f"expected the answer in the control preference, and it is in {other!r:.40}")
    if words is None and data.get("question"):
        return Broken(place, "it was submitted without an answer, so the question is still open")
    return parse_answer(place, data.get("question"), words, who, _time(times), shown=_shown(data))


def _flat_results(task: dict[str, Any], controls: Mapping[str, str]) -> list[dict[str, Any]]:
    """The results of a JSON-MIN task, as they stand in the full export."""
    return [
        {
            "from_name": name,
            "value": part if isinstance(part, dict) and key in {"selected", *part} else {key: part},
        }
        for name, key in controls.items()
        for part in _list(task.get(name))
    ]


def _of_buckets(ranker: Any, members: int) -> str:
    """The ranking in words that responses in buckets are; the last bucket has the worst where others lie unsorted."""
    buckets = ranker if isinstance(ranker, dict) else {}
    places = {
        int(place): list(map(str, _list(own)))
        for name, own in buckets.items()
        if (place := str(name).removeprefix("place_")).isdecimal() and _list(own)
    }
    order = [places[place] for place in sorted(places)]
    if members in places and sum(map(len, order)) < members:
        return f"{words_of_places(order[:-1])} ... {words_of_places(order[-1:])}"
    return words_of_places(order)


def _shown(data: dict[str, Any]) -> dict[str, Any]:
    return {name: _on_page(data.get(name), data.get(f"{name}_html")) for name in TEXTS}


def _on_page(text: Any, page: Any) -> Any:
    """A text of a task, or what its page showed instead: in a damaged file the two are of different tasks."""
    if not isinstance(text, str) or not isinstance(page, str):
        return text
    on_page = _plain(page)
    letters = _letters(on_page)
    # Rendering takes most of a millisecond, and Markdown leaves the letters of most texts as they are.
    if letters == _letters(text) or letters == _letters(_plain(_html(text))):
        return text
    return on_page


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _plain(page: str) -> str:
    return html.unescape(_TAG.sub("", page))


def _named(results: Any) -> Any:
    """Who is named in the results themselves."""
    metas = [result.get("meta") for result in _list(results) if isinstance(result, dict)]
    return next((meta[ANNOTATOR] for meta in metas if isinstance(meta, dict) and meta.get(ANNOTATOR)), None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _time(annotation: dict[str, Any]) -> Any:
    return annotation.get("updated_at") or annotation.get("created_at")
