"""What status says: whether to go on in one sentence, who is to be looked at, and one figure of agreement."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.advice import advice
from bayesrm.campaign.agreement import agreement
from bayesrm.campaign.asking import Request
from bayesrm.campaign.findings import Findings
from bayesrm.campaign.outlook import sentences
from bayesrm.campaign.records import Answer
from bayesrm.campaign.rounds import fit_round
from bayesrm.campaign.status import status
from bayesrm.evaluation.forecast import Estimate, Outlook

PROMPTS, EACH, DIM = 60, 5, 4
MODEL = {"encoder": "linear", "prior_scale": 0.7, "likelihood": "bradley-terry"}
GOOD = ("ann", "bob", "cem", "dot")


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory):
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((PROMPTS * EACH, DIM)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH), [f"text {k}" for k in range(300)])
    folder = tmp_path_factory.mktemp("pools") / "pool"
    brm.save_pool(folder, pool, 2 * embeddings @ random.standard_normal(DIM))
    return folder


@pytest.fixture(scope="module")
def crowd(pool_folder, tmp_path_factory, tell_as):
    """A campaign of four annotators of thirty answers each, and twenty random ones of eve."""
    campaign = brm.Campaign.create(
        tmp_path_factory.mktemp("crowd") / "labels",
        pool_folder,
        encoder="linear",
        prior_scale=0.7,
        likelihood="bradley-terry",
    )
    golden = brm.load_golden(pool_folder)
    questions = campaign.ask(140)
    for number, name in enumerate(GOOD):
        tell_as(name, campaign, questions[30 * number : 30 * (number + 1)], golden, number)
    tell_as("eve", campaign, questions[120:], golden, 4, at_random=True)
    return campaign


def test_twenty_random_answers_of_a_fifth_person_are_pointed_at(crowd, command):
    code, printed, _ = command("campaign", "status", crowd.directory)
    assert code == 0
    said = " ".join(printed.split())
    assert re.search(r"eve (may answer|answers) next to at random", said)
    assert "Look at the answers of eve first; then go on: " in said
    assert not [name for name in GOOD if re.search(f"{name} (may|answers next|mixes)", said)]
    people = {person.name: person for person in status(crowd).rounds[-1].annotators}
    assert [name for name, person in people.items() if person.unreliable] == ["eve"]
    assert people["eve"].low < people["eve"].right < people["eve"].high


def test_findings_of_before_annotators_had_intervals_are_read(crowd):
    findings = status(crowd).rounds[-1]
    values = findings.as_json()
    new = {"low", "high", "alike", "shared", "random", "confused", "said"}
    older = [{key: value for key, value in entry.items() if key not in new} for entry in values["annotators"]]
    again = Findings.from_json(values | {"annotators": older})
    assert [person.name for person in again.annotators] == [person.name for person in findings.annotators]
    assert Findings.from_json(values) == findings


def test_nine_pairs_that_agree_are_said_as_uncertain_and_the_forecast_says_what_else_it_rests_on(
    pool_folder, tmp_path, command, tell_as
):
    campaign = brm.Campaign.create(tmp_path / "labels", pool_folder, **MODEL)
    golden = 50 * brm.load_golden(pool_folder)
    people = {"ann": None, "bob": None}
    questions = campaign.ask(Request(size=60, annotators=people, overlap=2, overlap_share=9 / 60))
    for seed, name in enumerate(people):
        tell_as(name, campaign, [question for question in questions if name in question.annotators], golden, seed)
    _, printed, _ = command("campaign", "status", campaign.directory)
    said = " ".join(printed.split())
    assert "9 questions have several answers, which are the same 100% of the time (90%: " in said
    assert "to 100%); so few say little." in said
    assert "Krippendorff" not in said
    found = status(campaign).rounds[-1].forecast.agreement
    share = (
        f"{found.mean:.0%} of the time (90%: {found.low:.0%} to {found.high:.0%}; counted on 9 questions, and on"
    )
    assert f"two annotators answer alike {share} what published annotators do" in said


def test_alpha_is_said_of_many_questions():
    def said(question, name, verdict):
        return Answer(f"q{question}", name, verdict, told="2026")

    random = np.random.default_rng(0).random(60) < 0.8
    rows = [said(k, "a", "first" if k % 2 else "second") for k in range(60)]
    rows += [said(k, "b", "first" if (k % 2) == same else "second") for k, same in enumerate(random)]
    found = agreement(rows)
    assert found.low < found.alpha < found.high
    assert "Krippendorff's alpha is" in str(found)
    assert found.share.low < random.mean() < found.share.high


def with_regret(findings: Findings, labels: int, now: float, then: float | None) -> Findings:
    """The same findings, of other figures."""
    first = dataclasses.replace(findings.forecast.now, regret=Estimate(now, now, now))
    later = () if then is None else (Outlook(500, Estimate(0.1, 0.1, 0.1), Estimate(then, then, then)),)
    forecast = dataclasses.replace(findings.forecast, now=first, later=later)
    return dataclasses.replace(findings, labels=labels, forecast=forecast, annotators=())


def test_one_sentence_says_whether_to_go_on(crowd, pool_folder, tmp_path):
    if not status(crowd).rounds:
        fit_round(crowd)
    now = status(crowd)
    cases = {
        (600, 0.10, 0.07): "Go on: 500 more labels are expected to cut the regret by 30%, from 0.100 to 0.070.",
        (600, 0.10, 0.095): "Go on only if labels are cheap: ",
        (600, 0.10, 0.099): "Stop: ",
        (600, 0.10, None): "Stop: no pairs are left to ask about.",
        (
            100,
            0.10,
            0.099,
        ): "Go on: 500 more labels are expected to cut the regret by 1%, from 0.100 to 0.099, as",
    }
    for figures, beginning in cases.items():
        said = advice(dataclasses.replace(now, rounds=(with_regret(now.rounds[-1], *figures),)))
        assert said.startswith(beginning)
        assert said.count(". ") == 0
    empty = brm.Campaign.create(tmp_path / "empty", pool_folder)
    assert advice(status(empty)) == "Go on: nothing was asked yet."
    empty.ask(3)
    assert advice(status(empty)) == "Go on: none of 3 questions that are open is answered."
    assert advice(dataclasses.replace(now, rounds=())).startswith("Go on: fit the answers first")


def test_sentences_are_those_of_the_terminal(crowd, capsys):
    from bayesrm.cli.campaign.outlook import print_outlook

    findings = status(crowd).rounds[-1]
    print_outlook(findings)
    printed = capsys.readouterr().out
    for sentence in sentences(findings):
        assert sentence in printed


def test_the_posterior_of_a_fit_opens_in_arviz_with_what_loo_needs(crowd):
    from bayesrm.diagnostics.arviz_lines import leave_one_out

    with brm.open_results(crowd.directory / "posterior.nc") as tree:
        tree = tree.load()
    assert tree["log_likelihood"]["outcome"].sizes["comparison"] == 140
    found = leave_one_out(tree, independent=True)
    assert np.isfinite(found.elpd)
    assert found.pointwise.shape == (140,)
