"""Files that carry questions out and answers back, as the tools document them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import xml.etree.ElementTree as ET

import pytest

from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Sheet, time_of
from bayesrm.campaign.handoff.words import SIDES, side_of
from bayesrm.campaign.records import Question
from bayesrm.campaign.tell import recognised
from bayesrm.errors import InvalidInputError

QUESTIONS = [Question(f"qabcde-1-{k}", 1, k, 2 * k, 2 * k + 1, k % 2 == 0, 0.0) for k in range(1, 6)]
TEXTS = ["plain", 'two\nlines, a comma; and "quotes"', "=1+1", "-- no formula", "größer 🙂\r\nend"]
SHEETS = [Sheet(q, f"prompt {text}", text, text[::-1], "") for q, text in zip(QUESTIONS, TEXTS, strict=True)]
SIDES_SAID = ["left", "right", "tie", "skip", None]


def read(name, data: bytes):
    return HANDOFFS[name]().read(data)


def sides(parts):
    return [(part.question, part.side, part.annotator) for part in parts]


def test_words_of_an_answer():
    for side, words in SIDES.items():
        for word in words:
            assert side_of(f" {word.upper()} ") == side
    for words in ("Can’t say", "can`t say.", "CAN\u02bcT  SAY", '"unsure"', "I don´t know", "can_not say"):
        assert side_of(words) == "skip"
    for words in ("Both bad", "both_bad", "Tie (bothbad)", "Neither!", "no\u00a0preference"):
        assert side_of(words) == "tie"
    assert side_of("") is side_of(None) is side_of(" \u00a0") is None
    for number in (0, 1, 2, "1.0", "-1", True, "false", "0,5"):
        with pytest.raises(ValueError, match="expected left, right, tie or skip as an answer, got"):
            side_of(number)
    with pytest.raises(ValueError, match="expected left, right, tie or skip as an answer, got 'lefft'"):
        side_of("lefft")


def test_a_table_that_ask_never_wrote_is_said_to_be_no_sheet():
    table = b"Frage;Antwort A;Antwort B;Besser;Wer\nWas?;Ja;Nein;A;Anna\n"
    with pytest.raises(
        InvalidInputError, match=r"neither: .*prompt, response_a, response_b and winner, or prompt, "
    ):
        read("csv", table)
    with pytest.raises(InvalidInputError, match="keep the first row when you fill it in"):
        read("csv", f"{QUESTIONS[0].id};Was?;Ja;Nein;left\n".encode())


def test_times_are_kept_in_one_form():
    expected = "2021-03-09T22:16:08.728353+00:00"
    assert time_of("2021-03-09T22:16:08.728353Z") == expected
    assert time_of("2021-03-09T23:16:08.728353+01:00") == expected
    assert time_of("2021-03-09 22:16:08.728353") == expected
    assert time_of("last week") is time_of("") is time_of(None) is None
    assert time_of(0) == "1970-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r"])
def test_csv_as_spreadsheets_save_it(delimiter, encoding, ending, tmp_path):
    """Filled in, saved with another delimiter, encoding and line ends, and with columns in another order."""
    path = HANDOFFS["csv"]().write(SHEETS, tmp_path / "batch")[0]
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    assert [row["left"].removeprefix("'") for row in rows] == TEXTS
    out = io.StringIO(newline="")
    columns = ["answer", "annotator", "question", "left", "right", "prompt", "comment"]
    writer = csv.DictWriter(out, columns, delimiter=delimiter, lineterminator=ending)
    writer.writeheader()
    for row, side in zip(rows, SIDES_SAID, strict=True):
        writer.writerow({**row, "answer": side or "", "annotator": "Jörg"})
    data = out.getvalue().encode(encoding, errors="replace")
    expected = [(q.id, side, "Jörg") for q, side in zip(QUESTIONS, SIDES_SAID, strict=True)]
    assert sides(read("csv", data)) == expected
    assert recognised(data, tmp_path / "saved.dat").name == "csv"


def test_csv_runs_no_formula(tmp_path):
    path = HANDOFFS["csv"]().write(SHEETS, tmp_path / "batch")[0]
    assert path.read_bytes().startswith(b"\xef\xbb\xbfquestion,")
    for row in csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_csv_without_its_header_is_refused():
    with pytest.raises(InvalidInputError, match="the columns question and answer in its first row"):
        read("csv", b"qabcde-1-1,left\nqabcde-1-2,right\n")


def test_csv_cells_of_any_length():
    text = "x" * 200_000
    assert sides(read("csv", f"question,left,answer\nq1,{text},left\n".encode())) == [("q1", "left", "")]


def test_jsonl_lists_broken_lines_and_takes_the_rest():
    good = {"question": "q1", "answer": "left", "annotator": "ann", "answered": "2026-01-01T00:00:00Z"}
    lines = [
        json.dumps(good).encode(), b"{not json", b"\xff\xfe", b"[1]", b"", b'{"answer": "left"}',
        b'{"question": "q2", "answer": "perhaps"}',
    ]  # fmt: skip
    found = read("jsonl", b"\n".join(lines))
    assert found[0] == ParsedAnswer("line 1", "q1", "left", "ann", "2026-01-01T00:00:00.000000+00:00")
    assert [part.place for part in found[1:]] == ["line 2", "line 3", "line 4", "line 6", "line 7"]
    assert all(isinstance(part, Broken) for part in found[1:])
    with pytest.raises(InvalidInputError, match="none of 1 is one"):
        read("jsonl", b"{not json")


def test_jsonl_as_one_list(tmp_path):
    """As a program writes it that keeps its lines in a list."""
    records = [{"question": "q1", "answer": "left", "annotator": None}, {"answer": "tie", "question": "q2"}, 3]
    data = json.dumps(records, indent=1).encode()
    assert recognised(data, tmp_path / "judge.json").name == "jsonl"
    found = read("jsonl", data)
    assert sides(found[:2]) == [("q1", "left", ""), ("q2", "tie", "")]
    assert found[2] == Broken("record 3", "expected an object, got int")


def label_studio_task(question, *annotations):
    """A task as https://labelstud.io/guide/task_format documents it."""
    return {
        "id": 1, "created_at": "2021-03-09T21:52:49.513742Z", "updated_at": "2021-03-09T22:16:08.746926Z",
        "project": 83, "data": {"question": question, "prompt": "p", "left": "a", "right": "b"},
        "annotations": list(annotations),
        "predictions": [
            {"model_version": "m", "result": [{"type": "pairwise", "value": {"selected": "right"}}]}
        ],
    }  # fmt: skip


