"""What needs no label, ranking with length held fixed, and how much of a model is length."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation import metrics
from bayesrm.evaluation.baselines import length_sentence, length_share
from bayesrm.evaluation.metrics import partial_spearman_by_prompt, spearman_by_prompt


def _partial(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """The formula of partial correlation, on ranks."""
    a, b, c = (stats.rankdata(values) for values in (x, y, z))
    xy, xz, yz = (float(np.corrcoef(left, right)[0, 1]) for left, right in ((a, b), (a, c), (b, c)))
    return (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))


# --- the partial rank correlation ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_equals_the_formula_prompt_by_prompt(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(4), [5, 9, 30, 12])
    rng.shuffle(group)
    values = rng.normal(size=(3, len(group)))
    if ties:
        values = np.round(values)
    got = partial_spearman_by_prompt(*values, group)
    expected = [_partial(*(column[group == g] for column in values)) for g in range(4)]
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_equals_the_correlation_of_residuals_of_a_regression() -> None:
    rng = np.random.default_rng(7)
    x, y, z = (stats.rankdata(values) for values in rng.normal(size=(3, 25)))
    left = [r - np.polyval(np.polyfit(z, r, 1), z) for r in (x, y)]
    got = partial_spearman_by_prompt(x, y, z, np.zeros(25, np.int64))
    np.testing.assert_allclose(got, [np.corrcoef(*left)[0, 1]], atol=1e-12)


GIVEN_AWAY = np.array([1.0, 2.0, 3.0, 4.0])
OTHER = np.array([2.0, 4.0, 1.0, 3.0])


@pytest.mark.parametrize(
    ("predicted", "golden", "length", "expected"),
    [
        (OTHER, GIVEN_AWAY, GIVEN_AWAY * 10, np.nan),  # length gives the golden order away
        (OTHER, GIVEN_AWAY, -GIVEN_AWAY, np.nan),
        (OTHER, np.ones(4), GIVEN_AWAY, np.nan),  # nothing to rank
        (GIVEN_AWAY, OTHER, GIVEN_AWAY, 0.0),  # the prediction is length
        (-GIVEN_AWAY, OTHER, GIVEN_AWAY, 0.0),
        (np.ones(4), OTHER, GIVEN_AWAY, 0.0),
        (OTHER, OTHER, GIVEN_AWAY, 1.0),
        (-OTHER, OTHER, GIVEN_AWAY, -1.0),
        (OTHER, GIVEN_AWAY, np.ones(4), stats.spearmanr(OTHER, GIVEN_AWAY).statistic),  # all of one length
    ],
)
def test_degenerate_prompts(
    predicted: np.ndarray, golden: np.ndarray, length: np.ndarray, expected: float
) -> None:
    got = partial_spearman_by_prompt(predicted, golden, length, np.zeros(4, np.int64))
    np.testing.assert_allclose(got, [expected], atol=1e-12)


def test_two_responses_of_different_length_have_nothing_left_and_a_single_one_never_had() -> None:
    group = np.array([0, 0, 1, 2, 2])
    got = partial_spearman_by_prompt(
        np.array([1.0, 2.0, 5.0, 1.0, 2.0]),
        np.array([2.0, 1.0, 5.0, 1.0, 2.0]),
        np.array([3.0, 4, 5, 6, 6]),
        group,
    )
    np.testing.assert_array_equal(got, [np.nan, np.nan, 1.0])


def test_without_differences_of_length_it_is_spearman() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(5), 7)
    x, y = rng.normal(size=(2, 35))
    np.testing.assert_allclose(
        partial_spearman_by_prompt(x, y, np.full(35, 2.0), group), spearman_by_prompt(x, y, group), atol=1e-12
    )


# --- evaluate -------------------------------------------------------------------------------------------


def test_evaluate_has_it_where_lengths_are_known(world: object, laplace: brm.RewardPosterior) -> None:
    pool, golden = world.pool, world.golden
    assert "one_minus_spearman_given_length" not in brm.evaluate(laplace, pool, golden)
    texts = ["x" * k for k in np.random.default_rng(0).integers(1, 500, len(pool))]
    written = brm.ResponsePool(pool.embeddings, pool.prompt, texts)
    length = np.array([math.log1p(len(text)) for text in texts])
    scores = brm.evaluate(laplace, written, golden)
    partial = partial_spearman_by_prompt(laplace.reward(pool)[0], golden, length, pool.group)
    expected = 1 - partial[~np.isnan(partial)].mean()
    assert scores["one_minus_spearman_given_length"] == pytest.approx(expected, abs=1e-12)
    # A covariate comes before the texts.
    given = written.with_covariates({"log_characters": golden})
    assert math.isnan(brm.evaluate(laplace, given, golden)["one_minus_spearman_given_length"])


def test_texts_of_one_length_change_nothing(world: object, laplace: brm.RewardPosterior) -> None:
    pool = brm.ResponsePool(world.pool.embeddings, world.pool.prompt, ["text"] * len(world.pool))
    scores = brm.evaluate(laplace, pool, world.golden)
    assert scores["one_minus_spearman_given_length"] == pytest.approx(scores["one_minus_spearman"], abs=1e-12)


# --- baselines ------------------------------------------------------------------------------------------


def _texts_pool(seed: int = 0) -> tuple[brm.ResponsePool, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(6), [4, 5, 2, 7, 1, 6])
    texts = ["line\n" * rng.integers(1, 9) + "x" * rng.integers(0, 40) for _ in group]
    pool = brm.ResponsePool(rng.normal(size=(len(group), 2)), group, texts)
    return pool.with_covariates({"judge": rng.normal(size=len(group))}), rng.normal(size=len(group))


def test_each_is_scored_as_a_ranking() -> None:
    pool, golden = _texts_pool()
    found = brm.baselines(pool, golden)
    assert list(found) == ["log_characters", "lines", "judge", "random"]
    by_hand = {
        "log_characters": np.array([len(text.strip()) for text in pool.texts], float),
        "lines": np.array([len(text.splitlines()) for text in pool.texts], float),
        "judge": pool.covariates["judge"],
    }
    for name, values in by_hand.items():
        correlation = spearman_by_prompt(values, golden, pool.group)
        expected = 1 - correlation[~np.isnan(correlation)].mean()
        assert found[name]["one_minus_spearman"] == pytest.approx(expected, abs=1e-12)
        best = metrics.best_of_n_by_prompt(values, golden, pool.group, [2])[2]
        assert found[name]["best_of_n"][2] == pytest.approx(np.nanmean(best), abs=1e-12)
    # Nothing of length is left when length is held fixed.
    assert found["log_characters"]["one_minus_spearman_given_length"] == 1.0


def test_random_is_the_expectation_over_orders() -> None:
    pool, golden = _texts_pool()
    found = brm.baselines(pool, golden)["random"]
    assert found["one_minus_spearman"] == 1.0
    assert found["pairwise_accuracy"] == 0.5
    assert found["one_minus_spearman_given_length"] == 1.0
    sizes = np.bincount(pool.group)
    means = np.bincount(pool.group, golden) / sizes
    for n, value in found["best_of_n"].items():
        assert value == pytest.approx(means[sizes >= n].mean(), abs=1e-12)


def test_probabilities_of_a_ranking_are_even() -> None:
    pool, golden = _texts_pool()
    for scores in brm.baselines(pool, golden, temperature=3.0).values():
        assert scores["log_loss"] == pytest.approx(math.log(2), abs=1e-12)
    first, second = np.nonzero(np.triu(pool.group[:, None] == pool.group[None], 1))
    q = 1 / (1 + np.exp(-3 * (golden[first] - golden[second])))
    assert scores["brier"] == pytest.approx(float(((q - 0.5) ** 2).mean()), abs=1e-12)


def test_the_same_keys_as_evaluate(laplace: brm.RewardPosterior, world: object) -> None:
    pool = brm.ResponsePool(world.pool.embeddings, world.pool.prompt, ["t"] * len(world.pool))
    evaluated = brm.evaluate(laplace, pool, world.golden)
    for scores in brm.baselines(pool, world.golden).values():
        assert scores.keys() == evaluated.keys()
        assert scores["best_of_n"].keys() == evaluated["best_of_n"].keys()


def test_a_pool_without_texts_has_random_alone(world: object) -> None:
    found = brm.baselines(world.pool, world.golden)
    assert list(found) == ["random"]
    assert "one_minus_spearman_given_length" not in found["random"]


@pytest.mark.parametrize("limit", [7, 20])
def test_the_pairs_are_those_of_evaluate(
    laplace: brm.RewardPosterior, world: object, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    from bayesrm.evaluation import baselines

    for module in (metrics, baselines):
        monkeypatch.setattr(module, "MAX_PAIRS", limit)
    predicted = metrics.predict(laplace, world.pool, world.golden)
    first, second = baselines._pairs(world.pool)
    np.testing.assert_array_equal(predicted.first, first)
    np.testing.assert_array_equal(predicted.second, second)


def test_refused(world: object) -> None:
    with pytest.raises(InvalidInputError, match="temperature above 0, got 0"):
        brm.baselines(world.pool, world.golden, temperature=0.0)
    with pytest.raises(InvalidInputError, match="golden"):
        brm.baselines(world.pool, world.golden[:-1])


# --- the share of length --------------------------------------------------------------------------------


def _lengths(seed: int = 0, n: int = 60) -> tuple[brm.ResponsePool, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 8, n)
    covariates = {
        "log_characters": rng.normal(size=n),
        "lines": rng.normal(size=n),
        "questions": rng.normal(size=n),
    }
    pool = brm.ResponsePool(rng.normal(size=(n, 2)), group, covariates=covariates)
    dummies = np.eye(8)[group]
    return pool, dummies, rng.normal(size=n)


def test_share_is_that_of_a_regression_with_an_intercept_for_each_prompt() -> None:
    pool, dummies, reward = _lengths()
    x = np.stack([pool.covariates["log_characters"], pool.covariates["lines"]], axis=1)

    def residual(design: np.ndarray) -> float:
        return float(((reward - design @ np.linalg.lstsq(design, reward, rcond=None)[0]) ** 2).sum())

    expected = 1 - residual(np.hstack([dummies, x])) / residual(dummies)
    assert length_share(reward, pool) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected < 0.5


def test_share_of_length_itself_of_constants_and_of_prompts() -> None:
    pool, dummies, _ = _lengths()
    length = pool.covariates["log_characters"]
    assert length_share(3 * length - 7, pool) == pytest.approx(1.0, abs=1e-12)
    assert length_share(np.full(len(pool), 5.0), pool) == 0.0
    # What only prompts differ in is not within prompts.
    assert length_share(dummies @ np.arange(8.0) + 1e-3 * length, pool) == pytest.approx(1.0, abs=1e-6)
    assert length_share(pool.covariates["questions"], pool, names=("questions",)) == pytest.approx(1.0, abs=1e-12)


def test_share_without_lengths_and_with_texts() -> None:
    pool, _, reward = _lengths()
    assert length_share(reward, brm.ResponsePool(pool.embeddings, pool.prompt)) is None
    texts = ["x" * int(10 + 3 * k) for k in reward]
    written = brm.ResponsePool(pool.embeddings, pool.prompt, texts)
    share = length_share(np.array([math.log1p(len(text)) for text in texts]), written)
    assert share == pytest.approx(1.0, abs=1e-12)


def test_sentences() -> None:
    pool, golden = _texts_pool()
    found = brm.baselines(pool, golden)
    alone = found["log_characters"]["one_minus_spearman"]
    assert "68% of what the model knows is length" in length_sentence(0.684)
    better, worse = (length_sentence(None, found, alone + change) for change in (-0.1, 0.1))
    assert f"ranks at 1 − Spearman {alone:.3f}, the model at {alone - 0.1:.3f}." in better
    assert "nothing beyond length" in worse
    assert length_sentence(None, {"random": found["random"]}) == ""
