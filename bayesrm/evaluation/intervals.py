r"""Confidence intervals for a mean over few seeds, and over prompts that all seeds share.

With x of (seed, prompt), rows and columns both drawn at random, the mean has the variance (two-way random effects)

    V = s²_seed / n + s²_prompt / P − s²_rest / (n P),

from the variances of row means, column means and of what they leave, and s²_seed / n where there are no prompts.
The interval is a bootstrap of t = (mean* − mean) / √V*, seeds and prompts drawn with replacement (Hall 1988; Owen 2007
for two ways). Of five seeds the usual percentile bootstrap covers 83%, not 95%: a resample of five has four fifths of
the variance, and a normal's tails where Student's belong. With fewer than four seeds no bootstrap has tails at all, and
Student's t takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import beta
from scipy.stats import t as student

from bayesrm import rng
from bayesrm.errors import InvalidInputError

LEVEL = 0.95
RESAMPLES = 1999
FEWEST_FOR_BOOTSTRAP = 4

Method = Literal["bootstrap", "student"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; an end is infinite, or 0 for a ratio, where the data set no bound.

    Parameters
    ----------
    estimate, low, high
        In the unit of what was estimated; low and high are NaN where a single seed says nothing of the spread.
    """

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3g} ({self.low:.3g} to {self.high:.3g})"


def mean_interval(
    values: Float[np.ndarray, "seed *prompt"],
    level: float = LEVEL,
    method: Method = "bootstrap",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of a mean.

    Parameters
    ----------
    values
        (seed,), or (seed, prompt) for an interval that allows for other prompts too.
    level
        Probability with which it covers.
    method
        "bootstrap", or "student" for Student's t with Satterthwaite's degrees of freedom: a quarter narrower with five
        seeds, and right only where means are nearly normal.
    resamples, seed
        Of the bootstrap.
    """
    mean, low, high = bounds(values[:, None], level, method, resamples, seed)
    return Interval(float(mean[0]), float(low[0]), float(high[0]))


def paired_interval(
    values: ArrayLike, baseline: ArrayLike, level: float = LEVEL, method: Method = "bootstrap"
) -> Interval:
    """The interval of the mean of values less those of a baseline, (seed,) each; those with both count."""
    difference = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return mean_interval(difference[np.isfinite(difference)], level, method)


def proportion_interval(hits: float | int, count: float | int, level: float = LEVEL) -> Interval:
    """The interval of a proportion, after Jeffreys: quantiles of Beta(hits + ½, misses + ½), closed at 0 and 1.

    Parameters
    ----------
    hits, count
        How many, of how many; halves count, as ties do. Of nothing it is 0 to 1 around NaN.
    level
        Probability with which it covers.
    """
    if not 0 <= hits <= count:
        raise InvalidInputError(f"expected at most as many hits as there are tries, got {hits} of {count}")
    tail, misses = (1 - level) / 2, count - hits
    low = float(beta.ppf(tail, hits + 0.5, misses + 0.5)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 0.5, misses + 0.5)) if misses > 0 else 1.0
    return Interval(hits / count if count else float("nan"), low, high)


def bounds(
    values: Float[np.ndarray, "seed item *prompt"],
    level: float = LEVEL,
    method: Method = "bootstrap",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "item"], Float[np.ndarray, "item"], Float[np.ndarray, "item"]]:
    """Means with the ends of their intervals, for many items at once; the same resamples serve all of them."""
    if not 0 < level < 1:
        raise InvalidInputError(f"expected a level between 0 and 1, got {level}")
    cube = values.astype(np.float64).reshape(*values.shape[:2], -1)
    n, items, prompts = cube.shape
    ones = np.ones((1, n)), np.ones((1, prompts))
    mean, variance, freedom = _moments(cube, *ones)
    error = np.sqrt(variance[0])
    if n < 2:
        nothing = np.full(items, np.nan)
        return mean[0], nothing, nothing
    tail = (1 - level) / 2
    if method == "student" or n < FEWEST_FOR_BOOTSTRAP:
        reach = student.ppf(1 - tail, freedom[0]) * error
        return mean[0], mean[0] - reach, mean[0] + reach
    draw = rng.stream(seed, "bootstrap")
    of_seed = draw.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    of_prompt = draw.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples).astype(np.float64)
    again, spread, _ = _moments(cube, of_seed, of_prompt)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (again - mean) / np.sqrt(spread)
    # A resample of one seed alone has no spread; it lies at one end or the other, and in the middle if all are equal.
    t = np.nan_to_num(t, nan=0.0, posinf=np.inf, neginf=-np.inf)
    lower, upper = np.quantile(t, [tail, 1 - tail], axis=0, method="nearest")
    with np.errstate(invalid="ignore"):
        low, high = mean[0] - upper * error, mean[0] - lower * error
    still = error == 0
    return mean[0], np.where(still, mean[0], low), np.where(still, mean[0], high)


def _moments(
    values: Float[np.ndarray, "seed item prompt"],
    of_seed: Float[np.ndarray, "resample seed"],
    of_prompt: Float[np.ndarray, "resample prompt"],
) -> tuple[
    Float[np.ndarray, "resample item"], Float[np.ndarray, "resample item"], Float[np.ndarray, "resample item"]
]:
    """Mean, its variance and the degrees of freedom of that, with a multiplicity for each seed and prompt."""
    n, _, prompts = values.shape
    a, b = of_seed / n, of_prompt / prompts
    columns = np.einsum("rs,sip->rip", a, values) if len(a) == 1 else np.tensordot(a, values, 1)
    rows = np.tensordot(b, values, (1, 2))
    mean = (columns * b[:, None]).sum(2)
    between_seeds = n / max(n - 1, 1) * (a[:, :, None] * (rows - mean[:, None]) ** 2).sum(1)
    seed_part = between_seeds / n
    if prompts == 1:
        return mean, seed_part, np.full_like(mean, max(n - 1, 1))
    between_prompts = prompts / (prompts - 1) * (b[:, None] * (columns - mean[:, :, None]) ** 2).sum(2)
    squares = (np.tensordot(a, values**2, 1) * b[:, None]).sum(2) - mean**2
    rest = (
        n
        * prompts
        / max((n - 1) * (prompts - 1), 1)
        * (squares - between_seeds * (n - 1) / n - between_prompts * (prompts - 1) / prompts)
    )
    prompt_part, rest_part = between_prompts / prompts, np.maximum(rest, 0) / (n * prompts)
    # Either part alone has the rest in it, so this is what the variance cannot be below.
    variance = np.maximum(seed_part + prompt_part - rest_part, np.maximum(seed_part, prompt_part))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (seed_part + prompt_part) ** 2 / (seed_part**2 / max(n - 1, 1) + prompt_part**2 / (prompts - 1))
    return mean, variance, np.nan_to_num(freedom, nan=max(n - 1, 1))
