r"""How many pairs to have answered by several people until 90% intervals are known to hold 85 to 95%.

Coverage is known as well as s, the spread of what features leave out, and R, how far apart features put responses
(:mod:`bayesrm.posteriors.predictive`). Were log s known up to a standard deviation t about its present mean, the
probability that coverage lies in a range follows; :func:`needed_sd` is the largest t at which it is high enough.
m people who answer one pair, y of them for the first, with η ~ Normal(0, V + 2 s²) and P(y) = E Binomial(y; m, σ(η)),

    I(log s) = Σ_y (∂P(y)/∂log s)² / P(y)

is the Fisher information that a pair gives, so that (1/t² − 1/t₀²)/I pairs are needed, t₀ the present standard
deviation. A few pairs asked of many say more than many asked of two.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.special import comb, expit

from bayesrm.posteriors.predictive import Coverage, Predictive
from bayesrm.posteriors.unexplained import Unexplained
from bayesrm.types import ResponsePool

LEVEL = 0.9
LOW, HIGH = 0.85, 0.95
"""Between these, coverage is as it should be."""
SURE = 0.8
"""The probability of that which is enough."""
PEOPLE = 5
MOST_PAIRS = 1000
"""More than these are no advice."""
_TRIED = np.geomspace(0.02, 0.5, 14)
_STEPS = np.linspace(-6, 6, 121)


def known_coverage(predictive: Predictive, pool: ResponsePool) -> Coverage:
    """Of 90% intervals of the rewards of a pool."""
    return predictive.coverage(pool, LEVEL)


def as_it_should_be(coverage: Coverage) -> bool:
    """Whether it is probably between 85 and 95%."""
    return coverage.within(LOW, HIGH) >= SURE


def foreseen(predictive: Predictive, pool: ResponsePool, pairs: int, people: int = PEOPLE) -> Coverage:
    """What would be known of coverage after so many people each have answered so many more pairs."""
    now = predictive.unexplained.log_moments[1]
    after = (now**-2 + pairs * _information(predictive, pool, people)) ** -0.5
    return _with_sd(predictive, pool, after)


def pairs_to_repeat(predictive: Predictive, pool: ResponsePool, people: int = PEOPLE) -> int | None:
    """How many pairs so many people each have to answer; None where not even :data:`MOST_PAIRS` are enough.

    Parameters
    ----------
    predictive
        What is known now.
    pool
        Whose intervals are to hold.
    people
        Who answer each pair.
    """
    wanted = needed_sd(predictive, pool)
    if wanted is None:
        return None
    missing = max(0.0, wanted**-2 - predictive.unexplained.log_moments[1] ** -2)
    pairs = math.ceil(missing / _information(predictive, pool, people))
    return pairs if pairs <= MOST_PAIRS else None


def needed_sd(predictive: Predictive, pool: ResponsePool) -> float | None:
    """The largest standard deviation of log s at which coverage is probably as it should be; None where none is."""
    best = None
    for t in _TRIED[predictive.unexplained.log_moments[1] > _TRIED]:
        if not as_it_should_be(_with_sd(predictive, pool, t)):
            break
        best = float(t)
    return best


def _with_sd(predictive: Predictive, pool: ResponsePool, sd: float) -> Coverage:
    """Coverage as far as it is known once log s is known up to this standard deviation."""
    u = predictive.unexplained
    density = np.exp(-0.5 * ((np.log(u.sd) - u.log_moments[0]) / sd) ** 2)
    known = Unexplained(u.sd, density / density.sum(), u.pairs, u.repeated)
    return known_coverage(replace(predictive, unexplained=known), pool)


def _information(predictive: Predictive, pool: ResponsePool, people: int) -> float:
    """Of one more pair of close responses, on which what features say is as uncertain as on others."""
    s = math.exp(predictive.unexplained.log_moments[0])
    explained = float(
        np.mean([np.square(posterior.reward(pool)[1]).mean() for posterior in predictive.posteriors])
    )
    return information(s, 2 * explained * (1 + math.pi * s**2 / 4), people)


def information(s: float, variance: float, people: int) -> float:
    """I(log s) of one pair that ``people`` annotators answer, V the variance of what features say of it."""
    step = 1e-3
    up, down = (_counts(math.exp(sign * step) * s, variance, people) for sign in (1, -1))
    return float((((up - down) / (2 * step)) ** 2 / _counts(s, variance, people)).sum())


def _counts(s: float, variance: float, people: int) -> Float[np.ndarray, "count"]:
    weight = np.exp(-0.5 * _STEPS**2)
    p = expit(math.sqrt(variance + 2 * s**2) * _STEPS)
    y = np.arange(people + 1)
    table = comb(people, y) * p[:, None] ** y * (1 - p[:, None]) ** (people - y)
    return np.asarray(weight @ table / weight.sum())
