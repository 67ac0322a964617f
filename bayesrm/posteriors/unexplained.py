r"""What features cannot say of a reward: r_n = φ_nᵀβ + u_n, u_n ~ Normal(0, s²), with s estimated from the labels.

Predictions count on heavier tails of u, too (:mod:`bayesrm.posteriors.tails`); s is then that of the Gaussian whose
answers agree as often.

u is a property of a response that all annotators see and no feature does. Labels on other pairs say nothing of it,
so rankings of unseen responses do without it; a predictive interval has to have it.

A fit leaves u out, so the logits that it sees are those of an average over u, closer to 0 than the ones that people on
the whole have: P(y) = E_u p(η + u_i − u_j) ≈ p(η / k) with k(s) = √(1 + π s²/4) (MacKay 1992, for a difference of
two). What is said of the consensus is therefore said of k(s) φᵀβ + u. With Z the feature differences of the labelled
pairs and D their differences of responses (+1 first, −1 second), the logits of the consensus are

    η ~ Normal(k Z μ, k² Z Λ₀⁻¹ Zᵀ + s² D Dᵀ),

and the evidence of s is that of the labels under this, by expectation propagation over the pairs
(:mod:`bayesrm.posteriors.expectation_propagation`; the Laplace evidence of s is biased towards 0). All answers to one
pair share one η. What says how large s is, is that answers about the same response agree more than features explain:
most in repeated answers to one pair, less in pairs that share one response; answers that share nothing say nothing of
it. The evidence is multiplied with log s ~ Normal(0, 0.5²); without labels s has this prior.

Features that a network has learnt from the labels explain those labels better than others, so their evidence would take
s for too small. Then prompts are split in two halves: a network that learnt from the labels of one says, with its
posterior of β in place of the prior, what its features leave out of the labels of the other, and the reverse.

An outcome between those of the likelihood, such as a tie under Bradley–Terry, stands for one of its neighbours, drawn
so that its mean is kept: taken as two halves of an answer, ties would count as evidence that all responses are alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.interpolate import CubicSpline
from torch import Tensor

from bayesrm import rng
from bayesrm.models.context import Context
from bayesrm.models.features import difference
from bayesrm.models.likelihoods.finite import shares
from bayesrm.posteriors.expectation_propagation import Sites, propagate
from bayesrm.types import Preferences, ResponsePool, compact

if TYPE_CHECKING:
    from bayesrm.posteriors.last_layer import LastLayerPosterior

GRID = np.geomspace(0.1, 4.0, 120)
KNOTS = np.geomspace(0.1, 4.0, 8)
"""Where the evidence is computed; between them it is interpolated."""
PRIOR_MEAN, PRIOR_SD = math.log(1.0), 0.5
"""Of log s, in logits."""
VAGUE = 3.0
"""Of the prior the interval spans a factor of five."""
MOST_PAIRS = 320
"""Of more labelled pairs those are taken that have most answers in common with others."""


@dataclass(frozen=True, eq=False)
class Unexplained:
    """The posterior of s, the standard deviation of what features cannot say of a reward, in logits.

    Parameters
    ----------
    sd
        (value,) a grid of s.
    probability
        (value,) posterior probabilities of its values.
    pairs, repeated
        How many pairs it was estimated from, with none it is the prior, and how many of them have several answers.
    """

    sd: Float[np.ndarray, "value"]
    probability: Float[np.ndarray, "value"]
    pairs: int
    repeated: int

    @property
    def variance(self) -> float:
        """E s², in logits²."""
        return float(self.probability @ self.sd**2)

    @property
    def stretch(self) -> Float[np.ndarray, "value"]:
        """(value,) k(s): how much farther apart the consensus is than what is fitted without u."""
        return stretch(self.sd)

    @property
    def log_moments(self) -> tuple[float, float]:
        """Mean and standard deviation of log s."""
        mean = float(self.probability @ np.log(self.sd))
        return mean, math.sqrt(float(self.probability @ (np.log(self.sd) - mean) ** 2))

    @property
    def identified(self) -> bool:
        """Whether labels say how large s is: whether its 90% interval spans a factor of less than :data:`VAGUE`."""
        low, high = self.interval()
        return high < VAGUE * low

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """A central interval of s."""
        cumulative = np.cumsum(self.probability)
        low, high = np.searchsorted(cumulative, [(1 - level) / 2, (1 + level) / 2]).clip(max=len(self.sd) - 1)
        return float(self.sd[low]), float(self.sd[high])

    def sample(self, draws: int, generator: np.random.Generator) -> Float[np.ndarray, "draw"]:
        """Draws of s."""
        return generator.choice(self.sd, size=draws, p=self.probability)


def stretch(sd: Float[np.ndarray, "*value"]) -> Float[np.ndarray, "*value"]:
    """k(s) = √(1 + π s²/4)."""
    return np.asarray(np.sqrt(1 + math.pi * sd**2 / 4))


def unexplained(posterior: LastLayerPosterior) -> Unexplained:
    """The posterior of s under a posterior of the last layer: by its features, prior and labels.

    Labels that are rankings have no pairs of their own and leave s at its prior.
    """
    labels = posterior.preferences
    log_density = -0.5 * ((np.log(GRID) - PRIOR_MEAN) / PRIOR_SD) ** 2
    pairs, repeated = 0, 0
    if len(labels) and not Context.of(labels, posterior.location.device).has_rankings:
        asked = _Asked.of(labels)
        pairs, repeated = len(asked.first), int((np.bincount(asked.pair) > 1).sum())
        log_density += CubicSpline(np.log(KNOTS), _evidence(posterior, asked, labels))(np.log(GRID))
    density = np.exp(log_density - log_density.max())  # the grid is even in log s, as the prior's density is
    return Unexplained(GRID, density / density.sum(), pairs, repeated)


@dataclass(frozen=True)
class _Asked:
    """Labels by the pair that they are about."""

    labels: Preferences
    first: Int64[np.ndarray, "pair"]
    second: Int64[np.ndarray, "pair"]
    pair: Int64[np.ndarray, "label"]
    sign: Float[np.ndarray, "label"]

    @classmethod
    def of(cls, labels: Preferences) -> _Asked:
        """Of all labels, or of those to the pairs that say most."""
        low, high = np.minimum(labels.first, labels.second), np.maximum(labels.first, labels.second)
        ends, pair, answers = np.unique(np.stack([low, high], 1), axis=0, return_inverse=True, return_counts=True)
        pair = pair.reshape(-1)
        if len(ends) > MOST_PAIRS:
            about = np.bincount(np.concatenate([low, high]))
            # Two answers of which c_kl = (D Dᵀ)_kl is 1 or 2, for the same pair, say c_kl² as much.
            others = about[ends].sum(axis=1) - 2 * answers
            common = answers * others / 2 + 2 * answers * (answers - 1)
            order = rng.stream(0, "pairs that say most").permutation(len(ends))
            kept = order[np.argsort(-common[order], kind="stable")[:MOST_PAIRS]]
            labels = labels[np.flatnonzero(np.isin(pair, kept))]
            return cls.of(labels)
        sign = np.where(labels.first == low, 1.0, -1.0)
        return cls(labels, ends[:, 0], ends[:, 1], pair, sign)


@dataclass(frozen=True)
class _Known:
    """What is known of β before some labels, and the features that it is about.

    Parameters
    ----------
    posterior
        Whose features they are.
    mean
        (feature,) of β.
    whiten
        From rows z to rows whose products are zᵀ Cov(β) z.
    """

    posterior: LastLayerPosterior
    mean: Float[Tensor, "feature"]
    whiten: Callable[[Float[Tensor, "pair feature"]], Float[Tensor, "pair feature"]]

    @classmethod
    def before(cls, posterior: LastLayerPosterior) -> _Known:
        """By the prior."""
        mean, precision = posterior.prior
        return cls(posterior, mean, lambda z: z / precision.sqrt())

    @classmethod
    def after(cls, posterior: LastLayerPosterior) -> _Known:
        """By the labels that it was fitted to."""
        return cls(posterior, posterior.location, posterior.whiten)


def _evidence(posterior: LastLayerPosterior, asked: _Asked, labels: Preferences) -> Float[np.ndarray, "knot"]:
    """Log evidence of every knot, by the pairs that say most of all labels."""
    if posterior.relearn is None or not posterior.learns_features:
        return _evidence_of(posterior, _Known.before(posterior), asked)
    total = np.zeros(len(KNOTS))
    halves = _halves(posterior.pool, labels)
    for known, unseen in (halves, halves[::-1]):
        if len(unseen):
            learnt = _Known.after(posterior.relearn(posterior, known))
            total += _evidence_of(posterior, learnt, _Asked.of(unseen))
    return total


def _halves(pool: ResponsePool, labels: Preferences) -> tuple[Preferences, Preferences]:
    """The labels of either half of the prompts that have any, and none across; of responses, where it is one prompt."""
    owner = pool.group if len(np.unique(pool.group[labels.first])) > 1 else np.arange(len(pool))
    ends = owner[labels.first], owner[labels.second]
    those = rng.stream(0, "halves of the labels").permutation(np.unique(np.concatenate(ends)))
    first, second = (np.isin(end, those[::2]) for end in ends)
    return labels[np.flatnonzero(first & second)], labels[np.flatnonzero(~first & ~second)]


def _evidence_of(posterior: LastLayerPosterior, known: _Known, asked: _Asked) -> Float[np.ndarray, "knot"]:
    """Log evidence of every knot, given what is known of β and the posterior's nuisance parameters."""
    device = posterior.location.device
    used, first, second = compact(asked.first, asked.second)
    features = known.posterior.features(posterior.pool, used)
    first_at, second_at = torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
    z = difference(features, first_at, second_at)
    whitened = known.whiten(z)
    explained, expected = whitened @ whitened.T, z @ known.mean
    own = (
        (first_at[:, None] == first_at).double()
        + (second_at[:, None] == second_at).double()
        - (first_at[:, None] == second_at).double()
        - (second_at[:, None] == first_at).double()
    )
    log_likelihood = _log_likelihood(posterior, asked)
    found: list[float] = []
    sites: Sites | None = None
    for s, k in zip(KNOTS.tolist(), stretch(KNOTS).tolist(), strict=True):
        sites = propagate(k * expected, k**2 * explained + s**2 * own, log_likelihood, sites)
        found.append(sites.log_evidence)
    return np.array(found)


