"""Labels in and out of a campaign: those of its pool, those of files, and its own as data for others."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.labels import LABEL_FORMATS
from bayesrm.campaign.labels.rows import label_rows
from bayesrm.campaign.status import status
from bayesrm.data.preferences import save_preferences
from bayesrm.errors import InvalidInputError

PROMPTS, EACH, DIM = 24, 4, 3
LINEAR = {"encoder": "linear", "prior_scale": 1.0}
"""A model that is fitted in no time."""


def make_pool(folder, prompts: bool = True):
    """Prompts with four responses, of which some would be formulas in a sheet."""
    random = np.random.default_rng(1)
    n = PROMPTS * EACH
    embeddings = random.standard_normal((n, DIM)).astype(np.float32)
    group = np.repeat(np.arange(PROMPTS), EACH)
    texts = [f'{"=" if k % 3 == 0 else ""}response {k},\n"{k}"' for k in range(n)]
    brm.save_pool(folder, brm.ResponsePool(embeddings, group, texts))
    if prompts:
        table = pd.read_parquet(folder / "responses.parquet")
        table["prompt"] = [f"-question {g}?" for g in group]
        table.to_parquet(folder / "responses.parquet")
    return folder


@pytest.fixture
def pool_folder(tmp_path):
    return make_pool(tmp_path / "pool")


def answered(campaign, size=60, names=("ann", "bob"), seed=0, ties=0.2):
    """Ask, and let several people answer, some of them alike."""
    random = np.random.default_rng(seed)
    questions = campaign.ask(Request(size=size, design="random"))
    path = campaign.directory / "answers.jsonl"
    with open(path, "w") as file:
        for question in questions:
            for name in names[: 1 + random.integers(len(names))]:
                side = random.choice(["left", "right", "tie"], p=[(1 - ties) / 2, (1 - ties) / 2, ties])
                line = {"question": question.id, "answer": side, "annotator": name}
                if random.random() < 0.5:
                    line["answered"] = f"2025-01-01T00:00:{random.integers(60):02}"
                file.write(json.dumps(line) + "\n")
    campaign.tell(path)
    return questions


def same_posterior(one: brm.Campaign, other: brm.Campaign) -> bool:
    rewards = [campaign.fit().reward(campaign.pool) for campaign in (one, other)]
    return all(np.allclose(*figures, rtol=0, atol=1e-10) for figures in zip(*rewards, strict=True))


def canonical(labels: brm.Preferences) -> list[tuple]:
    """What labels say, whichever response stands first and in whatever order they are."""
    flipped = labels.first > labels.second
    outcome = np.where(flipped, 1 - labels.outcome, labels.outcome)
    ends = np.sort(np.stack([labels.first, labels.second], axis=1), axis=1)
    names = [""] * len(labels) if labels.annotator is None else labels.annotator.tolist()
    weights = np.ones(len(labels)) if labels.weight is None else labels.weight
    return sorted(zip(*ends.T.tolist(), outcome.tolist(), names, weights.tolist(), strict=True))


@pytest.mark.parametrize("to", sorted(LABEL_FORMATS))
def test_labels_told_again_to_an_empty_campaign_are_the_same(pool_folder, tmp_path, to):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    answered(campaign, names=("ann", "=bob"))
    assert (campaign.preferences().outcome == 0.5).any()
    file, *_, card = campaign.export_labels(to)
    empty = brm.Campaign.create(tmp_path / "two", pool_folder)
    report = empty.tell(file)
    assert (report.new, report.aside) == (len(campaign.preferences()), ())
    assert report.unasked == report.new
    assert canonical(empty.preferences()) == canonical(campaign.preferences())
    assert empty.tell(file).already is not None
    assert campaign.tell(file).new == 0, "a campaign's own labels tell it nothing"
    text = card.read_text()
    assert f"from {len(campaign.preferences())} answers to 60 questions" in text
    assert "fingerprint" in text


def test_responses_for_argilla_have_what_its_client_takes(pool_folder, tmp_path):
    """Its ``Record.from_dict`` refuses a response with anything more, such as when it was given."""
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    answered(campaign, size=10)
    records = json.loads(campaign.export_labels("argilla")[0].read_text())
    responses = [response for record in records for response in record["responses"]["preference"]]
    assert len(responses) == len(campaign.preferences())
    assert all(set(response) == {"value", "user_id", "status"} for response in responses)


def test_labels_told_again_to_an_empty_campaign_give_the_same_posterior(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder, encoder="linear")
    answered(campaign)
    empty = brm.Campaign.create(tmp_path / "two", pool_folder, encoder="linear")
    empty.tell(campaign.export_labels("trl")[0])
    assert campaign.model().likelihood.name == empty.model().likelihood.name == "annotators"
    assert same_posterior(campaign, empty)


def test_labels_of_the_pool_count_from_the_start_and_are_not_asked(pool_folder, tmp_path):
    random = np.random.default_rng(0)
    first = np.repeat(np.arange(0, PROMPTS * EACH, EACH), 2)
    labels = brm.Preferences(
        first,
        first + np.tile([1, 2], PROMPTS),
        random.choice([0, 0.3, 0.5, 1], len(first)),
        annotator=random.choice(["ann", "bob"], len(first)),
        weight=random.uniform(0.5, 2, len(first)),
    )
    labels = labels.append(labels[:5])  # somebody said it again
    save_preferences(pool_folder, labels, margin=np.arange(len(labels), dtype=float))
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder, **LINEAR)
    said = campaign.preferences()
    assert len(said) == len(labels)
    direct = brm.fit(campaign.model(), campaign.pool, labels).reward(campaign.pool)[0]
    np.testing.assert_allclose(campaign.fit().reward(campaign.pool)[0], direct, atol=1e-8)

    asked = {frozenset((q.first, q.second)) for q in campaign.ask(Request(size=60, design="random"))}
    assert asked.isdisjoint(
        {frozenset(pair) for pair in zip(first.tolist(), labels.second.tolist(), strict=False)}
    )
    now = status(campaign)
    assert (now.imported, now.files, now.used) == (len(labels), 0, len(labels))
    assert [entry.number for entry in now.batches] == [1]
    without = brm.Campaign.create(tmp_path / "two", pool_folder, labels=False)
    assert len(without.preferences()) == 0
    assert status(without).imported == 0
    # Soft labels and weights come out as rows that count the same.
    file = campaign.export_labels("trl")[0]
    settings = LINEAR | {"likelihood": "bradley-terry"}
    empty = brm.Campaign.create(tmp_path / "three", pool_folder, labels=False, **settings)
    empty.tell(file)
    plain = brm.fit(brm.RewardModel(campaign.pool, **LINEAR), campaign.pool, labels)
    np.testing.assert_allclose(empty.fit().reward(campaign.pool)[0], plain.reward(campaign.pool)[0], atol=1e-8)


def test_rankings_and_labels_of_another_pool_are_refused_before_a_campaign_is_made(pool_folder, tmp_path):
    save_preferences(pool_folder, brm.Preferences.from_rankings([[0, 1, 2]]))
    with pytest.raises(InvalidInputError, match="--without-labels"):
        brm.Campaign.create(tmp_path / "one", pool_folder)
    save_preferences(pool_folder, brm.Preferences([0], [10_000], [1]))
    with pytest.raises(InvalidInputError, match="another pool"):
        brm.Campaign.create(tmp_path / "one", pool_folder)
    assert not (tmp_path / "one").exists()


def test_a_data_set_answers_what_was_asked_and_adds_what_was_not(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    question = campaign.ask(Request(size=1, design="random"))[0]
    texts = list(campaign.pool.texts)
    group = campaign.pool.group
    other = next(
        (i, j)
        for i in range(len(texts))
        for j in range(i)
        if group[i] == group[j] and {i, j} != {question.first, question.second}
    )

    def row(i, j, **more):
        return {"prompt": f"-question {group[i]}?", "chosen": texts[i], "rejected": texts[j], **more}

    rows = [
        row(question.second, question.first, annotator="ann"),
        row(*other),
        row(*other),
        row(*other[::-1]),
        {"prompt": "-question 0?", "chosen": texts[0], "rejected": "something else"},
        {"prompt": "something else", "chosen": texts[0], "rejected": texts[1]},
        {"prompt": "-question 0?", "chosen": texts[0], "rejected": f"  {texts[0]}"},
        {"prompt": "-question 0?", "chosen": None, "rejected": texts[1]},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    report = campaign.tell(path)
    assert (report.format, report.new, report.unasked) == ("trl", 4, 3)
    assert [place for place, _ in report.aside] == ["row 5", "row 6", "row 7", "row 8"]
    reasons = ("does not have the response", "does not have the prompt", "the same response", "chosen")
    for words, (_, reason) in zip(reasons, report.aside, strict=True):
        assert words in reason
    assert "3 about pairs that were never asked" in str(report)
    labels = campaign.preferences()
    assert len(labels) == 4
    at = next(k for k in range(4) if {labels.first[k], labels.second[k]} == {question.first, question.second})
    assert labels.outcome[at] == (labels.first[at] == question.second)
    # A file that has grown adds what it has more of; somebody who is named corrects what they said.
    rows[0] = row(question.first, question.second, annotator="ann")
    path.write_text("\n".join(map(json.dumps, [*rows[:4], row(*other)])))
    report = campaign.tell(path)
    assert (report.new, report.corrected, report.repeated) == (2, 1, 3)
    assert len(campaign.preferences()) == 5
    assert status(campaign).unasked == 4
    assert len(campaign.store.questions()) == 2
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text(json.dumps({"prompt": "p", "chosen": "a", "rejected": "b"}))
    with pytest.raises(InvalidInputError, match="not one of the 1 rows"):
        campaign.tell(foreign)


def test_ties_and_conflicts_follow_the_rule(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    asked = campaign.ask(Request(size=3, design="random"))
    sides = [("left", "left", "right"), ("left", "right", None), ("tie", None, None)]
    lines = [
        {"question": question.id, "answer": side, "annotator": name}
        for question, said in zip(asked, sides, strict=True)
        for name, side in zip(("ann", "bob", "cat"), said, strict=True)
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    campaign.tell(path)
    texts = campaign.pool.texts
    every = campaign.labels()
    assert every["winner"].tolist() == ["chosen"] * 5 + ["tie"]
    np.testing.assert_allclose(every["vote_share"], [2 / 3, 2 / 3, 1 / 3, 0.5, 0.5, 0.5])
    assert every["chosen"].tolist()[:3] == [texts[asked[0].left]] * 2 + [texts[asked[0].right]]
    most = campaign.labels(conflicts="majority")
    assert most["winner"].tolist() == ["chosen", "tie", "tie"]
    assert most["votes"].tolist() == [3, 2, 1]
    assert len(campaign.labels(conflicts="majority", ties="drop")) == 1
    halves = campaign.labels(ties="half").tail(2)
    assert halves["weight"].tolist() == [0.5, 0.5]
    assert halves["chosen"].tolist() == halves["rejected"].tolist()[::-1]
    found = label_rows(campaign, "drop", "majority")
    assert (found.answers, found.disagreements, found.left_out) == (6, 2, {"ties": 2})
    for wrong in ({"ties": "some"}, {"conflicts": "none"}):
        with pytest.raises(InvalidInputError, match=f"expected {next(iter(wrong))} to be"):
            campaign.labels(**wrong)
    with pytest.raises(InvalidInputError, match="there are argilla, csv"):
        campaign.export_labels("xml")


def test_no_cell_begins_a_formula(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    answered(campaign, names=("@ann",))
    file = campaign.export_labels("csv")[0]
    with open(file, newline="", encoding="utf-8-sig") as opened:
        cells = [cell for row in csv.reader(opened) for cell in row]
    assert any(cell.startswith("'=response") for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_importance_weights_of_a_sampled_batch_go_with_the_labels(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "one", pool_folder)
    design = Request(size=20, design="dopt", selector="gradient-sample")
    questions = campaign.ask(design)
    weights = campaign.store.batches()[0].get("importance")
    if weights is None:
        pytest.skip("the selector does not say with which probability a pair was taken")
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(json.dumps({"question": q.id, "answer": "left"}) for q in questions))
    campaign.tell(path)
    np.testing.assert_allclose(campaign.labels()["importance"], weights)


def test_a_pool_without_texts_of_prompts_is_matched_by_its_labels_and_by_its_responses(tmp_path):
    folder = make_pool(tmp_path / "pool", prompts=False)
    campaign = brm.Campaign.create(tmp_path / "one", folder, **LINEAR)
    answered(campaign)
    empty = brm.Campaign.create(tmp_path / "two", folder, **LINEAR)
    empty.tell(campaign.export_labels("trl")[0])
    assert canonical(empty.preferences()) == canonical(campaign.preferences())
    row = {"prompt": "as it was asked", "chosen": campaign.pool.texts[1], "rejected": campaign.pool.texts[2]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
    labels = brm.load_preferences(tmp_path / "pairs.jsonl", pool=campaign.pool)
    assert (labels.first.tolist(), labels.second.tolist(), labels.outcome.tolist()) == ([1], [2], [1.0])


def test_a_campaign_killed_while_labels_are_imported_is_none(pool_folder, tmp_path, monkeypatch):
    save_preferences(pool_folder, brm.Preferences([0], [1], [1]))
    from bayesrm.campaign import unasked

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(unasked, "take", killed)
    with pytest.raises(KeyboardInterrupt):
        brm.Campaign.create(tmp_path / "one", pool_folder)
    assert not list((tmp_path / "one").iterdir())


def test_ids_of_pairs_that_a_data_set_brings_say_which_pairs(tmp_path, pool_folder):
    """A copy of a campaign that is told another data set gives its pairs other ids; the same gives the same."""
    texts = brm.load_pool(pool_folder).texts
    brm.Campaign.create(tmp_path / "campaign", pool_folder, **LINEAR)
    found = []
    for number, (first, second) in enumerate([(0, 1), (0, 2), (0, 1)]):
        folder = shutil.copytree(tmp_path / "campaign", tmp_path / f"copy {number}")
        file = folder / "labels.jsonl"
        file.write_text(json.dumps({"prompt": "-question 0?", "chosen": texts[first], "rejected": texts[second]}))
        campaign = brm.Campaign.open(folder, pool_folder)
        campaign.tell(file)
        found += [question.id for question in campaign.store.questions()]
    assert found[0] == found[2] != found[1]
    assert re.fullmatch(r"q\w{5}-told-\w{7}-1", found[0])
