"""Campaigns as they go in life: partial, late, repeated and conflicting files, kills, two commands at once."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import time
from collections import Counter

import numpy as np
import pytest
from filled_sheets import sheet

import bayesrm as brm
from bayesrm.campaign.agreement import agreement, krippendorff_alpha
from bayesrm.campaign.answers import choose_likelihood, latest
from bayesrm.campaign.asking import Request
from bayesrm.campaign.findings import Findings, reliabilities
from bayesrm.campaign.records import Answer
from bayesrm.campaign.rounds import fit_round
from bayesrm.campaign.status import status
from bayesrm.campaign.store import STORE_FILE, Store
from bayesrm.data.directory import RESPONSES
from bayesrm.errors import InvalidInputError

PROMPTS, EACH, DIM = 40, 5, 4


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory):
    """Forty prompts of five responses with texts and linear golden rewards."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((PROMPTS * EACH, DIM)).astype(np.float32)
    texts = [f"=response {k}" for k in range(len(embeddings))]
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH), texts)
    folder = tmp_path_factory.mktemp("pools") / "pool"
    brm.save_pool(folder, pool, 2 * embeddings @ random.standard_normal(DIM))
    return folder


@pytest.fixture
def campaign(pool_folder, tmp_path):
    return brm.Campaign.create(tmp_path / "campaign", pool_folder)


def tell(campaign, data: bytes, name="answers.csv", **options):
    path = campaign.directory / name
    path.write_bytes(data)
    return campaign.tell(path, **options)


def test_a_left_answer_is_mapped_to_the_response_that_stood_left(campaign):
    questions = campaign.ask(60)
    sides = ["left", "right", "tie", "skip"] * 15
    report = tell(campaign, sheet(questions, sides))
    assert (report.new, report.ties, report.skips, report.aside) == (60, 15, 15, ())
    prefs = campaign.preferences()
    assert len(prefs) == 45
    assert prefs.annotator is None
    by_pair = {(q.first, q.second): (q, side) for q, side in zip(questions, sides, strict=True)}
    for first, second, outcome in zip(prefs.first, prefs.second, prefs.outcome, strict=True):
        question, side = by_pair[first, second]
        preferred = {"left": question.left, "right": question.right}.get(side)
        assert outcome == {first: 1.0, second: 0.0}.get(preferred, 0.5)
    assert 15 < sum(q.first_is_left for q in questions) < 45
    assert [q.first_is_left for q in campaign.store.questions()] == [q.first_is_left for q in questions]


def test_files_show_the_side_that_is_remembered(campaign):
    questions = campaign.ask(10)
    for path in campaign.hand_out("jsonl"):
        for line, question in zip(path.read_text().splitlines(), questions, strict=True):
            sheet = json.loads(line)
            assert (sheet["left"], sheet["right"]) == (f"=response {question.left}", f"=response {question.right}")


def test_no_pair_is_asked_twice_until_none_is_left(campaign):
    batches = [campaign.ask(150) for _ in range(3)]
    pairs = [frozenset((q.first, q.second)) for batch in batches for q in batch]
    possible = PROMPTS * EACH * (EACH - 1) // 2
    assert [len(batch) for batch in batches] == [150, 150, possible - 300]
    assert len(set(pairs)) == possible
    group = campaign.pool.group
    assert all(group[q.first] == group[q.second] for batch in batches for q in batch), (
        "within prompts unless asked"
    )
    with pytest.raises(InvalidInputError, match="no candidates are left"):
        campaign.ask(1)
    across = campaign.ask(Request(size=30, scope="cross-prompt", design="random"))
    assert any(group[q.first] != group[q.second] for q in across)


