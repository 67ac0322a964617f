"""Runs of lists: rankings as labels, texts read, resumed as they would have gone on."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.errors import InvalidInputError


def _run(world, **settings):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    usual = {"design": "pa-dopt", "batch_size": 6, "rounds": 2, "draws": 8, "list_size": 4}
    annotator = brm.GoldenAnnotator(world.golden, 2.0)
    return brm.run(world.pool, annotator, (world.pool, world.golden), model, **(usual | settings))


def test_labels_are_rankings_and_texts_are_counted(world, tmp_path):
    tree = _run(world, out=tmp_path / "run")
    trajectory = tree["trajectory"]
    assert trajectory["labels"].values.tolist() == [6, 12]
    assert trajectory["texts"].values.tolist() == [24, 48]
    lists = tree["selection"]["lists"].values
    assert lists.shape == (12, 4)
    assert all(len(set(world.pool.group[members])) == 1 for members in lists)
    assert tree["selection"]["asked_in_round"].values.tolist() == [0] * 6 + [1] * 6
    assert np.isfinite(trajectory["one_minus_spearman"]).all()
    assert len(tree["observed_data"]["outcome"]) == 12 * 6
    again = brm.open_results(tmp_path / "run")
    np.testing.assert_array_equal(again["trajectory"]["texts"], trajectory["texts"])


def test_a_run_that_was_cut_short_goes_on(world, tmp_path):
    whole = _run(world, out=tmp_path / "whole")
    _run(world, out=tmp_path / "short", rounds=1)
    resumed = _run(world, out=tmp_path / "short")
    for group, name in (("selection", "lists"), ("selection", "gain"), ("trajectory", "one_minus_spearman")):
        np.testing.assert_array_equal(resumed[group][name].values, whole[group][name].values)


def test_pairs_count_two_texts_each(world):
    trajectory = _run(world, list_size=2)["trajectory"]
    assert trajectory["texts"].values.tolist() == [12, 24]


def test_a_likelihood_of_pairs_is_refused_before_anything_is_asked(world):
    model = brm.RewardModel(world.pool.dim, "linear", likelihood="davidson")
    with pytest.raises(InvalidInputError, match=r"rankings, which the likelihood 'davidson' does not know"):
        brm.run(world.pool, brm.GoldenAnnotator(world.golden), model=model, list_size=3)
    with pytest.raises(InvalidInputError, match="list_size"):
        _run(world, list_size=9)
