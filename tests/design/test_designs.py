"""Designs against naive automatic differentiation, brute-force determinants and exhaustive search.

Explicit matrices are built here from the posterior's features φ; the package never forms them over pairs.
"""

from __future__ import annotations

import copy
from itertools import combinations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import CRITERIA, SELECTORS, make_design
from bayesrm.design.base import Design
from bayesrm.design.candidates import sets as candidates_module
from bayesrm.design.candidates.sets import AllPairs, CandidateSet, ExplicitCandidates
from bayesrm.design.objectives.base import SumObjective
from bayesrm.design.search.ranking import sample, top
from bayesrm.design.selectors import greedy
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.inference.fitting import training
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.point import PointPosterior

INFORMATION = ("dopt", "pa-dopt", "xtx")
INFERENCES = ("plugin", "laplace")
THEMSELVES = [name for name in CRITERIA if CRITERIA[name].selects_itself]
COMBINATIONS = [
    (name, selector)
    for name in CRITERIA
    for selector in SELECTORS
    if name not in THEMSELVES or selector == CRITERIA[name].default_selector
]
"""Every design with every selector, those that select themselves once: the selector asked for changes nothing."""
PROVIDED = {"plugin": PointPosterior.provides, "laplace": GaussianPosterior.provides}


def _possible(name: str, inference: str) -> bool:
    """Whether a posterior has what a design needs; that designs say so where it has not is tested below."""
    return CRITERIA[name].requires <= PROVIDED[inference]


POSSIBLE = [(name, inference) for name in CRITERIA for inference in INFERENCES if _possible(name, inference)]


@pytest.fixture(params=INFERENCES)
def posterior(request) -> brm.RewardPosterior:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def implicit(pool) -> CandidateSet:
    return brm.candidates(pool, "cross-prompt", size=None)


@pytest.fixture(scope="module")
def few(pool) -> ExplicitCandidates:
    """Sixty pairs, few enough for brute force."""
    return brm.candidates(pool, "cross-prompt", size=60, seed=1)


@pytest.fixture(scope="module")
def priors(pool) -> dict[str, brm.RewardPosterior]:
    """Without labels."""
    model = brm.RewardModel(pool.dim, encoder="linear")
    return {name: brm.fit(model, pool, brm.Preferences.none(), name) for name in INFERENCES}


