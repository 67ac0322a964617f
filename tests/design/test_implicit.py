"""Implicit candidates in tiles against the same candidates as a list; constraints, costs and sampling with odds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chi2

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import CRITERIA, SELECTORS
from bayesrm.design.candidates import sets as candidates_module
from bayesrm.design.candidates.sets import AllPairs, CandidateSet
from bayesrm.design.objectives import screening
from bayesrm.design.objectives.base import Differences
from bayesrm.design.objectives.covariance import Covariance
from bayesrm.design.objectives.fisher_weight import fisher_weight, gaussian_bound, weight_waves
from bayesrm.design.objectives.information import pair_information
from bayesrm.design.objectives.screening import PairFunction, Screened
from bayesrm.design.search.ranking import sample
from bayesrm.design.selectors import greedy
from bayesrm.errors import InvalidInputError
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.posteriors.base import RewardMoments
from bayesrm.posteriors.pairs import GramRows, ListedPairs, TiledPairs


class Moments(brm.RewardPosterior):
    """A posterior that is nothing but moments of rewards linear in the embeddings: a point, a Gaussian, or draws."""

    likelihood = BradleyTerry()
    sample_rewards = entropy = condition = to_datatree = None

    def __init__(self, kind: str, dim: int, spread: float = 1.0) -> None:
        random = np.random.default_rng(1)
        self.kind = kind
        self.beta = torch.from_numpy(random.standard_normal(dim) * spread / np.sqrt(dim))
        self.factor = torch.from_numpy(random.standard_normal((dim, dim)) * 0.3)

    @property
    def provides(self):
        return frozenset({"features"} if self.kind == "point" else {"spread", "features"})

    def reward_moments(self, pool, responses=None):
        x = torch.from_numpy(pool.embeddings[responses]).double()
        if self.kind == "draws":
            noise = torch.from_numpy(np.random.default_rng(2).standard_normal((len(self.beta), 12)))
            return RewardMoments.from_draws(x @ (self.beta[:, None] + self.factor @ noise))
        return RewardMoments(x @ self.beta, x.new_empty((len(x), 0)) if self.kind == "point" else x @ self.factor)

    def information_factor(self, pool, responses):
        return torch.from_numpy(pool.embeddings[responses]).double() @ self.factor


KINDS = ("point", "gaussian", "draws")


@pytest.fixture(scope="module")
def pool() -> brm.ResponsePool:
    random = np.random.default_rng(0)
    embeddings = (random.normal(size=(90, 5)) + 7.0).astype(np.float32)
    return brm.ResponsePool(embeddings, np.repeat(np.arange(9), 10))


def listed_twin(candidates: CandidateSet) -> CandidateSet:
    """The same candidates as a list."""
    first, second = (candidates.responses[end] for end in candidates.pairs_at(np.arange(len(candidates))))
    return candidates_module.ExplicitCandidates(candidates.pool, brm.Comparisons(first, second))


def known(values: torch.Tensor, candidates: CandidateSet) -> PairFunction:
    """A score looked up in a table."""
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    table = torch.zeros((len(candidates.responses),) * 2, dtype=torch.float64)
    table[first, second] = table[second, first] = values
    return lambda pairs: table[pairs.first, pairs.second]


def asked(batch: brm.Selection) -> list[tuple[int, int]]:
    return list(zip(batch.first.tolist(), batch.second.tolist(), strict=True))


@pytest.fixture(params=[(2, 9), (2, 32), (64, 512)], ids=["tiny tiles", "small tiles", "one tile"])
def tiles(request, monkeypatch) -> None:
    """How the candidates are cut into tiles must not matter."""
    smallest, size = request.param
    monkeypatch.setattr(candidates_module, "SMALLEST_TILED", smallest)
    walk = AllPairs.tiles
    monkeypatch.setattr(AllPairs, "tiles", lambda self, order=None: walk(self, size, order))


# --- tiles are lists ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["within-prompt", "cross-prompt"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("design", "selector"),
    [
        ("pa-dopt", "greedy"),
        ("pa-dopt", "gradient"),
        ("pa-dopt", "top"),
        # Whatever is asked for, these take the top of a plain sum.
        ("entropy", "greedy"),
        ("bald", "gradient"),
        ("maxdiff", "top"),
    ],
)
@pytest.mark.usefixtures("tiles")
def test_tiles_choose_what_a_list_chooses(pool, scope, kind, design, selector, monkeypatch):
    posterior = Moments(kind, pool.dim, spread=2.0)
    if CRITERIA[design].requires - posterior.provides:
        pytest.skip(f"{design} needs spread")
    monkeypatch.setattr(greedy, "SHORTLIST", 40)
    candidates = brm.candidates(pool, scope, None, None, exclude=brm.Comparisons([0, 5, 88], [1, 9, 4]))
    assert (next(candidates.tiles(), None) is None) == (
        candidates_module.SMALLEST_TILED > 10 and scope == "within-prompt"
    )
    ours, theirs = (
        brm.select(posterior, each, design, 25, selector) for each in (candidates, listed_twin(candidates))
    )
    assert asked(ours) == asked(theirs)
    np.testing.assert_allclose(ours.gain, theirs.gain, rtol=1e-9)
    assert ours.bound == pytest.approx(theirs.bound, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("tiles")
def test_information_of_tiles_is_a_sum_over_pairs(pool, kind):
    """Also where some features are 10⁴ times weaker than others and correlated with them."""
    candidates = brm.candidates(pool, "cross-prompt", None, None)
    weight = fisher_weight(Moments(kind, pool.dim), candidates)
    rows = torch.from_numpy(pool.embeddings[candidates.responses]).double()
    rows = rows * torch.tensor([1e4, 1.0, 1e4, 1.0, 1.0]) + 1e4 * rows[:, :1] + 1e6
    got = pair_information(rows, weight, candidates)
    pairs = candidates.block_at(np.arange(len(candidates)))
    v = rows[pairs.first] - rows[pairs.second]
    expected = (v * weight(pairs)[:, None]).T @ v
    factor = torch.linalg.cholesky(expected)
    relative = torch.linalg.solve_triangular(factor, got - expected, upper=False)
    relative = torch.linalg.solve_triangular(factor, relative.T, upper=False)
    assert relative.abs().max() < 2e-6


@pytest.mark.parametrize("few", [0, 1], ids=["tile by tile", "pair by pair"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("added", [0, 5])
def test_bounds_bound(kind, added, few, monkeypatch):
    """Single precision, a large common offset, near twins: the bound is below no exact score that could matter."""
    monkeypatch.setattr(screening, "MOST_CELLS", few)
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(120, 6)) * np.geomspace(1, 0.01, 6) + 30.0
    embeddings[60:] = embeddings[:60] + 1e-4 * random.normal(size=(60, 6))
    pool = brm.ResponsePool(embeddings.astype(np.float32), np.repeat(np.arange(12), 10))
    candidates = brm.candidates(pool, "cross-prompt", None, None)
    objective = CRITERIA["pa-dopt"]().objective(Moments(kind, 6, spread=4.0), candidates)
    assert (objective.cap is not None) == (kind == "gaussian")
    batch = objective.batch()
    batch.track(candidates.block_at(np.arange(0, 7000, 100)))
    for index in range(added):
        batch.add(index)
    score = batch.score()
    assert isinstance(score, Screened)
    for tile in [*candidates.tiles(), *candidates.tiles(40, score.radius)]:
        exact = score(ListedPairs(tile.pairs(torch.float64).first, tile.pairs(torch.float64).second))
        # At the last ones few rows hold a pair that matters, and the others need no closer look.
        for place in (0, len(exact) // 2, len(exact) - 400, len(exact) - 40, len(exact) - 1):
            threshold = float(exact.sort().values[place])
            matters = exact >= threshold
            bounds = score.bound(tile.pairs(torch.float32), threshold).double()
            assert (bounds >= exact)[matters].all()
            assert not score.out_of_reach(tile, threshold)
            pairs = ListedPairs(tile.pairs(torch.float64).first, tile.pairs(torch.float64).second)
            assert score.far.reaching(pairs, threshold)[matters].all()
            found = None if score.few is None else score.few(tile.pairs(torch.float32), threshold)
            if found is not None:
                cells, closer = found
                assert set(torch.nonzero(matters)[:, 0].tolist()) <= set(cells.tolist())
                assert (closer.double() >= exact[cells])[exact[cells] >= threshold].all()
        assert len(exact) < 7000 or (bounds >= threshold).float().mean() < 0.2


def test_tiles_of_small_responses_are_out_of_reach_of_the_best_pair():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(120, 6)) * np.repeat([0.1, 3.0], 60)[:, None]
    pool = brm.ResponsePool(embeddings.astype(np.float32), np.repeat(np.arange(12), 10))
    candidates = brm.candidates(pool, "cross-prompt", None, None)
    objective = CRITERIA["pa-dopt"]().objective(Moments("gaussian", 6), candidates)
    score = objective.batch().score()
    best = float(score(candidates.block_at(np.arange(len(candidates)))).max())
    assert [score.out_of_reach(tile, 0.99 * best) for tile in candidates.tiles(60, score.radius)] == [
        False,
        True,
        True,
    ]


def test_the_gaussian_bound_on_the_weight_holds_everywhere_and_is_close():
    mean = torch.cat([torch.linspace(0, 40, 300), torch.logspace(1.7, 3.9, 60)]).double()
    variance = torch.cat([torch.zeros(1), torch.logspace(-4, 4, 200)]).double()
    v, m = (grid.flatten() for grid in torch.meshgrid(variance, mean, indexing="ij"))
    exact = BradleyTerry().expected_fisher_weight(m, v)
    for at in range(0, len(m), 1000):
        part = slice(at, at + 1000)
        count = len(m[part])
        # Response 0 against one response for each mean and variance.
        factor = torch.diag(torch.cat([torch.zeros(1, dtype=torch.float64), v[part].sqrt()]))
        moments = RewardMoments(torch.cat([torch.zeros(1, dtype=torch.float64), m[part]]), factor)
        tile = TiledPairs(torch.zeros(1, dtype=torch.int64), torch.arange(1, count + 1), torch.float32)
        bound = gaussian_bound(moments, tile).double()
        assert (bound >= exact[part]).all()
        usual = (m[part] < 3) & (v[part] < 4)
        assert (bound[usual] < 1.15 * exact[part][usual]).all()


@pytest.mark.parametrize("widest", [0.0, 1.0, 20.0, 80.0])
def test_waves_add_up_to_the_weight(widest):
    reward = widest * (torch.rand(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5)
    p = torch.sigmoid(reward[:, None] - reward)
    waves = weight_waves(reward, widest)
    torch.testing.assert_close(waves @ waves.T, p * (1 - p), rtol=0, atol=1e-11)
    assert waves.shape[1] < 60 + 7 * widest + 60


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tile_is_a_list_written_differently(dtype):
    random = np.random.default_rng(0)
    rows, values = torch.from_numpy(random.normal(size=(20, 4)) + 50), torch.from_numpy(random.normal(size=20))
    tile = TiledPairs(torch.tensor([3, 1, 9]), torch.tensor([0, 2, 4, 19]), dtype)
    pairs = ListedPairs(tile.first, tile.second)
    assert len(tile) == len(pairs) == 12
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    for name, argument in (("difference", values), ("squared_distance", rows)):
        got = getattr(tile, name)(argument)
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), getattr(pairs, name)(argument), rtol=tolerance, atol=tolerance)
    assert (GramRows.bounding(rows, 1.0).distance(tile) >= pairs.squared_distance(rows)).all()


# --- constraints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 800], ids=["implicit", "list"])
@pytest.mark.parametrize(
    ("design", "selector"),
    # The last two select themselves.
    [*(("pa-dopt", selector) for selector in SELECTORS), ("entropy", None), ("random", None)],
)
def test_every_selector_honours_every_constraint(pool, size, design, selector, monkeypatch):
    monkeypatch.setattr(greedy, "SHORTLIST", 30)
    rules = {"per_prompt": 6, "per_response": 2, "min_within": 5}
    candidates = brm.candidates(pool, "cross-prompt", None, size, **rules)
    batch = brm.select(Moments("gaussian", pool.dim, 2.0), candidates, design, 18, selector, seed=4)
    assert len(set(asked(batch))) == 18
    ends = np.concatenate([batch.first, batch.second])
    assert np.bincount(ends).max() <= 2
    prompts = np.sort(pool.group[np.stack([batch.first, batch.second])], axis=0)
    within = prompts[0] == prompts[1]
    touched = np.bincount(prompts[0], minlength=9) + np.bincount(prompts[1][~within], minlength=9)
    assert touched.max() <= 6
    assert within.sum() >= 5
    again = brm.select(Moments("gaussian", pool.dim, 2.0), candidates, design, 18, selector, seed=4)
    assert asked(again) == asked(batch)


def test_greedy_within_caps_is_brute_force(pool):
    posterior = Moments("gaussian", pool.dim)
    candidates = brm.candidates(pool, "cross-prompt", None, None, per_response=1)
    batch = brm.select(posterior, candidates, "pa-dopt", 6)
    objective = CRITERIA["pa-dopt"]().objective(posterior, candidates)
    used, chosen = set(), []
    everything = list(zip(*candidates.pairs_at(np.arange(len(candidates))), strict=True))
    for _ in range(6):
        growing = objective.batch()
        growing.track(candidates.block_at(np.array(chosen, dtype=np.int64)))
        for index in range(len(chosen)):
            growing.add(index)
        scores = growing.score()(candidates.block_at(np.arange(len(candidates)))).numpy()
        scores[[bool({a, b} & used) for a, b in everything]] = -1
        chosen.append(int(scores.argmax()))
        used |= set(everything[chosen[-1]])
    expected = [tuple(candidates.responses[[*everything[m]]].tolist()) for m in chosen]
    assert asked(batch) == expected


@pytest.mark.parametrize("selector", ["greedy", "exchange", "gradient", "top", "uniform", "gradient-sample"])
def test_what_cannot_be_filled_is_one_sentence(pool, selector):
    candidates = brm.candidates(pool, "cross-prompt", None, None, per_prompt=1)
    with pytest.raises(
        InvalidInputError, match=r"batch of 10 pairs, and with per_prompt=1 no further.*after \d of"
    ):
        brm.select(Moments("gaussian", pool.dim), candidates, "pa-dopt", 10, selector)


@pytest.mark.parametrize("form", ["array", "function"])
@pytest.mark.parametrize("size", [None, 500], ids=["implicit", "list"])
def test_costs_rank_by_gain_per_unit(pool, form, size):
    each = np.random.default_rng(3).uniform(1, 10, len(pool))
    cost = each if form == "array" else lambda first, second: each[first] + each[second]
    candidates = brm.candidates(pool, "cross-prompt", None, size, cost=cost)
    posterior = Moments("gaussian", pool.dim)
    objective = CRITERIA["pa-dopt"]().objective(posterior, candidates)
    block = candidates.block_at(np.arange(len(candidates)))
    first, second = (candidates.responses[end] for end in candidates.pairs_at(np.arange(len(candidates))))
    costs = each[first] + each[second]
    gain = 0.5 * objective.batch().score()(block).log1p().numpy() / costs
    best = np.argsort(-gain)[:5]
    top = brm.select(posterior, candidates, "pa-dopt", 5, "top")
    assert asked(top) == list(zip(first[best].tolist(), second[best].tolist(), strict=True))
    greedily = brm.select(posterior, candidates, "pa-dopt", 5)
    assert asked(greedily)[0] == asked(top)[0]
    slope = objective.gradient(candidates)(block).numpy() / costs
    best = np.argsort(-slope)[:5]
    assert asked(brm.select(posterior, candidates, "pa-dopt", 5, "gradient")) == list(
        zip(first[best].tolist(), second[best].tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"per_prompt": 0}, "per_prompt of at least 1"),
        ({"per_response": -1}, "per_response of at least 1"),
        ({"min_within": -1}, "min_within of at least 0"),
        ({"cost": np.zeros(90)}, "positive and finite, got 0.0 at 0"),
    ],
)
def test_constraints_rejected(pool, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.candidates(pool, **settings)


# --- sampling with odds ------------------------------------------------------------------------------------------


def test_inclusion_is_how_often_a_pair_is_chosen(pool):
    candidates = brm.candidates(pool, "cross-prompt", None, 40, seed=1)
    posterior = Moments("gaussian", pool.dim)
    objective = CRITERIA["pa-dopt"]().objective(posterior, candidates)
    selector, draws, size = SELECTORS["gradient-sample"](), 1500, 12
    everything = np.arange(len(candidates))
    counts = np.zeros(len(candidates))
    generator = rng.stream(0, "test")
    # What choose does each time, with the gradients computed once.
    odds = known(objective.gradient(candidates)(candidates.block_at(everything)), candidates)
    for _ in range(draws):
        counts[sample(candidates, odds, size, generator)] += 1
    batch = brm.select(posterior, candidates, "pa-dopt", size, "gradient-sample")
    assert batch.inclusion is not None
    chosen = selector.choose(objective, candidates, size, generator)
    inclusion = selector.inclusion(objective, candidates, chosen)
    error = np.sqrt(inclusion * (1 - inclusion) / draws)
    # The formula is asymptotic in the batch size: at 12 of 40 it is good to about a hundredth.
    assert (np.abs(counts[chosen] / draws - inclusion) < 5 * error + 0.015).all()
    assert selector.inclusion(objective, candidates, everything) == pytest.approx(1.0)


@pytest.mark.usefixtures("tiles")
def test_inclusion_sums_to_the_size_of_the_batch_over_tiles_too(pool):
    candidates = brm.candidates(pool, "cross-prompt", None, None, exclude=brm.Comparisons([0], [1]))
    objective = CRITERIA["pa-dopt"]().objective(Moments("point", pool.dim), candidates)
    odds = objective.gradient(candidates)(candidates.block_at(np.arange(len(candidates)))).numpy()
    chosen = SELECTORS["gradient-sample"]().choose(objective, candidates, 30, rng.stream(0, "test"))
    assert len(np.unique(chosen)) == 30
    inclusion = SELECTORS["gradient-sample"]().inclusion(objective, candidates, chosen)
    time = -np.log1p(-inclusion[0]) / odds[chosen[0]]
    assert -np.expm1(-odds * time).sum() == pytest.approx(30, rel=1e-4)
    np.testing.assert_allclose(inclusion, -np.expm1(-odds[chosen] * time), rtol=1e-5)


@pytest.mark.usefixtures("tiles")
def test_sampling_from_tiles_has_the_odds_of_a_list(pool):
    small = brm.candidates(pool, "cross-prompt", 1, None)
    objective = CRITERIA["pa-dopt"]().objective(Moments("gaussian", pool.dim), small)
    gradients = objective.gradient(small)(small.block_at(np.arange(len(small))))
    odds = known(gradients, small)
    generator, draws, counts = rng.stream(0, "test"), 1500, np.zeros(len(small))
    for _ in range(draws):
        counts[sample(small, odds, 1, generator)] += 1
    expected = draws * (gradients / gradients.sum()).numpy()
    frequent = expected >= 5
    assert ((counts - expected)[frequent] ** 2 / expected[frequent]).sum() < chi2.isf(1e-4, frequent.sum())
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 3).all()


# --- pools at the edge -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selector", list(SELECTORS))
@pytest.mark.parametrize("kind", ["point", "gaussian"])
@pytest.mark.parametrize("pool_kind", ["all equal", "two identical pools", "one pair", "weak features"])
@pytest.mark.usefixtures("tiles")
def test_degenerate_pools_are_finite(pool_kind, kind, selector):
    random = np.random.default_rng(0)
    base = random.normal(size=(20, 4))
    embeddings = {
        "all equal": np.ones((20, 4)),
        "two identical pools": np.concatenate([base, base]),
        "one pair": base[:2],
        "weak features": base * [1, 1e-2, 1e-2, 1e-2],
    }[pool_kind]
    pool = brm.ResponsePool(embeddings.astype(np.float32), np.zeros(len(embeddings), int))
    candidates = brm.candidates(pool, size=None, identical=pool_kind == "all equal")
    size = min(5, len(candidates))
    batch = brm.select(Moments(kind, 4), candidates, "pa-dopt", size, selector)
    assert len(set(asked(batch))) == size
    assert np.isfinite(batch.gain).all()
    assert np.isfinite(batch.bound)
    assert all(pool.embeddings[i].tolist() != pool.embeddings[j].tolist() for i, j in asked(batch)) or (
        pool_kind == "all equal"
    )
    whole = brm.select(Moments(kind, 4), candidates, "pa-dopt", len(candidates), selector)
    assert set(asked(whole)) <= set(combinations(range(len(pool)), 2))
    assert len(set(asked(whole))) == len(candidates)


@pytest.mark.parametrize("count", [1, 7, 40])
def test_differences_of_few_pairs_keep_the_rows_of_these(count):
    r = np.random.default_rng(count)
    u, a = torch.from_numpy(r.normal(size=(30, 4))), torch.from_numpy(r.normal(size=4))
    pairs = ListedPairs(*torch.from_numpy(r.integers(30, size=(2, count))))
    found = Differences(u, pairs)
    torch.testing.assert_close(found.along(a), (u[pairs.first] - u[pairs.second]) @ a)
    assert len(found._rows) <= max(2 * count, 30 * (2 * count >= 30))


def test_a_covariance_is_the_inverse_of_the_information_of_what_is_in_the_batch():
    r = np.random.default_rng(0)
    u, v = torch.from_numpy(r.normal(size=(7, 4))), torch.from_numpy(r.normal(size=(2, 4)))
    covariance = Covariance(u)
    assert covariance.times(u) is u
    assert covariance.rooted(u) is u
    information = torch.eye(4, dtype=torch.float64)
    for row in v:
        a = covariance.times(row)
        covariance.subtract(torch.outer(a, a) / (1 + row @ a))
        information = information + torch.outer(row, row)
        expected = torch.linalg.solve(information, u.T).T
        torch.testing.assert_close(covariance.times(u), expected)
        torch.testing.assert_close(covariance.rooted(u) @ covariance.rooted(u).T, expected @ u.T)
