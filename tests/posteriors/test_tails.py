"""Tails of u: answers agree as often under both kinds, by draws and by closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from bayesrm.posteriors.tails import FACTORS, HEAVY, SHARES, Tail, sample, tails


def _differ(spread: np.ndarray, share: np.ndarray) -> float:
    """E p(δ)(1 − p(δ)) of the difference of two mixtures, by adaptive quadrature."""
    total = 0.0
    for a, p in zip(spread, share, strict=True):
        for b, q in zip(spread, share, strict=True):
            sd = np.hypot(a, b)
            total += p * q * quad(lambda z, sd=sd: stats.norm.pdf(z) / (4 * np.cosh(sd * z / 2) ** 2), -9, 9)[0]
    return total


@pytest.mark.parametrize("s", [0.1, 0.6, 1.5, 4.0])
def test_answers_agree_as_often_under_both_kinds(s):
    gaussian, heavy = tails(np.array([s]))
    assert _differ(heavy.sd[0], heavy.share) == pytest.approx(_differ(gaussian.sd[0], gaussian.share), rel=1e-3)
    assert heavy.sd[0, 1] / heavy.sd[0, 0] == pytest.approx(FACTORS[1] / FACTORS[0])


def test_a_small_u_has_the_same_variance_and_a_large_one_more():
    """Where δ is small p(1 − p) is ¼ − δ²/16; beyond three logits answers look alike, and the variance is larger."""
    _, heavy = tails(np.array([0.1, 4.0]))
    variance = heavy.sd**2 @ heavy.share
    assert variance[0] == pytest.approx(0.01, rel=0.02)
    assert variance[1] > 1.4 * 16


def test_the_kurtosis_is_the_one_that_is_stated():
    kurtosis = 3 * (SHARES @ FACTORS**4) / (SHARES @ FACTORS**2) ** 2
    assert kurtosis == pytest.approx(8, abs=0.4)


def test_draws_are_of_both_kinds_and_of_one_in_each_draw():
    s, r = np.full(4000, 1.5), np.random.default_rng(0)
    u = sample(s, 50, r)
    _, heavy = tails(s[:1])
    second = (1 - HEAVY) * 1.5**2 + HEAVY * float(heavy.sd[0] ** 2 @ heavy.share)
    assert np.mean(u**2) == pytest.approx(second, rel=0.05)
    smallest = np.median(np.abs(u), axis=1)  # of one kind of fifty, it says which
    middle = np.median(smallest)
    assert np.mean((smallest > 0.85 * middle) & (smallest < 1.15 * middle)) < 0.7


@pytest.mark.parametrize("s", [0.3, 1.0, 3.0])
def test_intervals_of_both_together_hold_about_ninety_percent_of_either(s):
    kinds = tails(np.array([s]))

    def held(kind: Tail, x: float) -> float:
        return float(kind.share @ (2 * stats.norm.cdf(x / kind.sd[0]) - 1))

    x = brentq(lambda x: sum(kind.probability * held(kind, x) for kind in kinds) - 0.9, 0.01, 50)
    gaussian, heavy = (held(kind, x) for kind in kinds)
    assert 0.86 < heavy < 0.9 < gaussian < 0.94
