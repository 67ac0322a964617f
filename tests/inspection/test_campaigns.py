"""Campaigns opened again as runs are: diagnosed, explained, reported, compared."""

from __future__ import annotations

import re

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.answers import as_preferences, order_of_telling, used_answers
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.campaigns import explain_batch, history_of, open_campaign
from bayesrm.inspection.compare import compare_folders, sentence
from bayesrm.inspection.diagnose import diagnose_folder

PROMPTS, EACH, DIM = 40, 4, 3
HOSTILE = "<script>alert(1)</script> $\\frac{$ \u202eeve"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tell_as):
    """Two batches, the second chosen by answers to the first; a third annotator whose name and answers are noise."""
    home = tmp_path_factory.mktemp("bench")
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((PROMPTS * EACH, DIM)).astype(np.float32)
    texts = ["word " * count for count in random.integers(1, 60, PROMPTS * EACH)]
    texts[0] = "<img src=x onerror=alert(1)>"
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH), texts)
    golden = 3 * embeddings @ random.standard_normal(DIM)
    brm.save_pool(home / "pool", pool, golden)
    campaign = brm.Campaign.create(
        home / "labels", home / "pool", encoder="linear", prior_scale=0.7, likelihood="bradley-terry", draws=400
    )
    first = campaign.ask(60)
    tell_as("ann", campaign, first[:30], golden, 1)
    tell_as("bob", campaign, first[30:], golden, 2)
    second = campaign.ask(40)
    tell_as("bob", campaign, second[:20], golden, 3)
    tell_as(HOSTILE, campaign, second[20:], golden, 4, at_random=True)
    return home


def test_diagnose_finds_the_annotator_and_draws_the_learning_curve(folder, command):
    status, printed, complaint = command("diagnose", folder / "labels")
    assert status == 0, complaint
    assert "eve" in printed
    assert "to prompts that it has not seen the model predicts" in printed
    page = (folder / "labels" / "diagnosis.html").read_text()
    for title in ("Learning curve", "Annotators", "Calibration of preference probabilities"):
        assert f"<h3>{title}</h3><svg" in page
    assert "<script>" not in page
    with brm.open_results(folder / "labels" / "diagnosis.nc") as tree:
        assert {"history", "annotators", "reliability", "pareto_k"} <= set(tree.children)
        assert tree["history"]["labels"].values[-1] == 100


def test_a_campaign_takes_what_a_run_takes(folder):
    diagnosis, _ = diagnose_folder(folder / "labels", test=folder / "pool", reference="laplace", sbc=5)
    assert {"coverage", "golden_coverage", "distance", "sbc"} & {finding.check for finding in diagnosis.findings}


