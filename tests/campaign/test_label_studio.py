"""Files that Label Studio 1.23.2 exported itself, after a browser answered our tasks on its own page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bayesrm.campaign.handoff.base import ParsedAnswer, Unclear
from bayesrm.campaign.handoff.label_studio import CONFIGURATION, LabelStudio
from bayesrm.campaign.labels.label_studio import LabelStudioAnnotations
from bayesrm.campaign.labels.rows import LabelRow
from bayesrm.campaign.tell import recognised

EXPORTS = Path(__file__).parent / "label_studio_1_23"
PAIRS = [("1", "left"), ("2", "right"), ("3", "tie"), ("4", "skip"), ("5", "skip"), ("6", "right")]
"""Keys 1 to 4, the button that skips, and key 2 with Ctrl+Enter."""
PANES = [("1", "left"), ("2", "right"), ("3", "tie"), ("4", "skip"), ("5", "right"), ("6", None)]
"""Clicks into the corners of both panes; one into a text and then on tie; keys 4 and 2; a task that nobody did."""
LISTS = [("1", "B > A > D > C"), ("2", "B"), ("3", "C ... A"), ("4", "A = B > C > D")]
"""All four moved; one moved; the best and the worst; two into the same place."""
GRADES = [("1", "left much better"), ("2", "about equal"), ("3", "right much better"), ("4", "cannot say")]


def told(name: str) -> list[ParsedAnswer]:
    """Words that only the campaign understands, of lists and of grades, are unclear to the form."""
    found = LabelStudio().read((EXPORTS / name).read_bytes())
    return [part.answer if isinstance(part, Unclear) else part for part in found]


@pytest.mark.parametrize("name", sorted(path.name for path in EXPORTS.iterdir()))
def test_its_exports_are_recognised(name):
    data = (EXPORTS / name).read_bytes()
    assert recognised(data, Path(name)).name == "label-studio"


@pytest.mark.parametrize("name", ["pairs.json", "pairs.min.json", "pairs.csv"])
def test_pairs(name):
    """The short forms leave out what was skipped by the button."""
    answers = told(name)
    said = PAIRS if name == "pairs.json" else [each for each in PAIRS if each[0] != "5"]
    assert [(answer.question.rsplit("-", 1)[1], answer.side) for answer in answers] == said
    assert {answer.annotator for answer in answers} == {"1"}
    assert answers[0].answered == "2026-11-29T12:59:19.647467+00:00"


@pytest.mark.parametrize("name", ["panes.json", "panes.min.json", "panes.csv", "panes.tsv"])
def test_clicks_into_the_panes(name):
    assert [(answer.question.rsplit("-", 1)[1], answer.side) for answer in told(name)] == PANES


def test_a_click_anywhere_in_a_pane_is_one_on_its_choice():
    """Both choices stand in a pane with a text, in a control that takes one answer, each with a key of its own."""
    interface = ElementTree.fromstring(CONFIGURATION)
    (control,) = interface.iter("Choices")
    assert control.attrib.items() >= {"choice": "single-radio", "required": "true", "toName": "prompt"}.items()
    panes = [view for view in control.iter("View") if view.get("className") == "pane"]
    assert [[part.get("value", "").lstrip("$") for part in pane] for pane in panes] == [
        ["left", "left_html"],
        ["right", "right_html"],
    ]
    assert [choice.get("hotkey") for choice in control.iter("Choice")] == ["1", "2", "3", "4"]
    assert ".pane label::after" in interface.find("Style").text


@pytest.mark.parametrize(
    ("name", "said"),
    [("lists.json", LISTS), ("lists.min.json", LISTS), ("lists.csv", LISTS), ("grades.json", GRADES)],
)
def test_lists_and_grades(name, said):
    assert [(answer.question.rsplit("-", 1)[1], answer.words) for answer in told(name)] == said


def test_a_task_whose_page_showed_another_text_is_told_by_what_was_shown():
    """Two tasks that damage made one: the texts are the first one's, page and answer the second one's."""
    tasks = json.loads((EXPORTS / "pairs.json").read_text())
    one, two = (task["data"] for task in tasks[:2])
    assert one["right"] != two["right"]
    one["right_html"] = one["right_html"][:4] + two["right_html"][4:]
    shown = [answer.shown for answer in LabelStudio().read(json.dumps(tasks).encode())]
    plain = [answer.shown for answer in told("pairs.json")]
    assert shown[1:] == plain[1:]
    assert plain[0]["right"] == one["right"]
    assert shown[0] == plain[0] | {"right": shown[0]["right"]}
    assert shown[0]["right"].split()[-1] == two["right"].strip("`").split()[-1]


def test_labels_that_went_through_it_keep_their_annotators():
    """It took our labels in, and wrote them out as its own user's."""
    tasks = json.loads((EXPORTS / "labels.json").read_text())
    assert {annotation["completed_by"] for task in tasks for annotation in task["annotations"]} == {1}
    assert sorted((answer.side, answer.annotator) for answer in told("labels.json")) == [
        ("left", "ana"), ("right", "ana"), ("right", "ana"), ("tie", "ana"),
    ]  # fmt: skip


def test_labels_have_what_the_interface_shows_and_answers_of_its_own_control(tmp_path):
    """It refuses a file without a value that the interface names, and shows answers of its controls alone."""
    common = {
        "question": "q1", "prompt": "*p*", "messages": None, "annotator": "ana", "answered": None, "weight": 1.0,
        "votes": 1, "vote_share": 1.0, "margin": None, "importance": 1.0, "batch": 1, "design": "random",
    }  # fmt: skip
    rows = [
        LabelRow(chosen="a", rejected="b", winner="chosen", chosen_is_left=False, **common),
        LabelRow(chosen="b", rejected="a", winner="tie", chosen_is_left=True, **common),
    ]
    path, interface = LabelStudioAnnotations().write(rows, tmp_path / "labels.json")
    assert interface.read_text() == CONFIGURATION
    (task,) = json.loads(path.read_text())
    assert set(re.findall(r'value="\$(\w+)"', CONFIGURATION)) <= set(task["data"])
    results = [result for annotation in task["annotations"] for result in annotation["result"]]
    assert [result["value"]["choices"] for result in results] == [["right"], ["tie"]]
    assert {(result["from_name"], result["to_name"]) for result in results} == {("preference", "prompt")}
    assert not any("completed_by" in annotation for annotation in task["annotations"])


def test_half_a_character_on_the_page_is_no_error():
    """Which JSON can write and no page can show: the task is read, and its texts are compared as far as they go."""
    task = {
        "id": 1,
        "data": {
            "question": "q1",
            "prompt": "a\ud800b",
            "prompt_html": "<p>a\ufffdb</p>",
            "left": "x",
            "left_html": "<p>y",
        },
        "annotations": [
            {"result": [{"type": "pairwise", "from_name": "preference", "value": {"selected": "left"}}]}
        ],
    }
    (answer,) = LabelStudio().read(json.dumps([task]).encode())
    assert (answer.side, answer.shown["prompt"], answer.shown["left"]) == ("left", "a\ud800b", "y")
