"""Lists: the information of rankings by enumeration, greedy by brute force, and what may be in a list."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.design.criteria.epig import EPIG
from bayesrm.design.lists import greedy, groups, sampled
from bayesrm.design.lists.information import grounded, ranking_share
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.inference.nuts import Nuts
from bayesrm.posteriors.pairs import ListedPairs

INFORMATION = ("pa-dopt", "dopt", "vopt", "aopt", "epig", "rank", "regret", "gopt", "rank-vopt", "xtx")
SCORES = ("entropy", "maxdiff", "bald", "random", "within-first", "coreset", "power-bald")


@pytest.fixture(scope="module")
def posterior(world):
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    return brm.fit(model, world.pool, world.preferences[:25])


@pytest.fixture(scope="module")
def small(world):
    """All pairs of the prompts with five to seven responses."""
    sizes = np.bincount(world.pool.group)
    kept = np.flatnonzero(np.isin(sizes, (5, 6, 7)))
    index = np.flatnonzero(np.isin(world.pool.group, kept))
    pairs = [pair for prompt in kept for pair in combinations(index[world.pool.group[index] == prompt], 2)]
    return brm.candidates(world.pool, pairs=brm.Comparisons(*np.array(pairs).T))


def _information(reward: np.ndarray) -> np.ndarray:
    """E[score scoreᵀ] over all rankings, scores by differentiating the log-probability as it is written."""
    return _enumerated(tuple(reward.tolist()))


@cache
def _enumerated(reward: tuple[float, ...]) -> np.ndarray:
    r = torch.tensor(reward, dtype=torch.float64).requires_grad_(True)
    total = np.zeros((len(reward),) * 2)
    for order in permutations(range(len(reward))):
        left = [r[list(order[place:])] for place in range(len(order) - 1)]
        log_p = sum(rest[0] - torch.logsumexp(rest, 0) for rest in left)
        (score,) = torch.autograd.grad(log_p, r)
        total += float(log_p.detach().exp()) * np.outer(score, score)
    return total


def _laplacian(weight: np.ndarray) -> np.ndarray:
    return np.diag(weight.sum(axis=-1)) - weight


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_information_of_a_ranking_by_enumeration(size):
    reward = np.random.default_rng(size).normal(size=size) * 2
    p = 1 / (1 + np.exp(reward[None] - reward[:, None]))
    weight = p * (1 - p) * ranking_share(torch.from_numpy(reward)).numpy()
    np.testing.assert_allclose(_laplacian(weight), _information(reward), rtol=1e-10, atol=1e-12)
    expected = _information(reward)[:-1, :-1]
    np.testing.assert_allclose(grounded(torch.from_numpy(weight)).numpy(), expected, rtol=1e-10, atol=1e-12)


def test_shares_of_rankings():
    """One for the pair alone, 4/9 + 1/3 for three equals, never above one, also where rewards are far apart."""
    two, three = ranking_share(torch.tensor([1.3, -9.0]).double()), ranking_share(torch.zeros(3).double())
    assert two[0, 1] == 1.0
    torch.testing.assert_close(three[0, 1], torch.tensor(7 / 9).double())
    far = ranking_share(torch.tensor([[1e4, 0.0, 1.0, -1e4], [0.0, 1e-3, 500.0, 499.0]]).double())
    assert torch.isfinite(far).all()
    assert (far <= 1 + 1e-12).all()


@pytest.mark.parametrize("size", [3, 4])
def test_expected_information_is_close_to_that_of_draws(size):
    """E w ρ(m) against the mean over rewards of one logit's sd, of which the trace is within a tenth."""
    r = np.random.default_rng(size)
    for _ in range(3):
        mean, factor = r.normal(size=size), r.normal(size=(size, size)) / np.sqrt(2 * size)
        draws = torch.from_numpy(mean + r.normal(size=(4000, size)) @ factor.T)
        p = torch.sigmoid(draws[:, :, None] - draws[:, None])
        exact = (p * (1 - p) * ranking_share(draws)).mean(dim=0)
        approximate = (p * (1 - p)).mean(dim=0) * ranking_share(torch.from_numpy(mean))
        assert float(approximate.sum() / exact.sum()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("design", sorted(brm.designs()))
def test_a_list_of_two_is_the_pair_design(world, posterior, design):
    candidates = brm.candidates(world.pool, size=60, seed=1)
    pairs = brm.select(posterior, candidates, design, size=6, seed=3)
    lists = brm.select(posterior, candidates, design, size=6, seed=3, list_size=2)
    np.testing.assert_array_equal(lists.lists, np.stack([pairs.first, pairs.second], axis=1))
    np.testing.assert_array_equal(lists.gain, pairs.gain)
    assert lists.texts == 12


def _worth(design: str, posterior, candidates):
    """f of a batch of lists, straight from its definition: dense matrices, rankings enumerated."""
    objective = CRITERIA[design]().objective(posterior, candidates)
    u = objective.whitened.numpy()
    reward = posterior.reward_moments(candidates.pool, candidates.responses).mean.numpy()

    a, b = np.triu_indices(len(u), 1)
    weights = np.zeros((len(u), len(u)))
    weights[a, b] = objective.weight(ListedPairs(torch.from_numpy(a), torch.from_numpy(b))).numpy()
    weights = weights + weights.T

    @cache
    def information(rows: tuple[int, ...]) -> np.ndarray:
        own = reward[list(rows)]
        p = 1 / (1 + np.exp(own[None] - own[:, None]))
        share = -_information(own) / (p * (1 - p))
        np.fill_diagonal(share, 0.0)
        v = u[list(rows)]
        return v.T @ _laplacian(weights[np.ix_(rows, rows)] * share) @ v

    def value(lists) -> float:
        a = np.eye(u.shape[1]) + sum(information(tuple(rows.tolist())) for rows in lists)
        if hasattr(objective, "loss"):
            t = objective.targets.numpy()
            left = torch.from_numpy(np.einsum("ti,ij,tj->t", t, np.linalg.inv(a), t))
            before = torch.from_numpy((t**2).sum(axis=1))
            return float(objective.loss.total(before) - objective.loss.total(left))
        if hasattr(objective, "targets"):
            t = objective.targets.numpy()
            return float((t**2).sum() - np.trace(t @ np.linalg.inv(a) @ t.T))
        return 0.5 * float(np.linalg.slogdet(a)[1])

    return value


def _every_list(candidates, size):
    prompt = candidates.pool.group[candidates.responses]
    for own in np.unique(prompt):
        yield from (np.array(rows) for rows in combinations(np.flatnonzero(prompt == own), size))


@pytest.mark.parametrize("design", INFORMATION)
@pytest.mark.parametrize("size", [3, 4])
def test_greedy_is_the_best_of_all_lists_each_time(posterior, small, design, size):
    value = _worth(design, posterior, small)
    batch = brm.select(posterior, small, design, size=3, list_size=size)
    chosen, before = [], 0.0
    for members, gain in zip(batch.lists, batch.gain, strict=True):
        rows = np.searchsorted(small.responses, members)
        done = [set(each.tolist()) for each in chosen]
        best = max(value([*chosen, rows]) for rows in _every_list(small, size) if set(rows.tolist()) not in done)
        chosen.append(rows)
        now = value(chosen)
        assert gain == pytest.approx(now - before, rel=1e-7, abs=1e-12)
        # Where prices order lists, the best by them may be the second best by a hair.
        assert now - before == pytest.approx(best - before, rel=1e-6)
        before = now


@pytest.mark.parametrize("design", ["pa-dopt", "vopt", "epig", "rank"])
def test_no_batch_is_above_the_bound(posterior, small, design):
    value = _worth(design, posterior, small)
    batch = brm.select(posterior, small, design, size=2, list_size=4)
    every = list(_every_list(small, 4))
    pairs = np.random.default_rng(0).permutation(list(combinations(range(len(every)), 2)))[:300]
    best = max(value([every[a], every[b]]) for a, b in pairs)
    assert batch.gain.sum() <= batch.bound + 1e-9
    assert best <= batch.bound + 1e-9
    assert batch.shortfall == pytest.approx(batch.bound - batch.gain.sum())


@pytest.mark.parametrize("design", ["pa-dopt", "epig"])
def test_grown_lists_are_nearly_the_best(world, posterior, small, design, monkeypatch):
    exact = brm.select(posterior, small, design, size=3, list_size=4)
    monkeypatch.setattr(groups, "ENUMERATED", 0)
    grown = brm.select(posterior, small, design, size=3, list_size=4)
    assert grown.bound is None
    assert 0.98 * exact.gain.sum() <= grown.gain.sum() <= 1.02 * exact.gain.sum()
    _require_lists(world.pool, grown)


def _require_lists(pool, batch):
    for members in batch.lists:
        assert len(set(members)) == len(members)
        assert len(set(pool.group[members])) == 1
    assert len({frozenset(members.tolist()) for members in batch.lists}) == len(batch)


@pytest.mark.parametrize("design", [*INFORMATION, *SCORES])
def test_lists_are_of_one_prompt_and_seeded(world, posterior, design):
    candidates = brm.candidates(world.pool, prompts=None, size=None, exclude=world.preferences)
    batch = brm.select(posterior, candidates, design, size=4, list_size=3, seed=5)
    again = brm.select(posterior, candidates, design, size=4, list_size=3, seed=5)
    np.testing.assert_array_equal(batch.lists, again.lists)
    assert batch.lists.shape == (4, 3)
    assert batch.texts == 12
    assert batch.lists.dtype == np.int64
    _require_lists(world.pool, batch)
    asked = {frozenset(ends) for ends in zip(world.preferences.first, world.preferences.second, strict=True)}
    for members in batch.lists:
        assert any(frozenset(pair) not in asked for pair in combinations(members.tolist(), 2))
    if design == "random":
        assert not batch.gain.any()


def test_random_lists_are_uniform(world, posterior, monkeypatch):
    """Drawn with replacement from a few, and from all: each of the lists as often as any other."""
    candidates = brm.candidates(world.pool, prompts=None, size=None)
    every = [frozenset(candidates.responses[rows].tolist()) for rows in _every_list(candidates, 5)]
    for listed in (50_000, 40):
        monkeypatch.setattr(sampled, "LISTED", listed)
        counts = dict.fromkeys(every, 0)
        for seed in range(100):
            batch = brm.select(posterior, candidates, "random", size=8, list_size=5, seed=seed)
            for members in batch.lists:
                counts[frozenset(members.tolist())] += 1
        mean = 100 * 8 / len(every)
        chi_square = sum((count - mean) ** 2 / mean for count in counts.values())
        assert chi_square < len(every) + 5 * np.sqrt(2 * len(every))


def test_scores_are_means_over_pairs(world, posterior, small):
    batch = brm.select(posterior, small, "maxdiff", size=4, list_size=3)
    mean, _ = posterior.reward(world.pool)
    scores = {
        tuple(rows): np.mean([abs(mean[a] - mean[b]) for a, b in combinations(small.responses[rows], 2)])
        for rows in _every_list(small, 3)
    }
    np.testing.assert_allclose(batch.gain, sorted(scores.values(), reverse=True)[:4], rtol=1e-9)


@pytest.mark.parametrize("design", ["pa-dopt", "random"])
def test_caps_count_lists(world, posterior, design):
    base = brm.candidates(world.pool, prompts=None, size=None)
    capped = brm.candidates(world.pool, prompts=None, size=None, per_prompt=2, per_response=1)
    batch = brm.select(posterior, capped, design, size=8, list_size=3)
    assert np.bincount(batch.lists.ravel()).max() == 1
    assert np.bincount(world.pool.group[batch.lists[:, 0]]).max() <= 2
    assert len(brm.select(posterior, base, design, size=20, list_size=3)) == 20
    with pytest.raises(InvalidInputError, match=r"batch of 200 lists.*only .* per_prompt=2, per_response=1"):
        brm.select(posterior, capped, design, size=200, list_size=3)


def test_costs_are_summed_over_members(world, posterior, small):
    cost = np.random.default_rng(0).uniform(0.2, 5.0, len(world.pool))
    dear = brm.candidates(world.pool, pairs=brm.Comparisons(small.first, small.second), cost=cost)
    value = _worth("pa-dopt", posterior, small)
    (members,) = brm.select(posterior, dear, "pa-dopt", size=1, list_size=3).lists
    every = [small.responses[rows] for rows in _every_list(small, 3)]
    ratios = [value([np.searchsorted(small.responses, own)]) / cost[own].sum() for own in every]
    assert set(every[int(np.argmax(ratios))]) == set(members)
    (cheap,) = brm.select(posterior, dear, "random", size=1, list_size=3).lists
    assert len(cheap) == 3
    each = brm.candidates(
        world.pool, pairs=brm.Comparisons(small.first, small.second), cost=lambda a, b: a + b + 1.0
    )
    with pytest.raises(InvalidInputError, match="cost for each response"):
        brm.select(posterior, each, "pa-dopt", size=1, list_size=3)


def test_near_duplicates_share_no_list(posterior, world):
    embeddings = world.pool.embeddings.copy()
    members = world.pool.members[int(np.argmax(np.bincount(world.pool.group)))]
    embeddings[members[:4]] = embeddings[members[0]]
    pool = replace(world.pool, embeddings=embeddings)
    for design in ("pa-dopt", "random"):
        for size in (None, 100):
            batch = brm.select(
                brm.fit(posterior.model, pool, brm.Preferences.none()),
                brm.candidates(pool, prompts=None, size=size, seed=1), design, size=15, list_size=3,
            )  # fmt: skip
            for own in batch.lists:
                assert len(set(own.tolist()) & set(members[:4].tolist())) <= 1


def test_other_posteriors_choose_lists(world):
    labels = world.preferences[:40]
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    for inference in ("plugin", Nuts(chains=1, draws=30, warmup=15)):
        fitted = brm.fit(model, world.pool, labels, inference, seed=0)
        batch = brm.select(fitted, brm.candidates(world.pool), "pa-dopt", size=3, list_size=4)
        assert (batch.gain > 0).all()


def test_explanation_of_lists(world, posterior):
    texts = [f"text {at}" for at in range(len(world.pool))]
    pool = replace(world.pool, texts=texts)
    batch = brm.select(posterior, brm.candidates(pool), "pa-dopt", size=2, list_size=3)
    table = batch.explain().table
    assert table.index.names == ["list", "place"]
    assert len(table) == 6
    np.testing.assert_array_equal(table["response"], batch.lists.ravel())
    assert table["text"].tolist() == [texts[at] for at in batch.lists.ravel()]
    mean, _ = posterior.reward(pool)
    best = np.exp(mean[batch.lists])
    np.testing.assert_allclose(table["best"], (best / best.sum(axis=1, keepdims=True)).ravel(), rtol=1e-9)
    reward = mean[batch.lists] - mean[batch.lists].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(table["reward"], reward.ravel(), atol=1e-9)
    np.testing.assert_allclose(table["gain"], np.repeat(batch.gain, 3))
    assert "2 lists chosen by pa-dopt" in str(batch.explain())
    with pytest.raises(InvalidInputError, match=r"selection\.explain"):
        replace(batch, posterior=None).explain()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"list_size": 10}, InvalidInputError, "list_size between 2, which is a pair, and 8, got 10"),
        ({"list_size": 1}, InvalidInputError, "list_size between 2"),
        ({"list_size": 8}, InvalidInputError, "at most 7 responses, as many as a prompt has.*list_size=8"),
        ({"list_size": 3, "size": 0}, InvalidInputError, "at least 1 list, got 0"),
        ({"list_size": 7, "size": 3}, InvalidInputError, "batch of 3 lists, and there are only 1 of 7 responses"),
        (
            {"list_size": 3, "design": "batchbald"},
            CapabilityError,
            "'batchbald' knows pairs only.*such as pa-dopt",
        ),
        ({"list_size": 3, "design": "cold-start"}, CapabilityError, "'cold-start' knows pairs only"),
        (
            {"list_size": 3, "design": "paper-dopt"},
            CapabilityError,
            "chosen greedily.*'gradient'.*leave the selector out",
        ),
        ({"list_size": 3, "selector": "exchange"}, CapabilityError, "chosen greedily.*'exchange'"),
    ],
)
def test_what_cannot_be_asked(posterior, small, arguments, error, message):
    with pytest.raises(error, match=message):
        brm.select(posterior, small, **({"design": "pa-dopt", "size": 3} | arguments))


