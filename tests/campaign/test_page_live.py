"""Live mode: every next pair is best under the exact update, or nearly; fits beside it lose and double nothing."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.grades import outcome_of_points
from bayesrm.campaign.page.ahead import Ahead
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.page.live import REFIT_AFTER, LiveChooser
from bayesrm.campaign.store import Store
from bayesrm.errors import InvalidInputError


@pytest.fixture
def at_desk(asked, monkeypatch):
    """``at_desk(refits, size, **request)``: a campaign at a live desk; by default nothing is fitted anew."""
    made = []

    def make(refits: bool = False, size: int = 0, **request) -> Desk:
        campaign = asked(size)
        chooser = LiveChooser(campaign, Request(**{"candidates": None, "design": "pa-dopt", **request}))
        if not refits:
            monkeypatch.setattr(chooser._wanted, "set", lambda: None)
        made.append(Desk(campaign, chooser=chooser))
        return made[-1]

    yield make
    for desk in made:
        monkeypatch.undo()
        desk.close()


def give(desk: Desk, who: str, side: str, key: str):
    question = desk.next(who)
    assert desk.answer(who, question.id, side, key, 1.0) == "kept"
    return question


def pair(batch) -> frozenset[int]:
    return frozenset((int(batch.first[0]), int(batch.second[0])))


def test_each_pair_is_what_the_design_chooses_after_an_exact_update(at_desk):
    desk = at_desk()
    campaign = desk.campaign
    everything = brm.candidates(campaign.pool, prompts=None, size=None)
    reference = brm.Live(campaign.fit(), everything, "pa-dopt")
    for number in range(8):
        best = reference.next()
        question = desk.next("ana")
        assert frozenset((question.first, question.second)) == pair(best)  # of so few pairs, all are remembered
        assert question.gain == pytest.approx(float(best.gain[0]), rel=1e-9)
        side = ("left", "right", "tie", "left")[number % 4]
        desk.answer("ana", question.id, side, f"key {number}")
        outcome = {"first": 1.0, "second": 0.0, "tie": 0.5}[question.verdict(side)]
        reference.tell(brm.Preferences([question.first], [question.second], [outcome], annotator=["ana"]))
    assert len(campaign.preferences()) == 8
    assert Store(campaign.directory).batches()[-1]["live"] is True


def prepared_for(desk: Desk, question, who: str, verdict: str) -> brm.Live:
    """What is prepared for an answer, as soon as it is."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if (found := desk.chooser._ahead.after(desk.chooser._live, (question.id, who, verdict))) is not None:
            return found
        time.sleep(0.005)
    raise AssertionError("nothing was prepared")


def test_what_is_prepared_while_people_read_is_what_would_be_computed_after_the_answer(at_desk):
    desk = at_desk()
    everything = brm.candidates(desk.campaign.pool, prompts=None, size=None)
    reference = brm.Live(desk.campaign.fit(), everything, "pa-dopt")
    question = desk.next("ana")
    for number in range(6):
        verdict = ("first", "second")[number % 2]
        prepared = prepared_for(desk, question, "ana", verdict)
        outcome = 1.0 if verdict == "first" else 0.0
        reference.tell(brm.Preferences([question.first], [question.second], [outcome], annotator=["ana"]))
        assert pair(prepared._next) == pair(reference.next())
        side = "left" if (verdict == "first") == question.first_is_left else "right"
        desk.answer("ana", question.id, side, f"key {number}")
        assert desk.chooser._live is prepared
        question = desk.next("ana")
        assert frozenset((question.first, question.second)) == pair(reference.next())


def test_grades_are_prepared_for_and_conditioned_on_exactly(asked):
    campaign = asked(0, grades=5)
    desk = Desk(campaign, chooser=LiveChooser(campaign, Request(size=9, candidates=None, design="pa-dopt")))
    reference = brm.Live(campaign.fit(), brm.candidates(campaign.pool, prompts=None, size=None), "pa-dopt")
    question = desk.next("ana")
    for number, points in enumerate((2, 1, 2)):
        outcome = outcome_of_points("first", points, 5)
        prepared = prepared_for(desk, question, "ana", f"first {outcome:.4f}")
        side = "left" if question.first_is_left else "right"
        desk.answer("ana", question.id, side, f"key {number}", points=points)
        assert desk.chooser._live is prepared
        reference.tell(brm.Preferences([question.first], [question.second], [outcome], annotator=["ana"]))
        question = desk.next("ana")
        assert frozenset((question.first, question.second)) == pair(reference.next())
    assert campaign.preferences().outcome.tolist() == [1.0, 0.75, 1.0]
    desk.close()


