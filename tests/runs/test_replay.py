"""Designs on recorded votes: what is measured against sums written out, what is held out, and bad input."""

from __future__ import annotations

import html
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.runs.replay import ceiling
from bayesrm.runs.replaying import rounds_of


@pytest.fixture(scope="module")
def recorded():
    """Every pair within ten prompts, three votes each, by people who follow a linear reward."""
    r = np.random.default_rng(0)
    x = r.normal(size=(50, 4)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(10), 5))
    golden = x @ np.array([1.5, -1.0, 0.5, 0.0])
    pairs = brm.candidates(pool)
    first, second = np.tile(pairs.first, 3), np.tile(pairs.second, 3)
    outcome = (r.random(len(first)) < expit(golden[first] - golden[second])).astype(float)
    return pool, brm.Votes(first, second, outcome), golden


def _replay(recorded, **settings):
    pool, votes, _ = recorded
    model = brm.RewardModel(pool, encoder="linear", prior_scale=0.5)
    return brm.replay(pool, votes, model=model, budget=40, batch_size=20, progress=False, **settings)


def test_the_ceiling_is_the_share_that_agrees_with_the_others():
    # Three votes on one pair (two for the first), two on another (one each), one alone, one tie with two others.
    votes = brm.Votes(
        np.array([0, 0, 1, 2, 2, 4, 5, 5, 5]),
        np.array([1, 1, 0, 3, 3, 5, 6, 6, 6]),
        np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0]),
    )
    # Pair 0–1: each of the two is with one for and one against: ½; the one against two: 0. Pair 2–3: 0, 0.
    # Pair 5–6: each decided vote has a tie and one like it: 1, 1.
    assert ceiling(votes) == pytest.approx((0.5 + 0.5 + 0 + 0 + 0 + 1 + 1) / 7)
    assert np.isnan(ceiling(votes[[0, 3]]))


def test_quality_rises_and_the_same_seed_gives_the_same_bits(recorded, tmp_path):
    one = _replay(recorded, designs=["pa-dopt"], seeds=3, out=tmp_path)
    two = _replay(recorded, designs=["pa-dopt"], seeds=3)
    trajectory = one["trajectory"].to_dataset()
    assert trajectory.identical(two["trajectory"].to_dataset())
    assert trajectory["design"].values.tolist() == ["random", "pa-dopt"]
    assert trajectory["labels"].values.tolist() == [20, 40]
    last = trajectory.isel(round=-1).mean("seed")
    assert float(last["vote_accuracy"].min()) > 0.6
    assert float(last["vote_log_loss"].max()) < np.log(2)
    assert float(last["one_minus_spearman"].max()) < 0.6
    with brm.open_results(tmp_path / "replay.nc") as kept:
        np.testing.assert_array_equal(kept["trajectory"]["vote_log_loss"], trajectory["vote_log_loss"])
    (sentence,) = json.loads(one.attrs["sentences"]).values()
    assert sentence.startswith("On your 300 votes, pa-dopt")
    assert "shown to help" in sentence


def test_a_test_pool_of_its_own_with_votes_or_golden_rewards(recorded):
    pool, votes, golden = recorded
    by_votes = _replay(recorded, test=(pool, votes), designs=["random"], seeds=1)["trajectory"]
    by_golden = _replay(recorded, test=(pool, golden), designs=["random"], seeds=1)["trajectory"]
    assert set(by_votes.data_vars) == {"vote_log_loss", "vote_accuracy", "one_minus_spearman", "headroom"}
    assert set(by_golden.data_vars) == {"one_minus_spearman", "headroom"}
    # What is measured on votes, by hand.
    model = brm.RewardModel(pool, encoder="linear", prior_scale=0.5)
    from bayesrm import rng

    annotator = brm.ReplayAnnotator(votes, rng.child(0, "votes"))
    labels = brm.Preferences.none()
    posterior = brm.fit(model, pool, labels, seed=rng.child(0, "fit"))
    for t in range(2):
        left = brm.candidates(pool, pairs=annotator.pairs, exclude=labels)
        batch = brm.select(posterior, left, "random", 20, seed=rng.child(0, "selection", t))
        labels = labels.append(annotator.label(batch))
        posterior = brm.fit(model, pool, labels, seed=rng.child(0, "fit"))
    p = posterior.preference_probability(pool, votes.first, votes.second)
    expected = -np.mean(votes.outcome * np.log(p) + (1 - votes.outcome) * np.log1p(-p))
    assert float(by_votes["vote_log_loss"][0, 0, -1]) == pytest.approx(expected)
    assert float(by_votes["vote_accuracy"][0, 0, -1]) == pytest.approx(np.mean((p > 0.5) == (votes.outcome == 1)))


