"""Reports of runs say what any design could have saved: the headroom after the last round, and what it rests on."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import bayesrm as brm
from bayesrm import rng
from bayesrm.evaluation.summary import headroom_verdict
from bayesrm.reports.runs import write_report
from bayesrm.runs.combine import combine
from bayesrm.runs.journal import read_records


@pytest.fixture(scope="module")
def world():
    random = np.random.default_rng(0)
    beta, made = np.array([1.0, -0.5, 0.0]), []
    for prompts in (20, 12):
        x = random.standard_t(3, size=(prompts * 5, 3)).astype(np.float32)
        made.append((brm.ResponsePool(x, np.repeat(np.arange(prompts), 5)), x @ beta))
    return made


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    for design in ("random", "pa-dopt"):
        _run(world, design, out / design)
    return out


def _run(world, design, out, inference="laplace", **settings):
    (pool, golden), test = world
    model, annotator = brm.RewardModel(pool, "linear"), brm.GoldenAnnotator(golden)
    options = {"batch_size": 20, "rounds": 2, "draws": 8, "progress": False, "seed": 4} | settings
    return brm.run(pool, annotator, test, model, inference, design, out=out, **options)


def test_a_run_keeps_the_headroom_of_its_last_posterior(world, folder):
    (pool, _), _ = world
    with brm.open_results(folder / "random") as tree:
        kept = float(tree["trajectory"]["headroom"])
        assert tree["trajectory"]["headroom"].dims == ()
    labels = brm.Preferences.none()
    for record in read_records(folder / "random"):
        labels = labels.append(record.labels)
    posterior = brm.fit(brm.RewardModel(pool, "linear"), pool, labels, seed=rng.child(4, "fit"))
    left = brm.candidates(pool, prompts=20, size=20_000, seed=rng.child(4, "headroom"), exclude=labels)
    assert kept == pytest.approx(brm.headroom(posterior, left), rel=1e-6)
    assert kept < 1


def test_a_point_and_a_pool_that_is_used_up_have_none(world, tmp_path):
    assert "headroom" not in _run(world, "random", tmp_path / "plugin", "plugin", rounds=1)["trajectory"]
    (pool, golden), test = world
    with pytest.warns(UserWarning, match="no pair was left to ask"):
        tree = _run(((pool.take(np.arange(10)), golden[:10]), test), "random", None, batch_size=10, rounds=3)
    assert "headroom" not in tree["trajectory"]


def test_the_report_says_it_with_what_it_rests_on(folder):
    trajectory = combine([folder / "random", folder / "pa-dopt"])["trajectory"].to_dataset()
    at_random = float(trajectory["headroom"].sel(design="random").squeeze())
    said = headroom_verdict(trajectory)
    assert said == (
        f"Headroom: a design that stays unbiased can need no less than {at_random:.0%} of the labels that random pairs "
        "need here, by (E h)²/E h² under the last posterior and as far as its model is right."
    )
    assert said.replace("'", "&#39;") in write_report(folder).read_text("utf-8")


def test_settings_that_differ_are_a_range_and_designs_count_where_random_was_not_run():
    shares = xr.DataArray(
        [[[0.6, 0.7], [0.1, 0.1]], [[0.8, 0.9], [0.1, np.nan]]],
        dims=("scope", "design", "seed"),
        coords={"design": ["random", "epig"]},
    )
    results = xr.Dataset({"headroom": shares})
    assert "no less than 65% to 85%, by setting, of the labels" in headroom_verdict(results)
    assert "no less than 10% of the labels" in headroom_verdict(results.sel(design=["epig"]))
    assert "under the posteriors after the last round" in headroom_verdict(results)
    assert headroom_verdict(results * np.nan) == headroom_verdict(xr.Dataset()) == ""