def test_what_was_prepared_is_not_taken_where_something_else_came_first(at_desk):
    desk = at_desk()
    of_ana, of_bo = desk.next("ana"), desk.next("bo")
    prepared_for(desk, of_ana, "ana", "first")
    with desk.lock:
        desk.answer("bo", of_bo.id, "left", "key 1")
        assert desk.chooser._ahead.after(desk.chooser._live, (of_ana.id, "ana", "first")) is None
        desk.answer("ana", of_ana.id, "left", "key 2")
    assert len(desk.chooser._live.posterior.preferences) == 2


def test_a_pair_that_was_not_prepared_is_the_best_of_those_that_were_good_a_moment_ago(at_desk, monkeypatch):
    monkeypatch.setattr("bayesrm.design.live.REMEMBERED", 8)
    monkeypatch.setattr(Ahead, "after", lambda self, live, key: None)
    monkeypatch.setattr(Ahead, "begin", lambda self: None)
    desk = at_desk()
    reference = brm.Live(
        desk.campaign.fit(), brm.candidates(desk.campaign.pool, prompts=None, size=None), "pa-dopt"
    )
    for number in range(4):
        question = desk.next("ana")
        best = reference.next(exact=number == 0)
        assert frozenset((question.first, question.second)) == pair(best)
        desk.answer("ana", question.id, "left", f"key {number}")
        outcome = 1.0 if question.first_is_left else 0.0
        reference.tell(brm.Preferences([question.first], [question.second], [outcome], annotator=["ana"]))


def test_what_was_found_to_be_good_is_not_lost_where_an_answer_came_meanwhile(at_desk, monkeypatch):
    monkeypatch.setattr(Ahead, "begin", lambda self: None)
    desk = at_desk()
    give(desk, "ana", "left", "key 0")
    desk.next("ana")
    earlier = desk.chooser._live
    desk.answer("ana", desk.next("ana").id, "right", "key 1")
    earlier.prepare()
    desk.chooser._learn(earlier)
    assert desk.chooser._live._good == earlier._good != []
    assert len(desk.chooser._live.posterior.preferences) == 2


def test_a_question_is_in_the_store_before_it_is_shown_and_no_two_get_the_same(at_desk):
    desk = at_desk()
    shown = [desk.next(who) for who in ("ana", "bo", "cy")]
    assert len({frozenset((q.first, q.second)) for q in shown}) == 3
    there = {question.id for question in Store(desk.campaign.directory).questions()}
    assert {question.id for question in shown} == there
    assert [desk.next(who) for who in ("ana", "bo", "cy")] == shown


def test_what_was_asked_comes_first_and_the_session_ends_where_it_was_told_to(at_desk):
    desk = at_desk(size=2, **{})
    campaign = desk.campaign
    asked_first = {question.id for question in campaign.store.questions()}
    seen = [give(desk, "ana", "left", f"key {k}").id for k in range(4)]
    assert set(seen[:2]) == asked_first
    assert not set(seen[2:]) & asked_first


def test_the_session_asks_as_many_pairs_as_it_was_told_to(asked):
    campaign = asked(0)
    chooser = LiveChooser(campaign, Request(size=3, candidates=None))
    desk = Desk(campaign, chooser=chooser)
    for number in range(3):
        assert desk.progress("ana").left == 3 - number
        give(desk, "ana", "left", f"key {number}")
    assert desk.next("ana") is None
    desk.close()


def test_an_overlap_has_the_pairs_of_one_answered_by_others_too(asked):
    campaign = asked(0)
    chooser = LiveChooser(campaign, Request(size=2, candidates=None, overlap=2))
    desk = Desk(campaign, chooser=chooser)
    first = give(desk, "ana", "left", "key 1")
    assert desk.next("bo") == first
    second = desk.next("ana")
    assert second != first
    desk.answer("bo", first.id, "left", "key 2")
    assert desk.next("bo") == second
    desk.close()


