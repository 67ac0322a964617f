"""``bayesrm fit`` and ``export`` of a pool with labels, and recorded votes and labels wherever they are."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.data.preferences import save_preferences
from bayesrm.errors import InvalidInputError

PROMPTS, EACH, DIM = 40, 5, 3
SETTINGS = {"encoder": "linear", "prior_scale": 1.0}


@pytest.fixture
def pool_folder(tmp_path):
    random = np.random.default_rng(3)
    n = PROMPTS * EACH
    embeddings = random.standard_normal((n, DIM)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH), [f"response {k}" for k in range(n)])
    brm.save_pool(tmp_path / "pool", pool)
    return tmp_path / "pool"


def some_labels(count=60, seed=0):
    """Noisy labels of pairs within prompts."""
    random = np.random.default_rng(seed)
    prompt = random.integers(PROMPTS, size=count)
    first, second = np.array([random.permutation(EACH)[:2] for _ in range(count)]).T
    return brm.Preferences(
        prompt * EACH + first, prompt * EACH + second, random.integers(0, 2, count).astype(float)
    )


def lines(labels, **more):
    """The labels as TRL has them, prompts named by their labels."""
    rows = []
    for first, second, outcome in zip(labels.first, labels.second, labels.outcome, strict=True):
        chosen, rejected = (first, second) if outcome == 1 else (second, first)
        texts = {"chosen": f"response {chosen}", "rejected": f"response {rejected}"}
        rows.append({"prompt": str(first // EACH), **texts, **more})
    return "\n".join(map(json.dumps, rows))


def test_a_pool_with_labels_is_fitted_and_exported_without_a_campaign(command, pool_folder, tmp_path):
    labels = some_labels()
    status, _, complaint = command("fit", pool_folder, "--out", tmp_path / "fit")
    assert status == 2
    assert "expected labels in" in complaint
    assert complaint.count("\n") == 1
    save_preferences(pool_folder, labels)
    status, printed, _ = command("fit", pool_folder, "--encoder", "linear", "--prior-scale", "1", "--draws", 20)
    assert status == 0, printed
    assert "60 now" in printed
    tree = brm.open_results(pool_folder / "fit" / "posterior.nc")
    direct = brm.fit(brm.RewardModel(brm.load_pool(pool_folder), **SETTINGS), brm.load_pool(pool_folder), labels)
    card = json.loads((pool_folder / "fit" / "card.json").read_text())
    assert card["labels"] == 60
    assert "posterior" in tree
    status, printed, _ = command("export", pool_folder, "--to", tmp_path / "model")
    assert status == 0, printed
    assert "Fitted to 60 labels" in printed
    exported = brm.load_reward_model(tmp_path / "model")
    mean, _ = exported.reward(np.asarray(brm.load_pool(pool_folder).embeddings))
    assert np.corrcoef(mean, direct.reward(brm.load_pool(pool_folder))[0])[0, 1] > 0.8


def same_rewards(folder, pool, posterior):
    """Whether an exported model scores as a posterior does."""
    mean, sd = brm.load_reward_model(folder).reward(np.asarray(pool.embeddings))
    expected, spread = posterior.reward(pool)
    return np.allclose(mean - mean.mean(), expected - expected.mean(), atol=1e-6) and np.allclose(
        sd, spread, atol=1e-6
    )


def test_what_was_fitted_is_what_is_exported(command, pool_folder, tmp_path):
    """By the command that fit prints, with its options, its file of labels and its seed; also of a pool without."""
    labels = some_labels()
    (tmp_path / "pairs.jsonl").write_text(lines(labels))
    options = ("--likelihood", "davidson", "--encoder", "linear", "--prior-scale", 0.5, "--draws", 20, "--seed", 4)
    status, printed, complaint = command("fit", pool_folder, "--labels", tmp_path / "pairs.jsonl", *options)
    assert status == 0, complaint
    (folder,) = re.findall(r"Next: bayesrm export (\S+) --to MODEL", " ".join(printed.split()))
    (tmp_path / "pairs.jsonl").unlink()
    status, printed, complaint = command("export", folder, "--to", tmp_path / "model")
    assert status == 0, complaint
    assert "Fitted to 60 labels (laplace, davidson)" in printed
    pool = brm.load_pool(pool_folder)
    model = brm.RewardModel(pool, "linear", likelihood="davidson", prior_scale=0.5)
    assert same_rewards(tmp_path / "model", pool, brm.fit(model, pool, labels))
    status, _, complaint = command("export", folder, "--to", tmp_path / "other", "--inference", "plugin")
    assert (status, "leave --inference out" in complaint) == (2, True)


def test_a_fit_whose_pool_or_labels_changed_is_not_exported(command, pool_folder, tmp_path):
    save_preferences(pool_folder, some_labels())
    command("fit", pool_folder, "--encoder", "linear", "--prior-scale", 1, "--draws", 20)
    moved = tmp_path / "moved"
    pool_folder.rename(moved)
    status, _, complaint = command("export", moved / "fit", "--to", tmp_path / "model")
    assert status == 0, complaint
    # What the pool has by now was not fitted to.
    save_preferences(moved, some_labels(20, seed=1))
    status, printed, complaint = command("export", moved / "fit", "--to", tmp_path / "again")
    assert status == 0, complaint
    assert "Fitted to 60 labels" in printed

    fit = tmp_path / "fit"
    (moved / "fit").rename(fit)
    status, _, complaint = command("export", fit, "--to", tmp_path / "x")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "it is not there: put it back, or say where it is with --pool" in complaint
    status, _, complaint = command("export", fit, "--pool", moved, "--to", tmp_path / "third")
    assert status == 0, complaint
    pool = brm.load_pool(moved)
    brm.save_pool(tmp_path / "other", brm.ResponsePool(np.asarray(pool.embeddings) * 2, pool.prompt, pool.texts))
    status, _, complaint = command("export", fit, "--pool", tmp_path / "other", "--to", tmp_path / "x")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "is not the one that" in complaint
    save_preferences(fit / "labels.parquet", some_labels(seed=1))
    status, _, complaint = command("export", fit, "--pool", moved, "--to", tmp_path / "x")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "are not those that" in complaint
    card = json.loads((fit / "card.json").read_text())
    (fit / "card.json").write_text(json.dumps({name: value for name, value in card.items() if name != "fit"}))
    status, _, complaint = command("export", fit, "--pool", moved, "--to", tmp_path / "x")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "fit again with bayesrm fit" in complaint
    assert not (tmp_path / "x").exists()


def test_a_fit_does_not_replace_the_card_of_a_pool_or_of_a_campaign(command, pool_folder, tmp_path):
    save_preferences(pool_folder, some_labels())
    brm.Campaign.create(tmp_path / "campaign", pool_folder)
    for folder in (pool_folder, tmp_path / "campaign"):
        before = sorted(path.name for path in folder.iterdir())
        status, _, complaint = command("fit", pool_folder, "--out", folder, "--encoder", "linear")
        assert (status, complaint.count("\n")) == (2, 1)
        assert "whose card it would replace" in complaint
        assert sorted(path.name for path in folder.iterdir()) == before


def test_a_pool_that_is_not_there_is_said_to_be(command, tmp_path):
    status, _, complaint = command("fit", tmp_path / "nowhere")
    assert (status, "which does not exist" in complaint) == (2, True)


def test_labels_of_a_file_are_fitted_to_as_those_beside_the_pool(pool_folder, tmp_path):
    from bayesrm.inspection.fit import campaign_of

    labels = some_labels()
    (tmp_path / "pairs.jsonl").write_text(lines(labels))
    with campaign_of(pool_folder, tmp_path / "pairs.jsonl", **SETTINGS) as campaign:
        posterior = campaign.fit()
        pool = campaign.pool
    direct = brm.fit(brm.RewardModel(pool, **SETTINGS), pool, labels)
    np.testing.assert_allclose(posterior.reward(pool)[0], direct.reward(pool)[0], atol=1e-10)


def same_votes(found, labels):
    """Whether the same was said of the same pairs, in the same order."""
    towards = [np.where(one.first < one.second, one.outcome, 1 - one.outcome).tolist() for one in (found, labels)]
    ends = [np.sort(np.stack([one.first, one.second]), axis=0).T.tolist() for one in (found, labels)]
    return towards[0] == towards[1] and ends[0] == ends[1]


def said(labels):
    """How often what was said of which pair, whichever response stood first."""
    rows = zip(labels.first, labels.second, labels.outcome, strict=True)
    return Counter((i, j, y) if i < j else (j, i, 1 - y) for i, j, y in rows)


def test_votes_are_read_from_wherever_they_are(pool_folder, tmp_path):
    labels = some_labels(30)
    trl = tmp_path / "pairs.jsonl"
    trl.write_text(
        lines(labels, annotator="ann") + "\n" + json.dumps({"prompt": "no", "chosen": "a", "rejected": "b"})
    )
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    with pytest.raises(InvalidInputError, match="there are none yet"):
        brm.load_votes(tmp_path / "campaign")
    campaign.tell(trl)
    sources = [trl, tmp_path / "campaign", tmp_path / "campaign" / "campaign.sqlite"]
    sources += [campaign.export_labels(to)[0] for to in ("csv", "parquet")]
    for source in sources:
        votes = brm.load_votes(source, pool=pool_folder)
        assert isinstance(votes, brm.Votes)
        assert len(votes) == 30
        assert same_votes(brm.load_preferences(source, pool_folder), votes)
        assert set(votes.annotator) == {"ann"}
    assert same_votes(brm.load_votes(trl, pool_folder), labels)
    save_preferences(pool_folder, labels)
    assert same_votes(brm.load_preferences(pool_folder), labels)
    assert same_votes(brm.load_preferences(pool_folder / "preferences.parquet"), labels)
    with pytest.raises(InvalidInputError, match="pool="):
        brm.load_preferences(trl)
    other = brm.ResponsePool(np.eye(4), ["a", "a", "b", "b"], ["1", "2", "3", "4"])
    with pytest.raises(InvalidInputError, match="another one"):
        brm.load_votes(tmp_path / "campaign", other)
    with pytest.raises(InvalidInputError, match="there is none"):
        brm.load_votes(trl, other)


def label_studio(labels):
    """A project of somebody's own: no ids of ours, names of its own beside."""
    return [
        {
            "id": 900 + at,
            "data": {"prompt": str(i // EACH), "left": f"response {i}", "right": f"response {j}", "note": "hm"},
            "annotations": [
                {
                    "completed_by": 7,
                    "result": [{"type": "pairwise", "value": {"selected": "left" if y == 1 else "right"}}],
                }
            ],
        }
        for at, (i, j, y) in enumerate(zip(labels.first, labels.second, labels.outcome, strict=True))
    ]


def argilla(labels):
    """Flat records, as ``records.to_list(flatten=True)`` has them."""
    return [
        {
            "id": f"own-{at}",
            "prompt": str(i // EACH),
            "left": f"response {i}",
            "right": f"response {j}",
            "preference.responses": ["left" if y == 1 else "right"],
            "preference.responses.users": ["7"],
            "preference.responses.status": ["submitted"],
        }
        for at, (i, j, y) in enumerate(zip(labels.first, labels.second, labels.outcome, strict=True))
    ]


@pytest.mark.parametrize("export", [label_studio, argilla])
def test_exports_of_projects_that_this_library_did_not_make_are_matched_by_their_texts(
    export, pool_folder, tmp_path
):
    labels = some_labels(20)
    file = tmp_path / "export.json"
    file.write_text(json.dumps(export(labels)))
    votes = brm.load_votes(file, pool=pool_folder)
    assert same_votes(votes, labels)
    assert set(votes.annotator) == {"7"}
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    assert campaign.tell(file).new == 20


def test_replay_takes_a_file_of_500_pairs_and_the_store_of_a_campaign(command, pool_folder, tmp_path):
    pool = brm.load_pool(pool_folder)
    reward = np.asarray(pool.embeddings, dtype=float) @ np.array([2.0, -1.0, 0.5])
    random = np.random.default_rng(0)
    pairs = brm.candidates(pool)
    chosen = np.sort(random.permutation(len(pairs.first))[: min(500, len(pairs.first))])
    first, second = pairs.first[chosen], pairs.second[chosen]
    again = random.integers(len(first), size=500 - len(first))  # some pairs twice
    first, second = np.append(first, first[again]), np.append(second, second[again])
    outcome = (random.random(500) < 1 / (1 + np.exp(reward[second] - reward[first]))).astype(float)
    file = tmp_path / "pairs.jsonl"
    file.write_text(lines(brm.Preferences(first, second, outcome)))
    options = ("--designs", "random", "--budget", 30, "--batch-size", 30, "--seeds", 1)
    status, printed, complaint = command("replay", pool_folder, "--votes", file, *options)
    assert status == 0, complaint
    assert "After 30 votes" in printed
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    questions = campaign.ask(Request(size=200, design="random"))
    answers = tmp_path / "answers.jsonl"
    sides = ["left" if reward[q.left] > reward[q.right] else "right" for q in questions]
    rows = [{"question": q.id, "answer": side} for q, side in zip(questions, sides, strict=True)]
    answers.write_text("\n".join(map(json.dumps, rows)))
    campaign.tell(answers)
    status, printed, complaint = command("replay", pool_folder, "--votes", campaign.directory, *options)
    assert status == 0, complaint
    assert "After 30 votes" in printed


def test_a_fit_says_how_many_labels_came_from_the_file_and_how_many_from_the_pool(command, pool_folder, tmp_path):
    mine, others = some_labels(40), some_labels(30, seed=1)
    options = ("--encoder", "linear", "--prior-scale", 1, "--draws", 20, "--labels", tmp_path / "pairs.jsonl")
    (tmp_path / "pairs.jsonl").write_text(
        lines(others) + "\n" + json.dumps({"prompt": "no", "chosen": "a", "rejected": "b"})
    )
    status, printed, complaint = command("fit", pool_folder, *options)
    assert status == 0, complaint
    printed = " ".join(printed.split())
    assert f"Fitted to 30 labels of {tmp_path / 'pairs.jsonl'}: none came with the pool." in printed
    assert f"Set aside of {tmp_path / 'pairs.jsonl'}: 1. row 31: " in printed
    save_preferences(pool_folder, mine)
    status, printed, complaint = command("fit", pool_folder, *options)
    assert status == 0, complaint
    printed = " ".join(printed.split())
    repeated = 70 - int(re.findall(r"Fitted to (\d+) labels: ", printed)[0])
    expected = f"labels: {30 - repeated} of {tmp_path / 'pairs.jsonl'}, and 40 that came with the pool."
    assert expected in printed
    card = json.loads((pool_folder / "fit" / "card.json").read_text())["fit"]
    assert (card["labels_of_pool"], card["labels_of_file"]) == (40, 30 - repeated)
    assert card["labels_file"] == str(tmp_path / "pairs.jsonl")
    assert repeated == (said(mine) & said(others)).total()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "folder"])
def test_labels_by_row_numbers_are_fitted_to(form, command, pool_folder, tmp_path):
    """What load_preferences takes without a pool."""
    labels = some_labels()
    rows = [
        {"first": int(i), "second": int(j), "outcome": y, "annotator": "ann"}
        for i, j, y in zip(labels.first, labels.second, labels.outcome, strict=True)
    ]
    file = tmp_path / ("labels" if form == "folder" else f"labels.{form}")
    if form == "csv":
        pd.DataFrame(rows).to_csv(file, index=False)
    elif form == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        if form == "folder":
            file.mkdir()
        save_preferences(file, labels)
    options = ("--encoder", "linear", "--prior-scale", 1, "--draws", 20, "--out", tmp_path / "fit")
    status, printed, complaint = command("fit", pool_folder, "--labels", file, *options)
    assert status == 0, complaint
    assert "Fitted to 60 labels of" in printed
    used = brm.load_preferences(tmp_path / "fit" / "labels.parquet")
    assert said(used) == said(labels)
    if form == "parquet":
        save_preferences(pool_folder, labels)
        status, printed, complaint = command("fit", pool_folder, "--labels", file, *options)
        assert status == 0, complaint
        assert "60 labels: 0 of" in " ".join(printed.split())
        assert "counts once" in " ".join(printed.split())


def test_labels_that_fit_does_not_take_are_refused_in_a_sentence(command, pool_folder, tmp_path):
    brm.Campaign.create(tmp_path / "campaign", pool_folder)
    save_preferences(tmp_path / "rankings.parquet", brm.Preferences.from_rankings([[0, 1, 2]]))
    save_preferences(tmp_path / "outside.parquet", brm.Preferences([0], [10**6], [1]))
    for given, message in (
        ("campaign", "is a campaign: bayesrm campaign labels"),
        ("rankings.parquet", "give labels of two responses each"),
        ("outside.parquet", "1000000"),
        ("nowhere.parquet", "nowhere.parquet"),
    ):
        status, _, complaint = command("fit", pool_folder, "--labels", tmp_path / given, "--encoder", "linear")
        assert (status, complaint.count("\n")) == (2, 1), complaint
        assert message in complaint, complaint


def test_diagnose_and_compare_point_from_a_pool_and_a_fit_to_what_serves_there(command, pool_folder, tmp_path):
    """A run needs golden rewards, which a pool with labels of people lacks; a campaign does not."""
    save_preferences(pool_folder, some_labels())
    status, _, complaint = command("fit", pool_folder, "--encoder", "linear", "--prior-scale", 1, "--draws", 20)
    assert status == 0, complaint
    fit, variants = pool_folder / "fit", ("--encoder", "linear", "--encoder", "kernel")
    for place, what in ((pool_folder, "a pool"), (fit, "what bayesrm fit wrote")):
        for asked in (("diagnose", place), ("compare", place, *variants), ("compare", place, tmp_path)):
            status, _, complaint = command(*asked)
            assert (status, complaint.count("\n")) == (2, 1)
            assert f"expected a run in {place}, or a campaign, and it is {what}" in complaint
            assert "bayesrm run" not in complaint
            assert f"`bayesrm campaign init CAMPAIGN --pool {pool_folder}`" in complaint
            assert "brm.diagnose" in complaint
    # As the sentence says.
    campaign = tmp_path / "campaign"
    status, _, complaint = command(
        "campaign", "init", campaign, "--pool", pool_folder, "--encoder", "linear", "--prior-scale", 1
    )
    assert status == 0, complaint
    status, printed, complaint = command("diagnose", campaign)
    assert status == 0, complaint
    assert "Diagnosis of the Laplace posterior" in printed
    status, printed, complaint = command(
        "compare", campaign, "--likelihood", "bradley-terry", "--likelihood", "thurstone"
    )
    assert status == 0, complaint
    (tmp_path / "pairs.jsonl").write_text(lines(some_labels(10, seed=1)))
    command("fit", pool_folder, "--labels", tmp_path / "pairs.jsonl", "--encoder", "linear", "--draws", 20)
    _, _, complaint = command("diagnose", fit)
    assert f"`bayesrm campaign tell CAMPAIGN {tmp_path / 'pairs.jsonl'}`" in complaint
