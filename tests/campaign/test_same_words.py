"""Where responses to a prompt read the same nobody is asked the same words again, in any way of asking."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.findings import find
from bayesrm.campaign.page.beside import Fitter
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.page.live import LiveChooser
from bayesrm.campaign.records import Question
from bayesrm.errors import NoCandidatesError

TEXTS = [f"word {(0, 0, 1, 2, 2)[k % 5]}" for k in range(60)]
"""Three words to each of twelve prompts of five responses, whose embeddings all differ: three pairs each."""
IN_WORDS, IN_RESPONSES = 12 * 3, 12 * 10


def words(campaign, questions) -> Counter:
    """How often people are asked what."""
    pool = campaign.pool
    return Counter(
        (pool.prompt[question.first], frozenset(pool.texts[end] for end in pair))
        for question in questions
        for pair in question.pairs
    )


def once(campaign, questions, count=IN_WORDS) -> bool:
    asked = words(campaign, questions)
    return asked.total() == len(asked) == count and all(len(pair) == 2 for _, pair in asked)


def answer(campaign, questions, folder):
    file = folder / f"answers of {questions[0].batch}.csv"
    rows = [f"{q.id},{'left' if k % 2 else 'right'}" for k, q in enumerate(questions)]
    file.write_text("\n".join(["question,answer", *rows]))
    campaign.tell(file)


@pytest.mark.parametrize("candidates", [None, 20_000])
@pytest.mark.parametrize("design", ["random", "pa-dopt"])
def test_no_words_are_asked_twice(asked, design, candidates):
    campaign = asked(0, TEXTS)
    for size in (20, 100):  # the second by a campaign that was opened again
        campaign.ask(Request(size=size, design=design, candidates=candidates))
        campaign = brm.Campaign.open(campaign.directory)
    assert once(campaign, campaign.store.questions())
    with pytest.raises(NoCandidatesError, match="reads like one that was"):
        campaign.ask(1)


def test_words_that_were_told_of_others_who_read_the_same_are_not_asked(asked, tmp_path):
    campaign = asked(0, TEXTS)
    asked_before = campaign.ask(Request(size=15, design="random", identical=True))
    answer(campaign, asked_before, tmp_path)
    campaign.ask(100)
    assert words(campaign, asked_before).keys() >= {
        pair for pair, count in words(campaign, campaign.store.questions()).items() if count > 1
    }
    new = campaign.store.questions()[15:]
    assert once(campaign, new, len(new))
    assert not words(campaign, new).keys() & words(campaign, asked_before).keys()
    # Who was asked about goes on to stand for its words.
    about = {end for question in asked_before for end in (question.first, question.second)}
    texts = {(end // 5, TEXTS[end]) for end in about}
    ends = {end for question in new for end in (question.first, question.second)}
    assert all(end in about for end in ends if (end // 5, TEXTS[end]) in texts)


@pytest.mark.parametrize("candidates", [None, 20_000])
def test_with_identical_all_are_asked(asked, candidates):
    campaign = asked(0, TEXTS)
    questions = campaign.ask(Request(size=1_000, design="random", candidates=candidates, identical=True))
    assert {frozenset((q.first, q.second)) for q in questions} == {
        frozenset((5 * prompt + a, 5 * prompt + b)) for prompt in range(12) for a, b in combinations(range(5), 2)
    }


def test_an_overlap_is_of_one_question(asked):
    questions = asked(100, TEXTS, overlap=2).store.questions()
    assert len(questions) == IN_WORDS
    assert {question.wanted for question in questions} == {2}


@pytest.mark.parametrize("design", ["random", "pa-dopt"])
def test_no_list_shows_a_text_twice(asked, design):
    campaign = asked(0, TEXTS)
    questions = campaign.ask(Request(size=12, design=design, list_size=3, candidates=None))
    assert once(campaign, questions)
    with pytest.raises(NoCandidatesError):
        campaign.ask(Request(size=1, list_size=3))


def test_grades_are_of_different_words(asked):
    campaign = asked(0, TEXTS, grades=5)
    assert once(campaign, campaign.ask(100))


def test_what_is_left_is_counted_in_words(asked, tmp_path):
    campaign = asked(30, TEXTS)
    answer(campaign, campaign.store.questions(), tmp_path)
    assert campaign.room() is not None
    assert [later.labels for later in find(campaign, campaign.fit(), [1, 100], draws=8).forecast.later] == [1, 6]
    answer(campaign, campaign.ask(6), tmp_path)
    assert campaign.room() is None
    assert find(campaign, campaign.fit(), [1], draws=8).forecast.later == ()


@pytest.mark.parametrize("identical", [False, True])
def test_the_live_page_asks_no_words_twice(asked, monkeypatch, identical):
    campaign = asked(0, TEXTS)
    request = Request(size=500, candidates=None, design="random", identical=identical)
    chooser = LiveChooser(campaign, request)
    monkeypatch.setattr(chooser._wanted, "set", lambda: None)
    desk = Desk(campaign, chooser=chooser)
    try:
        count = IN_RESPONSES if identical else IN_WORDS
        assert desk.progress("ana").left == count
        # Another program asks the words of two prompts of responses that do not stand for them.
        pairs = [(5 * prompt + a, 5 * prompt + b) for prompt in (0, 1) for a, b in ((1, 2), (1, 4), (2, 4))]
        others = [Question(f"other {k}", 1, k + 1, *pair, True, 0.0) for k, pair in enumerate(pairs)]
        brm.Campaign.open(campaign.directory).store.add_batch(1, "random", {}, others)
        assert desk.next("ana").batch == 1
        assert chooser.left() == count - 6
        for number in range(500):
            question = desk.next("ana")
            if question is None:
                break
            assert desk.answer("ana", question.id, "left", f"key {number}") == "kept"
        assert identical or once(campaign, campaign.store.questions())
    finally:
        monkeypatch.undo()
        desk.close()


def test_a_fit_beside_the_page_knows_the_words_that_were_asked(asked):
    campaign = asked(10, TEXTS)
    fitted = Fitter(campaign, Request(size=500, candidates=None)).fit(1)
    assert len(fitted.live) == IN_WORDS - 10


def test_nothing_changes_where_no_two_read_the_same(asked):
    campaign = asked(12)
    again = brm.Campaign.open(campaign.directory).spent()
    assert type(again) is brm.Comparisons
    assert again.first.tolist() == campaign.asked().first.tolist()
