"""BatchBALD against enumeration, its limit and its ceiling; PowerBALD and double Thompson sampling by their odds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import CRITERIA
from bayesrm.design.base import Design
from bayesrm.design.search.ranking import sample
from bayesrm.design.selectors.greedy import Greedy
from bayesrm.errors import InvalidInputError


@pytest.fixture(scope="module")
def wide(world):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    return brm.fit(model, world.pool, world.preferences[:12])


@pytest.fixture(scope="module")
def ties(world):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5, likelihood="rao-kupper")
    return brm.fit(model, world.pool, world.preferences[:12])


@pytest.fixture(scope="module")
def few(pool):
    return brm.candidates(pool, "cross-prompt", size=12, seed=1)


def _draws(posterior, candidates, draws, seed) -> np.ndarray:
    """(outcome, draw, pair) probabilities under the same draws as the criterion's."""
    rewards = posterior.sample_rewards(
        candidates.pool, candidates.responses, draws, rng.stream(seed, "batchbald")
    ).double()
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    return (
        posterior.likelihood.outcome_probabilities(rewards[:, first] - rewards[:, second]).permute(2, 0, 1).numpy()
    )


def _joint_information(p: np.ndarray, chosen: list[int]) -> float:
    """I(y_C; k) by enumerating every configuration of the answers."""
    total = 0.0
    for outcomes in itertools.product(range(len(p)), repeat=len(chosen)):
        probability = np.prod([p[y, :, m] for y, m in zip(outcomes, chosen, strict=True)], axis=0).mean()
        total -= probability * math.log(probability)
    return total + float((p[:, :, chosen] * np.log(p[:, :, chosen])).sum(axis=(0, 2)).mean())


def _positions(candidates, batch) -> list[int]:
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    ends = zip(candidates.responses[first].tolist(), candidates.responses[second].tolist(), strict=True)
    where = {pair: k for k, pair in enumerate(ends)}
    return [where[pair] for pair in zip(batch.first.tolist(), batch.second.tolist(), strict=True)]


@pytest.mark.parametrize("kind", ["wide", "ties"])
def test_batchbald_is_exact_enumeration(request, few, kind):
    posterior = request.getfixturevalue(kind)
    p = _draws(posterior, few, 100, seed=3)
    chosen: list[int] = []
    for _ in range(4):
        values = [-1.0 if m in chosen else _joint_information(p, [*chosen, m]) for m in range(len(few))]
        chosen.append(int(np.argmax(values)))
    batch = brm.select(posterior, few, "batchbald", 4, seed=3)
    assert _positions(few, batch) == chosen
    exact = [_joint_information(p, chosen[: k + 1]) for k in range(4)]
    np.testing.assert_allclose(np.cumsum(batch.gain), exact, atol=1e-10)
    best = max(_joint_information(p, list(c)) for c in itertools.combinations(range(12), 4))
    assert exact[-1] <= best + 1e-12 <= batch.bound + 1e-9


def test_sampled_configurations_come_close_to_all(wide, pool):
    candidates = brm.candidates(pool, "cross-prompt", size=200, seed=2)
    exact = Design(CRITERIA["batchbald"](configurations=4096), Greedy()).select(wide, candidates, 12)
    few = Design(CRITERIA["batchbald"](configurations=512), Greedy()).select(wide, candidates, 12)
    assert few.gain.sum() == pytest.approx(exact.gain.sum(), rel=0.03)
    objective = CRITERIA["batchbald"](configurations=4096).objective(wide, candidates)
    positions = np.array(_positions(candidates, few))
    assert float(objective.gains(candidates.block_at(positions)).sum()) > 0.97 * exact.gain.sum()


def test_gains_over_sampled_configurations_are_close_for_every_pair(wide, pool):
    """Configurations that share a random number, say, answer alike, and are off by a third of a gain."""
    candidates = brm.candidates(pool, "cross-prompt", size=100, seed=2)
    block = candidates.block_at(np.arange(100))
    gains = []
    for configurations in (4096, 512):
        batch = CRITERIA["batchbald"](configurations=configurations).objective(wide, candidates).batch()
        batch.track(block)
        for index in range(12):
            batch.add(index)
        gains.append(batch.score()(block)[12:].numpy())
    exact, sampled = gains
    # A gain is an average over 512 entropies, none of which is above log 2.
    assert np.abs(sampled - exact).max() < 5 * np.log(2) / 2 / np.sqrt(512)
    assert (sampled - exact).std() < 0.12 * exact.std()


def test_greedy_is_not_misled_by_what_is_overestimated(wide, pool):
    """Gains sum up to the joint information that enumerating all 4,096 configurations finds."""
    candidates = brm.candidates(pool, "cross-prompt", size=200, seed=2)
    batch = Design(CRITERIA["batchbald"](configurations=256), Greedy()).select(wide, candidates, 12)
    exact = CRITERIA["batchbald"](configurations=4096).objective(wide, candidates)
    gains = exact.gains(candidates.block_at(np.array(_positions(candidates, batch))))
    assert batch.gain.sum() == pytest.approx(float(gains.sum()), rel=0.02)


def test_lazy_greedy_is_greedy(wide, pool):
    plain = brm.candidates(pool, "cross-prompt", size=300, seed=2)
    capped = brm.candidates(pool, "cross-prompt", size=300, seed=2, per_prompt=1000)
    batches = [brm.select(wide, candidates, "batchbald", 9) for candidates in (plain, capped)]
    assert _positions(plain, batches[0]) == _positions(plain, batches[1])
    np.testing.assert_array_equal(batches[0].gain, batches[1].gain)


