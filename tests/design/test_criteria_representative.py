"""Moments, information less a discrepancy, near ties, double Thompson, stratified EPIG: by brute force and counts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import norm

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import CRITERIA
from bayesrm.design.base import Design
from bayesrm.design.candidates import sets as candidates_module
from bayesrm.design.criteria.double_thompson import DoubleThompson
from bayesrm.design.criteria.dueling import champions
from bayesrm.design.criteria.epig import EPIG
from bayesrm.design.criteria.moments import Moments
from bayesrm.design.criteria.r_idea import InformationLessDiscrepancy
from bayesrm.design.lists.information import ranking_share
from bayesrm.design.objectives.targets import by_prompt
from bayesrm.design.selectors import greedy
from bayesrm.design.selectors.greedy import Greedy
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.pairs import ListedPairs


@pytest.fixture(scope="module")
def few(pool):
    return brm.candidates(pool, "cross-prompt", size=14, seed=1)


@pytest.fixture(scope="module")
def wide(world):
    """A posterior of logits whose standard deviations are about one."""
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    return brm.fit(model, world.pool, world.preferences[:12])


def _pairs(candidates) -> brm.Comparisons:
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    return brm.Comparisons(candidates.responses[first], candidates.responses[second])


def _positions(candidates, batch) -> list[int]:
    pairs = _pairs(candidates)
    where = {ends: k for k, ends in enumerate(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))}
    return [where[ends] for ends in zip(batch.first.tolist(), batch.second.tolist(), strict=True)]


def _matching(posterior, candidates, axes=64):
    """From positions to f of moments, with dense algebra; and in how many directions candidates differ."""
    features = posterior.features(candidates.pool).numpy()
    information = (posterior.information_cholesky @ posterior.information_cholesky.T).numpy()
    root = np.linalg.inv(np.linalg.cholesky(information))
    own, past = _pairs(candidates), posterior.preferences
    v, old = ((features[p.first] - features[p.second]) @ root.T for p in (own, past))
    values, vectors = np.linalg.eigh(v.T @ v / len(v))
    values, vectors = values[::-1], vectors[:, ::-1]
    longest = np.square(v).sum(axis=1).max()

    def moments(rows):
        squares = np.square(rows @ vectors)
        rest = squares[:, axes:].sum(axis=1, keepdims=True)
        room = np.maximum(longest - squares.sum(axis=1, keepdims=True), 0)
        return np.concatenate([squares[:, :axes], rest, room], axis=1)

    s = moments(v)
    mean = s.mean(axis=0)
    used = mean > 1e-12 * mean.max()
    s, mean, before = s[:, used], mean[used], (mean + moments(old).sum(axis=0))[used]

    def worth(chosen) -> float:
        return float(mean / longest @ np.log1p(s[list(chosen)].sum(axis=0) / before))

    return worth, values.sum() ** 2 / np.square(values).sum()


def _greedy(worth, count, size) -> list[int]:
    chosen: list[int] = []
    for _ in range(size):
        values = [-np.inf if m in chosen else worth([*chosen, m]) for m in range(count)]
        chosen.append(int(np.argmax(values)))
    return chosen


@pytest.mark.parametrize("axes", [2, 64])
def test_moments_are_brute_force_and_certified(wide, few, axes):
    worth, _ = _matching(wide, few, axes)
    batch = brm.select(wide, few, Moments(axes), 3)
    chosen = _greedy(worth, len(few), 3)
    assert _positions(few, batch) == chosen
    np.testing.assert_allclose(np.cumsum(batch.gain), [worth(chosen[: k + 1]) for k in range(3)], rtol=1e-7)
    best = max(worth(triple) for triple in combinations(range(len(few)), 3))
    assert batch.gain.sum() <= best * (1 + 1e-9) <= batch.bound * (1 + 2e-9)
    assert batch.bound < 2 * best


@pytest.mark.parametrize("smallest_tiled", [2, 1000])
def test_moments_of_implicit_candidates_are_those_of_all_of_them(pool, wide, smallest_tiled, monkeypatch):
    """In tiles or listed, without pairs that were asked, and per unit of cost."""
    monkeypatch.setattr(candidates_module, "SMALLEST_TILED", smallest_tiled)
    cost = np.linspace(1.0, 2.0, len(pool))
    plain = brm.candidates(pool, prompts=None, size=None, exclude=wide.preferences)
    worth, _ = _matching(wide, plain)
    assert _positions(plain, brm.select(wide, plain, "moments", 4)) == _greedy(worth, len(plain), 4)
    dear = brm.candidates(pool, prompts=None, size=None, exclude=wide.preferences, cost=cost)
    first, second = _pairs(dear).first, _pairs(dear).second
    gains = np.array([worth([m]) for m in range(len(dear))]) / (cost[first] + cost[second])
    assert _positions(dear, brm.select(wide, dear, "moments", 1)) == [int(gains.argmax())]


def test_moments_are_nearer_to_those_of_all_pairs_than_random_ones(make_world):
    """Of 60 pairs with 20 asked before: the divergence that random pairs have is halved at least."""
    world = make_world(3, sizes=(8,) * 25, dim=12, comparisons=20)
    posterior = brm.fit(brm.RewardModel(12, "linear"), world.pool, world.preferences)
    candidates = brm.candidates(world.pool)
    worth, _ = _matching(posterior, candidates)
    most = np.log1p(60 / 21)
    chosen = most - worth(_positions(candidates, brm.select(posterior, candidates, "moments", 60)))
    random = [
        most - worth(_positions(candidates, brm.select(posterior, candidates, "random", 60, seed=seed)))
        for seed in range(5)
    ]
    assert chosen < 0.5 * min(random)


def test_r_idea_is_brute_force_and_lies_between_its_parts(wide, few):
    worth, directions = _matching(wide, few)
    z = wide.features(few.pool)
    pairs = _pairs(few)
    z = z[pairs.first] - z[pairs.second]
    start = wide.information_cholesky @ wide.information_cholesky.T
    w = wide.likelihood.expected_fisher_weight(*wide.logit_moments(few.pool, pairs))

    def both(chosen, weight) -> float:
        chosen = list(chosen)
        after = start + (z[chosen] * w[chosen, None]).T @ z[chosen]
        return 0.5 * float(torch.logdet(after) - torch.logdet(start)) + weight * directions / 2 * worth(chosen)

    for weight in (0.0, 1.0, 1e6):
        batch = brm.select(wide, few, InformationLessDiscrepancy(weight), 3)
        chosen = _greedy(lambda c, weight=weight: both(c, weight), len(few), 3)
        assert _positions(few, batch) == chosen
        np.testing.assert_allclose(batch.gain.sum(), both(chosen, weight), rtol=1e-7)
        best = max(both(triple, weight) for triple in combinations(range(len(few)), 3))
        assert best <= batch.bound * (1 + 1e-9)
    alone = [brm.select(wide, few, design, 3) for design in ("pa-dopt", "moments")]
    ends = [brm.select(wide, few, InformationLessDiscrepancy(weight), 3) for weight in (0.0, 1e6)]
    assert [_positions(few, batch) for batch in ends] == [_positions(few, batch) for batch in alone]
    with pytest.raises(InvalidInputError, match="at least 0, got -1"):
        InformationLessDiscrepancy(-1.0)


@pytest.mark.parametrize("design", ["moments", "r-idea"])
def test_tiles_and_a_short_shortlist_choose_what_a_list_chooses(pool, wide, design, monkeypatch):
    """Bounds of tiles leave out nothing that a list of the same pairs would take."""
    implicit = brm.candidates(pool, "cross-prompt", prompts=None, size=None)
    listed = brm.candidates(pool, pairs=_pairs(implicit))
    whole = brm.select(wide, listed, design, 12)
    monkeypatch.setattr(candidates_module, "SMALLEST_TILED", 2)
    monkeypatch.setattr(greedy, "SHORTLIST", 8)
    short = brm.select(wide, implicit, design, 12)
    assert [(a, b) for a, b in zip(short.first, short.second, strict=True)] == [
        (a, b) for a, b in zip(whole.first, whole.second, strict=True)
    ]
    np.testing.assert_allclose(short.gain, whole.gain, rtol=1e-7)
    assert short.shortfall == pytest.approx(whole.shortfall, rel=1e-6)


def test_near_ties_are_the_likeliest_wrong_orders_of_pairs_as_unsure_as_others(wide, pool):
    candidates = brm.candidates(pool, "cross-prompt", size=60, seed=2)
    mean, variance = (value.numpy() for value in wide.logit_moments(pool, _pairs(candidates)))
    sd = np.sqrt(variance)
    score = norm.cdf(-np.abs(mean) / sd) * np.minimum(1, sd / np.median(sd))
    batch = brm.select(wide, candidates, "near-ties", 12)
    assert _positions(candidates, batch) == np.argsort(-score, kind="stable")[:12].tolist()
    np.testing.assert_allclose(batch.gain, np.sort(score)[::-1][:12], rtol=1e-9)


def test_near_duplicates_are_no_near_ties():
    """Two answers that differ by a hundredth of others' distance are as even as can be, and not worth asking."""
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    x[1] = x[0] + 0.01
    pool = brm.ResponsePool(x, np.zeros(12, np.int64))
    prior = brm.fit(brm.RewardModel(4, "linear"), pool, brm.Preferences.none())
    candidates = brm.candidates(pool, identical=True)
    batch = brm.select(prior, candidates, "near-ties", len(candidates))
    assert {int(batch.first[-1]), int(batch.second[-1])} == {0, 1}


