r"""How heavy the tails of u are, what features cannot say of a reward, of which labels say next to nothing.

Beyond some three logits answers all look alike, and a Gaussian u whose answers agree as often as those to a judge's
scores has intervals of 90% that hold 80% of them. So u is Gaussian of standard deviation s or has heavy tails, with a
probability of ½ each,

    u = t(s) f ε,   ε ~ Normal(0, 1),   f = 1 with probability .7, and 4 with probability .3 (a kurtosis of 8),

where t(s) is such that of both kinds answers agree as often: with δ the difference of two u,

    E p(δ)(1 − p(δ)),   p(δ) = 1 / (1 + exp(−δ)),

is the same. A 90% interval of both together holds .86 to .90 of heavy tails and .90 to .94 of Gaussian ones, for every
s up to 3. The expectation is also the slope of E p(η + δ) at η = 0, so the stretch k(s) is the same for both kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.special import expit

FACTORS = np.array([1.0, 4.0])
SHARES = np.array([0.7, 0.3])
"""Of heavy tails: f, and how often."""
HEAVY = 0.5
"""The probability of heavy tails."""
REACH, STEP = 40.0, 0.1
"""Of sums over δ, in widths of the integrand."""
SMALLEST, LARGEST = 0.01, 30.0


@dataclass(frozen=True)
class Tail:
    """One kind of u: a mixture of Gaussians for each value of s.

    Parameters
    ----------
    probability
        Of this kind.
    equal
        (value,) s: the standard deviation of the Gaussian whose answers agree as often.
    sd
        (value, part) standard deviations.
    share
        (part,) how often.
    """

    probability: float
    equal: Float[np.ndarray, "value"]
    sd: Float[np.ndarray, "value part"]
    share: Float[np.ndarray, "part"]


def tails(sd: Float[np.ndarray, "value"]) -> tuple[Tail, Tail]:
    """The Gaussian of each standard deviation s, and the heavy tails whose answers agree as often."""
    grid, heavy = _disagreement_of_heavy()
    unit = np.exp(np.interp(-_disagreement(2 * sd**2), -heavy, np.log(grid)))
    return (
        Tail(1 - HEAVY, sd, sd[:, None], np.ones(1)),
        Tail(HEAVY, sd, unit[:, None] * FACTORS, SHARES),
    )


def sample(
    sd: Float[np.ndarray, "draw"], responses: int, generator: np.random.Generator
) -> Float[np.ndarray, "draw response"]:
    """Draws of u of some responses, whose tails are of one kind in each draw."""
    values, drawn = np.unique(sd, return_inverse=True)  # of a grid, far fewer than draws
    gaussian, heavy = tails(values)
    is_heavy = generator.random((len(sd), 1)) < heavy.probability
    part = generator.choice(len(heavy.share), size=(len(sd), responses), p=heavy.share)
    scale = np.where(is_heavy, heavy.sd[drawn[:, None], part], gaussian.sd[drawn])
    return np.asarray(scale * generator.normal(size=scale.shape))


def _disagreement(variance: Float[np.ndarray, "*value"]) -> Float[np.ndarray, "*value"]:
    """E p(δ)(1 − p(δ)) of Gaussian δ: half of how often two answers differ. Sums over even steps are all but exact."""
    sd = np.sqrt(variance)[..., None]
    width = sd / (1 + sd)  # of the narrower of the two factors
    delta = width * np.arange(-REACH, REACH + STEP / 2, STEP)
    density = np.exp(-0.5 * (delta / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
    p = expit(delta)
    return np.asarray((density * p * (1 - p)).sum(axis=-1) * width[..., 0] * STEP)


@lru_cache(maxsize=1)
def _disagreement_of_heavy() -> tuple[Float[np.ndarray, "value"], Float[np.ndarray, "value"]]:
    """The same of heavy tails, for values of t: both u of a pair have an f of their own."""
    grid = np.geomspace(SMALLEST, LARGEST, 600)
    squares = np.add.outer(FACTORS**2, FACTORS**2)
    found = (np.outer(SHARES, SHARES) * _disagreement(np.multiply.outer(grid**2, squares))).sum(axis=(1, 2))
    return grid, found
