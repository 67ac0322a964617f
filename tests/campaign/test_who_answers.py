"""Who answers which question, and which are asked twice: by what answers are expected to teach."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.assigning import assign, deal
from bayesrm.design.answers import first_and_second, information_by_annotator
from bayesrm.errors import InvalidInputError


def test_questions_are_dealt_out_so_that_all_teach_most_together():
    r = np.random.default_rng(0)
    who = np.array([0, 0, 1, 1, 2])
    teaches = r.exponential(size=(5, 3))
    dealt = deal(teaches, who)
    assert Counter(dealt.tolist()) == Counter(who.tolist())
    best = max(sum(teaches[range(5), order]) for order in set(itertools.permutations(who)))
    assert teaches[np.arange(5), dealt].sum() == pytest.approx(best)


def test_quotas_and_questions_of_several_stay_as_they_were():
    r = np.random.default_rng(1)
    wanted = np.array([2, 1, 1, 1, 2, 1])
    annotators = {"ana": 5, "bob": None, "cem": None}
    before = assign(wanted, annotators, np.random.default_rng(3))
    after = assign(wanted, annotators, np.random.default_rng(3), r.exponential(size=(6, 3)))
    assert [pair for pair in before if len(pair) == 2] == [pair for pair in after if len(pair) == 2]
    assert Counter(itertools.chain(*before)) == Counter(itertools.chain(*after))
    assert [len(names) for names in after] == wanted.tolist()


def test_the_careful_one_gets_the_pairs_of_which_more_is_learnt(crowd):
    request = Request(size=16, design="pa-dopt", annotators={"ana": None, "bob": None})
    questions = crowd.ask(request)
    assert Counter(question.annotators for question in questions) == {("ana",): 8, ("bob",): 8}
    posterior = crowd._fitted(crowd.preferences(), rankings=False)
    pairs = brm.Comparisons([q.first for q in questions], [q.second for q in questions])
    teaches = information_by_annotator(posterior, crowd.pool, pairs, ["ana", "bob"])
    advantage = teaches[:, 0] - teaches[:, 1]
    ana = np.array([question.annotators == ("ana",) for question in questions])
    assert advantage[ana].min() >= advantage[~ana].max(), "ana has the eight pairs in which she is furthest ahead"
    (said,) = crowd.teaching(request, questions)
    share = teaches[:, 1].mean() / teaches[:, 0].mean()
    assert f"by ana is expected to teach here, one by the others teaches: bob {share:.0%}" in said
    assert share < 0.5


def test_pairs_are_asked_twice_in_place_of_those_that_teach_less(crowd):
    plain = crowd.ask(Request(size=60, design="pa-dopt", selector="top"))
    crowd.release(plain[0].batch)
    questions = crowd.ask(Request(size=60, design="pa-dopt", selector="top", second_answers=True))
    twice = [question for question in questions if question.wanted == 2]
    assert sum(question.wanted for question in questions) == 60
    posterior = crowd._fitted(crowd.preferences(), rankings=False)
    pairs = brm.Comparisons([q.first for q in plain], [q.second for q in plain])
    first, second = first_and_second(posterior, crowd.pool, pairs)
    kept = {frozenset((q.first, q.second)) for q in questions}
    gone = np.array([frozenset(pair) not in kept for pair in zip(pairs.first, pairs.second, strict=True)])
    assert gone.sum() == len(twice)
    said = crowd.teaching(Request(size=60, design="pa-dopt", second_answers=True), questions)[0]
    assert twice, "some of many pairs teach next to nothing"
    assert f"{len(twice)} pair" in said
    assert first[gone].max() < np.sort(second)[-len(twice)]
    assert all(set(question.annotators) in (set(), {"ana", "bob"}) for question in twice)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"overlap": 2}, "leave out --second-answers, or --list, --overlap"),
        ({"list_size": 4}, "leave out --second-answers, or --list, --overlap"),
        ({"design": "random"}, "designs that choose at random"),
        (
            {"design": "pa-dopt", "annotators": {"ana": None}},
            "at least two annotators for second answers, got one",
        ),
    ],
)
def test_second_answers_need_a_design_that_weighs_them(options, why):
    with pytest.raises(InvalidInputError, match=why):
        Request(size=5, second_answers=True, **{"design": "pa-dopt"} | options)
