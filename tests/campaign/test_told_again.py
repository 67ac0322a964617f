"""Files that are told again: no answer counts twice, none is lost, and no correction is taken back by the way."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from filled_sheets import sheet, standing, tell

import bayesrm as brm
from bayesrm.campaign.labels import LABEL_FORMATS
from bayesrm.errors import InvalidInputError

# --- sheets that were corrected since ---


@pytest.mark.parametrize("times", [None, ("2026-01-01", "2026-01-02", "2026-01-03")])
def test_an_older_sheet_told_again_takes_no_correction_back(campaign, times):
    questions = campaign.ask(6)
    given = [["left"] * 6, ["left"] * 6, ["right"] * 3 + ["left"] * 3]
    when = times or ("", "", "")
    first, saved, corrected = (
        sheet(questions, sides, annotator=["ana"] * 6, answered=[time] * 6, comment=[str(number)] * 6)
        for number, (sides, time) in enumerate(zip(given, when, strict=True))
    )
    assert tell(campaign, first, "v0.csv").new == 6
    assert tell(campaign, saved, "v1.csv").repeated == 6
    assert tell(campaign, corrected, "v2.csv").corrected == 3
    now = standing(campaign)
    for data, name in ((first, "v0.csv"), (saved, "v1.csv"), (corrected, "v2.csv")):
        assert tell(campaign, data, name, dry_run=True).already
        assert tell(campaign, data, f"copy of {name}").already
        assert standing(campaign) == now
    if times is None:
        # Another file is a change of mind, and so is this one where somebody says that it is meant.
        assert tell(campaign, first, "v0.csv", again=True, dry_run=True).corrected == 3
        assert tell(campaign, first, "v0.csv", again=True).corrected == 3
        assert standing(campaign) == {(q.id, "ana"): q.verdict("left") for q in questions}


def test_a_change_of_mind_within_a_sheet_is_told_once(campaign):
    (question,) = campaign.ask(1)
    data = sheet([question] * 3, ["left", "right", "tie"], annotator=["ana"] * 3)
    assert tell(campaign, data).new == 3
    assert tell(campaign, data).already
    assert standing(campaign) == {(question.id, "ana"): "tie"}


def test_what_was_set_aside_is_taken_when_the_sheet_is_told_again(campaign):
    questions = campaign.ask(2) + campaign.ask(2)
    data = sheet(questions, ["left"] * 4, annotator=["ana"] * 4)
    campaign.close(2)
    assert tell(campaign, data).new == 2
    tell(campaign, sheet(questions[:1], ["right"], annotator=["ana"]), "corrected.csv")
    campaign.close(2, reopen=True)
    report = tell(campaign, data)
    assert (report.new, report.corrected, report.repeated) == (2, 0, 2)
    assert standing(campaign)[questions[0].id, "ana"] == questions[0].verdict("right")


# --- what another campaign asked ---


def answers_in(campaign, form):
    """A file that came back from what a campaign asked, with an answer to every question."""
    first, *_ = campaign.hand_out(form)
    if form == "csv":
        header, *rows = csv.reader(io.StringIO(first.read_bytes().decode("utf-8-sig"), newline=""))
        for row in rows:
            row[header.index("answer")] = "left"
        out = io.StringIO(newline="")
        csv.writer(out).writerows([header, *rows])
        return out.getvalue().encode(), "back.csv"
    if form == "jsonl":
        lines = [json.loads(line) | {"answer": "left"} for line in first.read_text().splitlines()]
        return "\n".join(map(json.dumps, lines)).encode(), "back.jsonl"
    records = json.loads(first.read_text())
    if form == "label-studio":
        result = {"id": "x", "from_name": "preference", "to_name": "prompt", "type": "choices"}
        result |= {"value": {"choices": ["left"]}, "origin": "manual"}
        for number, task in enumerate(records, start=1):
            task |= {"id": number, "annotations": [{"id": number, "completed_by": 1, "result": [result]}]}
    else:
        for record in records:
            record |= {"status": "completed", "_server_id": "x"}
            record["responses"] = {"preference": [{"value": "left", "user_id": "u", "status": "submitted"}]}
    return json.dumps(records).encode(), "back.json"


@pytest.mark.parametrize("form", ["csv", "jsonl", "label-studio", "argilla"])
def test_what_another_campaign_asked_is_refused_and_its_labels_are_taken(pool_folder, tmp_path, form):
    helpful, harmless = (brm.Campaign.create(tmp_path / name, pool_folder) for name in ("helpful", "harmless"))
    questions = helpful.ask(8)
    harmless.ask(8)
    data, name = answers_in(helpful, form)
    for options in ({}, {"dry_run": True}, {"form": form}):
        with pytest.raises(InvalidInputError, match=r"belongs to this campaign .*labels OTHER --to csv, and tell"):
            tell(harmless, data, name, **options)
    assert harmless.store.answers() == []
    assert harmless.store.sources() == []
    assert tell(helpful, data, name).new == 8
    # What another campaign says is taken where it is brought as labels.
    for to in sorted(LABEL_FORMATS):
        into = brm.Campaign.create(tmp_path / f"into {to}", pool_folder)
        report = into.tell(helpful.export_labels(to)[0])
        assert (report.new, report.aside) == (len(questions), ())
    # And where its folder is lost, by the word that it is meant.
    report = tell(brm.Campaign.create(tmp_path / "anew", pool_folder), data, name, again=True)
    assert (report.new, report.aside) == (len(questions), ())


def test_a_copy_of_a_campaign_that_asked_on_is_another_one(pool_folder, tmp_path):
    one = brm.Campaign.create(tmp_path / "one", pool_folder)
    one.ask(4)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    two = brm.Campaign.open(tmp_path / "two")
    first, other = one.ask(5), two.ask(6)
    assert not {q.id for q in first} & {q.id for q in other}
    data, name = answers_in(two, "csv")
    with pytest.raises(InvalidInputError, match="a copy that asked on is another campaign"):
        tell(one, data, name)
    assert one.store.answers() == []


def test_answers_that_no_campaign_asked_are_found_by_their_texts(pool_folder, tmp_path):
    one, other = (brm.Campaign.create(tmp_path / name, pool_folder) for name in ("one", "other"))
    one.ask(6)
    data, _ = answers_in(one, "jsonl")
    lines = [json.loads(line) | {"question": f"item {k}"} for k, line in enumerate(data.decode().splitlines())]
    assert tell(other, "\n".join(map(json.dumps, lines)).encode(), "elsewhere.jsonl").new == 6
