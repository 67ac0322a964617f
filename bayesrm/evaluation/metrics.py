r"""How good a posterior is on prompts it was not fitted to, against their golden rewards g.

Ranking, one figure a prompt: Spearman's correlation of posterior mean reward and golden reward; and the golden
reward that best-of-N sampling gets. With the n responses of a prompt in order of predicted reward, r = 0, 1, …,
response r is the best of N drawn without replacement where the other N − 1 come from the n − 1 − r below it:

    P(r is chosen) = C(n − 1 − r, N − 1) / C(n, N).

Ranking with length held fixed: the partial rank correlation within a prompt, that is the correlation of what a
regression on the ranks of length leaves of the ranks of reward and of golden reward,

    ρ_{xy·z} = (ρ_xy − ρ_xz ρ_yz) / √((1 − ρ_xz²)(1 − ρ_yz²)).

A prompt whose golden ranking length gives away leaves nothing to rank and does not count, as one whose golden rewards
are all the same; where length gives away the predicted ranking alone, ρ is 0.

Pairs within prompts: how often their order is right; and how far the posterior predictive probability p lies
from the golden Bradley–Terry probability q = sigmoid(temperature · (g_i − g_j)): log loss (cross-entropy, hence at
least the entropy of q), Brier score (p − q)², and expected calibration error (Naeini et al. 2015) over equal bins
of p, Σ_b (n_b / n) |mean_b p − mean_b q|.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from scipy.special import expit, gammaln

from bayesrm.data.covariates import surface_of
from bayesrm.data.golden import as_golden
from bayesrm.design.candidates.numbering import PairNumbering
from bayesrm.errors import InvalidInputError
from bayesrm.models.far_out import warn_far_out
from bayesrm.posteriors.base import RewardMoments, RewardPosterior
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked

MAX_PAIRS = 2_000_000
"""With more pairs than this, evenly spaced ones stand for all of them."""
CALIBRATION_BINS = 15
PROBABILITY_FLOOR = 1e-12
RESPONSES_AT_ONCE = 4096
ELEMENTS_AT_ONCE = 2**18
"""Numbers in a block of pairs' factors: 2 MiB, so that a block stays in the processor's cache."""


class Scores(TypedDict):
    """What :func:`evaluate` returns."""

    one_minus_spearman: float
    best_of_n: dict[int, float]
    pairwise_accuracy: float
    log_loss: float
    brier: float
    ece: float
    one_minus_spearman_given_length: NotRequired[float]


@dataclass(frozen=True, eq=False)
class Predictions:
    """A posterior's predictions for a test pool, beside the golden truth: what every metric is a function of.

    Parameters
    ----------
    reward
        (response,) posterior means, comparable within a prompt.
    golden
        (response,) golden rewards.
    group
        (response,) position of each response's prompt.
    first, second
        (pair,) pairs within prompts: all, or :data:`MAX_PAIRS` evenly spaced ones.
    probability
        (pair,) posterior predictive P(first preferred).
    golden_probability
        (pair,) sigmoid(temperature · (golden of first − golden of second)).
    length
        (response,) log characters of the texts; None where the pool knows no texts.
    """

    reward: Float[np.ndarray, "response"]
    golden: Float[np.ndarray, "response"]
    group: Int64[np.ndarray, "response"]
    first: Int64[np.ndarray, "pair"]
    second: Int64[np.ndarray, "pair"]
    probability: Float[np.ndarray, "pair"]
    golden_probability: Float[np.ndarray, "pair"]
    length: Float[np.ndarray, "response"] | None = None


@checked
def evaluate(
    posterior: RewardPosterior, pool: ResponsePool, golden: ArrayLike, temperature: float = 1.0
) -> Scores:
    """Score a posterior on a test pool.

    Parameters
    ----------
    posterior : RewardPosterior
        What ``fit`` returns.
    pool : ResponsePool
        Test responses; each is encoded once, in blocks of whole prompts.
    golden : array_like
        (response,) golden rewards of the test pool.
    temperature : float, default 1.0
        Of the golden Bradley–Terry probabilities, as the annotator's.

    Returns
    -------
    Scores
        A dictionary. ``one_minus_spearman``: mean over prompts whose golden rewards differ. ``best_of_n``: N →
        expected golden reward, for the N of :func:`best_of_sizes`. ``pairwise_accuracy``, ``log_loss`` (nats),
        ``brier``, ``ece``: over pairs within prompts. Where the pool has texts or the covariate ``log_characters``
        also ``one_minus_spearman_given_length``: mean over prompts of 1 − the partial rank correlation with length
        held fixed. NaN where the pool has no prompt or no pair to tell, as for the last one in a pool of pairs.

    Raises
    ------
    InvalidInputError
        Where golden rewards do not fit the pool or are not finite, or the temperature is not above 0.

    See Also
    --------
    diagnose : Whether the posterior holds what it says.
    baselines : What needs no label.

    Examples
    --------
    >>> scores = brm.evaluate(posterior, test, test_golden, temperature=2.0)
    >>> 0 < scores["one_minus_spearman"] < 1
    True
    >>> scores["best_of_n"][1] < scores["best_of_n"][8]  # the golden reward of the best of 1 and of 8
    True
    """
    return scores(predict(posterior, pool, golden, temperature))


def scores(predicted: Predictions) -> Scores:
    """What :func:`evaluate` returns, from predictions that are there already."""
    p, q = predicted.probability, predicted.golden_probability
    correlation = spearman_by_prompt(predicted.reward, predicted.golden, predicted.group)
    best = best_of_n_by_prompt(predicted.reward, predicted.golden, predicted.group, best_of_sizes(predicted.group))
    found: Scores = {
        "one_minus_spearman": _mean(1 - correlation[~np.isnan(correlation)]),
        "best_of_n": {n: _mean(value[~np.isnan(value)]) for n, value in best.items()},
        "pairwise_accuracy": pairwise_accuracy(
            predicted.reward[predicted.first] - predicted.reward[predicted.second],
            predicted.golden[predicted.first] - predicted.golden[predicted.second],
        ),
        "log_loss": log_loss(p, q),
        "brier": brier_score(p, q),
        "ece": expected_calibration_error(p, q),
    }
    if predicted.length is not None:
        partial = partial_spearman_by_prompt(predicted.reward, predicted.golden, predicted.length, predicted.group)
        found["one_minus_spearman_given_length"] = _mean(1 - partial[~np.isnan(partial)])
    return found


def predict(
    posterior: RewardPosterior, pool: ResponsePool, golden: ArrayLike, temperature: float = 1.0
) -> Predictions:
    """Predictions for a test pool; arguments and errors as of :func:`evaluate`.

    A study that bootstraps over prompts calls this once and the metrics as often as it resamples.
    """
    rewards = as_golden(golden, len(pool))
    if not 0 < temperature < math.inf:
        raise InvalidInputError(f"expected a finite temperature above 0, got {temperature}")
    warn_far_out(posterior.model.encoder, pool, stacklevel=5)
    sizes = np.bincount(pool.group)
    order = np.argsort(pool.group, kind="stable")
    numbering = PairNumbering(np.arange(len(pool)), sizes)
    total = len(numbering)
    kept = min(total, MAX_PAIRS)
    reward = np.empty(len(pool))
    probability = np.empty(kept)
    first, second = np.empty(kept, np.int64), np.empty(kept, np.int64)
    with torch.inference_mode():
        for start, stop, pair_start, pair_stop in _prompt_blocks(sizes):
            moments = posterior.reward_moments(pool, order[start:stop])
            reward[order[start:stop]] = moments.mean.cpu().numpy()
            # Number k·total // kept of all pairs is the k-th kept one.
            span = slice(-(-pair_start * kept // max(total, 1)), -(-pair_stop * kept // max(total, 1)))
            row, other = numbering.decode(np.arange(span.start, span.stop) * total // max(kept, 1))
            first[span], second[span] = order[row], order[other]
            probability[span] = _probabilities(posterior, moments, row - start, other - start)
    if not np.isfinite(reward).all():
        raise InvalidInputError(
            f"expected finite predicted rewards, got NaN or infinity for {(~np.isfinite(reward)).sum()} of "
            f"{len(reward)} responses: did the fit of this posterior diverge?"
        )
    golden_probability = expit(temperature * (rewards[first] - rewards[second]))
    length = surface_of(pool, "log_characters")
    return Predictions(reward, rewards, pool.group, first, second, probability, golden_probability, length)


def spearman_by_prompt(
    predicted: Float[np.ndarray, "response"],
    golden: Float[np.ndarray, "response"],
    group: Int64[np.ndarray, "response"],
) -> Float[np.ndarray, "prompt"]:
    """Spearman's rank correlation for each prompt, ties at their average rank.

    It is NaN where golden rewards are constant, as nothing is to be ranked, and 0 where predictions alone are.
    """
    sizes = np.bincount(group)
    x, y = (_centred_rank(values, group) for values in (predicted, golden))
    xy, xx, yy = (np.bincount(group, product, len(sizes)) for product in (x * y, x * x, y * y))
    correlation = np.where(xx > 0, xy, 0.0) / np.sqrt(np.where(xx > 0, xx, 1.0) * np.where(yy > 0, yy, 1.0))
    return np.where(yy > 0, correlation, np.nan)


def partial_spearman_by_prompt(
    predicted: Float[np.ndarray, "response"],
    golden: Float[np.ndarray, "response"],
    given: Float[np.ndarray, "response"],
    group: Int64[np.ndarray, "response"],
) -> Float[np.ndarray, "prompt"]:
    """Rank correlation for each prompt of what is left of both rankings after a regression on the ranks of ``given``.

    It is NaN where nothing is left of the golden ranking: golden rewards are constant, or their order is that of
    ``given``, as of any two responses that differ in it. It is 0 where nothing is left of the predicted ranking alone.
    """
    sizes = np.bincount(group)
    x, y, z = (_centred_rank(values, group) for values in (predicted, golden, given))

    def total(values: Float[np.ndarray, "response"]) -> Float[np.ndarray, "prompt"]:
        return np.bincount(group, values, len(sizes))

    zz = total(z * z)
    left = [r - (total(r * z) / np.where(zz > 0, zz, 1.0))[group] * z for r in (x, y)]
    xy, xx, yy = total(left[0] * left[1]), total(left[0] ** 2), total(left[1] ** 2)
    # Ranks are multiples of one half: whatever is left below this is rounding.
    xx, yy = (np.where(s > 1e-9 * total(r * r), s, 0.0) for s, r in ((xx, x), (yy, y)))
    correlation = np.where(xx > 0, xy, 0.0) / np.sqrt(np.where(xx > 0, xx, 1.0) * np.where(yy > 0, yy, 1.0))
    return np.where(yy > 0, correlation, np.nan)


def best_of_sizes(group: Int64[np.ndarray, "response"]) -> list[int]:
    """The N of best-of-N that every prompt can offer: powers of two, and the smallest number of responses.

    Prompts with a single response do not lower it.
    """
    sizes = np.bincount(group)
    smallest = int(sizes[sizes >= 2].min()) if (sizes >= 2).any() else 1
    return sorted({2**k for k in range(smallest.bit_length())} | {smallest})


def best_of_n_by_prompt(
    predicted: Float[np.ndarray, "response"],
    golden: Float[np.ndarray, "response"],
    group: Int64[np.ndarray, "response"],
    sizes: Sequence[int],
) -> dict[int, Float[np.ndarray, "prompt"]]:
    """Expected golden reward of the response ranked first among N, for each N of ``sizes`` and each prompt.

    The expectation is over all draws of N without replacement, exact, and over the breaking of predicted ties.
    It is NaN for a prompt with fewer than N responses.
    """
    if any(n < 1 for n in sizes):
        raise InvalidInputError(f"expected best of at least 1, got best of {min(sizes)}")
    members = np.bincount(group)
    order, rank, run = _ranking(-predicted, group)
    shared = (np.bincount(run, golden[order]) / np.bincount(run))[run]
    owner = group[order]
    log_factorial = gammaln(np.arange(members.max() + 1) + 1.0)

    def log_binomial(a: Int64[np.ndarray, "item"], b: int) -> Float[np.ndarray, "item"]:
        return log_factorial[a] - log_factorial[b] - log_factorial[a - b]

    best = {}
    for n in sizes:
        possible = members[owner] - rank >= n
        at, r = owner[possible], rank[possible]
        chosen = np.exp(log_binomial(members[at] - 1 - r, n - 1) - log_binomial(members[at], n))
        value = np.bincount(at, chosen * shared[possible], len(members))
        best[n] = np.where(members >= n, value, np.nan)
    return best


def pairwise_accuracy(
    predicted_difference: Float[np.ndarray, "pair"],
    golden_difference: Float[np.ndarray, "pair"],
    weight: Float[np.ndarray, "pair"] | None = None,
) -> float:
    """Fraction of pairs in the golden order, of those whose golden rewards differ; a predicted tie counts ½."""
    agreement = (1 + np.sign(predicted_difference) * np.sign(golden_difference)) / 2
    decided = golden_difference != 0
    return _mean(agreement[decided], None if weight is None else weight[decided])


def log_loss(
    probability: Float[np.ndarray, "pair"],
    golden_probability: Float[np.ndarray, "pair"],
    weight: Float[np.ndarray, "pair"] | None = None,
) -> float:
    """Mean of −q log p − (1 − q) log(1 − p) in nats, p kept 1e-12 away from 0 and 1."""
    p = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return _mean(-golden_probability * np.log(p) - (1 - golden_probability) * np.log1p(-p), weight)


def brier_score(
    probability: Float[np.ndarray, "pair"],
    golden_probability: Float[np.ndarray, "pair"],
    weight: Float[np.ndarray, "pair"] | None = None,
) -> float:
    """Mean of (p − q)²."""
    return _mean((probability - golden_probability) ** 2, weight)


def expected_calibration_error(
    probability: Float[np.ndarray, "pair"],
    golden_probability: Float[np.ndarray, "pair"],
    weight: Float[np.ndarray, "pair"] | None = None,
    bins: int = CALIBRATION_BINS,
) -> float:
    """Σ_b (n_b / n) |mean_b p − mean_b q| over equal bins of p.

    Each pair counts in both orientations, (p, q) and (1 − p, 1 − q), so which response came first is no matter.
    """
    p = np.concatenate([probability, 1 - probability])
    q = np.concatenate([golden_probability, 1 - golden_probability])
    w = np.ones(len(p)) if weight is None else np.tile(weight, 2)
    bin_of = np.minimum((p * bins).astype(np.int64), bins - 1)
    gap = np.abs(np.bincount(bin_of, w * (p - q), bins))
    return float(gap.sum() / w.sum()) if w.sum() > 0 else float("nan")


def _prompt_blocks(sizes: Int64[np.ndarray, "prompt"]) -> Iterator[tuple[int, int, int, int]]:
    """Blocks of whole prompts: where their responses, and the numbers of their pairs, start and stop."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    pair_ends = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2)])
    prompt = 0
    while prompt < len(sizes):
        after = int(np.searchsorted(ends, ends[prompt] + RESPONSES_AT_ONCE, side="right")) - 1
        after = max(after, prompt + 1)
        yield int(ends[prompt]), int(ends[after]), int(pair_ends[prompt]), int(pair_ends[after])
        prompt = after


