"""``bayesrm export`` and ``score``: from a campaign or a run to a folder, and one sentence where that cannot be."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.inspection.diagnose import refitted_run


@pytest.fixture
def pool_folder(tmp_path):
    """A pool directory of 12 × 5 responses with texts and golden rewards."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((60, 6)).astype(np.float32)
    texts = [f"Answer {k}" for k in range(60)]
    golden = embeddings @ random.standard_normal(6)
    brm.save_pool(tmp_path / "pool", brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5), texts), golden)
    return tmp_path / "pool"


@pytest.fixture
def campaign(tmp_path, pool_folder):
    return brm.Campaign.create(tmp_path / "labels", pool_folder)


def _answer(campaign):
    campaign.ask(12)
    (sheet,) = campaign.hand_out("csv")
    golden = dict(zip((f"Answer {k}" for k in range(60)), brm.load_golden(campaign.pool_path), strict=True))
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["answer"] = "left" if golden[row["left"]] > golden[row["right"]] else "right"
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    campaign.tell(sheet)


def test_a_campaign_becomes_a_reward_model(command, campaign, tmp_path):
    _answer(campaign)
    status, printed, _ = command(
        "export", campaign.directory, "--to", tmp_path / "model", "--name", "kind answers"
    )
    assert status == 0
    assert "Fitted to 12 labels (laplace, bradley-terry)" in printed
    assert "scores embeddings only" in printed
    assert "# kind answers" in (tmp_path / "model" / "README.md").read_text()
    posterior = campaign.fit()
    for found, expected in zip(
        brm.load_reward_model(tmp_path / "model").reward(campaign.pool),
        posterior.reward(campaign.pool),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-10)
    status, _, error = command("export", campaign.directory, "--to", tmp_path / "model")
    assert status == 2
    assert "is not empty: remove it or choose another name" in error
    command("export", campaign.directory, "--to", tmp_path / "point", "--inference", "plugin")
    assert json.loads((tmp_path / "point" / "reward_model.json").read_text())["kind"] == "point"


def test_a_run_becomes_a_reward_model(command, pool_folder, tmp_path):
    brm.run(
        brm.load_pool(pool_folder),
        brm.GoldenAnnotator(brm.load_golden(pool_folder)),
        model=brm.RewardModel(6, "linear"),
        design="random",
        batch_size=5,
        rounds=2,
        out=tmp_path / "runs" / "one",
    )
    status, printed, error = command(
        "export", tmp_path / "runs", "--pool", pool_folder, "--to", tmp_path / "model"
    )
    assert status == 0, error
    assert "Fitted to 10 labels" in printed
    pool = brm.load_pool(pool_folder)
    posterior = refitted_run(tmp_path / "runs", pool)
    found, expected = brm.load_reward_model(tmp_path / "model").reward(pool)[0], posterior.reward(pool)[0]
    np.testing.assert_allclose(found, expected, atol=1e-10)
    status, _, error = command("export", tmp_path / "runs", "--to", tmp_path / "other")
    assert status == 2
    assert "--pool with that of a run" in error
    status, _, error = command(
        "export", tmp_path / "runs", "--pool", pool_folder, "--to", tmp_path / "other", "--inference", "nuts"
    )
    assert status == 2
    assert "leave --inference out" in error


def test_what_cannot_be_exported_or_scored_is_one_sentence(command, campaign, tmp_path):
    nothing = tmp_path / "nothing"
    for arguments, message in (
        (("export", nothing, "--to", tmp_path / "x"), "there is no folder"),
        (("export", campaign.directory, "--to", tmp_path / "x"), "has no answers yet"),
        (("score", nothing, "texts.jsonl"), "expected a reward model in"),
    ):
        status, _, error = command(*arguments)
        assert status == 2
        assert message in error
        assert error.count("\n") == 1
    _answer(campaign)
    status, _, error = command("export", campaign.directory, "--to", tmp_path / "x", "--transformers")
    assert status == 2
    assert "expected to know how texts are embedded" in error
    command("export", campaign.directory, "--to", tmp_path / "model")
    (tmp_path / "texts.jsonl").write_text('{"prompt": "a", "response": "b"}')
    status, _, error = command("score", tmp_path / "model", tmp_path / "texts.jsonl")
    assert status == 2
    assert "scores embeddings and no texts" in error
    status, _, error = command("score", tmp_path / "model", nothing)
    assert status == 2
    assert "expected a file of texts" in error
    assert not (tmp_path / "x").exists()
