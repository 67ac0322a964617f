"""The coreset's sensitivities and the cold start's coverage against direct loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.design.criteria.coreset import _clusters, sensitivity


@pytest.fixture(scope="module")
def few(pool):
    return brm.candidates(pool, "cross-prompt", size=40, seed=1)


def _positions(candidates, batch) -> list[int]:
    ends = zip(candidates.first.tolist(), candidates.second.tolist(), strict=True)
    where = {pair: k for k, pair in enumerate(ends)}
    return [where[pair] for pair in zip(batch.first.tolist(), batch.second.tolist(), strict=True)]


def test_sensitivities_are_those_of_the_lemma():
    x = np.random.default_rng(0).normal(size=(30, 3))
    centres, sizes = _clusters(torch.from_numpy(x), 4)
    label = np.linalg.norm(x[:, None] - centres.numpy()[None], axis=2).argmin(axis=1)
    got = sensitivity(torch.from_numpy(x), centres, sizes, 1.5, 30).numpy()
    for n in range(30):
        total = 1.0
        for i in range(4):
            others = np.array([k for k in range(30) if label[k] == i and k != n])
            if len(others):
                total += len(others) * np.exp(-1.5 * np.linalg.norm(x[others].mean(axis=0) - x[n]))
        assert got[n] == pytest.approx(30 / total, rel=1e-9)


def test_the_coreset_does_not_depend_on_orientation(laplace, few):
    reverse = type(few)(few.pool, brm.Comparisons(few.second, few.first))
    at = np.arange(len(few))
    scores = [CRITERIA["coreset"]().objective(laplace, c).score(c.block_at(at)).numpy() for c in (few, reverse)]
    np.testing.assert_allclose(*scores, rtol=1e-9)
    assert scores[0].min() > 0
    assert brm.select(laplace, few, "coreset", 5).inclusion is not None


def test_the_cold_start_is_greedy_k_medoids(world, few):
    prior = brm.fit(brm.RewardModel(6, "linear"), world.pool, brm.Preferences.none())
    u = prior.information_factor(world.pool, np.arange(len(world.pool))).numpy()
    v = u[few.first] - u[few.second]
    apart = np.minimum(((v[:, None] - v) ** 2).sum(axis=2), ((v[:, None] + v) ** 2).sum(axis=2))
    batch = brm.select(prior, few, "cold-start", 6)
    near, chosen, gains = (v**2).sum(axis=1), [], []
    for _ in range(6):
        values = np.maximum(near - apart, 0).mean(axis=1)
        chosen.append(int(values.argmax()))
        gains.append(values.max())
        near = np.minimum(near, apart[chosen[-1]])
    assert _positions(few, batch) == chosen
    np.testing.assert_allclose(batch.gain, gains, rtol=1e-6)
    swapped = brm.select(prior, few, "cold-start", 6, "exchange")
    assert batch.gain.sum() * (1 - 1e-9) <= swapped.gain.sum() <= batch.bound * (1 + 1e-9)


@pytest.mark.parametrize("design", ["coreset", "cold-start"])
def test_one_pair_and_equal_responses(pool, laplace, design):
    assert len(brm.select(laplace, brm.candidates(pool, size=1), design, 1)) == 1
    equal = brm.ResponsePool(np.ones((6, pool.dim), np.float32), np.repeat([0, 1], 3))
    batch = brm.select(laplace, brm.candidates(equal, size=None, identical=True), design, 3)
    assert len(batch) == 3
    assert np.isfinite(batch.gain).all()
