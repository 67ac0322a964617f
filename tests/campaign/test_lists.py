"""Lists in a campaign: asked, handed out, ranked in whole or in part, told, fitted, counted and taken back."""

from __future__ import annotations

import csv
import itertools
import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import xarray as xr

import bayesrm as brm
from bayesrm import rng
from bayesrm.campaign import tables
from bayesrm.campaign.agreement import agreement
from bayesrm.campaign.asking import Request
from bayesrm.campaign.findings import _folds, _held_out_choices, find
from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.rankings import parse_ranking
from bayesrm.campaign.rankings import LETTERS, Ranking, in_words
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.status import status
from bayesrm.campaign.store import STORE_FILE, Store
from bayesrm.diagnostics.diagnosis import Diagnosis
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.campaigns import explain_batch
from bayesrm.inspection.explain import explain_folder
from bayesrm.reports import campaign as campaign_page

ORDER = "B > A = D > C"


@pytest.fixture
def lists(asked):
    """A campaign with six lists of four."""
    return asked(6, list_size=4)


def sheet_of(campaign, to="csv", **options):
    """The first file of a batch, read as a table of its own rows."""
    (path, *_) = campaign.hand_out(to, **options)
    return path


def told(campaign, answers, name="filled.csv", **options):
    """What becomes of these words in the sheet, in the order of its rows."""
    path = sheet_of(campaign)
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    at = rows[0].index("answer")
    for row, words in zip(rows[1:], answers, strict=False):
        row[at] = words
    filled = campaign.directory / name
    with open(filled, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return campaign.tell(filled, **options)


def test_lists_of_four_are_asked_once_and_each_has_a_pair_that_is_new(lists):
    questions = lists.store.questions()
    assert [len(question.members) for question in questions] == [4] * 6
    group = lists.pool.group
    assert all(len(set(group[list(question.members)])) == 1 for question in questions)
    assert all(len(set(question.members)) == 4 for question in questions)
    more = lists.ask(3, list_size=4)
    before = {pair for question in questions for pair in map(frozenset, question.pairs)}
    assert all(set(map(frozenset, question.pairs)) - before for question in more)
    pairs = lists.ask(40)
    assert not {frozenset(pair) for question in pairs for pair in question.pairs} & before
    assert len(lists.asked()) == 9 * 6 + 40


def test_an_exported_model_says_how_many_answers_it_learnt_from(lists, command, tmp_path):
    told(lists, [ORDER, "C", "A ... D", "B > C > D"])
    rows = len(lists.preferences())
    assert rows > 4
    status, printed, _ = command("export", lists.directory, "--to", tmp_path / "model")
    assert (status, "Fitted to 4 answers (laplace" in printed) == (0, True)
    assert "learnt from | 4 answers among" in (tmp_path / "model" / "README.md").read_text()
    loaded = brm.load_reward_model(tmp_path / "model")
    assert ", 4 answers, " in repr(loaded)
    assert loaded.description["labels"]["comparisons"] == rows


def test_of_rankings_alone_it_says_how_many_choices(tmp_path):
    pool = brm.ResponsePool(np.eye(8), ["a"] * 4 + ["b"] * 4)
    labels = brm.Preferences.from_rankings([[0, 1, 2, 3], [5, 4, 6, 7]])
    brm.save_reward_model(tmp_path / "model", brm.fit(brm.RewardModel(8, "linear"), pool, labels))
    assert "learnt from | 6 choices among" in (tmp_path / "model" / "README.md").read_text()


def test_a_list_of_two_is_the_pair_question_to_the_bit(asked):
    plain, of_two = asked(0, name="plain"), asked(0, name="two")
    pairs = plain.ask(Request(size=8, design="pa-dopt"))
    twos = of_two.ask(Request(size=8, design="pa-dopt", list_size=2))
    assert not any(question.is_list for question in twos)
    chosen = [(q.first, q.second, q.first_is_left, q.gain) for q in pairs]
    assert chosen == [(q.first, q.second, q.first_is_left, q.gain) for q in twos]


def test_every_ranking_is_read_as_it_is_written():
    for members in range(3, 6):
        for order in itertools.permutations(range(members)):
            ranking = Ranking(tuple((member,) for member in order))
            assert parse_ranking(in_words(ranking), members) == ranking
            assert Ranking.from_json(ranking.as_json()) == ranking
    assert parse_ranking("b>a = d >C.", 4) == Ranking(((1,), (0, 3), (2,)))
    assert parse_ranking("B, A, D, C", 4) == parse_ranking("B > A > D", 4) == Ranking(((1,), (0,), (3,), (2,)))
    assert parse_ranking("C", 4) == Ranking(((2,),))
    assert parse_ranking("C … A", 4) == Ranking(((2,),), 0)
    assert parse_ranking("... D", 4) == Ranking((), 3)
    assert parse_ranking("B > C ... D", 4) == Ranking(((1,), (2,)), 3)
    assert parse_ranking("A = B = C", 3) == parse_ranking("Both bad", 3) == "tie"
    assert parse_ranking("can't say", 3) == "skip"
    assert parse_ranking(" ", 3) is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("A > B > A", "expected each response once, got A twice"),
        ("A ... A", "expected each response once, got A twice"),
        ("A > E", "expected A to D as in"),
        ("left", "expected A to D as in"),
        ("2 > 1", "expected A to D as in"),
        ("BADC", "expected A to D as in"),
        ("A B", "expected A to D as in"),
        ("A ... B ... C", "expected dots once"),
        ("A ... B > C", "expected one response after the dots"),
        ("...", "expected a response before or after the dots"),
    ],
)
def test_what_is_no_ranking_has_a_reason(words, why):
    with pytest.raises(ValueError, match=why):
        parse_ranking(words, 4)


