"""Exchange never does worse than greedy, and ends where no single swap helps."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design import CRITERIA


@pytest.fixture
def problem(world):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=1.0)
    return brm.fit(model, world.pool, world.preferences[:4]), brm.candidates(world.pool, "cross-prompt", size=40)


def worth(objective, candidates, positions) -> float:
    return float(objective.gains(candidates.block_at(np.array(positions))).sum())


@pytest.mark.parametrize("design", ["dopt", "pa-dopt", "xtx"])
def test_no_single_swap_improves_it(problem, design):
    posterior, candidates = problem
    greedy, exchanged = (
        brm.select(posterior, candidates, design, 6, selector) for selector in ("greedy", "exchange")
    )
    assert exchanged.gain.sum() >= greedy.gain.sum() - 1e-12
    with torch.inference_mode():
        objective = CRITERIA[design]().objective(posterior, candidates)
    place = {pair: m for m, pair in enumerate(zip(candidates.first, candidates.second, strict=True))}
    chosen = [place[pair] for pair in zip(exchanged.first, exchanged.second, strict=True)]
    assert len(set(chosen)) == 6
    best = worth(objective, candidates, chosen)
    assert best == pytest.approx(exchanged.gain.sum(), abs=1e-10)
    others = set(range(len(candidates))) - set(chosen)
    for k, other in product(range(6), others):
        assert worth(objective, candidates, [*chosen[:k], other, *chosen[k + 1 :]]) <= best + 1e-9


def test_somewhere_a_swap_helps(world):
    """Greedy is not optimal: over many problems exchange finds something better at least once."""
    gains = []
    for seed in range(30):
        posterior = brm.fit(
            brm.RewardModel(world.pool.dim, "linear", prior_scale=3.0), world.pool, world.preferences[:2]
        )
        candidates = brm.candidates(world.pool, "cross-prompt", size=60, seed=seed)
        greedy, exchanged = (brm.select(posterior, candidates, "xtx", 5, how) for how in ("greedy", "exchange"))
        gains.append(exchanged.gain.sum() - greedy.gain.sum())
    assert max(gains) > 1e-6
    assert min(gains) >= -1e-9