def _log_likelihood(
    posterior: LastLayerPosterior, asked: _Asked
) -> Callable[[Float[Tensor, "pair node"]], Float[Tensor, "pair node"]]:
    """Of all answers to each pair, nuisance parameters at their location."""
    device = posterior.location.device
    context = Context.of(asked.labels, device)
    values = posterior.model.nuisance_space(posterior.context, device).values(posterior.nuisance)
    likelihood = posterior.model.likelihood.given(values, _with_annotators(context, posterior.context))
    outcomes = torch.tensor(likelihood.outcomes, dtype=torch.float64)
    share = shares(torch.from_numpy(asked.labels.outcome), likelihood.outcomes).numpy()
    drawn = (rng.stream(0, "soft labels").random((len(share), 1)) > share.cumsum(axis=1)[:, :-1]).sum(axis=1)
    outcome = outcomes[drawn].to(device)
    weight = torch.ones_like(outcome)
    if asked.labels.weight is not None:
        weight = torch.from_numpy(asked.labels.weight).to(outcome)
    pair, sign = torch.from_numpy(asked.pair).to(device), torch.from_numpy(asked.sign).to(outcome)

    def log_likelihood(eta: Float[Tensor, "pair node"]) -> Float[Tensor, "pair node"]:
        of_label = (eta[pair] * sign[:, None]).T
        each = likelihood.log_prob(of_label, outcome.expand_as(of_label)) * weight
        return torch.zeros_like(eta).index_add_(0, pair, each.T)

    return log_likelihood


def _with_annotators(context: Context, whole: Context) -> Context:
    """Annotators by their numbers among those that the posterior knows."""
    if context.annotator is None or context.annotators == whole.annotators:
        return context
    number = {name: at for at, name in enumerate(whole.annotators)}
    known = torch.tensor([*(number[name] for name in context.annotators), -1], device=context.annotator.device)
    return Context(known[context.annotator], whole.annotators, context.choice, context.worst)