def test_a_file_told_twice_changes_nothing(campaign):
    questions = campaign.ask(6)
    data = sheet(questions, ["left"] * 6)
    assert tell(campaign, data).new == 6
    before = campaign.store.answers()
    assert "nothing changed" in str(tell(campaign, data, "copy.csv"))
    # Saved again, with other bytes: every row is one that was told before.
    again = tell(campaign, data + b"\r\n", "saved.csv")
    assert (again.new, again.repeated) == (0, 6)
    assert campaign.store.answers() == before


def test_corrections_count_and_the_old_answer_stays(campaign):
    questions = campaign.ask(2)
    tell(campaign, sheet(questions, ["left", "left"], annotator=["ann", "ann"]), "1.csv")
    report = tell(campaign, sheet(questions, ["right", ""], annotator=["ann", "ann"]), "2.csv")
    assert (report.new, report.corrected, report.open) == (1, 1, 1)
    assert len(campaign.store.answers()) == 3
    assert sorted(answer.verdict for answer in latest(campaign.store.answers()).values()) == sorted(
        question.verdict(side) for question, side in zip(questions, ["right", "left"], strict=True)
    )
    # Back to the first answer: not a repetition of the old row.
    assert tell(campaign, sheet(questions[:1], ["left"], annotator=["ann"]), "3.csv").corrected == 1
    now = latest(campaign.store.answers())
    assert now[questions[0].id, "ann"].verdict == questions[0].verdict("left")
    assert status(campaign).superseded == 2


def test_the_answer_told_last_counts_whatever_the_times_in_files_say(campaign):
    (question,) = campaign.ask(1)
    for side, day in (("right", "2026-01-02"), ("left", "2026-01-01")):
        line = {"question": question.id, "answer": side, "annotator": "ann", "answered": day}
        assert tell(campaign, json.dumps(line).encode(), f"{day}.jsonl").new == 1
    assert campaign.preferences().outcome.tolist() == [float(question.verdict("left") == "first")]


def test_several_annotators_late_answers_unknown_ids_and_broken_rows(campaign):
    old, new = campaign.ask(3), campaign.ask(3)
    data = sheet(old + new, ["left", "right", "tie", "left", "LEFT", "perhaps"], annotator=["a"] * 6)
    report = tell(campaign, data + b"qother-1-1,left,a\r\n,right,a\r\n")
    assert (report.new, report.late) == (5, 3)
    assert [reason.split(",")[0] for _, reason in report.aside] == [
        "expected left",
        "no question of this campaign has the id 'qother-1-1'",
        "expected the id of a question",
    ]
    assert [place for place, _ in report.aside] == ["row 7", "row 8", "row 9"]
    other = tell(campaign, sheet(old, ["right", "right", "tie"]), "b.csv", annotator="b")
    assert (other.new, other.corrected) == (3, 0)
    now = status(campaign)
    assert (now.used, now.ties, now.conflicts, now.files) == (8, 2, 1, 2)
    assert sum(now.aside.values()) == 3
    assert now.people == {"a": 5, "b": 3}
    assert [(batch.questions, batch.answered, batch.open) for batch in now.batches] == [(3, 6, 0), (3, 2, 1)]
    assert campaign.preferences().annotator.tolist() == ["a", "b"] * 3 + ["a"] * 2


def test_preferences_do_not_depend_on_the_order_of_telling(campaign, pool_folder, tmp_path):
    questions = campaign.ask(20)
    halves = [sheet(part, ["left"] * 10) for part in (questions[:10], questions[10:])]
    for number in (1, 0):
        tell(campaign, halves[number], f"{number}.csv")
    whole = campaign.preferences()
    assert list(zip(whole.first, whole.second, strict=True)) == [(q.first, q.second) for q in questions]


# --- overlap, quotas, costs -----------------------------------------------------------------------------------