def test_what_is_no_ranking_is_set_aside_and_the_others_count(lists):
    report = told(lists, ["A > B > A", "B", "A > E", "left"])
    assert (report.new, [place for place, _ in report.aside]) == (1, ["row 2", "row 4", "row 5"])
    assert "got A twice" in report.aside[0][1]
    with pytest.raises(InvalidInputError, match=r"no row of .* is an answer to this campaign \(row 2"):
        lists.tell(_written(lists, "broken.csv", f"question,answer\n{lists.store.questions()[0].id},A > A"))


def _written(campaign, name, text):
    (campaign.directory / name).write_text(text)
    return campaign.directory / name


def test_rankings_count_as_the_choices_that_they_are(lists):
    words = [ORDER, "C", "A ... D", "tie", "skip", "D > B"]
    report = told(lists, words, annotator="ann")
    assert (report.new, report.ties, report.skips, report.aside) == (6, 1, 1, ())
    shown = [question.members for question in lists.store.questions()]
    first = [[shown[0][1]], [shown[0][0], shown[0][3]], [shown[0][2]]]
    everything = [first, [[shown[1][2]]], [[shown[2][0]]], [list(shown[3])], [[shown[5][3]], [shown[5][1]]]]
    used = [list(shown[at]) for at in (0, 1, 2, 3, 5)]
    worst = [-1, -1, shown[2][3], -1, -1]
    expected = brm.Preferences.from_rankings(everything, lists=used, worst=worst)
    found = lists.preferences()

    def rows(labels):
        weight = np.ones(len(labels)) if labels.weight is None else labels.weight
        return sorted(zip(labels.first, labels.second, labels.outcome, weight.round(9), strict=True))

    assert rows(found) == rows(expected)
    assert set(found.annotator) == {"ann"}
    now = status(lists)
    assert (now.used, now.ties, now.skips, now.rankings, now.texts) == (5, 1, 1, 5, 24)
    assert lists.model().likelihood.name == "bradley-terry"


def test_the_posterior_of_rankings_is_that_of_their_choices(lists):
    told(lists, [ORDER, "C", "A ... D", "B > C > D"])
    shown = [question.members for question in lists.store.questions()]
    ranked = [
        [[shown[0][1]], [shown[0][0], shown[0][3]], [shown[0][2]]],
        [shown[1][2]],
        [shown[2][0]],
        [shown[3][at] for at in (1, 2, 3, 0)],
    ]
    worst = [-1, -1, shown[2][3], -1]
    labels = brm.Preferences.from_rankings(ranked, lists=[*map(list, shown[:4])], worst=worst)
    again = brm.fit(lists.model(), lists.pool, labels, seed=rng.child(0, "fit"))
    for mine, other in zip(lists.fit().reward(lists.pool), again.reward(lists.pool), strict=True):
        assert mine == pytest.approx(other, abs=1e-10)