def test_double_thompson_is_the_procedure_counted(wide, pool):
    """Draw a best response to each prompt, and another until it differs: odds are its frequencies."""
    candidates = brm.candidates(pool, prompts=None, size=None)
    objective = DoubleThompson(draws=64, seed=3).objective(wide, candidates)
    odds = objective.score(candidates.block_at(np.arange(len(candidates)))).numpy()
    pi = champions(wide, candidates, 64, rng.stream(3, "double thompson")).numpy()
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    group = pool.group[candidates.responses]
    draw = np.random.default_rng(0)
    for prompt in np.unique(group):
        own = np.flatnonzero(group == prompt)
        one, other = (draw.choice(own, 40_000, p=pi[own] / pi[own].sum()) for _ in range(2))
        differ = one != other
        counts = np.zeros((len(group),) * 2)
        np.add.at(counts, (one[differ], other[differ]), 1 / differ.sum())
        of_prompt = group[first] == prompt
        expected = (counts + counts.T)[first[of_prompt], second[of_prompt]]
        error = 5 * np.sqrt(odds[of_prompt] / differ.sum())
        assert (np.abs(odds[of_prompt] - expected) <= error + 1e-12).all()


def test_where_the_best_is_clear_any_other_stands_against_it(wide, pool):
    """One draw: each prompt has one best response."""
    candidates = brm.candidates(pool, prompts=None, size=None)
    objective = DoubleThompson(draws=1).objective(wide, candidates)
    odds = objective.score(candidates.block_at(np.arange(len(candidates)))).numpy()
    first, _ = candidates.pairs_at(np.arange(len(candidates)))
    group = pool.group[candidates.responses]
    for prompt in np.unique(group):
        own, rivals = odds[group[first] == prompt], (group == prompt).sum() - 1
        assert sorted(own[own > 0].tolist()) == pytest.approx([1 / rivals] * rivals)


def test_double_thompson_takes_other_draws_with_another_seed(wide, pool):
    candidates = brm.candidates(pool, prompts=None, size=None)
    batches = [brm.select(wide, candidates, "double-thompson", 10, seed=seed) for seed in (0, 0, 1)]
    assert _positions(candidates, batches[0]) == _positions(candidates, batches[1])
    assert _positions(candidates, batches[0]) != _positions(candidates, batches[2])


def test_targets_by_prompt_are_as_many_of_each(make_world):
    pool = make_world(0, sizes=(2, 3, 40, 1, 5)).pool
    size = np.bincount(pool.group)
    for wanted in (3, 10, 30, 1000):
        targets = by_prompt(pool, wanted)
        count = np.bincount(pool.group[targets.first], minlength=len(size))
        assert (pool.group[targets.first] == pool.group[targets.second]).all()
        assert len(
            {frozenset(p) for p in zip(targets.first.tolist(), targets.second.tolist(), strict=True)}
        ) == len(targets)
        share = wanted / (size > 1).sum()
        possible = size * (size - 1) // 2
        assert (count >= np.minimum(possible, np.floor(share))).all()
        assert (count <= np.minimum(possible, np.ceil(share))).all()
    assert len(by_prompt(make_world(0, sizes=(1,) * 6).pool, 5)) == 5