def label_studio_annotation(selected=None, choice=None, completed_by=10, cancelled=False):
    results = []
    if selected:
        results.append({
            "from_name": "preference", "to_name": "left,right", "id": "Dx_aB91ISN", "type": "pairwise",
            "value": {"selected": selected},
        })  # fmt: skip
    if choice:
        results.append({
            "from_name": "otherwise", "to_name": "prompt", "id": "x", "type": "choices", "value": {"choices": [choice]}
        })  # fmt: skip
    return {
        "id": "1001", "result": results, "was_cancelled": cancelled, "ground_truth": False,
        "created_at": "2021-03-09T22:16:08.728353Z", "updated_at": "2021-03-09T22:16:08.728378Z", "lead_time": 4.288,
        "result_count": 0, "task": 1, "completed_by": completed_by,
    }  # fmt: skip


EMPTY = "it was submitted without an answer, so the question is still open"


def test_label_studio_json_export():
    tasks = [
        label_studio_task(
            "q1", label_studio_annotation("left"), label_studio_annotation("right", completed_by=11)
        ),
        label_studio_task("q2", label_studio_annotation(choice="tie", completed_by={"id": 3, "email": "a@b.org"})),
        label_studio_task("q3", label_studio_annotation(cancelled=True)),
        label_studio_task("q4", label_studio_annotation("left", "tie")),
        label_studio_task("q5"),
        label_studio_task(None, label_studio_annotation("left")),
        {**label_studio_task("q7"), "annotations": ["?"]},
        label_studio_task("q8", label_studio_annotation(choice="cannot say")),
        label_studio_task("q9", label_studio_annotation()),
    ]
    data = json.dumps(tasks).encode()
    found = read("label-studio", data)
    told = [part for part in found if isinstance(part, ParsedAnswer)]
    assert sides(told) == [
        ("q1", "left", "10"), ("q1", "right", "11"), ("q2", "tie", "a@b.org"), ("q3", "skip", "10"), ("q5", None, ""),
        ("q8", "skip", "10"),
    ]  # fmt: skip
    assert told[0].answered == "2021-03-09T22:16:08.728378+00:00"
    assert [part.reason for part in found if isinstance(part, Broken)] == [
        "expected one answer, got left and tie",
        "expected the id of a question, and there is none",
        "expected an annotation, got str",
        EMPTY,
    ]


