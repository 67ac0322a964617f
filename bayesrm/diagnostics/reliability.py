r"""Whether a predicted preference probability means what it says.

Each pair counts in both orientations, (p, q) and (1 − p, 1 − q), as in
:func:`bayesrm.evaluation.metrics.expected_calibration_error`, whose bins these are. Against hard answers a
calibrated prediction has an error above zero too, by chance: Σ_b E|N(0, v_b)| / n with v_b = Σ p(1 − p), which is
what the error is held against (Bröcker & Smith 2007 call that consistency resampling). Uncertainty over prompts is
bootstrapped.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float, Int64
from scipy.stats import beta

from bayesrm import rng
from bayesrm.diagnostics.finding import Finding
from bayesrm.evaluation.metrics import CALIBRATION_BINS, expected_calibration_error

RESAMPLES = 400
INTERVAL = 0.95
TOLERANCE = 0.03
"""A mean overconfidence that does not matter to anyone; of the ECE beyond chance, twice that."""


def reliability(
    probability: Float[np.ndarray, "pair"],
    answer: Float[np.ndarray, "pair"],
    cluster: Int64[np.ndarray, "pair"],
    seed: int = 0,
    bins: int = CALIBRATION_BINS,
) -> xr.Dataset:
    """Predicted against observed, bin by bin, with the calibration error and its sampling error.

    Parameters
    ----------
    probability
        (pair,) predicted P(first preferred).
    answer
        (pair,) what was answered: 0, ½ or 1, or the true probability.
    cluster
        (pair,) prompt of each, numbered from 0: pairs of a prompt are resampled together.
    seed
        Of the bootstrap.

    Returns
    -------
    Dataset
        By bin: ``predicted``, ``observed``, ``pairs``, and ``lower``, ``upper``, a 95% interval of the observed
        frequency: binomial (Jeffreys) against hard answers, from the bootstrap against probabilities. Scalars:
        ``ece``, ``ece_error``, ``ece_by_chance`` (of calibrated predictions), ``confidence`` (mean probability of the
        likelier answer), ``overconfidence`` (that less how often it comes) and ``overconfidence_error``.
    """
    hard = bool(np.isin(answer, (0.0, 1.0)).all())
    prompts = int(cluster.max()) + 1
    p = np.concatenate([probability, 1 - probability])
    q = np.concatenate([answer, 1 - answer])
    both = np.concatenate([cluster, cluster])
    place = both * bins + np.minimum((p * bins).astype(np.int64), bins - 1)
    count, stated, observed, variance = (
        np.bincount(place, values, prompts * bins).reshape(prompts, bins)
        for values in (np.ones(len(p)), p, q, p * (1 - p))
    )
    sign = np.sign(probability - 0.5)
    excess = np.bincount(cluster, sign * (probability - answer), prompts)
    pairs = np.bincount(cluster, minlength=prompts)

    # Every resample is a count of each prompt, so all figures are products with the sums above.
    generator = rng.stream(seed, "calibration bootstrap")
    present = np.flatnonzero(pairs > 0)
    weight = np.zeros((RESAMPLES, prompts))
    weight[:, present] = generator.multinomial(len(present), np.full(len(present), 1 / len(present)), RESAMPLES)
    n = weight @ count
    resampled = np.abs(weight @ (stated - observed)).sum(axis=1) / n.sum(axis=1)
    total = count.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        frequency = observed.sum(axis=0) / total
        if hard:
            hits = observed.sum(axis=0)
            tail = (1 - INTERVAL) / 2
            lower = np.where(hits > 0, beta.ppf(tail, hits + 0.5, total - hits + 0.5), 0.0)
            upper = np.where(hits < total, beta.ppf(1 - tail, hits + 0.5, total - hits + 0.5), 1.0)
        else:
            frequencies = np.where(n > 0, (weight @ observed) / n, frequency)
            lower, upper = np.quantile(frequencies, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
        by_bin = {"predicted": stated.sum(axis=0) / total, "observed": frequency}
    by_bin |= {"lower": np.where(total > 0, lower, np.nan), "upper": np.where(total > 0, upper, np.nan)}
    # A pair is in two bins, once with each sign: these are one independent gap, not two.
    chance = np.sqrt(2 / np.pi * variance.sum(axis=0)).sum() / total.sum() if hard else 0.0
    return xr.Dataset(
        {name: ("bin", values) for name, values in by_bin.items()}
        | {
            "pairs": ("bin", total),
            "ece": expected_calibration_error(probability, answer, bins=bins),
            "ece_error": resampled.std(ddof=1),
            "ece_by_chance": chance,
            "confidence": np.maximum(probability, 1 - probability).mean(),
            "overconfidence": excess.sum() / len(probability),
            "overconfidence_error": ((weight @ excess) / (weight @ pairs)).std(ddof=1),
        },
        {"bin": (np.arange(bins) + 0.5) / bins},
        {"pairs": len(probability), "prompts": len(present)},
    )


def reliability_verdict(data: xr.Dataset, of_what: str) -> Finding:
    """Whether stated probabilities are over- or underconfident, or off in another way, beyond three standard errors."""
    stated, over, error = (float(data[name]) for name in ("confidence", "overconfidence", "overconfidence_error"))
    ece, ece_error, chance = (float(data[name]) for name in ("ece", "ece_error", "ece_by_chance"))
    figures = (
        f"the likelier answer is given {stated:.1%} and comes {stated - over:.1%} ± {error:.1%} of the time, "
        f"ECE {ece:.3f} ± {ece_error:.3f}"
        + (f" ({chance:.3f} of it by chance)" if chance else "")
        + f", over {data.attrs['pairs']} {of_what}"
    )
    if data.attrs["prompts"] < 2:
        return Finding("reliability", "note", f"Pairs of one prompt only, so no verdict: {figures}.", data)
    if abs(over) > max(3 * error, TOLERANCE):
        word = "overconfident" if over > 0 else "underconfident"
        return Finding("reliability", "bad", f"The preference probabilities are {word}: {figures}.", data)
    if ece - chance > max(3 * ece_error, 2 * TOLERANCE):
        return Finding("reliability", "bad", f"The preference probabilities are not calibrated: {figures}.", data)
    return Finding("reliability", "good", f"The preference probabilities mean what they say: {figures}.", data)
