"""Grades in a campaign: asked on five or seven points, handed out, told, fitted; and strengths that data sets have."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.findings import _decided
from bayesrm.campaign.grades import outcome_of_points, scale, without_points
from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.grades import parse_grade
from bayesrm.campaign.labels.rows import label_rows
from bayesrm.campaign.status import status
from bayesrm.data.preferences import save_preferences
from bayesrm.data.strengths import grades_of
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.fit import campaign_of
from bayesrm.models.likelihoods.graded import Graded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pool with texts."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((60, 3)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5), [f"Response **{k}**" for k in range(60)])
    path = tmp_path_factory.mktemp("grades") / "pool"
    brm.save_pool(path, pool)
    return path


@pytest.fixture
def graded(folder, tmp_path):
    """``graded(points)``: a campaign that asks on a scale, with one batch of as many pairs."""

    def make(points: int, **settings) -> brm.Campaign:
        campaign = brm.Campaign.create(
            tmp_path / f"campaign {points}", folder, encoder="linear", prior_scale=1.0, grades=points, **settings
        )
        campaign.ask(Request(size=points + 1, design="random"))
        return campaign

    return make


@pytest.mark.parametrize("points", [5, 7])
def test_every_answer_of_a_scale_is_read_in_words_and_in_short(points):
    answers = scale(points)
    assert len(answers) == points
    for words, side, by in answers:
        assert parse_grade(words, points) == (side, by)
        assert parse_grade(f"{words.upper()}.", points) == (side, by)
        short = "0" if side == "tie" else f"{side[0].upper()}{by}"
        assert parse_grade(short, points) == (side, by)
    outcomes = [
        outcome_of_points({"left": "first", "right": "second"}.get(s, s), by, points) for _, s, by in answers
    ]
    assert outcomes == pytest.approx(np.linspace(1, 0, points))
    assert outcomes[::-1] == pytest.approx(Graded(points).outcomes)
    assert parse_grade("left", points) == ("left", None)
    assert parse_grade("The left one is a lot better", points) == ("left", (points - 1) // 2)
    assert parse_grade("both bad", points) == ("tie", 0)
    assert parse_grade("not sure", points) == ("skip", None)
    assert parse_grade("", points) == (None, None)
    for wrong in ("L4", "2", "left enormously better"):
        with pytest.raises(ValueError, match="expected left much better, "):
            parse_grade(wrong, points)
    assert [without_points(outcome, points) for outcome in (1, 0.5, 0)] == pytest.approx(
        {5: [0.875, 0.5, 0.125], 7: [5 / 6, 0.5, 1 / 6]}[points]
    )


@pytest.mark.parametrize("points", [5, 7])
def test_a_sheet_of_grades_becomes_outcomes_on_the_scale_of_the_likelihood(graded, points):
    campaign = graded(points)
    (path,) = campaign.hand_out("csv")
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    words = [words for words, _, _ in scale(points)]
    for row, answer in zip(rows[1:], [*words, "left"], strict=True):
        row[4] = answer
    filled = campaign.directory / "filled.csv"
    with open(filled, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    report = campaign.tell(filled)
    assert (report.new, report.ties, report.aside) == (points + 1, 1, ())
    labels = campaign.preferences()
    left = {(q.first, q.second): q.first_is_left for q in campaign.store.questions()}
    turned = [
        outcome if left[first, second] else 1 - outcome
        for first, second, outcome in zip(labels.first, labels.second, labels.outcome, strict=True)
    ]
    assert turned == pytest.approx([*np.linspace(1, 0, points), without_points(1.0, points)])
    posterior = campaign.fit()
    assert posterior.likelihood.describe()["grades"] == points
    assert (_decided(posterior) == (labels.outcome != 0.5)).all()
    assert brm.load_preferences(campaign.directory, graded=True).outcome == pytest.approx([*labels.outcome[:-1]])
    assert set(brm.load_preferences(campaign.directory).outcome) == {0.0, 0.5, 1.0}
    assert campaign.labels()["margin"].abs().max() == (points - 1) // 2
    # A stronger answer corrects a weaker one, and the same one is repeated.
    rows[1][4], rows[2][4] = rows[2][4], ""
    with open(filled, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    again = campaign.tell(filled)
    assert (again.corrected, again.repeated) == (1, points - 1)


@pytest.mark.parametrize("to", [name for name, part in HANDOFFS.items() if part.grade_step is not None])
def test_every_format_asks_on_the_scale(graded, to):
    campaign = graded(7)
    files = campaign.hand_out(to)
    shown = "\n".join(path.read_text("utf-8") for path in files) + HANDOFFS[to].grade_step
    assert "left much better" in shown
    if to == "label-studio":
        assert shown.count("<Choice ") == 8
        assert shown.count('required="true"') == 1


def test_a_tool_gives_the_grade_back(graded):
    campaign = graded(5)
    questions = campaign.store.questions()
    records = [
        {
            "id": question.id,
            "fields": {},
            "status": "completed",
            "responses": {
                "preference": [{"value": "right slightly better", "user_id": "u", "status": "submitted"}]
            },
        }
        for question in questions
    ]
    path = campaign.directory / "records.json"
    path.write_text(json.dumps(records))
    assert campaign.tell(path).new == 6
    assert {answer.margin for answer in campaign.store.answers()} == {1.0}
    expected = [0.25 if question.first_is_left else 0.75 for question in questions]
    assert campaign.preferences().outcome == pytest.approx(expected)


def test_settings_that_contradict_each_other_are_refused(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="expected the likelihood graded for answers on 5 points"):
        brm.Campaign.create(tmp_path / "a", folder, grades=5, likelihood="davidson")
    with pytest.raises(InvalidInputError, match="a scale of 5 or 7 points, got 6"):
        brm.Campaign.create(tmp_path / "b", folder, grades=6)
    assert brm.Campaign.create(tmp_path / "c", folder, likelihood="graded").configuration.points == 7
    assert not (tmp_path / "a").exists()


def test_answers_of_which_one_has_no_grade_differ_in_their_sides_alone(asked):
    """A plain sheet of the questions is told beside one with grades."""
    campaign = asked(4, grades=5)
    questions = campaign.store.questions()
    ann = ["left much better", "left slightly better", "left slightly better", "about equal"]
    bob = ["left", "left much better", "right", "tie"]
    for name, words in {"ann": ann, "bob": bob}.items():
        file = campaign.directory / f"{name}.csv"
        lines = [f"{question.id},{said}\n" for question, said in zip(questions, words, strict=True)]
        file.write_text("question,answer\n" + "".join(lines))
        campaign.tell(file, annotator=name)
    assert status(campaign).conflicts == 2, "the grades of the second, and the sides of the third"
    assert label_rows(campaign).disagreements == 2


def test_strengths_of_data_sets_are_grades_where_they_are_and_nothing_elsewhere():
    nan = np.nan
    outcome = np.array([1, 0, 0.5, 1, 1, 0.0])
    seven = np.full(6, 7.0)
    known = grades_of(outcome, np.array([3, 2, 0, 1, nan, 9.0]), seven)
    assert known == pytest.approx([1, 1 / 6, 0.5, 4 / 6, nan, 0], nan_ok=True)
    few = grades_of(outcome, np.array([1 / 3, 2 / 3, nan, 1, 0, nan]), np.full(6, nan))
    assert few == pytest.approx([4 / 6, 1 / 6, 0.5, 1, 0.5, nan], nan_ok=True)
    many = grades_of(np.ones(20), np.arange(20.0), np.full(20, nan))
    assert np.isnan(many).all()
    assert np.isnan(grades_of(np.ones(3), np.ones(3), np.full(3, nan))).all()


def test_strengths_go_from_a_file_through_a_pool_into_a_fit(folder, tmp_path):
    texts = [f"Response **{k}**" for k in range(60)]
    rows = [
        {
            "context": [{"role": "user", "content": str(k // 5)}],
            "response1": texts[k],
            "response2": texts[k + 1],
            "overall_preference": (k % 7) - 3,
        }
        for k in range(0, 60, 5)
    ]
    file = tmp_path / "helpsteer3.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    plain = brm.load_preferences(file, pool=folder)
    strong = brm.load_preferences(file, pool=folder, graded=True)
    signed = np.array([row["overall_preference"] for row in rows])
    assert plain.outcome == pytest.approx(0.5 - 0.5 * np.sign(signed))
    assert strong.outcome == pytest.approx(0.5 - signed / 6)
    campaign = brm.Campaign.create(tmp_path / "campaign", folder, encoder="linear", likelihood="graded")
    assert campaign.tell(file).new == 12
    assert np.sort(campaign.preferences().outcome) == pytest.approx(np.sort(strong.outcome))
    assert brm.load_preferences(campaign.directory, graded=True).outcome == pytest.approx(
        campaign.preferences().outcome
    )
    # The file is read alike by a campaign that asks which is better alone.
    other = brm.Campaign.create(tmp_path / "other", folder)
    assert other.tell(file).new == 12
    assert set(other.preferences().outcome) == {0.0, 0.5, 1.0}
    ties = tmp_path / "ties.jsonl"
    ties.write_text(
        "\n".join(json.dumps({"prompt": "0", "chosen": texts[0], "rejected": texts[1]}) for _ in range(2))
    )
    with pytest.raises(InvalidInputError, match="no label has one"):
        brm.load_preferences(ties, pool=folder, graded=True)


def test_grades_that_came_with_a_pool_are_fitted_without_a_campaign_of_ones_own(folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "pool")
    labels = brm.Preferences([0, 5, 11], [1, 6, 10], [1, 0, 0.5])
    save_preferences(place, labels, np.array([2.0, 1.0, 0.0]), np.array([1.0, 0.25, 0.5]))
    assert brm.load_preferences(place).outcome.tolist() == [1, 0, 0.5]
    assert brm.load_preferences(place, graded=True).outcome.tolist() == [1, 0.25, 0.5]
    with campaign_of(place, grades=5, encoder="linear") as campaign:
        assert campaign.preferences().outcome.tolist() == [1, 0.25, 0.5]
        assert campaign.model().likelihood.describe()["grades"] == 5