def test_overlap_and_quotas(campaign):
    people = {"ann": 20, "bob": None, "cat": None}
    questions = campaign.ask(Request(size=40, overlap=2, overlap_share=0.5, annotators=people))
    assert Counter(q.wanted for q in questions) == {1: 20, 2: 20}
    assert all(len(set(q.annotators)) == q.wanted for q in questions)
    load = Counter(name for q in questions for name in q.annotators)
    assert sum(load.values()) == 60
    assert load["ann"] <= 20
    assert min(load["bob"], load["cat"]) > 10
    files = campaign.hand_out("csv")
    assert [path.name for path in files] == [f"batch-001-{name}.csv" for name in sorted(people)]
    rows = list(csv.DictReader(io.StringIO(files[0].read_bytes().decode("utf-8-sig"), newline="")))
    assert len(rows) == load["ann"]
    assert {row["annotator"] for row in rows} == {"ann"}
    with pytest.raises(InvalidInputError, match="quotas for the 30 answers of this batch, and they add up to 12"):
        campaign.ask(Request(size=30, annotators={"ann": 5, "bob": 7}))
    with pytest.raises(InvalidInputError, match="at least 3 annotators for an overlap of 3"):
        Request(size=30, overlap=3, annotators={"ann": None})
    campaign.ask(Request(size=10, overlap=2))
    with pytest.raises(InvalidInputError, match="names of annotators"):
        campaign.hand_out("csv")
    assert json.loads(campaign.hand_out("argilla")[1].read_text())["distribution"]["min_submitted"] == 2


