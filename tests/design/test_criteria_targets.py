"""A-, G- and V-optimality, EPIG and the two regrets against dense algebra, exhaustive search and simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import norm

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.design.base import Design
from bayesrm.design.objectives.decisions import TOUCHING, value_of_choice
from bayesrm.design.objectives.targets import best_and_rivals, within_prompts
from bayesrm.design.selectors.greedy import Greedy
from bayesrm.errors import CapabilityError, InvalidInputError

DESIGNS = ("aopt", "gopt", "vopt", "rank-vopt", "epig", "rank", "regret")


@pytest.fixture(scope="module")
def few(pool):
    return brm.candidates(pool, "cross-prompt", size=14, seed=1)


def _pairs(candidates) -> brm.Comparisons:
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    return brm.Comparisons(candidates.responses[first], candidates.responses[second])


def _target_pairs(posterior, candidates, design) -> brm.Comparisons:
    pool = candidates.pool
    if design == "regret":
        rivals = best_and_rivals(posterior.reward_moments(pool), pool)
        assert len(rivals) == sum(len(members) - 1 for members in pool.members) < 256
        return rivals
    return _pairs(candidates) if design in ("vopt", "gopt") else within_prompts(pool, 256)


def _choice(mean: float, taken: float) -> float:
    """h(m, Δ) or, where that is convex, the line to where it touches."""
    touching = mean / TOUCHING
    at = max(np.sqrt(taken), touching)
    value = at * norm.pdf(mean / at) - mean * norm.cdf(-mean / at)
    return value if taken > touching**2 else value * taken / touching**2


def _worth(posterior, candidates, design):
    """From a list of positions to f, with explicit covariance matrices of β."""
    pool = candidates.pool
    features = posterior.features(pool)
    pairs = _pairs(candidates)
    z = features[pairs.first] - features[pairs.second]
    mean, variance = posterior.logit_moments(pool, pairs)
    w = posterior.likelihood.expected_fisher_weight(mean, variance)
    information = posterior.information_cholesky @ posterior.information_cholesky.T
    aimed = _target_pairs(posterior, candidates, design)
    t = features[aimed.first] - features[aimed.second]
    m, v = posterior.logit_moments(pool, aimed)
    target_weight = posterior.likelihood.expected_fisher_weight(m, v)

    def covariance(chosen):
        return torch.linalg.inv(information + (z[chosen] * w[chosen, None]).T @ z[chosen])

    def left(chosen):
        return torch.einsum("ti,ij,tj->t", t, covariance(chosen), t)

    before = left([])

    def worth(chosen) -> float:
        after = left(list(chosen))
        if design == "aopt":
            return float(covariance([]).trace() - covariance(list(chosen)).trace())
        if design == "gopt":
            return float(torch.linalg.norm(before, 32) - torch.linalg.norm(after, 32))
        if design in ("vopt", "rank-vopt"):
            return float((before - after).mean())
        if design == "epig":
            return float(0.5 * torch.log((1 + target_weight * before) / (1 + target_weight * after)).mean())
        floor = torch.maximum(m.abs(), 0.01 * before.sqrt())
        taken = (before - after).clamp(min=0)
        total = sum(_choice(float(a), float(b)) for a, b in zip(floor, taken, strict=True))
        return total / (len(m) if design == "rank" else sum(len(members) > 1 for members in pool.members))

    return worth


def _positions(candidates, batch) -> list[int]:
    pairs = _pairs(candidates)
    where = {ends: k for k, ends in enumerate(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))}
    return [where[ends] for ends in zip(batch.first.tolist(), batch.second.tolist(), strict=True)]


@pytest.fixture(scope="module")
def wide(world):
    """A posterior of logits whose standard deviations are about one."""
    model = brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5)
    return brm.fit(model, world.pool, world.preferences[:12])


@pytest.mark.parametrize("design", DESIGNS)
def test_greedy_is_brute_force_and_the_certificate_holds(wide, few, design):
    worth = _worth(wide, few, design)
    batch = brm.select(wide, few, design, 3)
    chosen: list[int] = []
    for _ in range(3):
        values = [-np.inf if m in chosen else worth([*chosen, m]) for m in range(len(few))]
        chosen.append(int(np.argmax(values)))
    assert _positions(few, batch) == chosen
    np.testing.assert_allclose(np.cumsum(batch.gain), [worth(chosen[: k + 1]) for k in range(3)], rtol=1e-6)
    best = max(worth(c) for c in combinations(range(len(few)), 3))
    assert batch.gain.sum() <= best * (1 + 1e-9)
    assert best <= batch.bound * (1 + 1e-9)
    assert batch.bound < 20 * best


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("inference", ["plugin", "laplace"])
def test_implicit_candidates_and_exchange_agree_with_lists(request, pool, inference, design):
    posterior = request.getfixturevalue(inference)
    implicit = brm.candidates(pool, "cross-prompt", size=None, prompts=6)
    listed = brm.candidates(pool, "cross-prompt", size=len(implicit), prompts=6)
    targets = {} if design in ("aopt", "regret") else {"targets": within_prompts(pool, 40)}
    chosen = Design(CRITERIA[design](**targets), Greedy())
    batches = [chosen.select(posterior, candidates, 6) for candidates in (implicit, listed)]
    np.testing.assert_allclose(batches[0].gain, batches[1].gain, rtol=1e-6)
    swapped = brm.select(posterior, listed, design, 6, "exchange").gain.sum()
    assert swapped >= brm.select(posterior, listed, design, 6, "greedy").gain.sum() * (1 - 1e-9)


@pytest.mark.parametrize("design", DESIGNS)
def test_one_pair_and_equal_responses(pool, laplace, design):
    one = brm.candidates(pool, size=1)
    assert len(brm.select(laplace, one, design, 1)) == 1
    equal = brm.ResponsePool(np.ones((6, pool.dim), np.float32), np.repeat([0, 1], 3))
    candidates = brm.candidates(equal, size=None, identical=True)
    batch = brm.select(laplace, candidates, design, 2)
    np.testing.assert_allclose(batch.gain, 0.0, atol=1e-12)


def test_targets_can_be_pairs_a_pool_or_of_another_pool(make_world, wide, few):
    other = make_world(5).pool
    batches = [
        Design(CRITERIA["epig"](targets=targets), Greedy()).select(wide, few, 4)
        for targets in (None, few.pool, within_prompts(few.pool, 256), other)
    ]
    assert batches[0].gain.tolist() == batches[1].gain.tolist() == batches[2].gain.tolist()
    assert batches[3].gain.tolist() != batches[0].gain.tolist()
    with pytest.raises(InvalidInputError, match="at least one target"):
        Design(CRITERIA["epig"](targets=brm.Comparisons([], [])), Greedy()).select(wide, few, 4)


@pytest.mark.parametrize("design", ["epig", "rank", "rank-vopt"])
def test_where_prompts_have_one_response_targets_are_across(wide, few, design):
    alone = brm.ResponsePool(few.pool.embeddings, np.arange(len(few.pool)))
    candidates = brm.candidates(alone, "cross-prompt", size=40)
    across = brm.candidates(alone, "cross-prompt", prompts=None, size=256, identical=True)
    given = brm.Comparisons(across.first, across.second)
    own = Design(CRITERIA[design](size=256), Greedy()).select(wide, candidates, 4)
    np.testing.assert_array_equal(own.gain, brm.select(wide, candidates, design, 4, targets=given).gain)
    with pytest.raises(InvalidInputError, match="at least two responses to choose from"):
        brm.select(wide, candidates, "regret", 4)


@pytest.mark.parametrize("design", ["epig", "rank", "regret", "vopt", "rank-vopt", "gopt"])
def test_targets_are_given_to_select(make_world, wide, few, design):
    """A pool of prompts like those that will be met is the public way; it is the criterion's own setting."""
    other = make_world(5).pool
    given = brm.select(wide, few, design, 4, targets=other)
    own = Design(CRITERIA[design](targets=other), Greedy()).select(wide, few, 4)
    assert _positions(few, given) == _positions(few, own)
    np.testing.assert_array_equal(given.gain, own.gain)
    aimed = brm.select(wide, few, Design(CRITERIA[design](), Greedy()), 4, targets=other)
    np.testing.assert_array_equal(aimed.gain, own.gain)
    assert given.gain.tolist() != brm.select(wide, few, design, 4).gain.tolist()


