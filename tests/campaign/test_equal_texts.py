"""Labels of pools in which several pairs read alike: each goes to the question that it answers, and counts once."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.campaign.answers import latest
from bayesrm.campaign.asking import Request
from bayesrm.campaign.labels import LABEL_FORMATS
from bayesrm.data.preferences import save_preferences

PROMPTS, EACH = 12, 6
TEXTS = ("4", "4", "It is 4.", "5", "It is 4.", "5")
FILES = {"trl": "jsonl", "csv": "csv", "parquet": "parquet"}


@pytest.fixture(params=[True, False], ids=["prompts", "labels of prompts"])
def pool_folder(request, tmp_path):
    random = np.random.default_rng(5)
    embeddings = random.standard_normal((PROMPTS * EACH, 4)).astype(np.float32)
    group = np.repeat(np.arange(PROMPTS), EACH)
    folder = tmp_path / "pool"
    brm.save_pool(folder, brm.ResponsePool(embeddings, group, list(TEXTS) * PROMPTS))
    if request.param:
        table = pd.read_parquet(folder / "responses.parquet")
        table["prompt"] = [f"What is {g}?" for g in group]
        table.to_parquet(folder / "responses.parquet")
    return folder


def answered(campaign, names=("ana", "bo"), size=60, times=True, seed=0):
    """Everybody answers everything, by chance, and ties among them; pairs that read alike are asked, too."""
    random = np.random.default_rng(seed)
    lines = []
    for question in campaign.ask(Request(size=size, design="random", identical=True)):
        for name in names:
            line = {"question": question.id, "answer": str(random.choice(["left", "right", "tie"]))}
            line["annotator"] = name
            if times and random.random() < 0.5:
                line["answered"] = f"2026-01-01T00:00:{random.integers(60):02}"
            lines.append(line)
    path = campaign.directory / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return campaign.tell(path)


def counting(campaign):
    """What counts: question and voter → answer, and how many questions there are."""
    found = {key: (a.verdict, a.outcome, a.weight) for key, a in latest(campaign.store.answers()).items()}
    return found, len(campaign.store.questions())


def rewritten(path, change):
    """A file of labels with other columns or rows."""
    read = {"jsonl": lambda p: pd.read_json(p, lines=True, dtype=False), "csv": pd.read_csv}
    table = read.get(path.suffix[1:], pd.read_parquet)(path)
    out = path.with_name(f"other-{path.name}")
    made = change(table)
    if path.suffix == ".jsonl":
        out.write_text(made.to_json(orient="records", lines=True, date_format="iso"))
    elif path.suffix == ".csv":
        made.to_csv(out, index=False)
    else:
        made.to_parquet(out)
    return out


@pytest.mark.parametrize("to", sorted(LABEL_FORMATS))
@pytest.mark.parametrize("names", [("ana", "bo"), ("",), ("", "ana")], ids=["named", "unnamed", "both"])
def test_labels_of_a_campaign_are_nothing_new_to_it(pool_folder, tmp_path, to, names):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    if "" in names and len(names) > 1 and to not in FILES:
        pytest.skip("answers of tools are refused where it is not known which of several people gave them")
    answered(campaign, names)
    before = counting(campaign)
    file = campaign.export_labels(to)[0]
    report = campaign.tell(file)
    assert (report.new, report.aside) == (0, ())
    assert counting(campaign) == before
    if to in FILES:
        # Also without the ids.
        plain = rewritten(file, lambda table: table.drop(columns="question"))
        assert campaign.tell(plain).new == 0
        assert counting(campaign) == before


def test_labels_of_another_campaign_answer_what_was_asked_here(pool_folder, tmp_path):
    one, two = (brm.Campaign.create(tmp_path / name, pool_folder) for name in ("one", "two"))
    answered(one, size=40, times=False)
    asked = two.ask(Request(size=20, design="random", identical=True))
    told = two.tell(one.export_labels("csv")[0])
    assert (told.new, told.aside) == (80, ())

    def reads(question):
        """Prompt and texts of a question."""
        pair = (question.first, question.second)
        return two.pool.group[question.first], frozenset(two.pool.texts[at] for at in pair)

    brought = [question for question in two.store.questions() if question.batch <= 0]
    assert brought
    assert {reads(q) for q in brought}.isdisjoint({reads(q) for q in asked}), "what was asked reads the same"
    before = counting(two)
    assert two.tell(one.export_labels("trl")[0]).new == 0
    assert two.tell(two.export_labels("parquet")[0]).new == 0
    assert counting(two) == before


def test_a_row_whose_texts_are_of_another_question_is_set_aside(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    answered(campaign, ("ana",))

    def shifted(table):
        ids = table["question"].to_numpy()
        return table.assign(question=np.r_[ids[:10], np.roll(ids[10:], 7)], annotator="cy")

    report = campaign.tell(rewritten(campaign.export_labels("csv")[0], shifted))
    assert report.new == 60 - len(report.aside)
    assert 40 < len(report.aside) <= 50
    assert all("shows other texts than q" in reason for _, reason in report.aside)
    assert report.unasked == 0


def test_an_older_export_takes_no_correction_back(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    answered(campaign, ("ana",), times=False)
    old = campaign.export_labels("csv", out=tmp_path / "old.csv")[0]
    path = tmp_path / "corrected.jsonl"
    lines = [
        {"question": q.id, "answer": side, "annotator": "ana"}
        for q in campaign.store.questions()[:20]
        for side in ("left", "right", "tie")
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert campaign.tell(path).corrected
    before = counting(campaign)
    assert campaign.tell(old).new == 0
    assert counting(campaign) == before


def test_rankings_and_majorities_and_soft_labels_are_nothing_new_as_pairs(pool_folder, tmp_path):
    random = np.random.default_rng(2)
    first = np.arange(0, PROMPTS * EACH, EACH)
    soft = brm.Preferences(
        first, first + 2, random.uniform(0.1, 0.9, PROMPTS), weight=random.uniform(0.5, 2, PROMPTS)
    )
    save_preferences(pool_folder, soft)
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    questions = campaign.ask(Request(size=6, list_size=3, design="random", identical=True))
    lines = [
        {"question": q.id, "answer": answer, "annotator": who}
        for q in questions
        for who, answer in (("ana", "A > C > B"), ("bo", "B"))
    ]
    path = tmp_path / "lists.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert campaign.tell(path).new == 12
    before = counting(campaign)
    for to in sorted(FILES):
        report = campaign.tell(campaign.export_labels(to, out=tmp_path / f"all.{FILES[to]}")[0])
        assert (report.new, report.aside) == (0, ()), to
    majority = campaign.tell(campaign.export_labels("csv", out=tmp_path / "most.csv", conflicts="majority")[0])
    assert majority.new == 0
    assert all("what several people said" in reason for _, reason in majority.aside)
    assert counting(campaign) == before
