"""What one way of asking needs for the 1 − Spearman of another: a ratio of budgets, with an interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 400


def budget_of(curve: np.ndarray, reached: float, budgets: Sequence[int]) -> float:
    """Where a falling curve reaches a value: on log scales, past its ends by its nearest slope."""
    x, y = np.log(budgets), np.log(np.minimum.accumulate(curve))
    y = y - 1e-9 * np.arange(len(y))
    at = int(np.clip(np.searchsorted(-y, -np.log(reached)) - 1, 0, len(y) - 2))
    slope = min((y[at + 1] - y[at]) / (x[at + 1] - x[at]), -0.05)
    return float(np.exp(x[at] + (np.log(reached) - y[at]) / slope))


def ratios(one: np.ndarray, other: np.ndarray, budgets: Sequence[int]) -> list[str]:
    """At each budget what one needs over what the other needs, of mean (seed, budget) curves, with a 90% interval."""
    random = np.random.default_rng(0)
    draws = [np.arange(len(one)), *random.integers(len(one), size=(RESAMPLES, len(one)))]
    values = np.array(
        [
            [
                budget / budget_of(other[own].mean(0), one[own].mean(0)[k], budgets)
                for k, budget in enumerate(budgets)
            ]
            for own in draws
        ]
    )
    low, high = np.quantile(values[1:], [0.05, 0.95], axis=0)
    return [f"{values[0, k]:.2f} ({low[k]:.2f} to {high[k]:.2f})" for k in range(len(budgets))]
