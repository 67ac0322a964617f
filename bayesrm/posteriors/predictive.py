r"""What is predicted of the consensus of people: k(s) φᵀβ + u, over all that is unknown of it.

Beside β and u two numbers are uncertain as long as labels are few: s, the spread of u
(:mod:`bayesrm.posteriors.unexplained`), and how far apart features put the responses to a prompt at all, R, the prior
standard deviation of φᵀβ about its mean over the responses to the same prompt. A fit has R where the evidence is
largest, which with forty labels may be next to nothing. Here the prior scales of all blocks are multiplied by R/R̂ on
a grid, the last layer is fitted again, and with log R ~ Normal(0, 0.7²)

    p(R | y) ∝ p(y | R) p(R).

A prior scale that the user gave stays as it is, as does that of features that a network has learnt from the same
labels, whose evidence does not count the learning.

Whether 90% intervals hold 90% is then known as well as s and R are: were they s and R, the intervals would hold a share

    c(s, R) = mean over responses of P(low < k(s) φᵀβ + u < high | s, R),

whose distribution over p(s) p(R | y), and over the two kinds of tails that u may have
(:mod:`bayesrm.posteriors.tails`), says between which bounds the coverage lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from bayesrm.posteriors.tails import Tail, sample, tails
from bayesrm.posteriors.unexplained import Unexplained, stretch, unexplained
from bayesrm.types import Comparisons, ResponsePool

if TYPE_CHECKING:
    from bayesrm.posteriors.last_layer import LastLayerPosterior

PRIOR_MEAN, PRIOR_SD = 0.0, 0.7
"""Of log R, in logits."""
SCALES = np.geomspace(0.15, 5.0, 8)
"""Of R, in logits; where a fit has less or more, the grid goes on beyond it."""
NEGLIGIBLE = 6.0
"""Nats below the largest, where the search on one side ends."""
LEAST_WEIGHT = 0.005
SAMPLED = 512
"""Responses that R is measured on, and those that coverage is averaged over."""
AT_ONCE = 4096
"""Responses whose quantiles are sought together."""
VALUES = 12
"""Of s, that stand for its whole grid in quantiles."""


@dataclass(frozen=True)
class Coverage:
    """What share of rewards the intervals of one level hold, as far as it is known.

    Parameters
    ----------
    share
        (value,) c(s, R), ascending.
    probability
        (value,) of these.
    """

    share: Float[np.ndarray, "value"]
    probability: Float[np.ndarray, "value"]

    def quantile(self, q: float) -> float:
        """The share that coverage is below with probability q."""
        at = np.searchsorted(np.cumsum(self.probability), q * self.probability.sum())
        return float(self.share[min(int(at), len(self.share) - 1)])

    def within(self, low: float, high: float) -> float:
        """The probability that coverage lies between two shares."""
        return float(self.probability[(self.share >= low) & (self.share <= high)].sum())


@dataclass(frozen=True, eq=False)
class Predictive:
    """The predictive distribution of rewards and logits of the consensus: a mixture over R, s and the tails of u.

    Parameters
    ----------
    weight
        (scale,) posterior probabilities of the values of R.
    posteriors
        The posterior of the last layer under each.
    unexplained
        The posterior of s.
    """

    weight: Float[np.ndarray, "scale"]
    posteriors: tuple[LastLayerPosterior, ...]
    unexplained: Unexplained

    def interval(
        self, pool: ResponsePool, level: float
    ) -> tuple[Float[np.ndarray, "response"], Float[np.ndarray, "response"]]:
        """Central intervals of the consensus' rewards about the pool's mean."""
        moments = self._moments(pool)
        low, high = np.empty(len(pool)), np.empty(len(pool))
        for start in range(0, len(pool), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            mixture = self._mixture(moments[:, :, part], len(pool))
            low[part], high[part] = mixture.quantile((1 - level) / 2), mixture.quantile((1 + level) / 2)
        return low, high

    def coverage(self, pool: ResponsePool, level: float) -> Coverage:
        """Of the intervals of a pool, averaged over some of its responses."""
        chosen = np.linspace(0, len(pool) - 1, min(len(pool), SAMPLED)).round().astype(np.int64)
        moments = self._moments(pool)[:, :, chosen]
        mixture = self._mixture(moments, len(pool))
        low, high = mixture.quantile((1 - level) / 2), mixture.quantile((1 + level) / 2)
        shares, weights = [], []
        for tail in tails(self.unexplained.sd):
            each = _components(moments, self.weight, tail, self.unexplained.probability, len(pool))
            held = (ndtr((high - each.mean) / each.sd) - ndtr((low - each.mean) / each.sd)).mean(axis=1)
            worlds = (len(self.unexplained.sd), len(tail.share), len(self.weight))
            shares.append(np.einsum("p,vpr->vr", tail.share, held.reshape(worlds)).reshape(-1))
            weights.append(each.weight.reshape(worlds).sum(axis=1).reshape(-1))
        share, weight = np.concatenate(shares), np.concatenate(weights)
        order = np.argsort(share)
        return Coverage(share[order], weight[order])

    def probability(self, pool: ResponsePool, pairs: Comparisons) -> Float[np.ndarray, "pair"]:
        """P(k(s) φᵀβ + u of the first is larger)."""
        values, probabilities = self._values()
        kinds = tails(values)
        total = np.zeros(len(pairs.first))
        for weight, posterior in zip(self.weight, self.posteriors, strict=True):
            mean, variance = (part.cpu().numpy() for part in posterior.logit_moments(pool, pairs))
            for tail in kinds:
                for (own, a), (other, b) in product(zip(tail.sd.T, tail.share, strict=True), repeat=2):
                    for k, p, u in zip(stretch(values), probabilities, own**2 + other**2, strict=True):
                        total += (
                            weight * tail.probability * a * b * p * ndtr(k * mean / np.sqrt(k**2 * variance + u))
                        )
        return total

    def sample_logits(
        self, pool: ResponsePool, pairs: Comparisons, draws: int, generator: np.random.Generator
    ) -> Float[np.ndarray, "draw pair"]:
        """Draws of the consensus' logits, with the u of both responses."""
        counts = generator.multinomial(draws, self.weight)
        parts = [
            posterior.sample_logits(pool, pairs, int(count), generator).cpu().numpy()
            for count, posterior in zip(counts, self.posteriors, strict=True)
            if count
        ]
        logits = np.concatenate(parts)
        s = self.unexplained.sample(draws, generator)
        # The pairs are taken to share no response: each has a u of its own on both sides.
        first, second = np.split(sample(s, 2 * logits.shape[1], generator), 2, axis=1)
        return np.asarray(stretch(s)[:, None] * logits + first - second)

    def _values(self) -> tuple[Float[np.ndarray, "value"], Float[np.ndarray, "value"]]:
        """A few values of s and their probabilities: neighbours on the grid together, at their mean."""
        u = self.unexplained
        mass = u.probability.reshape(VALUES, -1).sum(axis=1)
        mean = (u.probability * u.sd).reshape(VALUES, -1).sum(axis=1) / np.maximum(mass, 1e-300)
        kept = mass > 1e-6
        return mean[kept], mass[kept]

    def _moments(self, pool: ResponsePool) -> Float[np.ndarray, "scale 2 response"]:
        """Mean and standard deviation of φᵀβ about the pool's mean, under each value of R."""
        return np.stack([np.stack(posterior.about_mean(pool)) for posterior in self.posteriors])

    def _mixture(self, moments: Float[np.ndarray, "scale 2 response"], responses: int) -> _Mixture:
        values, probabilities = self._values()
        return _Mixture.of(
            [_components(moments, self.weight, tail, probabilities, responses) for tail in tails(values)]
        )