def test_label_studio_json_min_export(tmp_path):
    """As Label Studio's converter writes it."""
    flat = {
        "prompt": "p", "left": "a", "right": "b", "question": "q1", "id": 1, "preference": [{"selected": "left"}],
        "annotator": "a@b.org", "annotation_id": 3, "created_at": "2021-03-09T22:16:08.728353Z", "updated_at": None,
        "lead_time": 3.1,
    }  # fmt: skip
    tie = {
        **{key: value for key, value in flat.items() if key != "preference"},
        "question": "q2",
        "otherwise": "tie",
    }
    data = json.dumps([flat, tie]).encode()
    assert recognised(data, tmp_path / "project.json").name == "label-studio"
    assert sides(read("label-studio", data)) == [("q1", "left", "a@b.org"), ("q2", "tie", "a@b.org")]


def test_label_studio_configuration_names_what_tasks_have(tmp_path):
    tasks, configuration = HANDOFFS["label-studio"]().write(SHEETS, tmp_path / "batch")
    view = ET.fromstring(configuration.read_text())
    data = json.loads(tasks.read_text())[0]["data"]
    texts = {text.get("name"): text.get("value") for text in view.iter("HyperText")}
    assert set(texts) == {"prompt", "left", "right"}
    assert {value.removeprefix("$") for value in texts.values()} <= data.keys()
    assert data["left"] == SHEETS[0].left, "as it is, beside what is shown"
    (control,) = view.iter("Choices")
    assert (control.get("name"), control.get("toName")) == ("preference", "prompt")
    assert control.get("choice") == "single-radio", "left and a tie cannot both be chosen"
    assert control.get("required") == "true"
    assert "before you submit" in control.get("requiredMessage"), "an empty submit is refused with a reason"
    choices = list(view.iter("Choice"))
    assert [side_of(choice.get("value")) for choice in choices] == ["left", "right", "tie", "skip"]
    assert [choice.get("hotkey") for choice in choices] == ["1", "2", "3", "4"]
    assert all(choice.get("hint") for choice in choices)
    hint = " ".join(header.get("value") for header in view.iter("Header"))
    assert "Press 1 for left, 2 for right, 3 where they are equally good, 4 where you cannot say" in hint


def test_label_studio_shows_markdown_that_can_do_no_harm(tmp_path):
    sheet = dataclasses.replace(SHEETS[0], left="**bold** <script>alert(1)</script>", right="x" * 20_000 + "<b>")
    tasks, _ = HANDOFFS["label-studio"]().write([sheet], tmp_path / "batch")
    data = json.loads(tasks.read_text())[0]["data"]
    assert "<strong>bold</strong>" in data["left_html"]
    assert "<script>" not in data["left_html"]
    assert data["right_html"].endswith("&lt;b&gt;</pre>")
    assert len(data["right_html"]) > 20_000, "all of it"


@pytest.mark.parametrize(
    ("chosen", "side"), [("left", "left"), ("right", "right"), ("tie", "tie"), ("cannot say", "skip")]
)
def test_label_studio_answers_by_the_one_control(chosen, side):
    result = {"from_name": "preference", "to_name": "prompt", "type": "choices", "value": {"choices": [chosen]}}
    full = {
        "data": {"question": "q1"},
        "annotations": [{"completed_by": {"email": "a@b.org"}, "result": [result]}],
    }
    flat = {"question": "q1", "annotation_id": 1, "annotator": "a@b.org", "preference": chosen}
    for task in (full, flat):
        assert sides(read("label-studio", json.dumps([task]).encode())) == [("q1", side, "a@b.org")]


