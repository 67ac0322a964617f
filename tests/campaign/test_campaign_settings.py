"""A campaign takes the settings that a run takes, keeps them, and fits and asks by them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.rounds import POSTERIOR_FILE, fit_round
from bayesrm.campaign.store import STORE_FILE
from bayesrm.errors import InvalidInputError
from bayesrm.inference.plugin import Plugin
from bayesrm.runs.settings import (
    AskSettings,
    BatchSettings,
    CampaignSettings,
    DeviceSettings,
    LoopSettings,
    ModelSettings,
)

MODEL = {"encoder": "linear", "hidden": "8,4", "likelihood": "flips", "inputs": "raw", "prior_scale": "0.5"}


@pytest.fixture
def pool(tmp_path):
    random = np.random.default_rng(0)
    for name in ("pool", "others"):
        embeddings = random.standard_normal((100, 4)).astype(np.float32)
        texts = ["word " * (1 + k % 7) for k in range(100)]
        brm.save_pool(tmp_path / name, brm.ResponsePool(embeddings, np.repeat(np.arange(20), 5), texts))
    return tmp_path / "pool"


def answer(campaign, questions):
    """A CSV file that prefers what has the larger first entry."""
    rows = campaign.pool.rows(np.arange(len(campaign.pool)))[:, 0]
    lines = [f"{q.id},{'left' if rows[q.left] > rows[q.right] else 'right'}" for q in questions]
    file = campaign.directory / "answers.csv"
    file.write_text("\n".join(["question,answer", *lines]))
    campaign.tell(file)


def test_every_setting_of_a_run_is_one_of_a_campaign_or_of_a_batch():
    # A campaign's size, rounds and lists are those of its batches, nobody has golden rewards to test it on, and the
    # scale that it asks on is that of a run's simulated annotators.
    only_runs = {"batch_size", "rounds", "seed", "by_prompt", "list_size"}
    runs = {*LoopSettings.model_fields, *ModelSettings.model_fields} - only_runs
    campaigns = {*CampaignSettings.model_fields, *BatchSettings.model_fields, *DeviceSettings.model_fields}
    assert runs == campaigns - {"grades"}
    assert set(Request.model_fields) == {*AskSettings.model_fields, "annotators", "prices"}


def test_settings_are_kept_and_fitted_with(command, pool, tmp_path, short_variational):
    folder = tmp_path / "labels"
    options = [word for name, value in MODEL.items() for word in (f"--{name.replace('_', '-')}", value)]
    status, _, complaint = command(
        "campaign",
        "init",
        folder,
        "--pool",
        pool,
        *options,
        "--inference",
        "svi",
        "--draws",
        "7",
        "--log-likelihood",
    )
    assert status == 0, complaint
    campaign = brm.Campaign.open(folder)
    expected = CampaignSettings(**MODEL, inference="svi", draws=7, log_likelihood=True)
    assert campaign.configuration == expected
    answer(campaign, campaign.ask(Request(size=30, design="random")))
    described = campaign.model().describe()
    assert described["likelihood"]["name"] == "flips"
    assert (described["encoder"], described["inputs"], described["prior_scale"]) == ("linear", "raw", 0.5)
    posterior = campaign.fit()
    assert posterior.inference == "svi"
    assert posterior.model.describe() == described
    # Another inference is for this once.
    assert campaign.fit(inference="laplace").inference == "laplace"


def test_covariates_can_be_none(command, tmp_path):
    """As the sentence says that refuses to write a classifier of a reward with covariates."""
    texts = [f"Response {k}" for k in range(8)]
    known = brm.ResponsePool(np.eye(8), np.arange(8) // 2, texts, covariates={"length": np.arange(8.0)})
    brm.save_pool(tmp_path / "known", known)
    arguments = ["campaign", "init", tmp_path / "labels", "--pool", tmp_path / "known"]
    status, _, complaint = command(*arguments, "--covariates", "none")
    assert status == 0, complaint
    campaign = brm.Campaign.open(tmp_path / "labels")
    assert campaign.configuration.covariates == ()
    assert "covariates" not in campaign.model().blocks


def test_draws_of_the_results_file_are_those_asked_for(pool, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "labels", pool, encoder="linear", draws=7, log_likelihood=True)
    answer(campaign, campaign.ask(Request(size=30, design="random")))
    fit_round(campaign)
    with brm.open_results(campaign.directory / POSTERIOR_FILE) as tree:
        assert tree["posterior"].sizes["draw"] == 7
        assert tree["log_likelihood"]["outcome"].shape == (1, 7, 30)


def test_by_default_the_likelihood_follows_from_the_answers(pool, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "labels", pool)
    assert campaign.model().likelihood.name == "bradley-terry"
    ties = brm.Preferences(np.arange(20), np.arange(20, 40), np.full(20, 0.5))
    assert campaign.model(ties).likelihood.name == "davidson"
    chosen = brm.Campaign.create(tmp_path / "chosen", pool, likelihood="rao-kupper")
    assert chosen.model(ties).likelihood.name == "rao-kupper"


def test_a_campaign_that_is_older_than_its_settings_opens(pool, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "labels", pool)
    before = campaign.model().describe()
    with closing(sqlite3.connect(campaign.directory / STORE_FILE)) as db:
        (kept,) = db.execute("SELECT value FROM setting WHERE name = 'configuration'").fetchone()
        assert json.loads(kept) == {}, "what is usual is not kept"
        db.execute("DELETE FROM setting WHERE name = 'configuration'")
        db.commit()
    again = brm.Campaign.open(campaign.directory)
    assert again.configuration == CampaignSettings()
    assert again.model().describe() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"likelihood": "best"}, "likelihood: unknown likelihood 'best'"),
        ({"encoder": "linear", "prior_scale": {"mlp": 1}}, "a prior scale for each of the blocks features"),
        ({"colour": "red"}, "colour: there is no such setting"),
        ({"inference": "plugin"}, "an inference with a spread.*got 'plugin'"),
        ({"inference": Plugin()}, "the name of an inference, which the campaign keeps"),
    ],
)
def test_what_cannot_be_is_refused_before_anybody_is_asked(pool, tmp_path, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.Campaign.create(tmp_path / "labels", pool, **settings)
    assert not (tmp_path / "labels").exists()


def test_options_of_a_batch_arrive(command, pool, tmp_path, monkeypatch):
    folder = tmp_path / "labels"
    assert command("campaign", "init", folder, "--pool", pool, "--encoder", "linear")[0] == 0
    asked = {
        "size": 6, "overlap": 2, "overlap_share": 0.5, "design": "vopt", "selector": "exchange",
        "targets": tmp_path / "others", "scope": "cross-prompt", "prompts": 12, "candidates": 80, "per_prompt": 3,
        "per_response": 2, "min_within": 2, "cost": "length",
    }  # fmt: skip
    # Lists are within prompts, and second answers and chosen annotators stand in for an overlap: they have own tests.
    others = {"list_size", "second_answers", "choose_annotators"}
    assert set(asked) | {"identical"} | others == set(AskSettings.model_fields)
    options = [str(word) for name, value in asked.items() for word in (f"--{name.replace('_', '-')}", value)]
    people = ["--annotator", "ann", "--annotator", "bob=4"]
    requests = []
    ask = brm.Campaign.ask
    monkeypatch.setattr(brm.Campaign, "ask", lambda self, request: requests.append(request) or ask(self, request))
    status, printed, complaint = command(
        "campaign", "ask", folder, *options, *people, "--identical", "--device", "cpu"
    )
    assert status == 0, complaint
    assert "Batch 1 asks about 6 pairs." in printed
    assert requests == [Request(**asked, identical=True, annotators={"ann": None, "bob": 4})]
    (batch,) = brm.Campaign.open(folder).store.batches()
    assert (batch["scope"], batch["prompts"], batch["candidates"], batch["identical"]) == (
        "cross-prompt",
        12,
        80,
        True,
    )
    assert batch["constraints"] == "per_prompt=3, per_response=2, min_within=2"
    assert set(batch["design_settings"]) == {"targets"}
    assert batch["costs"]


def test_a_batch_has_the_targets_that_it_was_asked_with(pool, tmp_path):
    (tmp_path / "prompts.txt").write_text("3\n4\n")
    campaign = brm.Campaign.create(tmp_path / "labels", pool, tmp_path / "prompts.txt", encoder="linear")
    own = Request(size=4, design="vopt").with_targets(campaign.targets).criterion.targets
    assert len(own) == 10
    others = Request(size=4, design="vopt", targets=tmp_path / "others").with_targets(campaign.targets)
    assert len(others.criterion.targets) == 100
    with pytest.raises(InvalidInputError, match="'random' has no targets"):
        campaign.ask(Request(size=4, design="random", targets=tmp_path / "others"))


def test_a_device_that_is_not_there_is_refused(command, pool, tmp_path):
    folder = tmp_path / "labels"
    assert command("campaign", "init", folder, "--pool", pool)[0] == 0
    status, _, complaint = command("campaign", "ask", folder, "--device", "nowhere")
    assert status == 2
    assert "the device nowhere cannot be used here" in complaint
