"""Whatever a file of answers has in it: answers that stand in it, or one sentence.

Files that every hand-off wrote, filled in, and then damaged: their bytes, their values, or all of them. No other
exception comes out, the store stays whole, and no answer is taken that is another than the one that was given, unless
the damage wrote that answer itself.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import WHOLE, as_json, changed, damaged

import bayesrm as brm
from bayesrm.errors import InvalidInputError

FUZZ = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIDES = ("left", "right", "tie")
SUFFIX = {
    "csv": ".csv",
    "jsonl": ".jsonl",
    "argilla": ".json",
    "label-studio": ".json",
    "label-studio csv": ".csv",
}
RANDOM = st.randoms(use_true_random=False)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return new_campaign(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def filled(campaign):
    return filled_in(campaign)


def new_campaign(folder: Path):
    """Six questions about texts of all kinds."""
    random = np.random.default_rng(11)
    texts = [f"“{k}”, größer\n=than {k % 3} 🙂" for k in range(24)]
    pool = brm.ResponsePool(random.standard_normal((24, 3)).astype(np.float32), np.repeat(np.arange(6), 4), texts)
    brm.save_pool(folder / "pool", pool)
    made = brm.Campaign.create(folder / "campaign", folder / "pool")
    made.ask(6)
    return made


def filled_in(campaign):
    """What was said, and what annotators would send back in each form, as rows."""
    csv_rows = list(
        csv.DictReader(io.StringIO(campaign.hand_out("csv")[0].read_bytes().decode("utf-8-sig"), newline=""))
    )
    said = {row["question"]: SIDES[k % 3] for k, row in enumerate(csv_rows)}
    lines = [json.loads(line) for line in campaign.hand_out("jsonl")[0].read_text().splitlines()]
    records = [
        {"id": one["id"], "status": "completed", **one["fields"], "preference.responses": [said[one["id"]]],
         "preference.responses.users": ["ann"], "preference.responses.status": ["submitted"]}
        for one in json.loads(campaign.hand_out("argilla")[0].read_text())
    ]  # fmt: skip
    tasks, flat = [], []
    for number, task in enumerate(json.loads(campaign.hand_out("label-studio")[0].read_text())):
        side = said[task["data"]["question"]]
        control = ("otherwise", "choices", [side]) if side == "tie" else ("preference", "selected", side)
        result = {"from_name": control[0], "type": "pairwise", "value": {control[1]: control[2]}}
        tasks.append({**task, "id": number, "annotations": [{"completed_by": "ann", "result": [result]}]})
        flat.append({**task["data"], "annotation_id": number, "annotator": "ann", "preference": "", "otherwise": "",
                     control[0]: json.dumps([{control[1]: control[2]}])})  # fmt: skip
    return said, {
        "csv": [{**row, "answer": said[row["question"]], "annotator": "ann"} for row in csv_rows],
        "jsonl": [{**line, "answer": said[line["question"]], "annotator": "ann"} for line in lines],
        "argilla": records,
        "label-studio": tasks,
        "label-studio csv": flat,
    }


def as_file(form, rows) -> bytes:
    """Rows of a form as the bytes of its file."""
    if form in ("argilla", "label-studio"):
        return as_json(rows)
    if form == "jsonl":
        return b"\n".join(map(as_json, rows if isinstance(rows, list) else [rows])) + b"\n"
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if rows:
        writer.writerow(map(str, rows[0]))
        writer.writerows([str(row.get(name, "")) for name in rows[0]] for row in rows)
    return out.getvalue().encode("utf-8", errors="surrogatepass")


def told(campaign, data: bytes, name: str):
    """What becomes of a file: a report, or the sentence that refuses it."""
    path = campaign.directory / name
    path.write_bytes(data)
    try:
        report = campaign.tell(path)
    except InvalidInputError as error:
        return str(error)
    assert str(report).encode()
    return report


def taken(campaign, before: int):
    """The answers that were taken since."""
    return [answer for answer in campaign.store.answers() if answer.id > before]


def last(campaign) -> int:
    return max((answer.id for answer in campaign.store.answers()), default=0)


def wrong(campaign, said, before: int):
    """Answers that were taken since and are others than were given."""
    verdict = {question.id: question.verdict(said[question.id]) for question in campaign.store.questions()}
    return [answer for answer in taken(campaign, before) if answer.verdict != verdict[answer.question]]


@pytest.mark.parametrize("form", SUFFIX)
@FUZZ
@given(random=RANDOM)
def test_a_damaged_file_has_answers_that_were_given_or_is_refused(campaign, filled, form, random):
    said, files = filled
    data = damaged(as_file(form, files[form]), random)
    before = last(campaign)
    report = told(campaign, data, f"damaged{SUFFIX[form]}")
    if wrong(campaign, said, before):
        # All from one answer to another may be cut out, whatever a file shows; then questions are gone, or it is said.
        assert report.aside or report.notes or any(name.encode() not in data for name in said), data


@pytest.mark.parametrize("form", SUFFIX)
@FUZZ
@given(random=RANDOM)
def test_a_file_with_another_value_in_it_is_taken_or_refused(campaign, filled, form, random):
    rows = filled[1][form]
    for _ in range(random.randint(1, 3)):
        rows = changed(rows, random)
    told(campaign, as_file(form, rows), f"changed{SUFFIX[form]}")


@pytest.mark.parametrize("data", range(len(WHOLE)))
@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl"])
def test_a_file_without_answers_is_refused_or_brings_none(campaign, data, suffix):
    before = last(campaign)
    told(campaign, WHOLE[data], f"whole{suffix}")
    assert taken(campaign, before) == []


@pytest.mark.parametrize(
    "name", ["x" * 240 + ".csv", "[red]\x1b[31m.csv", "\udcff.csv", "\u202egpj.csv", "a b;c.csv"]
)
def test_the_name_of_a_file_makes_no_difference(campaign, name):
    question = campaign.store.questions()[0]
    data = f"question,answer,annotator\n{question.id},left,{name[:3].encode(errors='replace').decode()}".encode()
    assert told(campaign, data, name).new + told(campaign, data + b"\n\n", name).repeated == 2


@pytest.mark.parametrize("form", SUFFIX)
def test_a_whole_file_of_each_form_is_taken(tmp_path, form):
    campaign = new_campaign(tmp_path)
    said, files = filled_in(campaign)
    report = told(campaign, as_file(form, files[form]), f"whole{SUFFIX[form]}")
    assert (report.new, report.aside, wrong(campaign, said, 0)) == (6, (), [])
