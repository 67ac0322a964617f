"""Designs of few responses with many features choose in the span of their rows what they choose among all features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design.objectives.narrow import narrow, seen_by


@pytest.fixture(scope="module")
def posterior():
    """Of 300 features, of 24 responses, with 20 labels."""
    r = np.random.default_rng(0)
    pool = brm.ResponsePool(r.normal(size=(24, 300)).astype(np.float32), np.repeat(np.arange(6), 4))
    labels = brm.Preferences(
        np.arange(20), np.arange(20) // 4 * 4 + (np.arange(20) + 1) % 4, r.integers(2, size=20)
    )
    return brm.fit(brm.RewardModel(pool, "linear", prior_scale=0.3), pool, labels)


@pytest.mark.parametrize("criterion", ["dopt", "xtx", "pa-dopt", "vopt", "aopt", "gopt", "epig", "rank"])
def test_choices_and_gains_are_those_in_all_features(criterion, posterior, monkeypatch):
    """To 1e-9 of the gain of each pair, chosen greedily."""
    candidates = brm.candidates(posterior.pool, prompts=None)

    def select():
        return brm.select(posterior, candidates, criterion, 4, targets=None)

    got = select()
    monkeypatch.setattr("bayesrm.utils.span.FEWEST", 10**9)
    wanted = select()
    assert got.first.tolist() == wanted.first.tolist()
    assert got.second.tolist() == wanted.second.tolist()
    np.testing.assert_allclose(got.gain, wanted.gain, rtol=1e-9)
    assert (got.bound is None) == (wanted.bound is None)
    assert got.bound is None or got.bound == pytest.approx(wanted.bound, rel=1e-6)


def test_inner_products_stay_and_coordinates_are_few():
    """Of rows and targets; of what targets have outside of the rows' span nothing is kept by ``seen_by``."""
    generator = torch.Generator().manual_seed(0)
    rows, targets = (torch.randn(n, 400, generator=generator, dtype=torch.float64) for n in (7, 5))
    u, t = narrow(rows, targets)
    assert u.shape == (7, 12)
    torch.testing.assert_close(
        torch.cat([u, t]) @ torch.cat([u, t]).T, torch.cat([rows, targets]) @ torch.cat([rows, targets]).T
    )
    u, t = seen_by(rows, targets)
    assert u.shape == (7, 7)
    assert t.shape == (5, 7)
    torch.testing.assert_close(u @ t.T, rows @ targets.T)
    few = rows[:, :100]
    assert narrow(few)[0] is few
