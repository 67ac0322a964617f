"""Metrics against brute force: scipy, enumeration of all subsets, loops over pairs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation import metrics
from bayesrm.posteriors.base import RewardMoments, RewardPosterior

SIZES = (1, 2, 3, 5, 6, 4, 1)


def make_pool(sizes: tuple[int, ...] = SIZES, dim: int = 4, seed: int = 0) -> tuple[brm.ResponsePool, np.ndarray]:
    """A ragged pool whose prompts are interleaved, with golden rewards that have ties."""
    generator = np.random.default_rng(seed)
    prompt = generator.permutation(np.repeat(np.arange(len(sizes)) * 7, sizes))
    embeddings = generator.standard_normal((len(prompt), dim)).astype(np.float32)
    golden = np.round(1.5 * embeddings[:, 0] + generator.standard_normal(len(prompt)))
    return brm.ResponsePool(embeddings, prompt), golden


def fit(pool: brm.ResponsePool, golden: np.ndarray, inference: str = "laplace") -> RewardPosterior:
    generator = np.random.default_rng(1)
    first = generator.integers(0, len(pool), 60)
    second = (first + generator.integers(1, len(pool), 60)) % len(pool)
    outcome = (generator.random(60) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    model = brm.RewardModel(pool.dim, "linear", prior_scale=1.0)
    return brm.fit(model, pool, brm.Preferences(first, second, outcome), inference=inference)


def within_prompt_pairs(pool: brm.ResponsePool) -> list[tuple[int, int]]:
    return [(i, j) for i, j in itertools.combinations(range(len(pool)), 2) if pool.prompt[i] == pool.prompt[j]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_pair_metrics_equal_a_loop_over_pairs(inference: str, temperature: float) -> None:
    pool, golden = make_pool()
    posterior = fit(pool, golden, inference)
    moments = posterior.reward_moments(pool)
    correct, losses, squares, both = [], [], [], []
    for i, j in within_prompt_pairs(pool):
        p = float(posterior.preference_probability(pool, np.array([i]), np.array([j]))[0])
        q = sigmoid(temperature * (golden[i] - golden[j]))
        losses.append(-q * math.log(p) - (1 - q) * math.log(1 - p))
        squares.append((p - q) ** 2)
        both += [(p, q), (1 - p, 1 - q)]
        if golden[i] != golden[j]:
            correct.append(float((moments.mean[i] > moments.mean[j]) == (golden[i] > golden[j])))
    ece = 0.0
    for b in range(15):
        inside = [(p, q) for p, q in both if b / 15 <= p < (b + 1) / 15 or (b == 14 and p == 1)]
        if inside:
            mean_p, mean_q = np.mean(inside, axis=0)
            ece += len(inside) / len(both) * abs(mean_p - mean_q)

    scores = brm.evaluate(posterior, pool, golden, temperature)
    assert set(scores) == {"one_minus_spearman", "best_of_n", "pairwise_accuracy", "log_loss", "brier", "ece"}
    assert scores["pairwise_accuracy"] == pytest.approx(np.mean(correct))
    assert scores["log_loss"] == pytest.approx(np.mean(losses))
    assert scores["brier"] == pytest.approx(np.mean(squares))
    assert scores["ece"] == pytest.approx(ece)


def test_ranking_metrics_equal_scipy_and_enumeration() -> None:
    pool, golden = make_pool()
    posterior = fit(pool, golden)
    reward, _ = posterior.reward(pool)
    expected = []
    for members in pool.members:
        if np.ptp(golden[members]) > 0:
            expected.append(1 - spearmanr(reward[members], golden[members]).statistic)
    scores = brm.evaluate(posterior, pool, golden)
    assert scores["one_minus_spearman"] == pytest.approx(np.mean(expected))
    assert scores["best_of_n"] == pytest.approx(
        {n: np.mean([best_of(reward[m], golden[m], n) for m in pool.members if len(m) >= n]) for n in (1, 2)}
    )


def best_of(predicted: np.ndarray, golden: np.ndarray, n: int) -> float:
    """The mean over all subsets of size n of the golden reward of the first-ranked; ties take their mean."""
    values = []
    for subset in itertools.combinations(range(len(golden)), n):
        chosen = np.array(subset)
        first = chosen[predicted[chosen] == predicted[chosen].max()]
        values.append(golden[first].mean())
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(5))
def test_best_of_n_equals_enumeration_without_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    group = generator.permutation(np.repeat(np.arange(4), (1, 7, 4, 6)))
    predicted, golden = generator.standard_normal((2, len(group)))
    best = metrics.best_of_n_by_prompt(predicted, golden, group, range(1, 8))
    for n, prompt in itertools.product(range(1, 8), range(4)):
        mine = group == prompt
        if n > mine.sum():
            assert np.isnan(best[n][prompt])
        else:
            assert best[n][prompt] == pytest.approx(best_of(predicted[mine], golden[mine], n))


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_best_of_n_equals_the_mean_over_all_breakings_of_ties(n: int) -> None:
    golden = np.array([3.0, -1.0, 0.5, 2.0, 7.0, -4.0])
    predicted = np.array([1.0, 1.0, 0.0, 1.0, 0.0, -2.0])
    orders = []
    for high in itertools.permutations((0.1, 0.2, 0.3)):
        for low in itertools.permutations((0.1, 0.2)):
            broken = predicted.copy()
            broken[[0, 1, 3]] += high
            broken[[2, 4]] += low
            orders.append(best_of(broken, golden, n))
    best = metrics.best_of_n_by_prompt(predicted, golden, np.zeros(6, int), [n])
    assert best[n][0] == pytest.approx(np.mean(orders))


def test_best_of_n_is_stable_for_thousands_of_responses() -> None:
    size = 4000
    golden = np.random.default_rng(0).standard_normal(size)
    sizes = [1, 2, 64, 2048, size]
    group = np.zeros(size, int)
    ones = metrics.best_of_n_by_prompt(golden, np.ones(size), group, sizes)
    best = metrics.best_of_n_by_prompt(golden, golden, group, sizes)
    descending = np.sort(golden)[::-1]
    for n in sizes:
        weights = [n / size]
        for r in range(size - n):
            weights.append(weights[-1] * (size - n - r) / (size - 1 - r))
        assert ones[n][0] == pytest.approx(1, abs=1e-9)
        assert best[n][0] == pytest.approx(np.dot(weights, descending[: len(weights)]), abs=1e-9)


def test_best_of_n_refuses_none() -> None:
    with pytest.raises(InvalidInputError, match="best of at least 1, got best of 0"):
        metrics.best_of_n_by_prompt(np.ones(2), np.ones(2), np.zeros(2, int), [0])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((5, 9), [1, 2, 4, 5]),
        ((8,), [1, 2, 4, 8]),
        ((1, 3, 500), [1, 2, 3]),
        ((1, 1), [1]),
        ((500,), [1, 2, 4, 8, 16, 32, 64, 128, 256, 500]),
    ],
)
def test_sizes_that_every_prompt_can_offer(sizes: tuple[int, ...], expected: list[int]) -> None:
    assert metrics.best_of_sizes(np.repeat(np.arange(len(sizes)), sizes)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_spearman_equals_scipy_with_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    group = generator.permutation(np.repeat(np.arange(5), (2, 3, 10, 7, 20)))
    predicted, golden = generator.integers(0, 4, (2, len(group))).astype(float)
    correlation = metrics.spearman_by_prompt(predicted, golden, group)
    for prompt in range(5):
        x, y = predicted[group == prompt], golden[group == prompt]
        if np.ptp(y) == 0:
            assert np.isnan(correlation[prompt])
        else:
            expected = 0.0 if np.ptp(x) == 0 else spearmanr(x, y).statistic
            assert correlation[prompt] == pytest.approx(expected)


def test_spearman_of_constants_and_singles() -> None:
    group = np.array([0, 0, 1, 1, 2, 3, 3])
    predicted = np.array([1.0, 2.0, 0.0, 0.0, 5.0, 2.0, 1.0])
    golden = np.array([3.0, 3.0, 1.0, 2.0, 4.0, 0.0, 1.0])
    np.testing.assert_array_equal(
        metrics.spearman_by_prompt(predicted, golden, group), [np.nan, 0.0, np.nan, -1.0]
    )


def test_a_perfect_and_a_reversed_order() -> None:
    pool, golden = make_pool((4, 6))
    golden = golden + 0.01 * np.arange(len(pool))
    same, reversed_ = brm.evaluate(Oracle(golden), pool, golden), brm.evaluate(Oracle(-golden), pool, golden)
    assert same["one_minus_spearman"] == pytest.approx(0)
    assert same["pairwise_accuracy"] == 1
    assert same["brier"] == pytest.approx(0, abs=1e-12)
    assert same["ece"] == pytest.approx(0, abs=1e-6)
    assert same["best_of_n"][4] > reversed_["best_of_n"][4]
    assert reversed_["one_minus_spearman"] == pytest.approx(2)
    assert reversed_["pairwise_accuracy"] == 0


def test_without_preferences_every_answer_is_even() -> None:
    pool, golden = make_pool()
    posterior = brm.fit(brm.RewardModel(pool.dim, "linear", prior_scale=1.0), pool, brm.Preferences.none())
    scores = brm.evaluate(posterior, pool, golden)
    assert scores["one_minus_spearman"] == 1
    assert scores["pairwise_accuracy"] == 0.5
    assert scores["log_loss"] == pytest.approx(math.log(2))
    assert scores["best_of_n"][2] == pytest.approx(
        np.mean([golden[members].mean() for members in pool.members if len(members) >= 2])
    )


def test_predicted_ties_count_half_and_golden_ties_do_not_count() -> None:
    predicted = np.array([0.0, 1.0, -1.0, 2.0])
    golden = np.array([1.0, 1.0, 1.0, 0.0])
    assert metrics.pairwise_accuracy(predicted, golden) == pytest.approx(0.5)
    assert metrics.pairwise_accuracy(predicted, golden, np.array([2.0, 1.0, 0.0, 9.0])) == pytest.approx(2 / 3)


def test_weights_are_repetitions() -> None:
    generator = np.random.default_rng(0)
    p, q = generator.random((2, 50))
    weight = generator.integers(0, 4, 50)
    repeated = np.repeat(np.arange(50), weight)
    for metric in (metrics.log_loss, metrics.brier_score, metrics.expected_calibration_error):
        assert metric(p, q, weight.astype(float)) == pytest.approx(metric(p[repeated], q[repeated]))


def test_calibration_error_does_not_depend_on_orientation() -> None:
    p, q = np.random.default_rng(0).random((2, 200))
    flip = np.arange(200) % 3 == 0
    flipped = np.where(flip, 1 - p, p), np.where(flip, 1 - q, q)
    assert metrics.expected_calibration_error(p, q) == pytest.approx(metrics.expected_calibration_error(*flipped))


def test_log_loss_is_finite_for_certainty() -> None:
    assert metrics.log_loss(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(
        12 * math.log(10), rel=1e-4
    )


def test_nothing_to_tell_is_nan() -> None:
    pool = brm.ResponsePool(np.ones((3, 2), np.float32), [0, 1, 2])
    scores = brm.evaluate(Oracle(np.arange(3.0)), pool, [1.0, 2.0, 6.0])
    assert scores["best_of_n"] == {1: 3.0}
    for name in ("one_minus_spearman", "pairwise_accuracy", "log_loss", "brier", "ece"):
        assert np.isnan(scores[name])  # type: ignore[literal-required]


def test_blocks_of_prompts_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, golden = make_pool()
    posterior = fit(pool, golden)
    whole = brm.evaluate(posterior, pool, golden)
    monkeypatch.setattr(metrics, "RESPONSES_AT_ONCE", 5)
    monkeypatch.setattr(metrics, "ELEMENTS_AT_ONCE", 9)
    in_blocks = brm.evaluate(posterior, pool, golden)
    assert in_blocks.pop("best_of_n") == pytest.approx(whole.pop("best_of_n"))  # type: ignore[misc]
    assert in_blocks == pytest.approx(whole)


def test_each_response_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RESPONSES_AT_ONCE", 5)
    pool, golden = make_pool()
    oracle = Oracle(golden)
    brm.evaluate(oracle, pool, golden)
    assert max(map(len, oracle.asked)) <= max(5, *SIZES)
    assert sorted(np.concatenate(oracle.asked)) == list(range(len(pool)))
    for responses in oracle.asked:
        assert not set(pool.prompt[responses]) & set(np.delete(pool.prompt, responses))


@pytest.mark.parametrize("limit", [1, 7, 20, 36, 37])
def test_many_pairs_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    pool, golden = make_pool()
    posterior = fit(pool, golden)
    everything = metrics.predict(posterior, pool, golden)
    assert sorted(zip(everything.first, everything.second, strict=True)) == within_prompt_pairs(pool)
    total = len(everything.first)
    monkeypatch.setattr(metrics, "MAX_PAIRS", limit)
    monkeypatch.setattr(metrics, "RESPONSES_AT_ONCE", 5)
    some = metrics.predict(posterior, pool, golden)
    kept = [k * total // min(limit, total) for k in range(min(limit, total))]
    np.testing.assert_array_equal(some.first, everything.first[kept])
    np.testing.assert_array_equal(some.second, everything.second[kept])
    np.testing.assert_allclose(some.probability, everything.probability[kept])
    np.testing.assert_allclose(some.reward, everything.reward)


@pytest.mark.parametrize(
    ("golden", "temperature", "message"),
    [
        (np.zeros(5), 1.0, "each of the 22 responses, got 5"),
        (np.full(22, np.nan), 1.0, "expected finite golden rewards"),
        (np.zeros(22), 0.0, "finite temperature above 0, got 0.0"),
        (np.zeros(22), math.inf, "temperature to be a finite number, got inf"),
    ],
)
def test_bad_input(golden: np.ndarray, temperature: float, message: str) -> None:
    pool, _ = make_pool()
    with pytest.raises(InvalidInputError, match=message):
        brm.evaluate(Oracle(np.zeros(22)), pool, golden, temperature)


def test_test_pool_of_another_embedding() -> None:
    pool, golden = make_pool()
    other, _ = make_pool(dim=5)
    with pytest.raises(InvalidInputError, match="expected embeddings of dimension 4"):
        brm.evaluate(fit(pool, golden), other, golden)


def test_diverged_posterior() -> None:
    pool, golden = make_pool()
    with pytest.raises(InvalidInputError, match="NaN or infinity for 22 of 22 responses: did the fit"):
        brm.evaluate(Oracle(np.full(22, np.nan)), pool, golden)


class Oracle(RewardPosterior):
    """A point that says given rewards, and remembers what it was asked."""

    def __init__(self, rewards: np.ndarray) -> None:
        self.rewards = torch.from_numpy(rewards)
        self.model = brm.RewardModel(2, "linear")
        self.asked: list[np.ndarray] = []

    def reward_moments(self, pool: brm.ResponsePool, responses: np.ndarray | None = None) -> RewardMoments:
        assert responses is not None
        self.asked.append(responses)
        mean = self.rewards[torch.from_numpy(responses)]
        return RewardMoments(mean, torch.zeros(len(mean), 0, dtype=torch.float64))

    def sample_rewards(self, *arguments: Any) -> Any:
        raise NotImplementedError

    def entropy(self) -> float:
        raise NotImplementedError

    def condition(self, preferences: brm.Preferences) -> RewardPosterior:
        raise NotImplementedError

    def to_datatree(self, *arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError
