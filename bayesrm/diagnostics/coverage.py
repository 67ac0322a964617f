r"""How often credible intervals hold the truth.

A central interval of level c covers where the PIT value u of the truth, its place in the posterior, has
|u − ½| ≤ c/2. The truth comes from simulation, or is a golden logit τ(g_i − g_j) on test prompts. Values of one
replication, or of one prompt, are correlated: standard errors are clustered by these.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike

from bayesrm import rng
from bayesrm.data.golden import as_golden
from bayesrm.diagnostics.finding import Finding
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Comparisons, ResponsePool
from bayesrm.utils.wording import counted

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
VERDICT_LEVEL = 0.9
TOLERANCE, MATERIAL = 0.02, 0.05
"""Gaps between level and coverage: one that does not matter to anyone, and one that does."""
MAX_PAIRS = 4000


def coverage(
    pit: Float[np.ndarray, "value"], cluster: Int64[np.ndarray, "value"], levels: tuple[float, ...] = LEVELS
) -> xr.Dataset:
    """Coverage of central intervals, with standard errors over clusters.

    Attributes say of how many: ``clusters``, and ``values`` in them.

    Parameters
    ----------
    pit
        (value,) places of true values in their posteriors, in [0, 1].
    cluster
        (value,) the cluster of correlated values that each belongs to, numbered from 0.
    levels
        Of the intervals.
    """
    sizes = np.bincount(cluster)
    sizes = sizes[sizes > 0]
    several = len(sizes)
    covered, error = [], []
    for level in levels:
        inside = (np.abs(pit - 0.5) <= level / 2 + 1e-12).astype(np.float64)
        mean = float(inside.mean())
        sums = np.bincount(cluster, inside - mean)
        correction = several / (several - 1) if several > 1 else np.nan
        covered.append(mean)
        error.append(float(np.sqrt(correction * (sums**2).sum())) / len(pit))
    return xr.Dataset(
        {"coverage": ("level", covered), "error": ("level", error)},
        {"level": list(levels)},
        {"clusters": several, "values": len(pit)},
    )


def coverage_verdict(check: str, name: str, data: xr.Dataset, of_what: str) -> Finding:
    """Whether 90% intervals cover 90%: a gap beyond three standard errors and two points is one.

    They do where two standard errors leave no room for a gap of five points; else there is no verdict. Where all values
    lie inside, or none, the error between clusters is 0, and that of as many independent values stands for it.
    """
    at = data.sel(level=VERDICT_LEVEL)
    covered, error = float(at["coverage"]), float(at["error"])
    gap = covered - VERDICT_LEVEL
    figures = f"{VERDICT_LEVEL:.0%} intervals cover {covered:.1%} ± {error:.1%} {of_what}"
    if not np.isfinite(error):
        return Finding(check, "note", f"{figures}, of one independent case only: no verdict.", data)
    error = max(error, float(np.sqrt(VERDICT_LEVEL * (1 - VERDICT_LEVEL) / data.attrs["values"])))
    if abs(gap) > max(3 * error, TOLERANCE):
        way = "narrow" if gap < 0 else "wide"
        return Finding(check, "bad", f"The {name} intervals are too {way}: {figures}.", data)
    if abs(gap) + 2 * error > MATERIAL:
        cases = counted(data.attrs["clusters"], "independent case")
        shows = f"only gross errors, of {300 * error:.0f} points or more, would show"
        return Finding(check, "note", f"{figures}, but {cases} are few: {shows}.", data)
    return Finding(check, "good", f"The {name} intervals are about as wide as they should be: {figures}.", data)


def golden_pit(
    posterior: RewardPosterior,
    pool: ResponsePool,
    golden: ArrayLike,
    temperature: float = 1.0,
    draws: int = 500,
    seed: int = 0,
    unexplained: bool = True,
) -> tuple[Float[np.ndarray, "pair"], Int64[np.ndarray, "pair"]]:
    """Places of golden logits τ(g_i − g_j) in the posterior of the logit, and the prompt of each.

    Parameters
    ----------
    posterior
        With spread.
    pool, golden, temperature
        The test pool, its golden rewards and the slope τ that answers were given with.
    draws
        Posterior draws that a place is taken among.
    seed
        Root of draws, and of which :data:`MAX_PAIRS` pairs within prompts stand for all.
    unexplained
        Whether the truth is what people think of the responses, with what no feature says of them:
        :mod:`bayesrm.posteriors.predictive`.
    """
    rewards = as_golden(golden, len(pool))
    generator = rng.stream(seed, "golden coverage")
    chosen = [generator.permutation(member) for member in pool.members if len(member) > 1]
    if not chosen:
        raise InvalidInputError("expected a test pool with two responses to one prompt, and there is none")
    # Disjoint pairs first: no response counts more than once.
    pairs = [(member[0:-1:2], member[1::2]) for member in chosen]
    first, second = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    keep = np.sort(generator.permutation(len(first))[:MAX_PAIRS])
    first, second = first[keep], second[keep]
    truth = temperature * (rewards[first] - rewards[second])
    pairs_of_truth = Comparisons(first, second)
    if unexplained and isinstance(posterior, LastLayerPosterior):
        logits = posterior.predictive.sample_logits(pool, pairs_of_truth, draws, generator)
    else:
        logits = posterior.sample_logits(pool, pairs_of_truth, draws, generator).cpu().numpy()
    rank = (logits < truth).sum(axis=0)
    return (rank + generator.random(len(truth))) / (len(logits) + 1), pool.group[first]
