"""The study of every design against random: its arithmetic, and its tiny setting end to end."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import ttest_rel

import bayesrm as brm
from bayesrm.runs.results import open_results

STUDY = Path(__file__).resolve().parents[2] / "studies" / "design_table.py"


@pytest.fixture(scope="module")
def study():
    return runpy.run_path(str(STUDY))


def _trajectory(values: dict[tuple[str, str], list[float]]) -> xr.Dataset:
    """1 − Spearman after one round by (scope, design), a figure a seed; other metrics alike."""
    scopes, designs = (sorted({key[part] for key in values}) for part in (0, 1))
    data = np.array([[[[figure] for figure in values[scope, name]] for name in designs] for scope in scopes])
    axes = ("inference", "scope", "design", "seed", "round")
    return xr.Dataset(
        dict.fromkeys(("one_minus_spearman", "best_of_n", "log_loss"), (axes, data[None])),
        coords={"inference": ["laplace"], "scope": scopes, "design": designs, "labels": ("round", [125])},
    )


def test_differences_are_paired_by_seed_with_student_intervals(study):
    random, other = [0.6, 0.7, 0.5, np.nan], [0.55, 0.6, 0.52, 0.1]
    table = study["paired_table"](
        _trajectory({("cross-prompt", "random"): random, ("cross-prompt", "dopt"): other})
    ).set_index("design")
    test = ttest_rel(other[:3], random[:3])
    low, high = test.confidence_interval(0.95)
    row = table.loc["dopt"]
    assert row["seeds"] == 4
    assert row["one_minus_spearman_difference"] == pytest.approx((low + high) / 2)
    assert row["one_minus_spearman_half_width"] == pytest.approx((high - low) / 2)
    assert row["curve_difference"] == pytest.approx((low + high) / 2)
    assert table.loc["random", "one_minus_spearman_difference"] == 0


def test_eligible_is_not_worse_in_either_scope_and_better_across(study):
    noise = np.array([-0.01, 0.0, 0.01])
    gains = {"good": (0.0, -0.1), "worse within": (0.1, -0.1), "no better": (0.0, 0.0), "random": (0.0, 0.0)}
    values = {}
    for name, (within, across) in gains.items():
        own = 0 * noise if name == "random" else noise
        values["within-prompt", name] = list(0.6 + within + own)
        values["cross-prompt", name] = list(0.7 + across + own)
    found = study["eligible"](study["paired_table"](_trajectory(values)))
    assert list(found.index) == [("laplace", "good")]


def test_every_design_is_planned_and_those_that_need_spread_not_with_a_point(study):
    assert sorted(study["ordered"](brm.designs())) == sorted(brm.designs())
    configs = study["plan"](Path("p"), Path("t"), ["random", "bald"], ["laplace", "plugin"], range(2))
    assert {(c.design, c.inference) for c in configs} == {
        ("random", "laplace"),
        ("random", "plugin"),
        ("bald", "laplace"),
    }
    assert [c.seed for c in configs] == [0] * 6 + [1] * 6, (
        "a study that is stopped has whole tables of fewer seeds"
    )


def test_it_runs_in_its_tiny_setting(study, tmp_path, monkeypatch, capsys, short_training):
    monkeypatch.setattr("sys.argv", [str(STUDY), "--tiny", "--inference", "plugin", "--out", str(tmp_path)])
    study["main"]()
    first = capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [str(STUDY), "--table", "--out", str(tmp_path)])
    study["main"]()
    assert capsys.readouterr().out == first
    assert "Need a posterior with spread: bald" in first
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == 2 * 2
    assert set(open_results(tmp_path)["trajectory"].sizes) >= {"scope", "inference", "design", "seed", "round"}