@pytest.fixture(scope="module")
def trained(world) -> dict[str, brm.RewardPosterior]:
    """Over the features of a small network, trained for a few steps."""
    model = brm.RewardModel(world.pool.dim, hidden=(5, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "MAX_STEPS", 12)
        return {name: brm.fit(model, world.pool, world.preferences, name) for name in INFERENCES}


def _explicit(posterior, candidates, design) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A₀ (the information without the batch), z of all candidates, and their weights."""
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    pairs = brm.Comparisons(candidates.responses[first], candidates.responses[second])
    features = posterior.features(posterior.pool)
    start = torch.diag(posterior.prior_precision)
    if design == "pa-dopt":
        start = posterior.information_cholesky @ posterior.information_cholesky.T
    weight = torch.ones(len(pairs), dtype=torch.float64)
    if design != "xtx":
        weight = posterior.likelihood.expected_fisher_weight(*posterior.logit_moments(posterior.pool, pairs))
    return start, features[pairs.first] - features[pairs.second], weight


def _log_det(start, z, weight, chosen) -> float:
    chosen = list(chosen)
    matrix = start + (z[chosen] * weight[chosen, None]).T @ z[chosen]
    return float(torch.linalg.slogdet(matrix).logabsdet)


def _positions(candidates, selection) -> list[int]:
    """Where the selected pairs stand among the candidates."""
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    ends = zip(candidates.responses[first].tolist(), candidates.responses[second].tolist(), strict=True)
    where = {pair: position for position, pair in enumerate(ends)}
    return [where[pair] for pair in zip(selection.first.tolist(), selection.second.tolist(), strict=True)]


# --- every design, with every selector ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "selector", "inference"),
    [(*pair, inference) for pair in COMBINATIONS for inference in INFERENCES if _possible(pair[0], inference)],
)
@pytest.mark.parametrize("kind", ["few", "implicit"])
def test_contract(request, kind, design, selector, inference):
    posterior, candidates = request.getfixturevalue(inference), request.getfixturevalue(kind)
    batch = brm.select(posterior, candidates, design, 10, selector, seed=3)
    again = brm.select(posterior, candidates, design, 10, selector, seed=3)
    positions = _positions(candidates, batch)
    assert len(batch) == len(set(positions)) == 10
    assert positions == _positions(candidates, again)
    assert np.array_equal(batch.gain, again.gain)
    assert batch.gain.shape == (10,)
    assert np.isfinite(batch.gain).all()
    assert (batch.gain >= 0).all()
    assert batch.design == design
    assert batch.bound >= batch.gain.sum() - 1e-12
    assert batch.shortfall >= 0


@pytest.mark.parametrize("design", THEMSELVES)
def test_designs_that_select_themselves_take_no_other_selector(design):
    own = make_design(design)
    assert isinstance(own.selector, SELECTORS[CRITERIA[design].default_selector])
    assert {type(make_design(design, selector).selector) for selector in SELECTORS} == {type(own.selector)}


@pytest.mark.parametrize(("design", "selector"), COMBINATIONS)
def test_a_batch_of_all_candidates(pool, design, selector, laplace):
    """Of 12 pairs: nothing is left to choose, whichever way it is chosen; exchanges are cubic in their number."""
    candidates = brm.candidates(pool, "cross-prompt", size=12, seed=1)
    batch = brm.select(laplace, candidates, design, len(candidates), selector)
    assert sorted(_positions(candidates, batch)) == list(range(len(candidates)))
    assert batch.shortfall == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("design", "inference"), POSSIBLE)
def test_round_zero_has_no_labels(priors, implicit, inference, design):
    batch = brm.select(priors[inference], implicit, design, 8)
    assert len(set(_positions(implicit, batch))) == 8
    assert np.isfinite(batch.gain).all()
    assert batch.gain.sum() > 0 or not CRITERIA[design].promises_gain


@pytest.mark.parametrize(("design", "inference"), POSSIBLE)
def test_designs_over_a_trained_encoder(trained, few, inference, design):
    assert len(set(_positions(few, brm.select(trained[inference], few, design, 10)))) == 10


@pytest.mark.parametrize(
    ("design", "selector"), [("random", None), ("pa-dopt", "gradient-sample"), ("dopt", "uniform")]
)
def test_random_choices_depend_on_the_seed(implicit, laplace, design, selector):
    batches = {
        tuple(_positions(implicit, brm.select(laplace, implicit, design, 5, selector, seed))) for seed in range(8)
    }
    assert len(batches) == 8


@pytest.mark.parametrize("size", [0, -1, 61])
def test_batch_sizes_rejected(few, laplace, size):
    with pytest.raises(InvalidInputError, match=f"between 1 and 60 pairs, the number of candidates, got {size}"):
        brm.select(laplace, few, "random", size)


@pytest.mark.parametrize(
    ("design", "selector", "message"),
    [
        ("d-opt", None, "unknown design 'd-opt': there are .*dopt, .*pa-dopt"),
        ("dopt", "best", "unknown selector 'best': there are .*gradient"),
        ("entropy", "best", "unknown selector 'best'"),
    ],
)
def test_unknown_names(few, laplace, design, selector, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.select(laplace, few, design, 3, selector)


def test_registries_are_mappings():
    assert "dopt" in CRITERIA
    assert "d-opt" not in CRITERIA
    assert CRITERIA.get("d-opt") is None


def test_designs_are_listed_with_a_line_each():
    listed = brm.designs()
    assert {"random", "entropy", "maxdiff", "dopt", "pa-dopt", "xtx"} <= set(listed)
    assert all(line.endswith((".", "gain.")) and "\n" not in line for line in listed.values())


def test_parts_combine(few, laplace):
    design = Design(CRITERIA["dopt"](), SELECTORS["top"]())
    named = brm.select(laplace, few, "dopt", 5, "top")
    for given in (brm.select(laplace, few, design, 5), brm.select(laplace, few, "dopt", 5, SELECTORS["top"]())):
        assert _positions(few, given) == _positions(few, named)
    assert make_design(None).criterion.name in CRITERIA


def test_a_design_says_what_it_needs(few, laplace):
    class OnlyRewards(brm.RewardPosterior):
        """Moments of rewards and nothing else: an ensemble, say."""

        model, pool, preferences = laplace.model, laplace.pool, laplace.preferences

        def reward_moments(self, pool, responses=None):
            return laplace.reward_moments(pool, responses)

        sample_rewards = entropy = condition = to_datatree = None

    posterior = OnlyRewards()
    for design in ("dopt", "xtx"):
        with pytest.raises(CapabilityError, match=f"'{design}' needs last-layer features.*OnlyRewards"):
            brm.select(posterior, few, design, 3)
    ours, theirs = (_positions(few, brm.select(p, few, "pa-dopt", 6)) for p in (posterior, laplace))
    assert ours == theirs


# --- plain sums --------------------------------------------------------------------------------------------------


def test_entropy_takes_the_least_certain(few, posterior):
    batch = brm.select(posterior, few, "entropy", 12)
    p = posterior.preference_probability(posterior.pool, few.first, few.second)
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert _positions(few, batch) == np.argsort(-entropy, kind="stable")[:12].tolist()
    np.testing.assert_allclose(batch.gain, np.sort(entropy)[::-1][:12], atol=1e-12)


def test_maxdiff_takes_the_largest_differences(few, posterior):
    batch = brm.select(posterior, few, "maxdiff", 12)
    difference = np.abs(posterior.logit_moments(posterior.pool, few)[0].numpy())
    assert _positions(few, batch) == np.argsort(-difference, kind="stable")[:12].tolist()
    np.testing.assert_allclose(batch.gain, np.sort(difference)[::-1][:12], atol=1e-12)


def test_random_is_uniform(few, laplace):
    counts = np.zeros(len(few))
    draws, size = 500, 18
    for seed in range(draws):
        counts[_positions(few, brm.select(laplace, few, "random", size, seed=seed))] += 1
    share = size / len(few)
    assert (np.abs(counts / draws - share) < 5 * np.sqrt(share * (1 - share) / draws)).all()


@pytest.mark.parametrize("design", ["entropy", "maxdiff"])
def test_ties_are_broken_at_random(pool, few, design):
    """Without labels every probability is ½: no pair is better than another."""
    prior = brm.fit(brm.RewardModel(pool.dim, encoder="linear"), pool, brm.Preferences.none())
    draws, size = 200, 6
    counts = np.zeros(len(few))
    for seed in range(draws):
        counts[_positions(few, brm.select(prior, few, design, size, seed=seed))] += 1
    share = size / len(few)
    assert (np.abs(counts / draws - share) < 5 * np.sqrt(share * (1 - share) / draws)).all()


@pytest.mark.parametrize("selector", ["greedy", "gradient", "top"])
def test_ties_of_information_are_broken_at_random(selector):
    """All pairs are the same two embeddings: which are chosen is chance, and not the first."""
    pool = brm.ResponsePool(np.tile(np.eye(2, dtype=np.float32), (20, 1)), np.repeat(np.arange(20), 2))
    prior = brm.fit(brm.RewardModel(2, encoder="linear"), pool, brm.Preferences.none())
    candidates = brm.candidates(pool, size=None)
    first_picks = {
        _positions(candidates, brm.select(prior, candidates, "pa-dopt", 3, selector, s))[0] for s in range(30)
    }
    assert len(first_picks) > 5


# --- the paper's gradient ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", INFORMATION)
@pytest.mark.parametrize("inference", INFERENCES)
@pytest.mark.parametrize("seed", range(2))
def test_gradient_is_that_of_a_naive_log_det_over_weights(make_world, seed, inference, design):
    world = make_world(seed, sizes=(10,) * 20, dim=16, comparisons=150)
    posterior = brm.fit(brm.RewardModel(16, encoder="linear"), world.pool, world.preferences, inference)
    candidates = brm.candidates(world.pool, "cross-prompt", size=2000, seed=seed)
    start, z, fisher = _explicit(posterior, candidates, design)
    w = torch.ones(len(candidates), dtype=torch.float64, requires_grad=True)
    objective = 0.5 * torch.logdet(start + (z * (w * fisher)[:, None]).T @ z)
    (gradient,) = torch.autograd.grad(objective, w)
    batch = brm.select(posterior, candidates, design, 100, "gradient")
    assert _positions(candidates, batch) == gradient.argsort(descending=True)[:100].tolist()


def test_gradient_sample_has_odds_proportional_to_the_gradient(pool, laplace):
    candidates = brm.candidates(pool, "cross-prompt", size=8, seed=2)
    objective = CRITERIA["dopt"]().objective(laplace, candidates)
    gradient = objective.gradient(candidates)(candidates.block_at(np.arange(8))).numpy()
    generator, draws = rng.stream(0, "test"), 1500
    asked = SELECTORS["gradient-sample"]().choose(objective, candidates, 2, rng.stream(1, "test"))
    assert asked.tolist() == sample(candidates, objective.gradient(candidates), 2, rng.stream(1, "test")).tolist()
    pairs = candidates.block_at(np.arange(8))
    table = torch.zeros((len(candidates.responses),) * 2, dtype=torch.float64)
    table[pairs.first, pairs.second] = torch.from_numpy(gradient)
    # The same odds, computed once.
    chosen = np.array([sample(candidates, lambda b: table[b.first, b.second], 2, generator) for _ in range(draws)])
    share = gradient / gradient.sum()
    # The second of two draws without replacement: Σ_{j≠i} share_j · share_i / (1 − share_j).
    odds = share[None] / (1 - share[:, None]) * share[:, None]
    second = odds.sum(axis=0) - np.diag(odds)
    for column, expected in enumerate((share, second)):
        got = np.bincount(chosen[:, column], minlength=8) / draws
        assert (np.abs(got - expected) < 5 * np.sqrt(expected * (1 - expected) / draws)).all()


# --- greedy ------------------------------------------------------------------------------------------------------


def _brute_force_greedy(start, z, weight, size) -> tuple[list[int], list[float]]:
    chosen, gains = [], []
    for _ in range(size):
        before = _log_det(start, z, weight, chosen)
        value = [-np.inf if m in chosen else _log_det(start, z, weight, [*chosen, m]) for m in range(len(z))]
        chosen.append(int(np.argmax(value)))
        gains.append(0.5 * (max(value) - before))
    return chosen, gains


@pytest.mark.parametrize("design", INFORMATION)
@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_brute_force(pool, posterior, design, seed):
    candidates = brm.candidates(pool, "cross-prompt", size=60, seed=seed)
    chosen, gains = _brute_force_greedy(*_explicit(posterior, candidates, design), 6)
    batch = brm.select(posterior, candidates, design, 6, "greedy")
    assert _positions(candidates, batch) == chosen
    np.testing.assert_allclose(batch.gain, gains, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("design", INFORMATION)
def test_greedy_over_implicit_candidates_is_brute_force(pool, preferences, laplace, design):
    candidates = brm.candidates(pool, prompts=None, size=None, exclude=preferences)
    chosen, _ = _brute_force_greedy(*_explicit(laplace, candidates, design), 6)
    assert _positions(candidates, brm.select(laplace, candidates, design, 6, "greedy")) == chosen


@pytest.mark.parametrize("design", INFORMATION)
@pytest.mark.parametrize("size", [4, 60])
def test_a_short_shortlist_changes_nothing(implicit, laplace, design, size, monkeypatch):
    whole = brm.select(laplace, implicit, design, size, "greedy")
    monkeypatch.setattr(greedy, "SHORTLIST", 8)
    short = brm.select(laplace, implicit, design, size, "greedy")
    assert _positions(implicit, short) == _positions(implicit, whole)
    np.testing.assert_allclose(short.gain, whole.gain, rtol=1e-8)


def test_greedy_ends_where_scoring_in_blocks_rounds_otherwise_than_one_by_one(implicit, monkeypatch):
    """A pair scored alone may differ in the last digit from the same pair scored in a block."""
    monkeypatch.setattr(greedy, "SHORTLIST", 8)
    refreshed = []

    def score(pairs):
        if len(pairs) > 1:
            refreshed.append(len(pairs))
        assert len(refreshed) < 500, "greedy scores all candidates again and again"
        return torch.full((len(pairs),), 1.0 + (1e-15 if len(pairs) == 1 else 0.0), dtype=torch.float64)

    positions = SELECTORS["greedy"]().choose(SumObjective(score), implicit, 5, rng.stream(0, "test"))
    assert len(set(positions.tolist())) == 5


def test_gains_of_greedy_never_rise(implicit, posterior):
    for design in INFORMATION:
        gain = brm.select(posterior, implicit, design, 40, "greedy").gain
        assert (np.diff(gain) <= 1e-9).all()


# --- values and certificates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("selector", list(SELECTORS))
@pytest.mark.parametrize("design", INFORMATION)
def test_gains_sum_to_half_the_log_det(few, posterior, design, selector):
    batch = brm.select(posterior, few, design, 15, selector)
    start, z, weight = _explicit(posterior, few, design)
    positions = _positions(few, batch)
    logs = np.array([_log_det(start, z, weight, positions[:k]) for k in range(16)])
    np.testing.assert_allclose(batch.gain, 0.5 * np.diff(logs), rtol=1e-6, atol=1e-9)


def test_pa_dopt_gains_are_entropy_in_nats(few, laplace):
    batch = brm.select(laplace, few, "pa-dopt", 15)
    start, z, weight = _explicit(laplace, few, "pa-dopt")
    d = len(start)
    after = d / 2 * np.log(2 * np.pi * np.e) - 0.5 * _log_det(start, z, weight, _positions(few, batch))
    assert batch.gain.sum() == pytest.approx(laplace.entropy() - after, abs=1e-9)


def _best_of_three(posterior, candidates, design, seed) -> float | None:
    """What the best three candidates are worth, by exhaustive search; None where tests of the criterion search."""
    if design in INFORMATION:
        start, z, weight = _explicit(posterior, candidates, design)
        empty = _log_det(start, z, weight, [])
        chosen = combinations(range(len(candidates)), 3)
        return max(0.5 * (_log_det(start, z, weight, triple) - empty) for triple in chosen)
    objective = CRITERIA[design]().seeded(seed).objective(posterior, candidates)
    if isinstance(objective, SumObjective):
        return float(objective.gains(candidates.block_at(np.arange(len(candidates)))).sort().values[-3:].sum())
    return None


@pytest.mark.parametrize(("design", "inference"), POSSIBLE)
def test_no_batch_beats_the_bound(request, pool, design, inference):
    """Of three seeds, and every selector."""
    posterior = request.getfixturevalue(inference)
    for seed in range(3):
        candidates = brm.candidates(pool, "cross-prompt", size=12, seed=seed)
        best = _best_of_three(posterior, candidates, design, seed)
        for selector in [selector for name, selector in COMBINATIONS if name == design]:
            batch = brm.select(posterior, candidates, design, 3, selector, seed)
            if best is None:
                assert batch.gain.sum() <= batch.bound + 1e-9
                continue
            assert batch.gain.sum() <= best + 1e-9
            assert best <= batch.bound + 1e-9
            if selector == "greedy":
                assert batch.gain.sum() >= (1 - 1 / np.e) * best - 1e-9


def test_weights_are_averaged_over_the_posterior(make_world):
    """With few labels and strong rewards w at the mean is far from its mean under the posterior."""
    world = make_world(1, comparisons=15, spread=4.0)
    posterior = brm.fit(brm.RewardModel(6, encoder="linear", prior_scale=2.0), world.pool, world.preferences)
    candidates = brm.candidates(world.pool, "cross-prompt", size=40)
    batch = brm.select(posterior, candidates, "pa-dopt", 1)
    (position,) = _positions(candidates, batch)
    start, z, _ = _explicit(posterior, candidates, "pa-dopt")
    draws = posterior.sample_logits(world.pool, candidates, 40_000, rng.stream(0, "test"))
    weight = torch.sigmoid(draws) * torch.sigmoid(-draws)
    information = torch.einsum("md,dm->m", z, torch.linalg.solve(start, z.T))
    gain = 0.5 * torch.log1p(weight.mean(dim=0) * information)[position]
    error = 5 * 0.5 * information[position] * weight[:, position].std() / 200
    assert abs(batch.gain[0] - float(gain)) < float(error)
    mean = draws.mean(dim=0)[position]
    at_the_mean = 0.5 * torch.log1p(torch.sigmoid(mean) * torch.sigmoid(-mean) * information[position])
    assert abs(batch.gain[0] - float(at_the_mean)) > float(error)


def test_gains_stay_right_when_information_is_huge(pool):
    """A point without labels has a ridge of 1e-6, so that each pair is worth a factor of millions."""
    prior = brm.fit(brm.RewardModel(pool.dim, encoder="linear"), pool, brm.Preferences.none(), "plugin")
    candidates = brm.candidates(pool, "cross-prompt", size=60)
    start, z, weight = _explicit(prior, candidates, "pa-dopt")
    chosen, gains = _brute_force_greedy(start, z, weight, 30)
    batch = brm.select(prior, candidates, "pa-dopt", 30, "greedy")
    assert _positions(candidates, batch) == chosen
    np.testing.assert_allclose(batch.gain, gains, rtol=1e-5)


# --- ranking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 64, 10_000])
@pytest.mark.parametrize("size", [1, 13, 200])
@pytest.mark.parametrize("smallest_tiled", [2, 1000])
def test_top_across_blocks_is_a_full_sort(implicit, block, size, smallest_tiled, monkeypatch):
    monkeypatch.setattr(candidates_module, "SMALLEST_TILED", smallest_tiled)
    listed, tiles = AllPairs.listed, AllPairs.tiles
    monkeypatch.setattr(AllPairs, "listed", lambda self: listed(self, block))
    monkeypatch.setattr(AllPairs, "tiles", lambda self, order=None: tiles(self, block, order))
    scores = np.random.default_rng(0).normal(size=(len(implicit.responses),) * 2)
    scores = np.round(scores, 1) if size == 13 else scores

    def score(pairs):
        return torch.from_numpy(scores[pairs.first.numpy(), pairs.second.numpy()])

    everything = scores[implicit.pairs_at(np.arange(len(implicit)))]
    positions = top(implicit, score, size, rng.stream(0, "test"))
    assert len(np.unique(positions)) == size
    np.testing.assert_array_equal(everything[positions], np.sort(everything)[::-1][:size])


@pytest.mark.parametrize("kind", ["few", "implicit"])
def test_top_breaks_ties_uniformly_across_blocks(request, kind, monkeypatch):
    candidates = request.getfixturevalue(kind)
    monkeypatch.setattr(candidates_module, "SMALLEST_TILED", 2)
    listed, tiles = type(candidates).listed, type(candidates).tiles
    monkeypatch.setattr(type(candidates), "listed", lambda self: listed(self, 7))
    monkeypatch.setattr(type(candidates), "tiles", lambda self, order=None: tiles(self, 13, order))
    generator, draws, size = rng.stream(0, "test"), 300, 20
    counts = np.zeros(len(candidates))
    for _ in range(draws):
        counts[top(candidates, lambda pairs: torch.zeros(len(pairs), dtype=torch.float64), size, generator)] += 1
    share = size / len(candidates)
    assert (np.abs(counts / draws - share) < 5 * np.sqrt(share * (1 - share) / draws)).all()


def test_a_batch_is_copied_with_its_bound(few, laplace):
    batch = brm.select(laplace, few, "pa-dopt", 4)
    copied = copy.deepcopy(batch)
    assert isinstance(copied.certificate, float)
    assert copied.bound == batch.bound
    np.testing.assert_array_equal(copied.gain, batch.gain)


@pytest.mark.parametrize(
    ("name", "setting"), [("coreset", "radius"), ("paper-coreset", "radius"), ("power-bald", "power")]
)
def test_a_whole_number_that_no_tensor_holds_is_refused(name, setting):
    with pytest.raises(InvalidInputError, match=f"{setting} to be a finite number above 0 and below 1e18"):
        CRITERIA[name](**{setting: 10**30})