def test_targets_teach_of_the_targets(make_world):
    """Where target prompts differ along one direction only, pairs are chosen for what they tell of that one."""
    world = make_world(4, sizes=(6,) * 12, dim=5, comparisons=10)
    posterior = brm.fit(brm.RewardModel(5, "linear", prior_scale=0.3), world.pool, world.preferences)
    candidates = brm.candidates(world.pool, size=150)
    embeddings = np.zeros((40, 5), np.float32)
    embeddings[:, 3] = np.random.default_rng(0).normal(size=40)
    targets = brm.ResponsePool(embeddings, np.repeat(np.arange(10), 4))
    left = {}
    for name, aimed in (("aimed", {"targets": targets}), ("not", {})):
        batch = brm.select(posterior, candidates, "epig", 8, **aimed)
        z = posterior.features(world.pool)[batch.first] - posterior.features(world.pool)[batch.second]
        w = posterior.likelihood.expected_fisher_weight(*posterior.logit_moments(world.pool, batch))
        information = posterior.information_cholesky @ posterior.information_cholesky.T
        left[name] = float(torch.linalg.inv(information + (z * w[:, None]).T @ z)[3, 3])
    assert left["aimed"] < 0.9 * left["not"]


def test_targets_that_cannot_be_are_refused(wide, few, pool):
    with pytest.raises(InvalidInputError, match="'pa-dopt' has no targets"):
        brm.select(wide, few, "pa-dopt", 3, targets=pool)
    with pytest.raises(InvalidInputError, match=r"expected a pool as targets of regret.*got Comparisons"):
        brm.select(wide, few, "regret", 3, targets=brm.Comparisons([0], [1]))
    other = brm.ResponsePool(np.zeros((4, 3), np.float32), [0, 0, 1, 1])
    for design in ("epig", "regret"):
        with pytest.raises(InvalidInputError, match=r"targets of embedding dimension 6, .*got 3"):
            brm.select(wide, few, design, 3, targets=other)


def test_a_run_records_its_targets(world, make_world, tmp_path):
    def run(targets):
        return brm.run(
            world.pool,
            brm.GoldenAnnotator(world.golden),
            model=brm.RewardModel(6, "linear", prior_scale=0.3),
            design="epig",
            targets=targets,
            batch_size=3,
            rounds=1,
            draws=5,
            out=tmp_path / "run",
            progress=False,
        )

    other = make_world(5).pool
    chosen = run(other)["selection"]
    assert run(other)["selection"].identical(chosen)
    with pytest.raises(InvalidInputError, match=r"design_settings is .*targets.*there and null here"):
        run(None)


def test_the_value_of_a_choice_is_that_of_simulated_means():
    """E max(0, −m') with m' ~ Normal(m, Δ), above where the line touches; below it, more."""
    draws = torch.from_numpy(np.random.default_rng(0).standard_normal(400_000))
    for mean, sd in ((0.3, 1.0), (1.0, 2.0), (1.0, 1.7), (1.0, 0.5)):
        saved = (-(mean + sd * draws)).clamp(min=0)
        value = value_of_choice(*torch.tensor([[mean], [sd**2]], dtype=torch.float64))
        error = 5 * float(saved.std()) / 400_000**0.5
        if sd > mean / TOUCHING:
            assert float(value) == pytest.approx(float(saved.mean()), abs=error)
        else:
            assert float(value) > float(saved.mean()) - error
    taken = torch.linspace(0, 9, 2000, dtype=torch.float64)[:, None]
    curve = value_of_choice(torch.tensor([1.0], dtype=torch.float64), taken)[:, 0]
    assert (curve.diff().diff() < 1e-9).all()


def test_a_optimality_needs_features(laplace, few):
    class OnlyRewards(brm.RewardPosterior):
        model, pool, preferences = laplace.model, laplace.pool, laplace.preferences
        reward_moments = sample_rewards = entropy = condition = to_datatree = None

    with pytest.raises(CapabilityError, match="'aopt' needs last-layer features"):
        brm.select(OnlyRewards(), few, "aopt", 3)


@pytest.mark.parametrize("design", ["epig", "epig-stratified", "vopt", "rank-vopt"])
@pytest.mark.parametrize("asked", [0, 1, 3])
def test_no_gain_exceeds_the_bounds_that_screen_pairs(wide, pool, design, asked):
    """Of a list, of a tile, and by distance alone; after some of the batch were chosen, too."""
    everything = brm.candidates(pool, "cross-prompt", size=None)
    batch = CRITERIA[design]().objective(wide, everything).batch()
    pairs = everything.block_at(np.arange(len(everything)))
    batch.track(pairs)
    for index in range(asked):
        batch.add(7 * index)
    score = batch.score()
    gain = score(pairs)
    assert float(gain.max()) > 0
    slack = 1e-12 * float(gain.max())
    assert (score.far.of_list(pairs.first, pairs.second).double() >= gain - slack).all()
    if score.sharp is not None:
        assert (score.sharp(pairs) >= gain - slack).all()
        assert (
            float((score.sharp(pairs) / gain).quantile(0.1)) < 1.5
        )  # and it is close, or it would screen nothing
    for tile in everything.tiles():
        whole = tile.pairs(torch.float64)
        assert (score.bound(tile.pairs(torch.float32), 0.0).double() >= score(whole) - slack).all()
    reached = float(gain.sort(descending=True).values[5])
    kept = score.reaching(pairs, reached)
    assert kept[gain >= reached].all()
