"""Whom to ask about each pair: as ``brm.select`` chooses, kept and handed out like other questions."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter

import numpy as np
import pytest

import bayesrm as brm
from bayesrm import rng
from bayesrm.campaign.asking import Request
from bayesrm.campaign.choosing import require_reliabilities
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.status import status
from bayesrm.errors import BayesRMError, CapabilityError, InvalidInputError
from bayesrm.runs.settings import CampaignSettings

PEOPLE = {"ana": 14, "bob": None}


def chosen(size: int = 24, **options) -> Request:
    return Request(
        **{"size": size, "design": "pa-dopt", "annotators": PEOPLE, "choose_annotators": True} | options
    )


def asked_of(questions) -> Counter:
    return Counter((tuple(sorted((q.first, q.second))), name) for q in questions for name in q.annotators)


@pytest.fixture
def copy(crowd, tmp_path):
    """One that may be written to, which knows the fit of the other."""
    shutil.copytree(crowd.directory, tmp_path / "copy")
    again = brm.Campaign.open(tmp_path / "copy", crowd.pool_path)
    crowd._fitted(crowd.preferences(), rankings=False)
    again._fits = dict(crowd._fits)
    return again


def tell(campaign, questions, file):
    rows = [f"{q.id},{'left' if q.place % 2 else 'right'},{name}" for q in questions for name in q.annotators]
    file.write_text("\n".join(["question,answer,annotator", *rows]))
    return campaign.tell(file)


@pytest.mark.parametrize(
    ("size", "people", "prices", "options"),
    [
        (24, PEOPLE, {"bob": 0.4}, {}),
        (110, {"bob": None, "new": None, "ana": 60}, {}, {"design": "epig"}),
        (12, {"bob": None, "ana": 8}, {"ana": 3.0}, {"per_response": 1}),
    ],
)
def test_pairs_and_people_are_those_of_select(copy, size, people, prices, options):
    seed, design = int(copy.settings["seed"]), options.get("design", "pa-dopt")
    caps = {name: value for name, value in options.items() if name == "per_response"}
    pairs = brm.candidates(
        copy.pool, prompts=None, seed=rng.child(seed, "candidates", 2), exclude=copy.asked(), **caps
    )
    posterior = copy._fitted(copy.preferences(), rankings=False)
    child = rng.child(seed, "selection", 2)
    expected = brm.select(posterior, pairs, design, size, seed=child, annotators=people, prices=prices)
    questions = copy.ask(chosen(size, annotators=people, prices=prices, **options))
    ends = map(tuple, np.sort(expected.lists, axis=1).tolist())
    assert asked_of(questions) == Counter(zip(ends, expected.annotator.tolist(), strict=True))
    assert sum(question.wanted for question in questions) == size
    assert all(question.wanted == len(question.annotators) for question in questions)
    assert sum(question.gain for question in questions) == pytest.approx(expected.gain.sum())
    before = {tuple(sorted((question.first, question.second))) for question in copy.store.questions()[:40]}
    assert not before & {pair for pair, _ in asked_of(questions)}
    if size == 110:
        assert len(questions) < 80, "some are asked twice while there are new pairs"
    again = brm.Campaign.open(copy.directory, copy.pool_path).store
    assert again.questions()[40:] == questions
    assert again.batches()[-1].get("prices", {}) == prices


def test_what_was_asked_of_whom_is_handed_out_told_taken_back_renamed_and_released(copy, tmp_path):
    questions = copy.ask(chosen(90, annotators={"ana": 40, "bob": None}))
    assert any(question.annotators == ("ana", "bob") for question in questions)
    for path, name in zip(copy.hand_out("csv"), ("ana", "bob"), strict=True):
        text = path.read_text(encoding="utf-8-sig")
        assert {q.id for q in questions if q.id + "," in text} == {q.id for q in questions if name in q.annotators}
    assert tell(copy, questions[:30], tmp_path / "part.csv").new == sum(q.wanted for q in questions[:30])
    (last,) = status(copy).batches[1:]
    assert (last.questions, last.wanted, last.open) == (len(questions), 90, len(questions) - 30)
    assert len(copy.preferences()) == 80 + sum(q.wanted for q in questions[:30])

    copy.untell(batches=[2])
    assert len(copy.preferences()) == 80
    copy.rename("bob", "bert")
    renamed = [q for q in copy.store.questions() if q.batch == 2]
    assert [tuple({"bert": "bob"}.get(n, n) for n in q.annotators) for q in renamed] == [
        q.annotators for q in questions
    ]
    copy.release(2)
    # Under the old name, too, it is the person whose answers are known.
    request = chosen(90, annotators={"ana": 40, "bob": None})
    batch = copy.ask(request)
    assert Counter(name for q in batch for name in q.annotators) == {"ana": 40, "bert": 50}
    assert not any("no answer yet" in sentence for sentence in copy.teaching(request, batch))
    with pytest.raises(InvalidInputError, match="bert and bob are one person since a renaming"):
        copy.ask(chosen(9, annotators={"bert": None, "bob": None}))


def test_the_page_shows_a_question_to_those_alone_who_are_to_answer_it(copy):
    questions = copy.ask(chosen(90, annotators={"ana": 40, "bob": None}))
    desk = Desk(copy)
    seen: dict[str, set[str]] = {name: set() for name in ("ana", "bob", "eve")}
    for name, number in zip(itertools.cycle(seen), range(3 * 91), strict=False):
        question = desk.next(name)
        if question is not None:
            seen[name].add(question.id)
            assert desk.answer(name, question.id, "left", f"{name} {number}") == "kept"
    for name, ids in seen.items():
        assert ids == {q.id for q in questions if name in q.annotators}
    desk.close()


def test_a_command_chooses_and_says_whom(copy, command, monkeypatch):
    # The fit that there is serves, and what lists would save is no matter here.
    monkeypatch.setattr(brm.Campaign, "open", lambda *_, **__: copy)
    monkeypatch.setattr(brm.Campaign, "room", lambda *_: None)
    folder = copy.directory
    options = [
        "--design",
        "pa-dopt",
        "--size",
        12,
        "--annotator",
        "ana=6",
        "--annotator",
        "bob",
        "--annotator",
        "new",
    ]
    status_, printed, complaint = command(
        "campaign", "ask", folder, *options, "--price", "bob=0.5", "--choose-annotators"
    )
    assert status_ == 0, complaint
    questions = [q for q in copy.store.questions() if q.batch == 2]
    count = Counter(name for q in questions for name in q.annotators)
    said = ", ".join(f"{name} {count[name]}" for name in ("ana", "bob", "new"))
    assert f"is expected to teach for its price: {said};" in " ".join(printed.split())
    assert "new has no answer yet" in " ".join(printed.split())
    assert {path.stem for path in (folder / "batches").iterdir()} == {f"batch-002-{name}" for name in count}
    status_, _, complaint = command("campaign", "ask", folder, *options, "--price", "bob=half")
    assert status_ != 0
    assert "expected the price of an annotator as NAME=X" in complaint
    assert len(copy.store.batches()) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"annotators": {}}, "add --annotator NAME for each"),
        ({"choose_annotators": False, "prices": {"bob": 2.0}}, "add --choose-annotators"),
        ({"prices": {"eve": 2.0}}, "price above 0 of somebody named with --annotator, got eve=2.0"),
        ({"prices": {"bob": 0.0}}, "price above 0"),
        ({"prices": {"bob": float("nan")}}, "price above 0"),
        ({"overlap": 2}, "leave out --list, --overlap and --second-answers"),
        ({"second_answers": True}, "leave out --list, --overlap and --second-answers"),
        ({"list_size": 4}, "leave out --list, --overlap and --second-answers"),
        ({"min_within": 2}, "--min-within counts pairs"),
        ({"design": None}, "chooses at random .* such as pa-dopt"),
        ({"annotators": {"ana": 3, "bob": 4}}, "quotas for the 24 answers of this batch, and they add up to 7"),
    ],
)
def test_what_cannot_be_chosen(options, why):
    with pytest.raises(InvalidInputError, match=why):
        chosen(**options)


def test_nothing_is_asked_where_a_design_cannot_weigh_answers(copy):
    with pytest.raises(CapabilityError, match="such as pa-dopt or epig"):
        copy.ask(chosen(design="entropy"))
    assert len(copy.store.batches()) == 1


def labelled(*people: tuple[str, int]) -> brm.Preferences:
    names = [name for name, count in people for _ in range(count)]
    return brm.Preferences([0] * len(names), [1] * len(names), [1.0] * len(names), annotator=np.array(names))


@pytest.mark.parametrize(
    ("settings", "labels", "why"),
    [
        ({"grades": 5}, labelled(("ana", 30), ("bob", 30)), "asks on 5 points.*leave out --choose-annotators"),
        ({"likelihood": "davidson"}, labelled(("ana", 30), ("bob", 30)), "campaign is davidson.*leave out"),
        ({}, brm.Preferences.none(), "20 answers each.*got no answers: ask without"),
        (
            {},
            labelled(("ana", 30), ("bob", 19)),
            r"got ana \(30\), bob \(19\): ask without --choose-annotators until",
        ),
        ({}, labelled(("ana", 30), ("", 30)), "got ana .30., 30 answers without a name: .* rename --unnamed NAME"),
        ({"likelihood": "annotators"}, labelled(("", 30)), "30 answers without a name"),
        ({}, brm.Preferences.from_rankings([[0, 1, 2]]), "rankings of lists.*leave out --choose-annotators"),
    ],
)
def test_where_reliabilities_are_not_known_it_is_said_what_to_do(settings, labels, why):
    with pytest.raises(BayesRMError, match=why):
        require_reliabilities(CampaignSettings(**settings), labels)


@pytest.mark.parametrize("likelihood", ["auto", "annotators"])
def test_where_they_are_known_nothing_is_said(likelihood):
    require_reliabilities(CampaignSettings(likelihood=likelihood), labelled(("ana", 20), ("bob", 20), ("", 5)))
