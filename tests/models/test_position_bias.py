"""The worked example of a user's own Pyro model, end to end in its tiny setting."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm

STUDY = Path(__file__).resolve().parents[2] / "studies" / "position_bias.py"


@pytest.fixture(scope="module")
def study():
    return runpy.run_path(str(STUDY))


def test_it_runs_in_its_tiny_setting(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [str(STUDY), "--tiny"])
    runpy.run_path(str(STUDY), run_name="__main__")
    printed = capsys.readouterr().out
    assert "gain of the bias site" in printed
    assert "100 comparisons, 3 seeds" in printed


def test_the_bias_is_recovered(study):
    """Of eight 90% intervals at least five hold the truth: fewer has a probability of 0.5% if they are right."""
    hits = 0
    for seed in range(8):
        pool, _, preferences = study["simulate"](seed, 200, production_first=seed % 2 == 0)
        model = brm.RewardModel(pool.dim, encoder="linear", program=study["with_bias"])
        # The only nuisance parameter, and unconstrained.
        draws = brm.fit(model, pool, preferences).latent_draws(1000, np.random.default_rng(0)).latent[0, :, 0]
        low, high = np.quantile(draws, [0.05, 0.95])
        hits += low < study["BIAS"] < high
        assert high - low < 1.5
    assert hits >= 5


def test_a_bias_that_is_ignored_costs_ranking_where_the_order_is_not_random(study):
    """The gain at 300 comparisons is 0.021 ± 0.004 over 20 seeds."""
    gains = []
    for seed in range(8):
        pool, golden, preferences = study["simulate"](seed, 300, production_first=True)
        errors = []
        for name in ("without_bias", "with_bias"):
            fitted = brm.fit(brm.RewardModel(pool.dim, encoder="linear", program=study[name]), pool, preferences)
            errors.append(1 - study["spearmanr"](fitted.reward(pool)[0], golden)[0])
        gains.append(errors[0] - errors[1])
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains))
