r"""Is it worth going on? What a posterior says of its own quality, and how more labels are expected to change that.

Quality is held against what annotators' preferences really are, of which the reward that embeddings can express is
only a part: with x_i = m_i + u_iᵀξ, ξ ~ N(0, I), the posterior of that part, the logit of an answer is that of

    r_i = κ x_i + e_i,   e_i ~ N(0, τ²/2),   κ² = 1 + π τ²/8.

Comparisons that are fitted without e see κ x through its noise, as x (the probit approximation of a logistic-normal
integral; MacKay 1992). Hence τ² is not identifiable from sparse labels. The consistency of annotators identifies it:
two of them agree with probability A = E[p² + (1 − p)²], p = σ(r_i − r_j), which fixes the variance of r_i − r_j,

    A = E[1 − 2σ(s z)σ(−s z)],  z ~ N(0, 1),   s² = κ² v + τ²,   v the mean square of x_i − x_j within prompts.

A is counted where pairs have answers of two annotators; before that it is :data:`AGREEMENT`.

More labels: the posterior is Gaussian in ξ and a batch of pairs with differences b and expected Fisher weights w adds
J = Σ w b bᵀ to its precision, whatever is answered. With the truth at ξ, the mean after the answers is

    ξ' = (I + J)⁻¹ (J ξ + J^½ ε),   ε ~ N(0, I),

so draws of (ξ, e, A, ε) give draws of what will be found, with no refit (a preposterior analysis; Raiffa & Schlaifer
1961). Which pairs are asked is the design's choice.

How honest it is is measured by ``tests/benchmarks/forecast_coverage.py``: 42 replays each on data/quickstart and on
answers to AlpacaEval, 14 seeds from 250, 500 and 1,000 labels to 500 more at random. With 500 pairs answered twice what
was found lay in the 90% interval of 1 − Spearman in 38 and 38 of 42, in that of the regret in 39 and 37. While A is not
counted, what is not known of the annotators makes intervals wide: 42 and 38, 42 and 42. :data:`REVISION` was chosen
before, on 23 replays of a prototype on the same two pools. With a hundred labels the prior scale that the whole
forecast rests on is chosen from too little, and it can be far off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.special import expit
from scipy.stats import beta

from bayesrm import rng
from bayesrm.design import make_design
from bayesrm.design.base import Criterion, Design
from bayesrm.design.candidates.forming import candidates, require_scope
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.base import RewardPosterior, local_pairs
from bayesrm.types import Pairs, ResponsePool, require_within
from bayesrm.utils.checked import Count, Seed, checked
from bayesrm.utils.wording import counted, one_or_many

HORIZONS = (100, 500, 1000)
"""Numbers of further labels that are looked at."""
AGREEMENT = (29.0, 11.0)
"""Beta prior of A. Reports on preference data put the agreement of two annotators roughly between 0.6 and 0.8 (Stiennon
et al. 2020; Ouyang et al. 2022; Bai et al. 2022): mean 0.725, 90% of it in 0.60 to 0.83."""
COVERAGE = (0.05, 0.95)
"""Quantiles of the intervals."""
MOST_RESPONSES = 8_192
"""The largest number of responses that quality is estimated on, in whole prompts drawn at random."""
REVISION = 0.15
"""Relative standard deviation, in logarithms, of what a refit makes of 1 − Spearman besides: it may choose another
prior scale, spectrum or encoder, which no posterior of one model knows of."""
RANDOM_GRID = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Batches of random pairs that a design is held against, as multiples of its own."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 90% interval.

    Parameters
    ----------
    mean, low, high
        Expectation, 5% and 95% quantile.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} (90%: {self.low:.3f}–{self.high:.3f})"


@dataclass(frozen=True)
class Outlook:
    """Quality after a number of further labels.

    Parameters
    ----------
    labels
        How many more than there are; 0 is now.
    one_minus_spearman
        1 − Spearman's correlation of posterior mean and true reward, mean over prompts.
    regret
        P(annotator prefers the best response to the one ranked first) − ½, mean over prompts: 0 where the best response
        is always ranked first, at most ½.
    random
        How many random pairs are expected to do as much for the regret; None now and where the design is random,
        infinity beyond five times as many.
    """

    labels: int
    one_minus_spearman: Estimate
    regret: Estimate
    random: float | None = None


@checked
@dataclass(frozen=True)
class Forecast:
    """What a posterior says of its quality, now and after more labels.

    Parameters
    ----------
    now : Outlook
        Without any further label.
    later : tuple of Outlook
        After each of the numbers of labels that were asked about.
    design : str
        How those pairs would be chosen.
    agreement : Estimate
        The probability that two annotators answer alike, as far as it is known.
    counted : float
        How many pairs with two answers that rests on; with 0 it is the prior alone.
    explained : Estimate
        What part of the variance of rewards within prompts the model expresses.

    See Also
    --------
    forecast : Makes one.

    Examples
    --------
    >>> outlook = brm.forecast(posterior, labels=[100], draws=64)
    >>> outlook.later[0].labels
    100
    >>> print(outlook)  # doctest: +ELLIPSIS
    100 more labels are expected to cut the regret from ...
    """

    now: Outlook
    later: tuple[Outlook, ...]
    design: str
    agreement: Estimate
    counted: float
    explained: Estimate

    @checked
    def sentence(self, labels: int | None = None) -> str:
        """Whether a number of further labels, one of those forecast, is worth it; by default the middle one."""
        if not self.later:
            return f"The regret is now {self.now.regret}; no pairs are left to ask about."
        at = self.later[len(self.later) // 2]
        if labels is not None:
            found = [outlook for outlook in self.later if outlook.labels == labels]
            if not found:
                there = ", ".join(str(outlook.labels) for outlook in self.later)
                raise InvalidInputError(f"expected one of the forecast numbers of labels {there}, got {labels}")
            at = found[0]
        then = at.regret
        return (
            f"{counted(at.labels, 'more label')} {one_or_many(at.labels, 'is', 'are')} expected to cut the regret from "
            f"{self.now.regret.mean:.3f} to {then.mean:.3f} (90%: {then.low:.3f}–{then.high:.3f})."
        )

    def __str__(self) -> str:
        return self.sentence()


@checked
def forecast(
    posterior: RewardPosterior,
    pool: ResponsePool | None = None,
    labels: Sequence[int] = HORIZONS,
    design: str | Criterion | Design | None = None,
    scope: str = "within-prompt",
    exclude: Pairs | None = None,
    agreement: tuple[float, float] | None = None,
    draws: Count = 256,
    seed: Seed = 0,
) -> Forecast:
    """Estimate the quality of a posterior and forecast it for more labels.

    Parameters
    ----------
    posterior : RewardPosterior
        What is known so far; it needs spread.
    pool : ResponsePool, optional
        The prompts that the quality is about; default the posterior's own pool.
    labels : sequence of int, default HORIZONS
        Numbers of further labels.
    design : str or Design, optional
    scope : str, default "within-prompt"
        How further pairs are chosen, see ``select`` and ``candidates``.
    exclude : Pairs, optional
        Pairs that are not to be asked, default those of the posterior's preferences.
    agreement : tuple of (float, float), optional
        Of pairs that two annotators answered: how many answers were the same, and how many pairs there are. Without
        them annotators are taken to be as consistent as published ones; intervals are wider then.
    draws : int, default 256
        Draws of truth and answers.
    seed : int, default 0
        Root of all random choices.

    Returns
    -------
    Forecast
        ``now``, ``later``, ``sentence()``.

    Raises
    ------
    CapabilityError
        Where the posterior is a point.
    InvalidInputError
        Where a number of labels is below 1, or the pool has no prompt with responses to rank.

    See Also
    --------
    evaluate : Quality against golden rewards, where there are any.
    headroom : How much room a design has.

    Examples
    --------
    >>> outlook = brm.forecast(posterior, labels=[100, 500], draws=64)
    >>> [later.labels for later in outlook.later]
    [100, 500]
    """
    if "spread" not in posterior.provides:
        raise CapabilityError(
            f"a forecast needs a posterior with spread, and {type(posterior).__name__} is a point: fit with "
            "inference='laplace'"
        )
    if any(count < 1 for count in labels):
        raise InvalidInputError(f"expected numbers of labels of at least 1, got {min(labels)}")
    same, pairs = (0.0, 0.0) if agreement is None else agreement
    if not 0 <= same <= pairs:
        raise InvalidInputError(f"expected at most as many equal answers as pairs, got {same} of {pairs}")
    require_scope(scope)
    if exclude is not None:
        require_within(exclude, posterior.pool)
    plan = make_design(design)
    prompts = _Prompts.of(posterior.pool if pool is None else pool, seed)
    truth = _Truth.draw(posterior, prompts, AGREEMENT[0] + same, AGREEMENT[1] + pairs - same, draws, seed)
    with torch.inference_mode():
        asked = _batch(posterior, plan, scope, exclude, max(labels, default=0), seed)
        horizons = sorted({min(count, len(asked.differences)) for count in labels} - {0})
        random = asked
        by_design = plan.criterion.uses_labels
        if by_design and horizons:
            most = int(max(RANDOM_GRID) * horizons[-1])
            random = _batch(posterior, make_design("random"), scope, exclude, most, seed)
        later = []
        for count in horizons:
            ranking, regret = truth.found(asked.information(count))
            needed = None
            if by_design:
                needed = _random_equivalent(truth, random, count, float(regret.mean()))
            later.append(Outlook(count, _estimate(ranking), _estimate(regret), needed))
    ranking, regret = truth.found(None)
    now = Outlook(0, _estimate(ranking), _estimate(regret))
    return Forecast(
        now, tuple(later), plan.criterion.name, _estimate(truth.agreement), pairs, _estimate(truth.explained)
    )


@dataclass(frozen=True)
class _Batch:
    """Pairs as a posterior sees them: √w b, in order of choice."""

    differences: Float[np.ndarray, "pair rank"]

    def information(self, count: int) -> Float[np.ndarray, "rank rank"]:
        """J of the first ones."""
        rows = self.differences[:count]
        return rows.T @ rows


def _batch(
    posterior: RewardPosterior, plan: Design, scope: str, exclude: Pairs | None, size: int, seed: int
) -> _Batch:
    """Pairs that a design would ask; all there are where they are fewer."""
    exclude = posterior.preferences if exclude is None else exclude
    try:
        pairs = candidates(
            posterior.pool,
            scope,
            prompts=None,
            size=max(20_000, size),
            seed=rng.child(seed, "forecast"),
            exclude=exclude,
        )
    except InvalidInputError:  # nothing is left to ask
        return _Batch(np.empty((0, 0)))
    if size == 0:
        return _Batch(np.empty((0, 0)))
    chosen = plan.select(posterior, pairs, min(size, len(pairs)), rng.child(seed, "forecast"))
    used, first, second = local_pairs(chosen)
    moments = posterior.reward_moments(posterior.pool, used)
    weight = moments.fisher_weight(posterior.likelihood, first, second)
    rows = (moments.factor[first] - moments.factor[second]) * weight.sqrt()[:, None]
    return _Batch(rows.cpu().numpy())


@dataclass(frozen=True)
class _Prompts:
    """Responses with different embeddings, prompt by prompt, padded to one width.

    Parameters
    ----------
    pool
        What they belong to.
    responses
        (response,) indices.
    place
        (prompt, member) positions among them.
    real
        (prompt, member) which places are no padding.
    """

    pool: ResponsePool
    responses: Int64[np.ndarray, "response"]
    place: Int64[np.ndarray, "prompt member"]
    real: Bool[np.ndarray, "prompt member"]

    @classmethod
    def of(cls, pool: ResponsePool, seed: int) -> _Prompts:
        """At most :data:`MOST_RESPONSES`; of responses with the same embedding one stands for all."""
        groups: list[np.ndarray] = []
        total = 0
        for prompt in rng.stream(seed, "forecast prompts").permutation(pool.n_prompts):
            members = _distinct(pool, pool.members[prompt])
            if len(members) < 2:
                continue
            if groups and total + len(members) > MOST_RESPONSES:
                break
            groups.append(members)
            total += len(members)
        if not groups:
            raise InvalidInputError(
                "expected a pool with at least one prompt that has two different responses, got none: there is "
                "nothing to rank"
            )
        sizes = np.array([len(group) for group in groups])
        real = np.arange(sizes.max()) < sizes[:, None]
        place = np.zeros(real.shape, np.int64)
        place[real] = np.arange(total)
        return cls(pool, np.concatenate(groups), place, real)

    def padded(
        self, values: Float[np.ndarray, "draw response"], missing: float
    ) -> Float[np.ndarray, "draw prompt member"]:
        """Values at their places, the rest missing."""
        return np.where(self.real, values[:, self.place], missing)

    def quality(
        self, ranked: Float[np.ndarray, "draw response"], truth: Float[np.ndarray, "draw response"]
    ) -> tuple[Float[np.ndarray, "draw"], Float[np.ndarray, "draw"]]:
        """1 − Spearman, and regret, of each draw."""
        size = self.real.sum(axis=1)
        places = [self.padded(values, np.inf).argsort(axis=-1).argsort(axis=-1) for values in (ranked, truth)]
        distance = np.where(self.real, (places[0] - places[1]) ** 2, 0).sum(axis=-1)
        one_minus_rho = 6 * distance / (size * (size**2 - 1.0))
        chosen = self.padded(ranked, -np.inf).argmax(axis=-1)[..., None]
        rewards = self.padded(truth, -np.inf)
        lost = rewards.max(axis=-1) - np.take_along_axis(rewards, chosen, axis=-1)[..., 0]
        return one_minus_rho.mean(axis=1), (expit(lost) - 0.5).mean(axis=1)

    def spread(self, values: Float[np.ndarray, "draw response"]) -> Float[np.ndarray, "draw"]:
        """The mean square of differences between two responses to one prompt, mean over prompts."""
        variance = np.nanvar(self.padded(values, np.nan), axis=-1, ddof=1)
        return 2 * variance.mean(axis=1)


@dataclass(frozen=True)
class _Truth:
    """Draws of the rewards as annotators have them, and of the posterior means that more labels would lead to."""

    prompts: _Prompts
    mean: Float[np.ndarray, "response"]
    factor: Float[np.ndarray, "response rank"]
    place: Float[np.ndarray, "draw rank"]
    noise: Float[np.ndarray, "draw rank"]
    rewards: Float[np.ndarray, "draw response"]
    agreement: Float[np.ndarray, "draw"]
    explained: Float[np.ndarray, "draw"]
    revision: Float[np.ndarray, "draw"]

    @classmethod
    def draw(
        cls, posterior: RewardPosterior, prompts: _Prompts, same: float, other: float, draws: int, seed: int
    ) -> _Truth:
        """Draw (ξ, A, e)."""
        with torch.inference_mode():
            moments = posterior.reward_moments(prompts.pool, prompts.responses)
        mean, factor = moments.mean.cpu().numpy(), moments.factor.cpu().numpy()
        generator = rng.stream(seed, "forecast truth")
        place = generator.standard_normal((draws, factor.shape[1]))
        noise = generator.standard_normal((draws, factor.shape[1]))
        # Stratified, as the width of every interval rests on it.
        agreement = beta.ppf((generator.permutation(draws) + 0.5) / draws, same, other)
        expressed = mean + place @ factor.T
        variance = prompts.spread(expressed)
        total = _logit_sd(agreement) ** 2
        rest = np.maximum(0.0, total - variance) / (1 + np.pi / 8 * variance)
        scale = np.sqrt(1 + np.pi / 8 * rest)
        own = generator.standard_normal(expressed.shape) * np.sqrt(rest / 2)[:, None]
        explained = 1 - rest / (scale**2 * variance + rest)
        revision = np.exp(REVISION * generator.standard_normal(draws))
        rewards = scale[:, None] * expressed + own
        return cls(prompts, mean, factor, place, noise, rewards, agreement, explained, revision)

    def means(self, information: Float[np.ndarray, "rank rank"] | None) -> Float[np.ndarray, "draw response"]:
        """The posterior means with so much more information; None is none."""
        if information is None:
            return np.broadcast_to(self.mean, self.rewards.shape)
        values, vectors = np.linalg.eigh(information)
        values = np.maximum(values, 0.0)
        pulled = (self.place @ vectors) * values + (self.noise @ vectors) * np.sqrt(values)
        return self.mean + (pulled / (1 + values)) @ vectors.T @ self.factor.T

    def found(
        self, information: Float[np.ndarray, "rank rank"] | None
    ) -> tuple[Float[np.ndarray, "draw"], Float[np.ndarray, "draw"]]:
        """1 − Spearman and regret with so much more information; None is none."""
        one_minus_rho, regret = self.prompts.quality(self.means(information), self.rewards)
        return one_minus_rho * self.revision, regret


def _logit_sd(agreement: Float[np.ndarray, "draw"]) -> Float[np.ndarray, "draw"]:
    """s with E[1 − 2σ(s z)σ(−s z)] = A, 0 for an A of ½ or less."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    sd = np.concatenate([[0.0], np.geomspace(0.05, 50, 400)])
    answers = expit(sd[:, None] * nodes)
    alike = (1 - 2 * answers * (1 - answers)) @ (weights / weights.sum())
    return np.interp(agreement, alike, sd)


def _random_equivalent(truth: _Truth, random: _Batch, count: int, regret: float) -> float:
    """How many random pairs are expected to lead to this regret."""
    sizes = np.unique([min(len(random.differences), max(1, round(share * count))) for share in RANDOM_GRID])
    reached = np.array([float(truth.found(random.information(int(size)))[1].mean()) for size in sizes])
    if regret < reached.min():
        return float("inf")
    sizes, reached = np.concatenate([[0], sizes]), np.concatenate([[float(truth.found(None)[1].mean())], reached])
    falling = np.minimum.accumulate(reached)
    return float(np.interp(-regret, -falling, sizes))


def _distinct(pool: ResponsePool, members: Int64[np.ndarray, "member"]) -> Int64[np.ndarray, "kept"]:
    """One response of each embedding."""
    if len(members) < 2:
        return members
    rows = pool.rows(members)
    _, first = np.unique(rows, axis=0, return_index=True)
    return members[np.sort(first)]


def _estimate(values: Float[np.ndarray, "draw"]) -> Estimate:
    low, high = np.quantile(values, COVERAGE)
    return Estimate(float(values.mean()), float(low), float(high))