def test_label_studio_csv_export(tmp_path):
    """One annotation a row, as Label Studio's converter writes it; its list is JSON within a cell."""
    columns = [
        "annotation_id",
        "annotator",
        "created_at",
        "id",
        "lead_time",
        "left",
        "otherwise",
        "preference",
        "prompt",
    ]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, [*columns, "question", "right", "updated_at"], restval="")
    writer.writeheader()
    for question, preference, otherwise in (
        ("q1", '[{"selected": "left"}]', ""), ("q2", "", "tie"), ("q3", "", '{"choices": ["cannot say"]}'),
        ("q4", "", ""), ("q5", "right", ""), ("q6", '[{"selected": "left"}]', "tie"),
    ):  # fmt: skip
        row = {"question": question, "preference": preference, "otherwise": otherwise, "annotator": "7"}
        writer.writerow({**row, "prompt": "two\nlines", "annotation_id": 3, "updated_at": "2026-01-01T10:00:00Z"})
    data = out.getvalue().encode()
    assert recognised(data, tmp_path / "export.csv").name == "label-studio"
    found = read("label-studio", data)
    assert sides([*found[:3], found[4]]) == [
        ("q1", "left", "7"), ("q2", "tie", "7"), ("q3", "skip", "7"), ("q5", "right", "7"),
    ]  # fmt: skip
    assert found[3] == Broken("row 5", EMPTY)
    assert found[0].answered == "2026-01-01T10:00:00.000000+00:00"
    assert found[5] == Broken("row 7", "expected one answer, got left and tie")
    short = read("label-studio", b"question,annotation_id,preference\nq1,1\nq2,2,left\n")
    assert short[0] == Broken("row 2", "expected 3 cells, got 2")
    assert sides(short[1:]) == [("q2", "left", "")]
    with pytest.raises(InvalidInputError, match="whole CSV"):
        read("label-studio", b'question,annotation_id,preference\nq1,1,"left\n')


def test_label_studio_controls_beside_ours_are_no_answers():
    annotation = label_studio_annotation("left")
    others = [
        {"from_name": "language", "to_name": "prompt", "type": "choices", "value": {"choices": ["right"]}},
        {"from_name": "why", "to_name": "prompt", "type": "textarea", "value": {"text": ["because"]}},
    ]
    annotation["result"] += others
    alone = {**label_studio_annotation(), "result": others}
    renamed = label_studio_annotation("right")
    renamed["result"][0]["from_name"] = "pref"
    tasks = [label_studio_task(f"q{k}", one) for k, one in enumerate((annotation, alone, renamed), start=1)]
    found = read("label-studio", json.dumps(tasks).encode())
    assert sides(found[:1]) == [("q1", "left", "10")]
    assert found[1] == Broken("task 2, annotation 1", EMPTY)
    assert found[2] == Broken(
        "task 3, annotation 1", "expected the answer in the control preference, and it is in 'pref'"
    )
    assert sides(read("label-studio", json.dumps(tasks[2:]).encode())) == [("q3", "right", "10")]
    helpful = {**renamed["result"][0], "from_name": "helpful"}
    several = label_studio_task("q4", {**renamed, "result": [renamed["result"][0], helpful]})
    with pytest.raises(InvalidInputError, match="in the control preference, and there are helpful, pref"):
        read("label-studio", json.dumps([several]).encode())


USER = "11111111-1111-1111-1111-111111111111"


def test_argilla_exports(tmp_path):
    """``records.to_json``, a dataset with a list under the question's name, the server's records, and flat columns."""
    fields = {"prompt": "p", "left": "a", "right": "b"}
    nested = {
        "id": "q1", "fields": fields, "metadata": {"batch": 1}, "suggestions": {"preference": {"value": "right"}},
        "responses": {"preference": [{"value": "left", "user_id": USER}]},
        "vectors": {}, "status": "completed", "_server_id": None,
    }  # fmt: skip
    listed = {
        **fields, "external_id": "q2", "metadata": "{}",
        "preference": [
            {"user_id": USER, "value": "right", "status": "submitted"},
            {"user_id": "other", "value": "left", "status": "draft"},
            {"user_id": "third", "value": None, "status": "discarded"},
        ],
    }  # fmt: skip
    server = {
        "external_id": "q3", "fields": fields,
        "responses": [{"values": {"preference": {"value": "tie"}}, "user_id": USER, "status": "submitted"}],
    }  # fmt: skip
    flat = {
        **fields, "id": "q4", "preference.responses": ["left"], "preference.responses.users": [USER],
        "preference.responses.status": ["submitted"],
    }  # fmt: skip
    for record, expected in (
        (nested, [("q1", "left", USER)]),
        (listed, [("q2", "right", USER), ("q2", None, "other"), ("q2", "skip", "third")]),
        (server, [("q3", "tie", USER)]),
        (flat, [("q4", "left", USER)]),
    ):
        data = json.dumps([record]).encode()
        assert recognised(data, tmp_path / "records.json").name == "argilla"
        assert sides(read("argilla", data)) == expected