def test_the_report_says_whether_to_go_on_who_to_look_at_and_why_these_pairs(folder, command):
    status, printed, complaint = command("report", folder / "labels")
    assert status == 0, complaint
    assert "report.html" in printed
    page = (folder / "labels" / "report.html").read_text()
    assert page.index('class="verdict"') < page.index("What was asked") < page.index("Learning curve")
    assert "Why batch 2 asked these pairs" in page
    assert "after 60 answers" in page
    assert ("chosen at random" in page) == ("<td>within-first</td>" in page)
    assert "<script>" not in page
    assert "<img" not in page, "texts and names are shown as they are"
    assert "<bdi>&lt;script&gt;" in page
    assert not re.search(r"""(src|href)=["']https?:""", page)
    shown = re.sub(r"<svg.*?</svg>|<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    assert not re.search(r"\b(nan|inf|None)\b", shown.replace("null", ""))


def test_a_batch_is_explained_by_what_was_known_when_it_was_asked(folder, command):
    campaign = brm.Campaign.open(folder / "labels")
    questions = campaign.store.questions()
    number, explanation = explain_batch(campaign)
    assert number == 2
    before = as_preferences(
        questions, [a for a in campaign.store.answers() if a.question in {q.id for q in questions[:60]}]
    )
    posterior = campaign.fit(labels=before)
    table = explanation.table
    expected = posterior.preference_probability(campaign.pool, table["first"], table["second"])
    assert table["probability"].to_numpy() == pytest.approx(expected, abs=1e-9)
    assert (np.diff(table["gain"]) <= 0).all()
    assert {(q.first, q.second) for q in questions[60:]} == set(zip(table["first"], table["second"], strict=True))
    _, first = explain_batch(campaign, 1)
    assert "after 0 answers" in first.design
    status, _, _ = command("explain", folder / "labels", "--batch", 1)
    assert status == 0
    assert (folder / "labels" / "batch-001-explained.csv").exists()
    assert (folder / "labels" / "batch-001-explained.png").exists()
    status, _, complaint = command("explain", folder / "labels", "--batch", 7)
    assert (status, "there are batches 1 to 2" in complaint) == (2, True)


def test_answers_are_in_the_order_in_which_they_were_told(folder):
    campaign, posterior = open_campaign(folder / "labels")
    questions, answers = campaign.store.questions(), campaign.store.answers()
    order = order_of_telling(questions, answers)
    used = used_answers(questions, answers)
    assert [used[at].id for at in order] == [answer.id for answer in answers]
    assert sorted(order) == list(range(100))
    data = history_of(campaign, posterior)
    assert data.identical(history_of(campaign, posterior))


def test_models_of_one_campaign_are_compared(folder, command):
    likelihoods = ["--likelihood", "bradley-terry", "--likelihood", "thurstone"]
    status, printed, complaint = command("compare", folder / "labels", "--encoder", "linear", *likelihoods)
    assert status == 0, complaint
    assert "linear, thurstone" in printed
    assert "predicts answers that are left out best" in printed
    table = compare_folders(
        [folder / "labels"], variants={"likelihood": ["bradley-terry", "thurstone"]}, draws=400
    )
    campaign = brm.Campaign.open(folder / "labels")
    fits = {
        name: campaign.fit(brm.RewardModel(campaign.pool, "linear", prior_scale=0.7, likelihood=name))
        for name in table.index
    }
    assert table.equals(brm.compare(fits, draws=400))
    assert sentence(table).startswith(f"{table.index[0]} predicts")


def test_runs_of_the_same_answers_are_compared(tmp_path, command):
    random = np.random.default_rng(3)
    embeddings = random.standard_normal((60, 4)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5))
    golden = embeddings @ random.standard_normal(4)
    brm.save_pool(tmp_path / "pool", pool, golden)
    responses = brm.load_pool(tmp_path / "pool")
    for name, scale in (("wide", 2.0), ("narrow", 0.05)):
        brm.run(
            responses, brm.GoldenAnnotator(golden, 2.0), model=brm.RewardModel(4, "linear", prior_scale=scale),
            design="random", batch_size=40, rounds=1, out=tmp_path / name, log_likelihood=True, progress=False,
        )  # fmt: skip
    table = compare_folders([tmp_path / "wide", tmp_path / "narrow"])
    assert table.index[0] == str(tmp_path / "wide")
    again = compare_folders([tmp_path / "wide", tmp_path / "narrow"], pool=tmp_path / "pool")
    assert again["log_evidence"].to_numpy() == pytest.approx(table["log_evidence"].to_numpy(), abs=1e-6)
    status, printed, _ = command(
        "compare",
        tmp_path / "wide",
        "--pool",
        tmp_path / "pool",
        "--likelihood",
        "thurstone",
        "--likelihood",
        "flips",
    )
    assert status == 0
    assert "thurstone" in printed


def test_what_cannot_be_compared_or_opened_is_said(folder, tmp_path, command):
    brm.Campaign.create(tmp_path / "empty", folder / "pool")
    cases = {
        "expected several models to compare": ["compare", folder / "labels"],
        "has no answers yet": ["diagnose", tmp_path / "empty"],
        "got .* twice": ["compare", folder / "labels", folder / "labels"],
        "unknown encoder 'best'": ["compare", folder / "labels", "--encoder", "best", "--encoder", "linear"],
        "expected a run in": ["compare", folder / "pool", folder / "labels"],
        "expected --pool, the pool of the run": ["explain", folder / "pool"],
    }
    for message, arguments in cases.items():
        status, _, complaint = command(*arguments)
        assert (status, re.search(message, complaint) is not None) == (2, True), (message, complaint)
    assert command("report", tmp_path / "empty")[0] == 2
    with pytest.raises(InvalidInputError, match="nothing was asked yet"):
        explain_batch(brm.Campaign.open(tmp_path / "empty"))