def test_an_answer_that_is_taken_back_is_forgotten_exactly(at_desk):
    desk = at_desk()
    for number in range(5):
        give(desk, "ana", "left", f"key {number}")
    before = desk.chooser._live.posterior.location.clone()
    give(desk, "ana", "right", "key 5")
    assert not np.allclose(desk.chooser._live.posterior.location, before)
    assert desk.undo("ana", desk.progress("ana").last)
    np.testing.assert_allclose(desk.chooser._live.posterior.location, before, atol=1e-6)
    assert len(desk.chooser._live.posterior.preferences) == 5
    # Answers that another command tells are known, too.
    question = desk.next("ana")
    path = desk.campaign.directory / "sheet.csv"
    path.write_text(f"question,answer,annotator\n{question.id},left,bo\n")
    brm.Campaign.open(desk.campaign.directory).tell(path)
    desk.next("ana")
    assert len(desk.chooser._live.posterior.preferences) == 6


def test_a_skip_teaches_nothing(at_desk):
    desk = at_desk()
    give(desk, "ana", "skip", "key 1")
    assert len(desk.chooser._live.posterior.preferences) == 0
    assert desk.next("ana") is not None


def test_a_full_fit_beside_it_takes_the_place_of_the_old_posterior_with_what_came_meanwhile(at_desk):
    desk = at_desk(refits=True)
    before = desk.chooser._live
    for number in range(REFIT_AFTER + 2):
        give(desk, "ana", "left" if number % 3 else "right", f"key {number}")
    end = time.monotonic() + 60
    while desk.chooser._live is before and time.monotonic() < end:
        time.sleep(0.01)
    assert desk.chooser._live is not before
    with desk.lock:
        known = desk.chooser._live.posterior.preferences
    told = desk.campaign.preferences()
    assert sorted(zip(known.first, known.second, known.outcome, strict=True)) == sorted(
        zip(told.first, told.second, told.outcome, strict=True)
    )
    asked_before = {frozenset((q.first, q.second)) for q in desk.campaign.store.questions()}
    question = desk.next("ana")
    assert frozenset((question.first, question.second)) not in asked_before
    # Nothing goes on after the end: neither what fits nor what prepares.
    desk.close()
    chooser = desk.chooser
    assert chooser._beside._process.exitcode is not None
    assert not chooser._fitting.is_alive()
    assert not chooser._ahead._thread.is_alive()


def test_a_fit_that_is_killed_is_said_and_the_page_goes_on(at_desk, caplog):
    desk = at_desk(refits=True)
    chooser = desk.chooser
    chooser._wanted.set()
    end = time.monotonic() + 60
    while chooser._beside._process.pid is None and time.monotonic() < end:
        time.sleep(0.01)
    chooser._beside._process.kill()
    chooser._fitting.join(60)
    assert "the process that fits beside the page ended" in caplog.text
    give(desk, "ana", "left", "key 1")
    assert desk.next("ana") is not None


def test_caps_are_about_batches(asked):
    campaign = asked(0)
    with pytest.raises(InvalidInputError, match="without caps"):
        LiveChooser(campaign, Request(per_prompt=1))


def test_whom_to_ask_is_chosen_of_batches(asked):
    with pytest.raises(InvalidInputError, match="without choose_annotators"):
        LiveChooser(asked(0), Request(choose_annotators=True, annotators={"ana": None}, design="pa-dopt"))


def test_preparing_ends_where_it_is_ended_just_after_it_settled(monkeypatch):
    """What ends it must not be taken for a change that was seen."""
    ahead = Ahead(lambda: (None, {}), lambda live: None)
    monkeypatch.setattr(ahead, "_after", lambda live, label: None)

    def settle(timeout: float) -> bool:
        ahead._ended.set()
        ahead._changed.set()
        return False

    monkeypatch.setattr(ahead._ended, "wait", settle)
    ahead._thread.daemon = True
    ahead.begin()
    ahead._thread.join(5)
    assert not ahead._thread.is_alive()


def test_preparing_goes_on_after_it_failed_once(caplog):
    """Whatever went wrong: the page is slower then, and says why in its log."""
    looked = threading.Event()

    class Broken:
        def __len__(self) -> int:
            return 1

        def prepare(self) -> None:
            looked.set()
            raise RuntimeError("out of memory")

    ahead = Ahead(lambda: (Broken(), {}), lambda live: None)
    ahead.begin()
    for _ in range(2):
        assert looked.wait(5)
        looked.clear()
        ahead.changed()
    assert looked.wait(5)
    ahead.end()
    assert "preparing the next questions failed" in caplog.text
