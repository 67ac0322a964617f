"""What can be undone: answers, names, releases, closed batches; files that say too little; ids and order of telling."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from filled_sheets import sheet, standing, tell

import bayesrm as brm
from bayesrm.campaign.asking import Request, questions_of
from bayesrm.campaign.status import status
from bayesrm.errors import InvalidInputError


def content(campaign) -> list[str]:
    """Everything that the store holds."""
    with campaign.store._connection() as db:
        return list(db.iterdump())


SIDES = ["left", "right", "tie", "skip", "left", "left"]


# --- untell ---------------------------------------------------------------------------------------------------------


def test_a_file_is_taken_back_and_can_be_told_again(campaign):
    questions = campaign.ask(6)
    data = sheet(questions, SIDES, annotator=["ana"] * 6)
    tell(campaign, data)
    told = standing(campaign)
    report = campaign.untell("somewhere/answers.csv", by="bo", reason="the wrong column")
    assert (report.answers, report.people, report.questions, report.counting_again) == (6, ("ana",), 6, 0)
    assert len(campaign.preferences()) == 0
    assert {(why.by, why.reason) for _, why in campaign.store.retracted()} == {("bo", "the wrong column")}
    assert "6 answers were taken back on" in (line := status(campaign).decisions[0])
    assert "by bo, reason: the wrong column." in line
    assert status(campaign).batches[0].open == 6
    with pytest.raises(InvalidInputError, match="nothing was taken back"):
        campaign.untell("answers.csv")
    assert tell(campaign, data).new == 6
    assert standing(campaign) == told
    assert len(campaign.store.retracted()) == 6, "what was taken back stays so beside the new rows"


def test_a_file_is_known_by_its_content_when_it_has_another_name(campaign):
    questions = campaign.ask(4)
    tell(campaign, sheet(questions[:2], SIDES[:2]), "one.csv")
    tell(campaign, sheet(questions[2:], SIDES[:2]), "two.csv")
    copy = campaign.directory.parent / "renamed since.csv"
    shutil.copy(campaign.directory.parent / "one.csv", copy)
    campaign.untell(copy)
    assert {key[0] for key in standing(campaign)} == {question.id for question in questions[2:]}
    with pytest.raises(InvalidInputError, match=r"content of three.csv was told.*two.csv, one.csv was told"):
        campaign.untell("three.csv")


def test_all_that_is_named_must_hold(campaign):
    first, second = campaign.ask(3), campaign.ask(3)
    for who in ("ana", "bo"):
        sides = SIDES if who == "ana" else SIDES[::-1]
        tell(campaign, sheet(first + second, sides), f"{who}.csv", annotator=who)
    before = standing(campaign)

    def gone(**which) -> set[tuple[str, str]]:
        report = campaign.untell(dry_run=True, **which)
        assert "Nothing was written" in str(report)
        assert standing(campaign) == before
        campaign.untell(**which)
        now = standing(campaign)
        tell(campaign, sheet(first + second, SIDES), "ana.csv", annotator="ana", again=True)
        tell(campaign, sheet(first + second, SIDES[::-1]), "bo.csv", annotator="bo", again=True)
        assert standing(campaign) == before
        assert len(before) - len(now) == report.answers
        return before.keys() - now.keys()

    assert gone(annotators=["ana"]) == {(q.id, "ana") for q in first + second}
    assert gone(batches=[2]) == {(q.id, who) for q in second for who in ("ana", "bo")}
    assert gone(questions=[first[1].id], annotators=["bo"]) == {(first[1].id, "bo")}
    assert gone(batches=[1], annotators=["bo"]) == {(q.id, "bo") for q in first}
    for which, message in (
        ({}, "expected what to take back"),
        ({"batches": [7]}, "no batch 7: it has 1, 2"),
        ({"questions": ["q?"]}, "no question q?"),
        ({"annotators": ["eve"]}, "there are answers by ana, bo"),
    ):
        with pytest.raises(InvalidInputError, match=message.replace("?", r"\?")):
            campaign.untell(**which)


def test_what_a_correction_replaced_counts_again_when_it_is_taken_back(campaign):
    questions = campaign.ask(2)
    tell(campaign, sheet(questions, ["left", "left"], annotator=["ana"] * 2), "1.csv")
    before = standing(campaign)
    tell(campaign, sheet(questions, ["right", "left"], annotator=["ana"] * 2), "2.csv")
    report = campaign.untell("2.csv")
    assert (report.answers, report.counting_again) == (1, 1)
    assert standing(campaign) == before
    # By its id, no answer of theirs to it is left.
    tell(campaign, sheet(questions[:1], ["right"], annotator=["ana"]), "3.csv")
    assert campaign.untell(questions=[questions[0].id]).answers == 2
    assert standing(campaign).keys() == {(questions[1].id, "ana")}


def test_a_later_export_does_not_bring_back_what_was_taken_back(campaign):
    questions = campaign.ask(4)

    def export(number: int) -> bytes:
        lines = [
            {"question": q.id, "answer": "left", "annotator": who, "answered": f"2026-01-0{k + 1}"}
            for k, q in enumerate(questions[:number])
            for who in ("ana", "spam")
        ]
        return "\n".join(map(json.dumps, lines)).encode()

    tell(campaign, export(3), "monday.jsonl", again=True)
    campaign.untell(annotators=["spam"], reason="clicks at random")
    report = tell(campaign, export(4), "tuesday.jsonl")
    assert (report.new, report.kept_back, report.repeated) == (2, 3, 3)
    assert "3 answers that were taken back stay so" in str(report)
    assert (questions[0].id, "spam") not in standing(campaign)
    assert tell(campaign, export(4), "tuesday.jsonl", again=True).new == 3
    # A file that was taken back says nothing of others.
    campaign.untell("monday.jsonl", "tuesday.jsonl")
    assert tell(campaign, export(2), "wednesday.jsonl", again=False).new == 2 + 0
    assert {who for _, who in standing(campaign)} == {"ana"}, "spam's were taken back by name before"


# --- rename ---------------------------------------------------------------------------------------------------------


def test_answers_without_a_name_become_somebodys_as_far_as_they_were_told(campaign):
    questions = campaign.ask(6)
    data = sheet(questions[:4], SIDES[:4])
    tell(campaign, data)
    report = campaign.rename("", "ana", reason="she forgot")
    assert (report.answers, report.lasting, report.merged) == (4, False, 0)
    assert {who for _, who in standing(campaign)} == {"ana"}
    assert {(row.annotator, row.told_as) for row in campaign.store.answers()} == {("ana", "")}
    assert tell(campaign, data).already
    # More of the same sheet, again without a name: what was hers is hers, and the rest is nobody's in particular.
    report = tell(campaign, sheet(questions, ["right", *SIDES[1:]]), "more.csv")
    assert (report.new, report.corrected, report.repeated) == (3, 1, 3)
    people = dict(standing(campaign).keys())
    assert [people[question.id] for question in questions] == ["ana"] * 4 + [""] * 2
    assert len(standing(campaign)) == 6
    assert "4 answers without a name are ana's: decided on" in " ".join(status(campaign).decisions)
    assert "no longer whoever answered without a name" in campaign.undo_rename()
    assert status(campaign).decisions == ()
    with pytest.raises(InvalidInputError, match="nobody was renamed"):
        campaign.undo_rename()


def test_a_new_name_holds_for_files_under_the_old_one(campaign):
    questions = campaign.ask(Request(size=6, annotators={"ann": None}))
    data = sheet(questions[:3], SIDES[:3], annotator=["ann"] * 3)
    tell(campaign, data)
    campaign.rename("ann", "anna")
    assert {q.annotators for q in campaign.store.questions()} == {("anna",)}
    report = tell(campaign, sheet(questions, SIDES, annotator=["ann"] * 6), "all.csv")
    assert (report.new, report.repeated) == (3, 3)
    assert {who for _, who in standing(campaign)} == {"anna"}
    assert campaign.untell(annotators=["anna"]).answers == 6
    campaign.rename("anna", "ann")
    assert [path.name for path in campaign.hand_out("csv")] == ["batch-001-ann.csv"]


def test_two_people_do_not_become_one_by_mistake(campaign):
    questions = campaign.ask(3)
    tell(campaign, sheet(questions, ["left"] * 3), "1.csv", annotator="ana")
    tell(campaign, sheet(questions, ["left", "right", "right"]), "2.csv", annotator="anna")
    with pytest.raises(InvalidInputError, match=r"anna has 3 answers already.*add --merge"):
        campaign.rename("ana", "anna")
    report = campaign.rename("ana", "anna", merge=True)
    assert (report.merged, report.superseded) == (3, 3)
    assert [standing(campaign)[q.id, "anna"] for q in questions] == [
        q.verdict(side) for q, side in zip(questions, ["left", "right", "right"], strict=True)
    ]
    campaign.undo_rename()
    assert len(standing(campaign)) == 6
    for old, new, message in (("eve", "eva", "no answer by eve"), ("ana", " ", "expected another name")):
        with pytest.raises(InvalidInputError, match=message):
            campaign.rename(old, new)


def test_some_files_of_a_name_can_be_somebody_elses(campaign):
    questions = campaign.ask(4)
    tell(campaign, sheet(questions[:2], SIDES[:2]), "1.csv", annotator="ana")
    tell(campaign, sheet(questions[2:], SIDES[:2]), "2.csv", annotator="ana")
    assert not campaign.rename("ana", "bo", files=["2.csv"]).lasting
    assert [who for _, who in standing(campaign)] == ["ana", "ana", "bo", "bo"]


# --- release and close ----------------------------------------------------------------------------------------------


def test_released_pairs_are_not_open_and_may_be_asked_again_under_another_id(campaign):
    everything = campaign.ask(120)
    tell(campaign, sheet(everything[:20], ["left"] * 20))
    with pytest.raises(InvalidInputError, match="no candidates are left"):
        campaign.ask(5)
    report = campaign.release(1, by="bo", reason="ana left")
    assert (report.pairs, report.answered) == (100, 20)
    now = status(campaign).batches[0]
    assert (now.open, now.released, now.wanted, now.answered) == (0, 100, 20, 20)
    assert "100 unanswered questions of batch 1 were released" in status(campaign).decisions[0]
    again = campaign.ask(200)
    assert {frozenset((q.first, q.second)) for q in again} == {
        frozenset((q.first, q.second)) for q in everything[20:]
    }
    assert not {q.id for q in again} & {q.id for q in everything}
    with pytest.raises(InvalidInputError, match="no question of batch 1 is left to release"):
        campaign.release(1)
    # An answer that comes late is taken, under the id that the old sheet has.
    assert tell(campaign, sheet(everything[20:21], ["right"]), "late.csv").new == 1
    assert status(campaign).batches[0].released == 99
    assert "1 answer came all the same" in status(campaign).decisions[0]


def test_a_late_answer_to_a_released_pair_keeps_it_from_being_asked_again(campaign):
    everything = campaign.ask(120)
    campaign.release(1)
    tell(campaign, sheet(everything[:1], ["right"]))
    again = campaign.ask(120)
    assert len(again) == 119
    assert frozenset((everything[0].first, everything[0].second)) not in {
        frozenset((q.first, q.second)) for q in again
    }


def test_a_closed_batch_takes_no_answers_until_it_is_opened_again(campaign):
    questions = campaign.ask(4)
    tell(campaign, sheet(questions[:2], ["left", "left"]))
    assert campaign.close(1, reason="the pilot is over").open == 2
    data = sheet(questions, ["left", "right", "left", "left"])
    report = tell(campaign, data, "late.csv")
    assert (report.new, report.repeated, len(report.aside)) == (0, 1, 3)
    assert report.aside[0][1].startswith("batch 1 is closed")
    now = status(campaign)
    assert (now.batches[0].open, now.batches[0].closed, now.used) == (0, True, 2)
    assert "Batch 1 was closed on" in " ".join(now.decisions)
    with pytest.raises(InvalidInputError, match="closed already, by owner"):
        campaign.close(1)
    assert not campaign.close(1, reopen=True).closed
    with pytest.raises(InvalidInputError, match="not closed"):
        campaign.close(1, reopen=True)
    assert tell(campaign, data, "late.csv").new == 3
    assert status(campaign).decisions == ()


# --- what a file does not say ---------------------------------------------------------------------------------------


def test_a_dry_run_says_the_same_and_writes_nothing(campaign):
    questions = campaign.ask(5)
    tell(campaign, sheet(questions[:2], ["left", "left"]), "1.csv")
    data = sheet(questions, ["left", "right", "tie", "skip", "perhaps"]) + b"q?,left\r\n"
    before = content(campaign)
    report = tell(campaign, data, dry_run=True)
    assert str(report).splitlines()[-1] == "Nothing was written."
    for change in ("untell", "rename", "release"):
        options = {
            "untell": {"annotators": [""]}, "rename": {"old": "", "new": "ana"}, "release": {"batch": 1},
        }[change]  # fmt: skip
        assert "Nothing was written." in str(getattr(campaign, change)(**options, dry_run=True))
    assert content(campaign) == before
    assert tell(campaign, data).counts() == report.counts()


def test_a_file_of_another_campaign_is_refused_and_leaves_no_trace(campaign, pool_folder, tmp_path):
    campaign.ask(3)
    other = brm.Campaign.create(tmp_path / "other", pool_folder)
    before = content(campaign)
    for data, message in (
        (sheet(other.ask(3), ["left"] * 3), "it has no question 'q"),
        (b"question,answer\n", "for it has none"),
        (b"question,answer\n,left\n", "expected the id of a question"),
    ):
        with pytest.raises(InvalidInputError, match=r"no row of .* this campaign") as error:
            tell(campaign, data)
        assert message in str(error.value)
    assert content(campaign) == before


def test_who_was_asked_alone_is_who_answered(campaign):
    questions = campaign.ask(Request(size=10, annotators={"ana": None, "bo": None}))
    tell(campaign, sheet(questions, ["left"] * 10))
    assert set(standing(campaign)) == {(q.id, *q.annotators) for q in questions}


def test_a_sheet_that_lost_its_names_is_asked_about_where_several_can_have_answered(campaign):
    questions = campaign.ask(Request(size=6, overlap=2, annotators={"ana": None, "bo": None}))
    before = content(campaign)
    with pytest.raises(InvalidInputError, match=r"6 answers of answers.csv .* put to ana and bo; .*--annotator"):
        tell(campaign, sheet(questions, ["left"] * 6))
    assert content(campaign) == before
    assert tell(campaign, sheet(questions, ["left"] * 6), annotator="ana").new == 6
    assert tell(campaign, sheet(questions, ["left"] * 6) + b"\r\n", "bo.csv", annotator="bo").new == 6


def test_a_sheet_without_names_about_questions_that_somebody_answered_is_asked_about(campaign):
    questions = campaign.ask(3)
    tell(campaign, sheet(questions, ["left"] * 3, annotator=["ana", "bo", "ana"]), "1.csv")
    with pytest.raises(InvalidInputError, match="answered by ana before"):
        tell(campaign, sheet(questions, ["right"] * 3), "2.csv")
    with pytest.raises(InvalidInputError, match="row 5 is answered in another way in row 2"):
        tell(campaign, sheet((new := campaign.ask(3)) + new, SIDES[:3] + SIDES[1:4]), "3.csv")


def test_a_person_who_corrects_an_answer_in_a_sheet_without_names_is_one_person(campaign):
    questions = campaign.ask(3)
    tell(campaign, sheet(questions, ["left", "left", ""]), "1.csv")
    report = tell(campaign, sheet(questions, ["left", "right", "right"]), "2.csv")
    assert (report.new, report.corrected, report.repeated) == (2, 1, 1)
    assert len(standing(campaign)) == 3


def test_the_same_sheet_under_two_names_is_refused(campaign):
    questions = campaign.ask(6)
    data = sheet(questions, SIDES)
    tell(campaign, data, "ana.csv", annotator="ana")
    before = content(campaign)
    for again, name, said in (
        (data, "bo.csv", "bo.csv is the file ana.csv that was told as ana's"),
        (data.replace(b"\r\n", b"\n"), "saved again.csv", "under bo are those that were told as ana's"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            tell(campaign, again, name, annotator="bo")
    assert content(campaign) == before
    assert tell(campaign, data, "bo.csv", annotator="bo", again=True).new == 6
    assert len(standing(campaign)) == 12


def test_a_sheet_told_without_a_name_first_is_not_told_again_under_one(campaign):
    questions = campaign.ask(6)
    tell(campaign, sheet(questions, SIDES))
    with pytest.raises(InvalidInputError, match=r"without a name.*rename --unnamed"):
        tell(campaign, sheet(questions, SIDES), annotator="ana")
    tell(campaign, sheet(campaign.ask(6), SIDES), "other.csv", annotator="bo")


def test_people_who_were_both_asked_may_answer_alike(campaign):
    questions = campaign.ask(Request(size=6, overlap=2, annotators={"ana": None, "bo": None}))
    tell(campaign, sheet(questions, SIDES, annotator=["ana"] * 6), "ana.csv")
    assert tell(campaign, sheet(questions, SIDES, annotator=["bo"] * 6), "bo.csv").new == 6


# --- order of telling, and ids --------------------------------------------------------------------------------------


def test_a_correction_with_an_earlier_time_counts_and_is_said(campaign):
    (question,) = campaign.ask(1)
    for side, day in (("right", "2026-01-02"), ("left", "2026-01-01")):
        line = {"question": question.id, "answer": side, "annotator": "ana", "answered": day}
        report = tell(campaign, json.dumps(line).encode(), f"{day}.jsonl")
    assert report.older == 1
    assert "1 of these with an earlier time than the answer before" in str(report)
    assert standing(campaign) == {(question.id, "ana"): question.verdict("left")}


def test_in_one_file_the_order_of_its_times_holds(campaign):
    questions = campaign.ask(2)
    lines = [
        {"question": q.id, "answer": side, "annotator": "ana", "answered": day}
        for side, day in (("right", "2026-01-02"), ("left", "2026-01-01"))
        for q in questions
    ]
    tell(campaign, "\n".join(map(json.dumps, lines)).encode(), "a.jsonl")
    assert standing(campaign) == {(q.id, "ana"): q.verdict("right") for q in questions}


def test_a_copy_that_goes_on_by_itself_gives_no_id_to_another_pair(campaign, tmp_path):
    campaign.ask(5)
    shutil.copytree(campaign.directory, tmp_path / "copy")
    copy = brm.Campaign.open(tmp_path / "copy", campaign.pool_path)
    here = campaign.ask(20)
    there = copy.ask(Request(size=20, design="vopt"))
    assert not {q.id for q in here} & {q.id for q in there}
    with pytest.raises(InvalidInputError, match="no row of"):
        tell(copy, sheet(here, ["left"] * 20))


def test_the_same_state_that_asks_the_same_gives_the_same_ids(campaign, tmp_path):
    shutil.copytree(campaign.directory, tmp_path / "copy")
    copy = brm.Campaign.open(tmp_path / "copy", campaign.pool_path)
    assert campaign.ask(10) == copy.ask(10)


def test_an_id_says_on_which_side_a_response_stands():
    selection = brm.Selection(np.array([0, 2]), np.array([1, 3]), np.zeros(2), "random")
    sides: dict[str, bool] = {}
    for seed in range(30):
        for question in questions_of(selection, Request(), "abcde", 1, seed):
            assert (
                sides.setdefault(f"{question.id} {question.first}", question.first_is_left)
                == question.first_is_left
            )
    assert len({id.split("-")[2] for id in sides}) == 8, "two orders of two sides each of two pairs"
