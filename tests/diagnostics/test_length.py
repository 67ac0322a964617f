"""The check of length: figures of baselines and of the model, and a warning where length alone does as well."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.diagnostics.checks.base import Subject
from bayesrm.diagnostics.checks.length import Length
from bayesrm.evaluation.baselines import length_share


def _world(texts: bool = True):
    r = np.random.default_rng(0)
    x = r.normal(size=(60, 3)).astype(np.float32)
    length = np.exp(r.normal(3, 0.5, 60)).astype(int) + 1
    pool = brm.ResponsePool(x, np.repeat(np.arange(10), 6), texts=["a" * n for n in length] if texts else None)
    prefs = brm.GoldenAnnotator(np.log(length), temperature=3.0).label(brm.candidates(pool, size=60))
    return pool, np.log(length), brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs)


def _subject(posterior, test):
    return Subject(posterior.to_datatree(8), posterior, test)


def test_beside_the_model_stands_what_needs_no_label():
    pool, golden, posterior = _world()
    finding = Length().run(_subject(posterior, (pool, golden)))
    shown = finding.data["one_minus_spearman"].to_series()
    assert shown["model"] == pytest.approx(brm.evaluate(posterior, pool, golden)["one_minus_spearman"])
    assert shown["log_characters"] == pytest.approx(0.0)
    assert shown["random"] == pytest.approx(1.0)
    assert finding.status == "bad", "length alone ranks perfectly here"
    assert "brought nothing beyond length" in finding.sentence


def test_without_a_test_pool_the_share_alone():
    pool, _, posterior = _world()
    finding = Length().run(_subject(posterior, None))
    share = length_share(posterior.reward(pool)[0], pool)
    assert float(finding.data["length_share"]) == share
    assert f"{share:.0%} of what the model knows is length" in finding.sentence


def test_it_is_skipped_where_lengths_are_not_known():
    _, _, posterior = _world(texts=False)
    finding = Length().run(_subject(posterior, None))
    assert finding.status == "skipped"
    assert "the pool has no texts" in finding.sentence