@pytest.mark.parametrize("to", [name for name, part in HANDOFFS.items() if part.rank_step is not None])
def test_every_format_that_has_rankings_shows_all_texts_and_reads_as_open(lists, to):
    path = sheet_of(lists, to)
    data = path.read_bytes().decode("utf-8-sig")
    for question in lists.store.questions():
        assert all(f"Response **{member}**" in data for member in question.members)
    if HANDOFFS[to].filled_in:
        report = lists.tell(path)
        assert (report.new, report.open, report.aside) == (0, 6, ())
    assert "bayesrm campaign tell here" in HANDOFFS[to].rank_step.format(directory="here")


def test_a_format_of_pairs_refuses_lists(lists, monkeypatch):
    monkeypatch.setattr(HANDOFFS["csv"], "rank_step", None)
    with pytest.raises(InvalidInputError, match="the format csv asks about pairs only: hand lists out as"):
        lists.hand_out("csv")


def lines_of(campaign, answers, **columns):
    questions = campaign.store.questions()
    return "\n".join(
        json.dumps({"question": question.id, "answer": answer, **columns})
        for question, answer in zip(questions, answers, strict=False)
    ).encode()


def argilla(campaign, values):
    """A page of the server's records."""
    items = [
        {
            "id": f"server-{at}",
            "external_id": question.id,
            "fields": {"prompt": "p"},
            "status": "completed",
            "responses": [{"values": {"preference": {"value": value}}, "status": "submitted", "user_id": "u1"}],
        }
        for at, (question, value) in enumerate(zip(campaign.store.questions(), values, strict=False))
    ]
    for item in items:
        del item["fields"]["prompt"]
    return json.dumps({"items": items, "total": len(items)}).encode()


def label_studio(campaign, rankers):
    """Tasks with an annotation each."""
    tasks = [
        {
            "data": {"question": question.id, "items": [{"id": letter} for letter in LETTERS[:4]]},
            "annotations": [
                {
                    "completed_by": {"email": "u1"},
                    "result": [
                        {
                            "from_name": "ranking",
                            "to_name": "responses",
                            "type": "ranker",
                            "value": {"ranker": ranker},
                        }
                    ],
                }
            ],
        }
        for question, ranker in zip(campaign.store.questions(), rankers, strict=False)
    ]
    return json.dumps(tasks).encode()


def test_the_answers_of_every_tool_are_the_same_rankings(asked):
    expected = [Ranking(((1,), (0, 3), (2,))), Ranking(((2,),)), Ranking(((0,),), 3)]

    def places(*of, lying=""):
        return {"_": list(lying)} | {f"place_{k}": list(place) for k, place in enumerate(of, start=1)}

    files = {
        "lines.jsonl": lambda c: lines_of(c, [["B", ["A", "D"], "C"], "C", "A ... D"]),
        "page.json": lambda c: argilla(
            c, [[{"value": letter, "rank": rank} for letter, rank in zip("ABCD", (2, 1, 3, 2), strict=True)]]
        ),
        "tasks.json": lambda c: label_studio(
            c,
            [
                places("B", "AD", "", "C"),
                places("C", "", "", "", lying="ABD"),
                places("A", "", "", "D", lying="BC"),
            ],
        ),
    }
    for name, make in files.items():
        campaign = asked(3, name=name, list_size=4)
        path = campaign.directory / name
        path.write_bytes(make(campaign))
        report = campaign.tell(path)
        assert report.aside == (), name
        for answer, question, ranking in zip(
            campaign.store.answers(), campaign.store.questions(), expected, strict=False
        ):
            assert answer.ranked(question) == Ranking.from_json(ranking.of(question.members).as_json()), name
        assert report.new == (1 if name == "page.json" else 3)


def test_an_export_of_argilla_without_ranks_is_set_aside(lists):
    path = lists.directory / "sdk.json"
    path.write_bytes(argilla(lists, [["A", "B", "C", "D"]] * 2))
    with pytest.raises(InvalidInputError, match="without the ranks that were given"):
        lists.tell(path)
    assert lists.store.answers() == []