def test_bad_input_is_one_sentence(recorded):
    pool, votes, _ = recorded
    far = brm.Votes(np.array([0, 99]), np.array([1, 98]), np.array([1.0, 0.0]))
    ranking = brm.Preferences.from_rankings([[int(member) for member in pool.members[0][:3]]])
    rankings = brm.Votes(ranking.first, ranking.second, ranking.outcome, choice=ranking.choice)
    for wrong, message in (
        (far, "99"),
        (rankings, "some of these are rankings of lists"),
        (votes[[0]], "at least two recorded votes, got 1"),
        (brm.Votes(votes.first, votes.second, np.full(len(votes), 0.5)), "all 300 are ties"),
        (votes.of_prompts(pool, np.array([3])), "at least two prompts, of which some are held out, got 1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            brm.replay(pool, wrong, progress=False)
    with pytest.raises(InvalidInputError, match="test share between 0 and 1"):
        brm.replay(pool, votes, test_share=1.5, progress=False)
    with pytest.raises(InvalidInputError, match=r"expected different seeds, got \[1, 2, 1\]"):
        brm.replay(pool, votes, seeds=[1, 2, 1], progress=False)


def test_by_command(recorded, tmp_path, command):
    pool, votes, _ = recorded
    brm.save_pool(tmp_path / "pool", pool)
    table = pd.DataFrame({name: getattr(votes, name) for name in ("first", "second", "outcome")})
    table.to_csv(tmp_path / "votes.csv", index=False)
    status, out, err = command(
        "replay", tmp_path / "pool", "--votes", tmp_path / "votes.csv", "--designs", "random,pa-dopt", "--budget", 20,
        "--batch-size", 10, "--seeds", 2, "--workers", 1, "--out", tmp_path / "replayed",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "On your 300 votes, pa-dopt" in out
    page = (tmp_path / "replayed" / "report.html").read_text()
    (saved,) = (line for line in out.splitlines() if line.startswith("On your 300 votes, pa-dopt"))
    assert saved in html.unescape(page)
    assert "log loss of held-out votes" in page
    assert "golden preference probability" not in page, "there are no golden rewards"
    status, _, err = command("replay", tmp_path / "pool", "--votes", tmp_path / "none.csv")
    assert status == 2
    assert "does not exist" in err


def test_rounds_are_of_one_size_or_grow_by_an_eighth():
    assert rounds_of(100, 30).tolist() == [30, 60, 90]
    assert rounds_of(20, 30).tolist() == [20]
    assert rounds_of(200, None).tolist() == list(range(25, 201, 25))
    many = rounds_of(3_000, None)
    steps = np.diff(many)
    assert (steps == np.maximum(25, many[:-1] // 8)).all()
    assert many[-1] <= 3_000 < many[-1] + max(25, many[-1] // 8)
    assert len(many) < 40


def test_processes_beside_this_one_give_the_same_curves(recorded):
    alone, beside = (_replay(recorded, designs=["pa-dopt"], seeds=1, workers=workers) for workers in (1, 2))
    assert alone["trajectory"].to_dataset().identical(beside["trajectory"].to_dataset())


PLUGIN = """
import bayesrm as brm
from bayesrm.design.objectives.base import SumObjective

class CloseCalls(brm.Criterion):
    name = "close-calls"
    default_selector = "top"
    selects_itself = True

    def objective(self, posterior, candidates):
        moments = posterior.reward_moments(candidates.pool, candidates.responses)

        def score(pairs):
            logits = moments.of(pairs)
            return logits.variance.sqrt() - logits.mean.abs()

        return SumObjective(score)
"""


def test_a_design_of_a_plugin_is_replayed_in_processes_beside_this_one(recorded, tmp_path):
    pool, votes, _ = recorded
    brm.save_pool(tmp_path / "pool", pool)
    table = {name: getattr(votes, name) for name in ("first", "second", "outcome")}
    pd.DataFrame(table).to_csv(tmp_path / "votes.csv", index=False)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "my_design.py").write_text(PLUGIN)
    done = subprocess.run(
        [
            sys.executable, "-m", "bayesrm.cli", "--plugin", "parts/my_design.py", "replay", "pool", "--votes",
            "votes.csv", "--budget", "20", "--seeds", "1", "--designs", "close-calls,random", "--workers", "2",
            "--out", "replayed",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "On your 300 votes, close-calls" in done.stdout
