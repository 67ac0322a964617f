r"""What an answer teaches, by who gives it and by how often its pair was answered before.

An annotator a of slope T_a answers with P(first) = σ(T_a η), so that the Fisher weight is

    w_a(η) = T_a² σ(T_a η)(1 − σ(T_a η)),

w_a averaged over the posterior of η. A careful annotator is worth most on close pairs; of pairs that are far apart both
are sure, and neither teaches much.

What features cannot say, u ~ Normal(0, s²) of each response, is the same in every answer to a pair. With τ² = 2s² the
information of n answers of weight w about zᵀβ is that of their mean,

    I(n) = n w / (1 + n w τ²),

and a first answer to a pair of difference z teaches ½ log(1 + I(1) zᵀΣz) nats of β: the more features leave out, the
less a careful annotator is ahead of others. The next answer to a pair that has n is worth, as a share of the first
answer to a new pair of the same z and weight,

    (I(n + 1) − I(n)) / I(1) = (1 + w τ²) / ((1 + n w τ²)(1 + (n + 1) w τ²)),

which is 1 where τ = 0 and falls with s and n: of β a repeat never says more than a new pair like it does. A repeat wins
only where no new pair is nearly as telling; of u itself, and of how reliable people are, only repeats say anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from bayesrm.models.context import NOBODY, Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Pairs, ResponsePool


def knows_annotators(posterior: RewardPosterior) -> TypeGuard[LastLayerPosterior]:
    """Whether it has a reliability for each annotator."""
    return (
        isinstance(posterior, LastLayerPosterior)
        and posterior.model.likelihood.name == "annotators"
        and bool(posterior.context.annotators)
    )


def information_by_annotator(
    posterior: LastLayerPosterior, pool: ResponsePool, pairs: Pairs, names: Sequence[str]
) -> Float[np.ndarray, "pair annotator"]:
    """What a first answer of each annotator to each pair teaches of β, in nats; one who is unknown counts as typical.

    Slopes are at their location, the logit is averaged over.
    """
    mean, variance = posterior.logit_moments(pool, pairs)
    weight = _weights(posterior, mean, variance, names)
    alone = added_by(weight, torch.zeros_like(weight), 2 * posterior.unexplained.variance)
    return (0.5 * torch.log1p(alone * variance[:, None])).cpu().numpy()


def weight_by_annotator(
    posterior: LastLayerPosterior, pool: ResponsePool, pairs: Pairs, names: Sequence[str]
) -> Float[Tensor, "pair annotator"]:
    """E w_a of an answer of each annotator to each pair; of one who is unknown, as of a typical one."""
    return _weights(posterior, *posterior.logit_moments(pool, pairs), names)


def _weights(
    posterior: LastLayerPosterior,
    mean: Float[Tensor, "pair"],
    variance: Float[Tensor, "pair"],
    names: Sequence[str],
) -> Float[Tensor, "pair annotator"]:
    of = [_of(posterior, name, len(mean)).expected_fisher_weight(mean, variance) for name in names]
    return torch.stack(of, dim=1)


def added_by(
    weight: Float[Tensor, "*answer"], given: Float[Tensor, "#*answer"], tau: float
) -> Float[Tensor, "*answer"]:
    """I(W + w) − I(W): what an answer of weight w adds about zᵀβ to answers of summed weight W, with τ² as ``tau``."""
    return weight / ((1 + given * tau) * (1 + (given + weight) * tau))


def worth_of_repeat(
    posterior: LastLayerPosterior, pool: ResponsePool, pairs: Pairs, answered: ArrayLike = 1
) -> Float[np.ndarray, "pair"]:
    """What the next answer to pairs that have so many is worth, as a share of one to a new pair that is like them."""
    mean, variance = posterior.logit_moments(pool, pairs)
    weight = posterior.likelihood.expected_fisher_weight(mean, variance).cpu().numpy()
    return share_of_repeat(weight * 2 * posterior.unexplained.variance, np.asarray(answered))


def first_and_second(
    posterior: LastLayerPosterior, pool: ResponsePool, pairs: Pairs
) -> tuple[Float[np.ndarray, "pair"], Float[np.ndarray, "pair"]]:
    """What a first answer to each pair teaches of β, ½ log(1 + I(1) zᵀΣz), and what a second one adds to it."""
    mean, variance = posterior.logit_moments(pool, pairs)
    weight = posterior.likelihood.expected_fisher_weight(mean, variance)
    tau = 2 * posterior.unexplained.variance
    one, two = (0.5 * torch.log1p(n * weight / (1 + n * weight * tau) * variance) for n in (1, 2))
    return one.cpu().numpy(), (two - one).cpu().numpy()


def better_twice(
    first: Float[np.ndarray, "pair"], second: Float[np.ndarray, "pair"]
) -> tuple[Int64[np.ndarray, "left"], Int64[np.ndarray, "twice"]]:
    """Which pairs to leave out so that others are answered twice, with the same number of answers, to learn more.

    The least telling pairs give way to second answers to those whose second answer tells most, one for one, for as long
    as that teaches more.
    """
    out, twice = np.argsort(first, kind="stable"), np.argsort(-second, kind="stable")
    better = first[out] < second[twice]
    count = int(np.argmin(better)) if not better.all() else len(first)
    while count and np.intersect1d(out[:count], twice[:count]).size:
        count -= 1
    return out[:count], twice[:count]


def share_of_repeat(
    product: Float[np.ndarray, "pair"], answered: Int64[np.ndarray, "*pair"]
) -> Float[np.ndarray, "pair"]:
    """(1 + w τ²) / ((1 + n w τ²)(1 + (n + 1) w τ²)), of w τ² and n."""
    return np.asarray((1 + product) / ((1 + answered * product) * (1 + (answered + 1) * product)))


def _of(posterior: LastLayerPosterior, name: str, count: int) -> Likelihood:
    """The likelihood of so many answers by one annotator."""
    known = posterior.context.annotators
    at = known.index(name) if name in known and name != NOBODY else -1
    device = posterior.location.device
    codes = torch.full((count,), at, dtype=torch.int64, device=device)
    values = posterior.model.nuisance_space(posterior.context, device).values(posterior.nuisance)
    return posterior.model.likelihood.given(values, Context(codes, known))