def test_a_list_that_was_not_sorted_in_label_studio_is_set_aside_and_a_tie_is_a_tie(lists):
    tasks = json.loads(label_studio(lists, [{"_": list("ABCD"), "place_1": []}, {"_": list("ABCD")}]))
    tasks[1]["annotations"][0]["result"].append(
        {"from_name": "otherwise", "to_name": "prompt", "type": "choices", "value": {"choices": ["tie"]}}
    )
    path = lists.directory / "tasks.json"
    path.write_text(json.dumps(tasks))
    report = lists.tell(path)
    assert (report.new, report.ties) == (1, 1)
    assert "submitted without an answer, so the question is still open" in report.aside[0][1]


def test_a_row_that_shows_other_texts_is_set_aside(lists):
    path = sheet_of(lists)
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    at = rows[0].index("answer")
    for row in rows[1:3]:
        row[at] = ORDER
    rows[1][3], rows[1][4] = rows[1][4], rows[1][3]
    with open(lists.directory / "swapped.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    report = lists.tell(lists.directory / "swapped.csv")
    assert report.new == 1
    assert "it shows" in report.aside[0][1]
    assert "under b" in report.aside[0][1]


def test_a_correction_repetition_and_undoing_are_those_of_pairs(lists):
    told(lists, [ORDER, "A"], "1.csv", annotator="ann")
    again = told(lists, ["B > D = A > C", "A"], "2.csv", annotator="ann")
    assert (again.new, again.repeated) == (0, 2)
    changed = told(lists, ["C > D = A > B", ""], "3.csv", annotator="ann")
    assert (changed.new, changed.corrected) == (1, 1)
    assert status(lists).superseded == 1
    report = lists.untell(questions=[lists.store.questions()[0].id])
    assert (report.answers, report.questions) == (2, 1)
    assert len(lists.preferences()) == 3
    lists.untell(annotators=["ann"])
    assert len(lists.preferences()) == 0
    lists.release(1)
    assert len(lists.asked()) == 0


def test_two_who_rank_alike_agree_and_opposite_orders_do_not():
    questions = [
        Question(f"q{k}", 1, k, 4 * k, 4 * k + 1, True, 0.0, members=tuple(range(4 * k, 4 * k + 4)))
        for k in range(3)
    ]
    order = [
        Ranking(((0,), (1,), (2,), (3,))),
        Ranking(((3,), (2,), (1,), (0,))),
        Ranking(((0,), (1,), (3,), (2,))),
    ]

    def answers(*which):
        return [
            Answer(question.id, who, "ranked", ranking=order[at].of(question.members).as_json())
            for question, pair in zip(questions, which, strict=True)
            for who, at in zip("ab", pair, strict=True)
        ]

    assert agreement(answers((0, 0), (0, 0), (1, 1)), questions).share.estimate == pytest.approx(1)
    assert agreement(answers((0, 1), (0, 1), (0, 1)), questions).same == pytest.approx(0)
    # One of six pairs is turned round in one of three lists.
    assert agreement(answers((0, 0), (0, 0), (0, 2)), questions).same == pytest.approx(3 - 1 / 6)


def test_bad_requests_are_one_sentence_and_ask_nothing(asked):
    campaign = asked(0)
    for request, why in (
        ({"list_size": 6}, "expected lists of at most 5 responses"),
        ({"list_size": 9}, "less than or equal to 8"),
        ({"list_size": 3, "scope": "cross-prompt"}, "lists of responses to one prompt each"),
        ({"list_size": 3, "size": 1000}, "there are only"),
    ):
        with pytest.raises(InvalidInputError, match=why):
            campaign.ask(Request(**{"size": 3, "design": "random"} | request))
    assert campaign.store.questions() == []


def test_a_campaign_of_the_format_before_lists_goes_on_with_all_its_rows(asked, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tables, "FORMAT", 4)
        folder = tmp_path / "old"
        folder.mkdir()
        with closing(sqlite3.connect(folder / STORE_FILE, isolation_level=None)) as db:
            tables.make_tables(db)
            db.execute("INSERT INTO batch VALUES (1, 'then', 'random', '{}')")
            db.execute("INSERT INTO question VALUES ('q1', 1, 1, 4, 5, 1, 0.5, '[]', 1)")
            db.execute("INSERT INTO source VALUES (1, 'a.csv', 'x', 'csv', '', 'then', '{}')")
            db.execute(
                "INSERT INTO answer VALUES "
                "(7, 'q1', 'ana', 'tie', NULL, 'then', 1, 'row 2', 'hm', 'k', 2.5, 1, 0.25, 2, 3)"
            )
            db.execute("INSERT INTO retraction VALUES (1, 7, 'then', 'owner', 'why', '')")
    opened = Store(folder)
    ((answer, _),) = opened.retracted()
    assert answer == Answer("q1", "ana", "tie", None, "row 2", "hm", "then", 7, "k", 2.5, 1, 0.25, 2.0, 3.0)
    assert [question.members for question in opened.questions()] == [()]
    with closing(sqlite3.connect(folder / STORE_FILE)) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="rows of answer are only ever added"):
            db.execute("DELETE FROM answer")


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A campaign with eighteen lists of three, each ranked by its numbers, and one pair."""
    folder = tmp_path_factory.mktemp("ranked")
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((48, 4)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(12), 4), [f"Response **{k}**" for k in range(48)])
    brm.save_pool(folder / "pool", pool)
    campaign = brm.Campaign.create(folder / "campaign", folder / "pool", encoder="linear")
    campaign.ask(Request(size=18, design="random"), list_size=3)
    words = []
    for question in campaign.store.questions():
        order = np.argsort([-embeddings[member, 0] for member in question.members], kind="stable")
        words.append([LETTERS[at] for at in order])
    (folder / "lists.jsonl").write_bytes(lines_of(campaign, words, annotator="ann"))
    campaign.tell(folder / "lists.jsonl")
    (pair,) = campaign.ask(Request(size=1, design="random"))
    line = {"question": pair.id, "answer": "left", "annotator": "ann"}
    (folder / "pair.jsonl").write_text(json.dumps(line))
    campaign.tell(folder / "pair.jsonl")
    return campaign


def test_labels_of_rankings_are_the_pairs_that_they_decide(ranked):
    table = ranked.labels()
    assert len(table) == 18 * 3 + 1
    reward = dict(zip(ranked.pool.texts, ranked.pool.embeddings[:, 0], strict=True))
    lists = table[table["question"].str.contains(":")]
    assert (lists["chosen"].map(reward) > lists["rejected"].map(reward)).all()
    assert lists["question"].is_unique
    assert set(lists["question"].str.split(":").str[1]) == {"AB", "AC", "BC"}
    *_, card = ranked.export_labels("csv")
    assert "18 answers are rankings of lists, of which each pair that it decides is a row" in card.read_text()


def test_lists_are_explained_and_a_report_has_them(ranked):
    number, explanation = explain_batch(ranked, 1)
    assert number == 1
    questions = [question for question in ranked.store.questions() if question.batch == 1]
    assert sorted(explanation.table["response"]) == sorted(m for question in questions for m in question.members)
    assert len(explanation.table) == 54
    explained, files = explain_folder(ranked.directory, number=1)
    assert [path.name for path in files] == ["batch-001-explained.csv"]
    findings = find(ranked, ranked.fit(), horizons=(10,), draws=16)
    assert (findings.labels, findings.likelihood) == (19, "bradley-terry")
    assert findings.held_out is None
    ranked.store.add_round("of now", {"findings": findings.as_json()})
    diagnosis = Diagnosis("Laplace", (), xr.DataTree())
    diagnosis.tree.attrs["versions"] = "{}"
    page = campaign_page.render(ranked, status(ranked), diagnosis, (1, explained))
    assert "pairs or lists" in page
    assert "18 of 3" in page
    assert "56 texts were read for them" in page
    assert "Why batch 1 asked these lists" in page


def test_rows_of_a_choice_count_as_one_answer_that_is_held_out():
    labels = brm.Preferences.from_rankings([[0, 1, 2], [3, 4, 5], [8, 7, 6]])
    right = np.array([1, 1, 1, 1, 0, 1, 0, 0, 0.0])
    found = _held_out_choices(labels, right, np.full(9, 0.75))
    # Choices of the best and of the second: shares 1, 1, ½, 1, 0, 0.
    shares = np.array([1, 1, 0.5, 1, 0, 0])
    assert found.answers == 6
    assert found.right == pytest.approx(shares.mean())
    assert found.error == pytest.approx(shares.std() / np.sqrt(6))
    assert found.expected == pytest.approx(0.75)
    folds = _folds(labels, 0)
    assert all(len(set(folds[labels.choice == choice])) == 1 for choice in set(labels.choice))
