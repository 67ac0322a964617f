"""What counts as far outside of a column's usual range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.models.robust import FAR, FEWEST, USUAL, usual_range
from bayesrm.models.standardize import Standardize


@pytest.mark.parametrize(("share", "kept"), [(0.02, True), (0.002, False)])
def test_a_rare_value_is_kept_from_half_a_percent_on(share, kept):
    values = (np.arange(1000) < share * 1000).astype(float)[:, None]
    low, high = usual_range(values)
    assert (values.clip(low, high).max() == 1) == kept


def test_what_is_far_is_clipped_to_five_standard_deviations():
    values = np.random.default_rng(0).standard_normal((4000, 2))
    values[7, 1] = 1000.0
    low, high = usual_range(values)
    assert (low[0], high[0]) == (-np.inf, np.inf)
    assert high[1] == pytest.approx(USUAL, rel=0.1)
    assert low[1] == pytest.approx(-USUAL, rel=0.1)
    values[7, 1] = 0.9 * FAR
    assert np.isinf(usual_range(values)[1]).all()


def test_a_few_values_have_no_usual_range():
    values = np.append(np.zeros(FEWEST - 2), 1000.0)[:, None]
    assert np.isinf(usual_range(values)).all()


def _standardized(factors: list[float]) -> np.ndarray:
    """Standard normal columns times these factors, as an encoder is shown them."""
    rows = np.random.default_rng(0).normal(size=(300, len(factors))) * factors
    standardize = Standardize(len(factors))
    standardize.fit(brm.ResponsePool(rows.astype(np.float32), np.arange(300) // 6))
    return standardize(torch.from_numpy(rows.astype(np.float32))).numpy()


@pytest.mark.parametrize("factor", [1e6, 1e12, 1e30])
def test_one_column_of_huge_numbers_makes_no_rounding_of_the_others(factor):
    """All of them have mean 0 and sd 1, as without the factor."""
    np.testing.assert_allclose(_standardized([1.0, factor, 1.0, 1.0]), _standardized([1.0] * 4), atol=1e-4)


@pytest.mark.parametrize("factor", [1e4, 1e6, 1e8])
def test_nor_of_those_that_vary_less_than_the_others(factor):
    """By a factor of a hundred, as the dimensions of an encoder do."""
    assert (_standardized([1.0, factor, 0.1, 0.01]).std(axis=0) > 0.9).all()


def test_a_column_of_tiny_numbers_is_left_out_and_said():
    """A constant, however large or small it is, is left out without a word."""
    with pytest.warns(UserWarning, match="1 of 4 dimensions of the embeddings vary a million times less"):
        rows = _standardized([1.0, 1e-12, 1.0, 1.0])
    np.testing.assert_array_equal(rows.std(axis=0) > 0.9, [True, False, True, True])


@pytest.mark.parametrize("constant", [0.0, 1e-12, 7.0, 1e6, -1e30])
def test_constants_are_left_out_without_a_word(constant):
    """Whatever they are."""
    rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    rows[:, 1] = constant
    standardize = Standardize(3)
    standardize.fit(brm.ResponsePool(rows, np.arange(60) // 6))
    np.testing.assert_allclose(standardize(torch.from_numpy(rows)).std(dim=0, correction=0), [1, 0, 1], atol=1e-5)


def test_rounding_beside_few_directions_is_left_out_without_a_word():
    """Three columns of numbers and nine of what rounding leaves of a projection."""
    rows = _standardized([1.0] * 3 + [1e-9] * 9)
    np.testing.assert_array_equal(rows.std(axis=0) > 0.9, [True] * 3 + [False] * 9)


@pytest.mark.parametrize("encoder", ["linear", "kernel"])
def test_a_reward_is_the_same_whatever_the_units_of_a_column(encoder):
    """Rewards of fits to embeddings with a column multiplied by 1e9, and of all of them, are those without."""
    r = np.random.default_rng(1)
    rows = r.normal(size=(90, 4)).astype(np.float32)
    first, second = np.arange(0, 90, 2), np.arange(1, 90, 2)
    labels = brm.Preferences(first, second, (rows[first, 0] > rows[second, 0]).astype(float))

    def reward(factor) -> np.ndarray:
        pool = brm.ResponsePool(rows * np.float32(factor), np.arange(90) // 6)
        return brm.fit(brm.RewardModel(pool, encoder, prior_scale=0.5), pool, labels, seed=0).reward(pool)[0]

    plain = reward(1.0)
    np.testing.assert_allclose(reward([1.0, 1.0, 1e9, 1.0]), plain, atol=1e-3)
    np.testing.assert_allclose(reward(1e-20), plain, atol=1e-3)
    np.testing.assert_allclose(reward(1e20), plain, atol=1e-3)