def test_stratified_epig_is_epig_with_these_targets(wide, few, pool):
    own = brm.select(wide, few, "epig-stratified", 4)
    same = brm.select(wide, few, Design(EPIG(by_prompt(pool, 256)), Greedy()), 4)
    assert _positions(few, own) == _positions(few, same)
    np.testing.assert_array_equal(own.gain, same.gain)
    told = [brm.select(wide, few, design, 4, targets=few) for design in ("epig-stratified", "epig")]
    np.testing.assert_array_equal(told[0].gain, told[1].gain)
    elsewhere = brm.select(wide, few, "epig-stratified", 4, targets=pool)
    np.testing.assert_array_equal(elsewhere.gain, own.gain)


@pytest.mark.parametrize("design", ["near-ties", "double-thompson", "epig-stratified"])
def test_lists_can_be_chosen(wide, pool, design):
    batch = brm.select(wide, brm.candidates(pool), design, 3, list_size=3)
    assert batch.lists.shape == (3, 3)


def test_lists_of_moments_are_brute_force(wide, pool):
    """A list counts for its pairs, each by the share of a comparison that a ranking tells of it."""
    candidates = brm.candidates(pool, prompts=None, size=None)
    objective = Moments().objective(wide, candidates)
    reward = wide.reward_moments(pool, candidates.responses).mean
    group = pool.group[candidates.responses]
    lists = [c for prompt in np.unique(group) for c in combinations(np.flatnonzero(group == prompt).tolist(), 3)]

    def counted(members):
        share = ranking_share(reward[list(members)][None])[0]
        ends = torch.tensor(list(combinations(range(3), 2))).T
        pairs = ListedPairs(*(torch.tensor(members)[end] for end in ends))
        return (share[ends[0], ends[1]][:, None] * objective.moments.of(pairs)).sum(dim=0)

    moments, sums = torch.stack([counted(members) for members in lists]), objective.before.clone()
    batch = brm.select(wide, candidates, "moments", 4, list_size=3)
    for own, gain in zip(batch.lists, batch.gain, strict=True):
        gains = torch.log1p(moments / sums) @ objective.share
        best = int(gains.argmax())
        assert sorted(own) == sorted(candidates.responses[list(lists[best])])
        assert gain == pytest.approx(float(gains[best]), rel=1e-9)
        sums, moments[best] = sums + moments[best], 0.0
    assert batch.gain.sum() <= batch.bound


def test_a_design_of_pairs_says_so(wide, pool):
    with pytest.raises(CapabilityError, match="knows pairs only"):
        brm.select(wide, brm.candidates(pool), "r-idea", 3, list_size=3)


def test_they_are_in_the_catalogue():
    assert {"moments", "r-idea", "near-ties", "double-thompson", "epig-stratified"} <= set(CRITERIA)