def test_likelihoods_without_rankings_are_refused(world):
    model = brm.RewardModel(world.pool.dim, "linear", likelihood="davidson", prior_scale=0.5)
    fitted = brm.fit(model, world.pool, world.preferences[:20])
    with pytest.raises(CapabilityError, match=r"'davidson' does not know.*ask for pairs"):
        brm.select(fitted, brm.candidates(world.pool), "pa-dopt", size=2, list_size=3)


def test_targets_of_lists(world, posterior, small):
    """Aimed at one pair, EPIG's list has both of its ends or what correlates with them: more than any other list."""
    target = brm.Comparisons(small.responses[:1], small.responses[1:2])
    batch = brm.select(posterior, small, EPIG(targets=target), size=1, list_size=3)
    given = brm.select(posterior, small, "epig", size=1, list_size=3, targets=target)
    np.testing.assert_array_equal(batch.lists, given.lists)
    assert batch.gain[0] > 0


def test_many_lists_are_looked_at_in_parts(posterior, small, monkeypatch):
    """Neither how many are looked at together nor whether information is kept changes what is chosen."""
    expected = brm.select(posterior, small, "pa-dopt", size=6, list_size=4)
    monkeypatch.setattr(greedy, "NUMBERS_AT_ONCE", 100)
    monkeypatch.setattr(greedy, "NUMBERS_KEPT", 0)
    monkeypatch.setattr(greedy, "LOOKED_AT_AGAIN", 1)
    got = brm.select(posterior, small, "pa-dopt", size=6, list_size=4)
    np.testing.assert_array_equal(got.lists, expected.lists)
    np.testing.assert_allclose(got.gain, expected.gain, rtol=1e-9)
    assert got.bound == pytest.approx(expected.bound, rel=1e-9)


@pytest.mark.parametrize("rules", [{}, {"per_prompt": 3, "per_response": 2}, {"cost": "varied"}])
def test_lists_whose_bounds_are_low_need_not_be_looked_at(world, posterior, monkeypatch, rules):
    """Looking at two lists of a prompt at a time, or at all of them, takes the same lists in the same order."""
    if "cost" in rules:
        rules = {"cost": np.random.default_rng(0).uniform(0.5, 2.0, len(world.pool))}
    candidates = brm.candidates(world.pool, prompts=None, size=None, exclude=world.preferences, **rules)
    monkeypatch.setattr(greedy, "NUMBERS_KEPT", 0)
    expected = brm.select(posterior, candidates, "pa-dopt", size=15, list_size=3)
    monkeypatch.setattr(greedy, "NUMBERS_KEPT", 10**6)
    monkeypatch.setattr(greedy, "LOOKED_AT_CLOSELY", 2)
    got = brm.select(posterior, candidates, "pa-dopt", size=15, list_size=3)
    np.testing.assert_array_equal(got.lists, expected.lists)
    np.testing.assert_allclose(got.gain, expected.gain, rtol=1e-9)