def test_designs_see_costs_caps_and_targets(pool_folder, tmp_path):
    targets = tmp_path / "targets.txt"
    targets.write_text("3\n7\n\n7\n")
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder, targets)
    assert campaign.targets.n_prompts == 2
    cheap = np.where(campaign.pool.group < PROMPTS // 2, 1.0, 100.0)
    questions = campaign.ask(Request(size=20, design="vopt", cost=cheap, per_prompt=2))
    prompts = [campaign.pool.group[q.first] for q in questions]
    assert max(Counter(prompts).values()) <= 2
    assert np.mean(np.array(prompts) < PROMPTS // 2) == 1
    assert campaign.costs("length").shape == (PROMPTS * EACH,)
    with pytest.raises(InvalidInputError, match="cannot weigh gains against costs"):
        Request(size=20, cost=cheap)
    targets.write_text("3\nnowhere\n")
    with pytest.raises(InvalidInputError, match="1 that it has not, such as 'nowhere'"):
        brm.Campaign.create(tmp_path / "other", pool_folder, targets)


# --- what survives ------------------------------------------------------------------------------------------------


def told_in_a_process(campaign, path) -> int:
    """A process that tells a file and ends; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            campaign.tell(path)
            code = 0
        finally:
            os._exit(code)
    return child


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_ten_rounds_of_label_studio_with_kills_a_spammer_and_everything_else(campaign, pool_folder):
    """A script answers in Label Studio's form with delays, duplicates, ties and a spammer; 20 tellings are killed."""
    golden = brm.load_golden(pool_folder)
    random = np.random.default_rng(1)
    expected: dict[tuple[str, str], str] = {}
    late, cut = [], 0
    for number in range(10):
        questions = campaign.ask(Request(size=30, overlap=3))
        paths = campaign.hand_out("label-studio")
        tasks = json.loads(paths[0].read_text())
        by_id = {question.id: question for question in questions}
        exported = late
        late = []
        for task in tasks:
            question = by_id[task["data"]["question"]]
            annotations = []
            for who in ("ann", "bob", "spam"):
                margin = golden[question.left] - golden[question.right]
                side = "left" if random.random() < 1 / (1 + np.exp(-margin)) else "right"
                side = random.choice(["left", "right"]) if who == "spam" else side
                value = {"type": "pairwise", "value": {"selected": side}}
                if who == "bob" and abs(margin) < 0.2:
                    side, value = "tie", {"type": "choices", "value": {"choices": ["tie"]}}
                expected[question.id, who] = question.verdict(side)
                when = f"2026-02-{number + 1:02d}T00:00:{random.integers(10, 60)}Z"
                annotations.append({"completed_by": {"email": who}, "created_at": when, "result": [value]})
            exported.append({"id": 1, "data": task["data"], "annotations": annotations})
            if random.random() < 0.1:
                late.append(exported.pop())
        exported.append(exported[-1])  # a duplicate
        path = campaign.directory / f"export-{number}.json"
        path.write_text(json.dumps(exported))
        before = len(campaign.store.answers())
        for _ in range(2):
            child = told_in_a_process(campaign, path)
            time.sleep(random.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            cut += os.WIFSIGNALED(os.waitpid(child, 0)[1])
            now = len(campaign.store.answers())
            assert now in (before, before + 3 * (len(exported) - 1)), "all of the file or nothing"
        campaign.tell(path)
        assert campaign.tell(path).already
    path = campaign.directory / "last.json"
    path.write_text(json.dumps(late))
    campaign.tell(path)
    assert cut > 0
    rows = campaign.store.answers()
    assert {(row.question, row.annotator): row.verdict for row in rows} == expected, "nothing told is lost"
    assert len(rows) == len(expected) == 900, "nothing is doubled"
    with sqlite3.connect(campaign.store.path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()

    prefs = campaign.preferences()
    assert choose_likelihood(prefs).name == "annotators"
    posterior = campaign.fit(brm.RewardModel(DIM, "linear", likelihood="annotators"))
    people = reliabilities(posterior)
    assert [person.name for person in people if person.unreliable] == ["spam"]
    assert people[0].name == "spam"
    assert brm.Campaign.open(campaign.directory).preferences().outcome.tolist() == prefs.outcome.tolist()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_two_tell_at_the_same_time(campaign):
    questions = campaign.ask(200)
    paths = []
    for number in range(4):
        path = campaign.directory / f"{number}.csv"
        path.write_bytes(sheet(questions[number * 40 : number * 40 + 80], ["left"] * 80))
        paths.append(path)
    children = [told_in_a_process(campaign, path) for path in [*paths, paths[0]]]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 5
    assert len(campaign.store.answers()) == len(latest(campaign.store.answers())) == 200
    assert len(campaign.store.sources()) == 4


def test_the_store_only_grows(campaign):
    tell(campaign, sheet(campaign.ask(2), ["left", "right"]))
    with sqlite3.connect(campaign.store.path) as db:
        for change in ("UPDATE answer SET verdict = 'tie'", "DELETE FROM answer", "DELETE FROM question"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                db.execute(change)
    db.close()


def test_asking_at_the_same_time_gives_up_rather_than_ask_twice(campaign):
    questions = campaign.ask(5)
    with pytest.raises(InvalidInputError, match="another command asked a batch at the same time"):
        campaign.store.add_batch(2, "random", {}, questions)
    assert len(campaign.store.batches()) == 1


def test_campaigns_that_cannot_be_opened(campaign, pool_folder, tmp_path):
    with pytest.raises(InvalidInputError, match="there is none: make one"):
        brm.Campaign.open(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="holds a campaign already"):
        brm.Campaign.create(campaign.directory, pool_folder)
    other = tmp_path / "other"
    brm.save_pool(other, brm.ResponsePool(np.ones((4, 2), np.float32), np.zeros(4, int)))
    with pytest.raises(InvalidInputError, match="not the one that the campaign"):
        brm.Campaign.open(campaign.directory, other)
    with sqlite3.connect(campaign.store.path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(InvalidInputError, match=r"is of format 7: .* which is newer"):
        brm.Campaign.open(campaign.directory)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / STORE_FILE).write_bytes(b"no database" * 100)
    with pytest.raises(InvalidInputError, match="not a whole label store"):
        Store(tmp_path / "broken")


def test_a_pool_without_texts_cannot_be_asked_about(tmp_path):
    pool = tmp_path / "pool"
    brm.save_pool(pool, brm.ResponsePool(np.eye(6, 3, dtype=np.float32), np.repeat([0, 1], 3)))
    campaign = brm.Campaign.create(tmp_path / "campaign", pool)
    campaign.ask(2)
    with pytest.raises(InvalidInputError, match="expected the texts of responses"):
        campaign.hand_out("csv")
    assert not (pool / RESPONSES).with_suffix(".csv").exists()


# --- what follows from it -------------------------------------------------------------------------------------


def test_likelihoods_follow_from_the_answers():
    def preferences(outcomes, names=None):
        k = np.arange(len(outcomes))
        return brm.Preferences(2 * k, 2 * k + 1, outcomes, annotator=names)

    assert choose_likelihood(brm.Preferences.none()).name == "bradley-terry"
    assert choose_likelihood(preferences([0.5] * 9 + [1.0] * 20)).name == "bradley-terry"
    assert choose_likelihood(preferences([0.5] * 10 + [1.0] * 20)).name == "davidson"
    assert choose_likelihood(preferences([1.0] * 60, ["a"] * 59 + ["b"])).name == "bradley-terry"
    chosen = choose_likelihood(preferences([0.5] + [1.0] * 59, ["a"] * 30 + ["b"] * 30))
    assert chosen.name == "annotators"
    assert "the tie counts as half" in chosen.reason


def test_krippendorff_alpha_against_its_definition():
    """Observed over expected disagreement by brute force, every question in both orientations."""
    random = np.random.default_rng(0)
    units = [random.choice([0.0, 0.5, 1.0], size=size) for size in (2, 3, 2, 4, 2, 2, 3)]
    values = np.concatenate([part for unit in units for part in (unit, 1 - unit)])
    observed = sum(
        (v - w) ** 2 / (len(unit) - 1) for one in units for unit in (one, 1 - one) for v in unit for w in unit
    )
    expected = sum((v - w) ** 2 for v in values for w in values) / (len(values) - 1)
    assert krippendorff_alpha(units) == pytest.approx(1 - observed / expected)
    assert krippendorff_alpha([np.array([1.0, 1.0]), np.array([0.0, 0.0])]) == 1.0
    assert np.isnan(krippendorff_alpha([np.array([0.5, 0.5])]))


def test_agreement_counts_a_question_once():
    def said(question, annotator, verdict):
        return Answer(question, annotator, verdict, told="2026")

    rows = [said("q1", "a", "first"), said("q1", "b", "first"), said("q2", "a", "first"), said("q2", "b", "tie")]
    rows += [said("q3", "a", "first"), said("q4", "a", "skip"), said("q4", "b", "first")]
    found = agreement(rows)
    assert (found.questions, found.same, found.pairs) == (2, 1.5, 2.0)
    assert "ask with --overlap 2" in str(agreement([]))


def test_a_round_is_fitted_once_and_found_again(campaign, pool_folder, monkeypatch):
    golden = brm.load_golden(pool_folder)
    for number in range(2):
        questions = campaign.ask(40)
        sides = ["left" if golden[q.left] > golden[q.right] else "right" for q in questions]
        tell(campaign, sheet(questions, sides), f"{number}.csv")
        findings = fit_round(campaign)
    now = status(campaign)
    assert now.current
    assert [found.labels for found in now.rounds] == [40, 80]
    assert now.rounds[-1] == findings == Findings.from_json(json.loads(json.dumps(findings.as_json())))
    fit_round(campaign)
    assert len(status(campaign).rounds) == 2
    assert findings.held_out.answers == 80
    assert findings.held_out.right > 0.7
    assert [outlook.labels for outlook in findings.forecast.later] == [100, 320], "all that is left is 320"
    card = json.loads((campaign.directory / "card.json").read_text())
    assert card["sentence"] == findings.forecast.sentence()
    assert set(brm.open_results(campaign.directory / "posterior.nc").children) >= {"posterior", "observed_data"}
    campaign.ask(1)
    assert status(campaign).current