@dataclass(frozen=True)
class _Mixture:
    """A mixture of Gaussians for each response."""

    weight: Float[np.ndarray, "component"]
    mean: Float[np.ndarray, "component response"]
    sd: Float[np.ndarray, "component response"]

    @classmethod
    def of(cls, parts: list[_Mixture]) -> _Mixture:
        """One mixture of several that have a part of the weight each."""
        weight = np.concatenate([part.weight for part in parts])
        mean, sd = (np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "sd"))
        return cls(weight / weight.sum(), mean, sd)

    def quantile(self, q: float) -> Float[np.ndarray, "response"]:
        """By bisection."""
        low, high = (self.mean - 9 * self.sd).min(axis=0), (self.mean + 9 * self.sd).max(axis=0)
        for _ in range(40):
            middle = (low + high) / 2
            below = self.weight @ ndtr((middle - self.mean) / self.sd) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)


def _components(
    moments: Float[np.ndarray, "scale 2 response"],
    weight: Float[np.ndarray, "scale"],
    tail: Tail,
    probability: Float[np.ndarray, "value"],
    responses: int,
) -> _Mixture:
    """k(s) φᵀβ + u with tails of one kind, under each s, part of u and R, about the mean of so many responses."""
    k = stretch(tail.equal)[:, None, None, None]
    variance = (tail.sd**2 * (1 - 1 / responses))[:, :, None, None]
    spread = np.sqrt((k * moments[:, 1]) ** 2 + variance)
    mean = np.broadcast_to(k * moments[:, 0], spread.shape)
    all_of = tail.probability * probability[:, None, None] * tail.share[:, None] * weight
    components = (all_of.size, moments.shape[2])
    return _Mixture(all_of.reshape(-1), mean.reshape(components), spread.reshape(components))