def _probabilities(
    posterior: RewardPosterior,
    moments: RewardMoments,
    first: Int64[np.ndarray, "pair"],
    second: Int64[np.ndarray, "pair"],
) -> Float[np.ndarray, "pair"]:
    """Posterior predictive P(first preferred), in blocks that bound the memory of the pairs' factors."""
    probability = np.empty(len(first))
    size = max(1, ELEMENTS_AT_ONCE // max(1, moments.factor.shape[1]))
    for start in range(0, len(first), size):
        block = slice(start, start + size)
        pairs = torch.from_numpy(first[block]), torch.from_numpy(second[block])
        probability[block] = moments.probability(posterior.likelihood, *pairs).cpu().numpy()
    return probability


def _ranking(
    values: Float[np.ndarray, "response"], group: Int64[np.ndarray, "response"]
) -> tuple[Int64[np.ndarray, "response"], Int64[np.ndarray, "response"], Int64[np.ndarray, "response"]]:
    """Responses prompt by prompt in ascending order of value: their order, rank from 0, and number of tied run."""
    order = np.lexsort((values, group))
    owner, ordered = group[order], values[order]
    sizes = np.bincount(group)
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[owner]
    run = np.cumsum((rank == 0) | (np.diff(ordered, prepend=ordered[:1]) != 0)) - 1
    return order, rank, run


def _centred_rank(
    values: Float[np.ndarray, "response"], group: Int64[np.ndarray, "response"]
) -> Float[np.ndarray, "response"]:
    """Average ranks less their mean within the prompt."""
    return _average_rank(values, group) - (np.bincount(group)[group] - 1) / 2


def _average_rank(
    values: Float[np.ndarray, "response"], group: Int64[np.ndarray, "response"]
) -> Float[np.ndarray, "response"]:
    order, rank, run = _ranking(values, group)
    average = np.empty(len(values))
    average[order] = (np.bincount(run, rank) / np.bincount(run))[run]
    return average


def _mean(values: Float[np.ndarray, "item"], weight: Float[np.ndarray, "item"] | None = None) -> float:
    """The weighted mean, NaN of nothing."""
    w = np.ones(len(values)) if weight is None else weight
    return float((w * values).sum() / w.sum()) if w.sum() > 0 else float("nan")