def test_beyond_the_ceiling_pairs_follow_by_their_own_information(make_world):
    world = make_world(2, sizes=(10,) * 8, dim=20, comparisons=0)
    posterior = brm.fit(brm.RewardModel(20, "linear", prior_scale=4.0), world.pool, brm.Preferences.none())
    candidates = brm.candidates(world.pool, "cross-prompt", size=300)
    batch = Design(CRITERIA["batchbald"](draws=8), Greedy()).select(posterior, candidates, 30)
    assert batch.gain.sum() <= math.log(8) + 1e-9
    reached = int(np.argmax(np.cumsum(batch.gain) > 0.9 * math.log(8))) + 1
    assert reached < 15
    objective = CRITERIA["batchbald"](draws=8).objective(posterior, candidates)
    own = objective.batch().score()(candidates.block_at(np.arange(300))).numpy()
    later = own[_positions(candidates, batch)[reached:]]
    assert (np.diff(later) <= 1e-12).all()
    assert later[-1] >= np.sort(own)[-30] - 1e-12


def test_gaussian_batchbald_is_past_aware_d_optimality(laplace, pool):
    candidates = brm.candidates(pool, "cross-prompt", size=200)
    ours, theirs = (brm.select(laplace, candidates, name, 10) for name in ("batchbald-gaussian", "pa-dopt"))
    assert _positions(candidates, ours) == _positions(candidates, theirs)
    np.testing.assert_array_equal(ours.gain, theirs.gain)


def test_of_little_spread_batchbald_is_gaussian(world):
    posterior = brm.fit(brm.RewardModel(6, "linear", prior_scale=0.02), world.pool, brm.Preferences.none())
    candidates = brm.candidates(world.pool, "cross-prompt", size=30)
    design = Design(CRITERIA["batchbald"](draws=20_000), Greedy())
    sampled = design.select(posterior, candidates, 4)
    gaussian = CRITERIA["batchbald-gaussian"]().objective(posterior, candidates)
    exact = gaussian.gains(candidates.block_at(np.array(_positions(candidates, sampled)))).numpy()
    # The variance of K draws is known to √(2/K), and the largest of thirty is chosen.
    np.testing.assert_allclose(sampled.gain, exact, rtol=5 * math.sqrt(2 / 20_000) + 0.01)


def test_exchange_never_loses_joint_information(wide, few):
    batches = [brm.select(wide, few, "batchbald", 4, selector) for selector in ("greedy", "exchange")]
    assert batches[1].gain.sum() >= batches[0].gain.sum() - 1e-9


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"draws": 1}, "at least 2 draws"), ({"configurations": 0}, "configurations to be a whole")],
)
def test_settings_rejected(settings, expected):
    with pytest.raises(InvalidInputError, match=expected):
        CRITERIA["batchbald"](**settings)


@pytest.mark.parametrize("design", ["batchbald", "batchbald-gaussian", "power-bald", "dueling"])
def test_one_pair_and_equal_responses(pool, wide, design):
    assert len(brm.select(wide, brm.candidates(pool, size=1), design, 1)) == 1
    equal = brm.ResponsePool(np.ones((6, pool.dim), np.float32), np.repeat([0, 1], 3))
    batch = brm.select(wide, brm.candidates(equal, size=None, identical=True), design, 3)
    assert len(batch) == 3
    assert np.isfinite(batch.gain).all()


def test_power_bald_samples_in_proportion_to_bald(wide, few):
    batch = brm.select(wide, few, "bald", 12)
    information = np.empty(12)
    information[_positions(few, batch)] = batch.gain
    share, draws = information / information.sum(), 3000
    # What the selector samples from, computed once.
    everything = few.block_at(np.arange(12))
    odds = CRITERIA["power-bald"]().objective(wide, few).gradient(few)(everything)
    table = torch.zeros((len(few.responses),) * 2, dtype=torch.float64)
    table[everything.first, everything.second] = odds
    generator = rng.stream(0, "test")
    first = [int(sample(few, lambda b: table[b.first, b.second], 1, generator)[0]) for _ in range(draws)]
    counts = np.bincount(first, minlength=12)
    assert (np.abs(counts / draws - share) < 5 * np.sqrt(share * (1 - share) / draws) + 1e-9).all()
    # The batch of a single pair has the probability that its odds say.
    chosen = brm.select(wide, few, "power-bald", 1)
    assert chosen.inclusion == pytest.approx(share[_positions(few, chosen)], rel=0.1)


def test_dueling_pairs_are_two_champions(wide, pool):
    """Two draws, the best response to a prompt under each, asked again where both are the same."""
    prompt = int(np.argmax([len(members) for members in pool.members]))
    members = pool.members[prompt]
    candidates = brm.candidates(
        brm.ResponsePool(pool.embeddings[members], np.zeros(len(members))), prompts=None, size=None
    )
    rewards = wide.sample_rewards(candidates.pool, np.arange(len(members)), 200_000, rng.stream(7, "test"))
    champion = np.bincount(rewards.argmax(dim=1).numpy(), minlength=len(members)) / len(rewards)
    objective = CRITERIA["dueling"](draws=50_000).objective(wide, candidates)
    odds = objective.score(candidates.block_at(np.arange(len(candidates)))).numpy()
    a, b = candidates.pairs_at(np.arange(len(candidates)))
    np.testing.assert_allclose(odds, champion[a] * champion[b], atol=5 * math.sqrt(0.5 / 50_000))