def predictive(posterior: LastLayerPosterior) -> Predictive:
    """The predictive distribution under a posterior of the last layer."""
    fitted = _spread(posterior)
    fit = posterior.laplace
    if fit is None or not _scale_is_open(posterior) or fitted == 0:
        return Predictive(np.ones(1), (posterior,), unexplained(posterior))
    scales = _scales(fitted)
    start = int(np.flatnonzero(scales == fitted)[0])
    found: dict[int, tuple[float, LastLayerPosterior]] = {}
    for side in (range(start, len(scales)), range(start - 1, -1, -1)):
        for at in side:
            if at not in found:
                moved = fit(_with_scale(posterior, scales[at] / fitted), posterior.preferences)
                # Evidences are all of one kind, be the posterior by another inference.
                kept_as = posterior if at == start else moved
                found[at] = (moved.log_evidence + _log_prior(scales[at]), kept_as)
            if found[at][0] < max(value for value, _ in found.values()) - NEGLIGIBLE:
                break
    used = sorted(found)
    weight = _weights(np.log(scales[used]), np.array([found[at][0] for at in used]))
    kept = weight > LEAST_WEIGHT
    weight = weight[kept] / weight[kept].sum()
    posteriors = tuple(found[at][1] for at, keep in zip(used, kept, strict=True) if keep)
    typical = float(np.exp(weight @ np.log(scales[used][kept])))
    return Predictive(weight, posteriors, unexplained(_with_scale(posterior, typical / fitted)))


def _scales(fitted: float) -> Float[np.ndarray, "scale"]:
    """The grid, with the R of the fit in place of the nearest, and at least one beyond it on either side."""
    step = float(SCALES[1] / SCALES[0])
    below = max(0, math.ceil(math.log(SCALES[0] * step / fitted, step)))
    above = max(0, math.ceil(math.log(fitted * step / SCALES[-1], step)))
    grid = SCALES[0] * step ** np.arange(-below, len(SCALES) + above)
    grid[np.abs(np.log(grid / fitted)).argmin()] = fitted
    return grid


def _weights(
    log_scale: Float[np.ndarray, "scale"], value: Float[np.ndarray, "scale"]
) -> Float[np.ndarray, "scale"]:
    """Probabilities of a few scales that stand for all between them: each density is shared by its two neighbours."""
    if len(log_scale) == 1:
        return np.ones(1)
    fine = np.linspace(log_scale[0], log_scale[-1], 400)
    density = PchipInterpolator(log_scale, value)(fine)
    density = np.exp(density - density.max())
    hats = np.stack([np.interp(fine, log_scale, row) for row in np.eye(len(log_scale))])
    weight = hats @ density
    return np.asarray(weight / weight.sum())


def _log_prior(scale: float) -> float:
    return -0.5 * ((math.log(scale) - PRIOR_MEAN) / PRIOR_SD) ** 2


def _scale_is_open(posterior: LastLayerPosterior) -> bool:
    """Whether labels chose the prior scale, on features that they did not shape."""
    model = posterior.model
    return (
        len(posterior.preferences) > 0
        and model.program is None
        and not model.scale_given
        and not posterior.learns_features
    )


def _spread(posterior: LastLayerPosterior) -> float:
    """R̂: prior sd of φᵀβ about its mean over the responses to the same prompt, or to all where prompts have one."""
    pool = posterior.pool
    members = [member for member in pool.members if len(member) > 1]
    if members:
        step = max(1, len(members) * int(np.mean([len(member) for member in members])) // SAMPLED)
        members = members[::step]
    else:
        members = [np.linspace(0, len(pool) - 1, min(len(pool), SAMPLED)).round().astype(np.int64)]
    chosen = np.sort(np.concatenate(members))
    scored = posterior.model.scored
    features, precision = posterior.features(pool, chosen)[:, :scored], posterior.prior_precision[:scored]
    at = {int(response): row for row, response in enumerate(chosen)}
    total, free = 0.0, 0
    for member in members:
        rows = features[[at[int(response)] for response in member]]
        about = rows - rows.mean(dim=0)
        total += float((about.square() / precision).sum())
        free += len(member) - 1
    return math.sqrt(total / max(free, 1))


def _with_scale(posterior: LastLayerPosterior, factor: float) -> LastLayerPosterior:
    """With the prior scales of features and covariates multiplied; those of prompt intercepts stay."""
    precision = posterior.prior_precision.clone()
    precision[: posterior.model.scored] /= factor**2
    return replace(posterior, prior_precision=precision)
