r"""Whether values are uniform on [0, 1]: the empirical CDF within a simultaneous band (Säilynoja et al. 2022).

With u_1 … u_N uniform, the count C_k of values ≤ z_k = k/K is Binomial(N, z_k). Its two-sided tail probability is
t_k = 2 min(P(C ≤ C_k), P(C ≥ C_k)), and γ = min_k t_k is how far the curve strays at its worst. The distribution of γ
under uniformity is simulated; its α-quantile gives the band that all points stay within with probability 1 − α.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy.stats import binom

MAX_POINTS = 100
BLOCK = 2000


@dataclass(frozen=True, eq=False)
class UniformBand:
    """The simultaneous band for an empirical CDF.

    Parameters
    ----------
    points
        (point,) where the CDF is looked at.
    lower, upper
        (point,) within which it stays.
    tail
        (count, point) t of every count at every point.
    strayed
        (simulation,) γ of uniform samples, ascending.
    """

    points: Float[np.ndarray, "point"]
    lower: Float[np.ndarray, "point"]
    upper: Float[np.ndarray, "point"]
    tail: Float[np.ndarray, "count point"]
    strayed: Float[np.ndarray, "simulation"]

    def p_value(self, values: Float[np.ndarray, "value"]) -> float:
        """The probability that a uniform sample strays at least as far."""
        counts = ecdf(values, self.points) * len(values)
        worst = self.tail[counts.round().astype(np.int64), np.arange(len(self.points))].min()
        below = np.searchsorted(self.strayed, worst * (1 + 1e-12), side="right")
        return float((1 + below) / (1 + len(self.strayed)))

    def holds(self, values: Float[np.ndarray, "value"]) -> bool:
        """Whether the curve stays within the band."""
        curve = ecdf(values, self.points)
        return bool(((curve >= self.lower - 1e-12) & (curve <= self.upper + 1e-12)).all())


def ecdf(values: Float[np.ndarray, "value"], points: Float[np.ndarray, "point"]) -> Float[np.ndarray, "point"]:
    """The fraction of values ≤ each point."""
    return np.searchsorted(np.sort(values), points, side="right") / len(values)


def uniform_band(count: int, probability: float, generator: np.random.Generator) -> UniformBand:
    """The band that the empirical CDF of ``count`` uniform values stays within with some probability.

    Parameters
    ----------
    count
        N, the number of values.
    probability
        1 − α, over all points at once.
    generator
        Of the simulation: 4,000 samples, and more for a probability so large that 50 have to lie beyond it.
    """
    size = min(count, MAX_POINTS)
    points = np.arange(1, size) / size
    counts = np.arange(count + 1)[:, None]
    tail = 2 * np.minimum(binom.cdf(counts, count, points), binom.sf(counts - 1, count, points))
    simulations = max(4000, int(np.ceil(50 / (1 - probability))))
    strayed = np.sort(
        np.concatenate(
            [
                _strayed(
                    tail, generator.multinomial(count, np.full(size, 1 / size), min(BLOCK, simulations - start))
                )
                for start in range(0, simulations, BLOCK)
            ]
        )
    )
    critical = strayed[int(np.floor((1 - probability) * simulations))]
    inside = tail >= critical * (1 - 1e-12)
    lower = inside.argmax(axis=0) / count
    upper = (count - inside[::-1].argmax(axis=0)) / count
    return UniformBand(points, lower, upper, tail, strayed)


def _strayed(
    tail: Float[np.ndarray, "count point"], binned: Int64[np.ndarray, "simulation bin"]
) -> Float[np.ndarray, "simulation"]:
    counts = binned.cumsum(axis=1)[:, :-1]
    return tail[counts, np.arange(counts.shape[1])].min(axis=1)