def test_argilla_without_status_takes_only_what_was_surely_submitted():
    """``records.to_json`` writes value and user of a response, also of drafts and discarded ones."""

    def record(name, status, *values):
        responses = [{"value": value, "user_id": f"u{k}"} for k, value in enumerate(values)]
        return {"id": name, "status": status, "fields": {}, "responses": {"preference": responses}}

    records = [
        record("q1", "completed", "left"), record("q2", "pending", "right"), record("q3", "completed", "left", "tie"),
        record("q4", "pending"), {"id": "q5", "preference.responses": ["left"], "preference.responses.users": ["u0"]},
    ]  # fmt: skip
    found = read("argilla", json.dumps(records).encode())
    assert sides([part for part in found if isinstance(part, ParsedAnswer)]) == [
        ("q1", "left", "u0"),
        ("q4", None, ""),
    ]
    aside = [part for part in found if isinstance(part, Broken)]
    assert [part.place for part in aside] == [
        "record 2, response 1", "record 3, response 1", "record 3, response 2", "record 5, response 1",
    ]  # fmt: skip
    assert all("to_list(flatten=True)" in part.reason for part in aside)
    assert "to_list(flatten=True)" in HANDOFFS["argilla"].next_step


def test_argilla_with_a_record_a_line(tmp_path):
    """As ``records.to_datasets().to_json`` writes."""
    states = [("submitted", "left"), ("draft", "right"), ("discarded", None)]
    lines = [
        json.dumps({
            "id": f"q{k}", "prompt": "p", "preference.responses": [value], "preference.responses.users": ["u"],
            "preference.responses.status": [status],
        })
        for k, (status, value) in enumerate(states)
    ]  # fmt: skip
    data = "\n".join([*lines, "{broken", ""]).encode()
    assert recognised(data, tmp_path / "records.jsonl").name == "argilla"
    found = read("argilla", data)
    assert sides(found[:3]) == [("q0", "left", "u"), ("q1", None, "u"), ("q2", "skip", "u")]
    assert found[3] == Broken("record 4", "expected a record, got damage")
    assert sides(read("argilla", lines[0].encode())) == [("q0", "left", "u")]


def test_argilla_settings_have_a_question_with_the_sides(tmp_path):
    _, template = HANDOFFS["argilla"]().write(SHEETS, tmp_path / "batch")
    settings = json.loads(template.read_text())
    (question,) = settings["questions"]
    assert {side_of(option["value"]) for option in question["settings"]["options"]} == {"left", "right", "tie"}
    assert [field["name"] for field in settings["fields"]] == ["prompt", "left", "right"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG....", "like none of them"),
        (b'{"a": 1}', "like none of them"),
        (b'[{"data": {}, "annotations": []}', "like none of them"),
    ],
)
def test_files_that_nothing_knows(data, message, tmp_path):
    with pytest.raises(InvalidInputError, match=message):
        recognised(data, tmp_path / "file.json")


@pytest.mark.parametrize("name", ["label-studio", "argilla"])
def test_json_that_is_not_whole_or_not_utf8(name):
    with pytest.raises(InvalidInputError, match="whole JSON"):
        read(name, b'[{"data": {}')
    with pytest.raises(InvalidInputError, match="byte 2 is not"):
        read(name, b'["\xff"]')
    with pytest.raises(InvalidInputError, match="expected a list"):
        read(name, b"{}")


FLAT_RECORDS = [
    {
        "id": f"qabcde-1-{k}", "status": "pending", "prompt": "p", "left": "a", "right": "b",
        "preference.responses": values, "preference.responses.users": users, "preference.responses.status": states,
    }
    for k, (values, users, states) in enumerate(
        [
            (["left"], ["u1"], ["submitted"]), (["right", "tie"], ["u1", "u2"], ["draft", "Submitted"]),
            (["left"], ["u1"], ["discarded"]), (None, None, None),
        ],
        start=1,
    )
]  # fmt: skip
FLAT_SAID = [
    ("qabcde-1-1", "left", "u1"), ("qabcde-1-2", None, "u1"), ("qabcde-1-2", "tie", "u2"), ("qabcde-1-3", "skip", "u1"),
    ("qabcde-1-4", None, ""),
]  # fmt: skip


def columns_of(records):
    return {name: [record[name] for record in records] for name in records[0]}


@pytest.mark.parametrize(
    "form", ["list", "lines", "columns", "pandas", "by id", "csv of JSON", "csv of numpy", "semicolons"]
)
def test_argilla_in_every_file_that_is_made_of_its_records(form, tmp_path):
    """``to_list``, ``to_datasets().to_json``, ``to_dict`` in both orders, pandas, and ``to_datasets().to_csv``."""
    columns, name = columns_of(FLAT_RECORDS), "records.json"
    if form == "lines":
        text = "".join(json.dumps(record) + "\n" for record in FLAT_RECORDS)
    elif form.startswith(("csv", "semi")):
        name, out = "records.csv", io.StringIO(newline="")
        writer = csv.DictWriter(out, columns, delimiter=";" if form == "semicolons" else ",")
        writer.writeheader()
        for record in FLAT_RECORDS:
            lists = {
                key: " ".join(map(repr, value)).join("[]") if form == "csv of numpy" else json.dumps(value)
                for key, value in record.items()
                if isinstance(value, list)
            }
            writer.writerow(record | lists)
        text = out.getvalue()
    else:
        text = json.dumps({
            "list": FLAT_RECORDS,
            "columns": columns,
            "pandas": {key: {str(at): one for at, one in enumerate(value)} for key, value in columns.items()},
            "by id": {record["id"]: record for record in FLAT_RECORDS},
        }[form])  # fmt: skip
    assert recognised(text.encode(), tmp_path / name).name == "argilla"
    found = read("argilla", text.encode())
    assert sides(found) == FLAT_SAID
    assert found[0].shown == {"prompt": "p", "left": "a", "right": "b"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preference.responses.status": []}, "does not say whether this response was submitted"),
        ({"preference.responses.status": ["submitted", "draft"]}, "as many users and statuses as responses"),
        ({"preference.responses.users": ["u", "v"]}, "as many users and statuses as responses"),
        ({"preference.responses.status": ["validated"]}, "expected submitted, draft or discarded as its status"),
        ({"preference.responses.status": None}, "does not say whether this response was submitted"),
    ],
)
def test_argilla_whose_lists_do_not_fit_is_set_aside(change, reason):
    (part,) = read("argilla", json.dumps([FLAT_RECORDS[0] | change]).encode())
    assert isinstance(part, Broken)
    assert reason in part.reason


def test_argilla_with_a_question_of_another_name_is_refused():
    renamed = {key.replace("preference", "better"): value for key, value in FLAT_RECORDS[0].items()}
    nested = {"id": "q", "fields": {}, "responses": {"better": [{"value": "left", "user_id": "u"}]}}
    server = {"id": "q", "fields": {}, "responses": [{"values": {"better": {"value": "left"}}, "user_id": "u"}]}
    for record in (renamed, nested, server):
        with pytest.raises(InvalidInputError, match=r"responses to the question preference.* to better"):
            read("argilla", json.dumps([record]).encode())
    beside = FLAT_RECORDS[0] | {"clarity.responses": ["right"], "clarity.responses.status": ["submitted"]}
    assert sides(read("argilla", json.dumps([beside]).encode())) == FLAT_SAID[:1]


def test_argilla_columns_of_different_lengths_are_refused():
    columns = columns_of(FLAT_RECORDS) | {"prompt": ["p"]}
    with pytest.raises(InvalidInputError, match="expected 4 values in every column"):
        read("argilla", json.dumps(columns).encode())


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_label_studio_tables_with_any_delimiter(delimiter, tmp_path):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["annotation_id", "preference", "question", "prompt", "left", "right"])
    writer.writerow([1, '[{"selected": "right"}]', "q1", "[a list] of\nthings", '{"a": 1}', "c"])
    data = out.getvalue().encode()
    assert recognised(data, tmp_path / "export.tsv").name == "label-studio"
    (part,) = read("label-studio", data)
    assert sides([part]) == [("q1", "right", "")]
    assert part.shown == {"prompt": "[a list] of\nthings", "left": '{"a": 1}', "right": "c"}


def test_label_studio_renamed_control_in_json_min():
    flat = {"question": "q1", "annotation_id": 3, "pref": [{"selected": "left"}], "annotator": "a"}
    assert sides(read("label-studio", json.dumps([flat]).encode())) == [("q1", "left", "a")]


def test_a_workbook_is_told_to_be_saved_as_text(tmp_path):
    with pytest.raises(InvalidInputError, match="save it as CSV"):
        recognised(b"PK\x03\x04....", tmp_path / "sheet.xlsx")
