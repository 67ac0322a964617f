r"""What features cannot say of a reward: r_n = φ_nᵀβ + u_n, u_n ~ Normal(0, s²), with s estimated from held-out labels.

u is a property of a response that all annotators see and no feature does. Labels on other pairs say nothing of it,
so rankings of unseen responses do without it; a predictive interval has to have it. With labels in folds by prompt
and each fold predicted from the rest, let m_k and V_kl be the mean and covariance of held-out logits, p_k the
predictive probability, e_k = y_k − p_k and v_k = p_k (1 − p_k). Two answers k, l about the same response share its
u: with D the matrix of pairs (+1 first, −1 second) and c_kl = (D Dᵀ)_kl,

    E e_k e_l ≈ w_k w_l (c_kl s² + V_kl),    w_k = v_k / √(1 + π (2 s² + V_kk)/8),    Var e_k e_l ≈ v_k v_l,

so products of residuals over pairs of labels that share a response give a composite likelihood of s (Varin, Reid &
Firth 2011), multiplied with log s ~ Normal(0, 0.5²). Repeated answers to one pair (c = 2) say most, labels
that share no response nothing; without any it is the prior.

A fit leaves u out, so the logits that it sees are those of an average over u, closer to 0 than the ones that people on
the whole have: P(y) = E_u p(η + u_i − u_j) ≈ p(η / k) with k(s) = √(1 + π s²/4) (MacKay 1992, for a difference of
two). What is said of the consensus is therefore said of k(s) φᵀβ + u. The Laplace evidence of s was tried and is biased
towards 0, as few answers a response make the posterior of u far from Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.types import Comparisons, Preferences

if TYPE_CHECKING:
    from bayesrm.posteriors.last_layer import LastLayerPosterior

FOLDS = 5
GRID = np.geomspace(0.05, 2.5, 40)
PRIOR_MEAN, PRIOR_SD = math.log(1.0), 0.5
"""Of log s, in logits."""
VAGUE = 3.0
"""Of the prior the interval spans a factor of five."""
MOST_PRODUCTS = 200_000
"""Pairs of labels that share a response; of more, so many random ones stand for all."""


@dataclass(frozen=True, eq=False)
class Unexplained:
    """The posterior of s, the standard deviation of what features cannot say of a reward, in logits.

    Parameters
    ----------
    sd
        (value,) a grid of s.
    probability
        (value,) posterior probabilities of its values.
    products
        How many pairs of labels it was estimated from; with none it is the prior.
    """

    sd: Float[np.ndarray, "value"]
    probability: Float[np.ndarray, "value"]
    products: int

    @property
    def variance(self) -> float:
        """E s², in logits²."""
        return float(self.probability @ self.sd**2)

    @property
    def stretch(self) -> Float[np.ndarray, "value"]:
        """(value,) k(s): how much farther apart the consensus is than what is fitted without u."""
        return stretch(self.sd)

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
    """The posterior of s under a posterior of the last layer, by refits without a fold of the prompts each."""
    labels = posterior.preferences
    products = _products(posterior, labels) if len(labels) else _none()
    log_density = -0.5 * ((np.log(GRID) - PRIOR_MEAN) / PRIOR_SD) ** 2
    for at, s in enumerate(GRID):
        mean = products.expected(float(s))
        log_density[at] -= 0.5 * float(((products.observed - mean) ** 2 / products.variance).sum())
    density = np.exp(log_density - log_density.max())  # the grid is even in log s, as the prior's density is
    return Unexplained(GRID, density / density.sum(), len(products.observed))


@dataclass(frozen=True)
class _Products:
    """Products e_k e_l of held-out residuals, with what their mean and variance are functions of."""

    observed: Float[np.ndarray, "product"]
    shared: Float[np.ndarray, "product"]
    covariance: Float[np.ndarray, "product"]
    variance: Float[np.ndarray, "product"]
    own: Float[np.ndarray, "product 2"]
    spread: Float[np.ndarray, "product 2"]

    def expected(self, s: float) -> Float[np.ndarray, "product"]:
        """E e_k e_l, at this s."""
        w = self.own / np.sqrt(1 + math.pi * (2 * s**2 + self.spread) / 8)
        return np.asarray(w[:, 0] * w[:, 1] * (self.shared * s**2 + self.covariance))


def _none() -> _Products:
    nothing, pairs = np.empty(0), np.empty((0, 2))
    return _Products(nothing, nothing, nothing, nothing, pairs, pairs)


def _products(posterior: LastLayerPosterior, labels: Preferences) -> _Products:
    group = posterior.pool.group[labels.first]
    prompts = np.unique(group)
    fold_of_prompt = rng.stream(0, "folds of prompts").permutation(len(prompts)) % min(FOLDS, len(prompts))
    fold = fold_of_prompt[np.searchsorted(prompts, group)]
    parts = [_fold(posterior, labels, np.flatnonzero(fold == k)) for k in np.unique(fold)]
    parts = [part for part in parts if len(part.observed)]
    if not parts:
        return _none()
    names = ("observed", "shared", "covariance", "variance", "own", "spread")
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    count = len(joined[0])
    if count > MOST_PRODUCTS:
        kept = rng.stream(0, "products of residuals").choice(count, MOST_PRODUCTS, replace=False)
        joined = [values[kept] for values in joined]
    return _Products(*joined)


def _fold(posterior: LastLayerPosterior, labels: Preferences, held_out: Int64[np.ndarray, "label"]) -> _Products:
    rest = np.setdiff1d(np.arange(len(labels)), held_out)
    left, right = sharing(labels.first[held_out], labels.second[held_out])
    if len(left) == 0:
        return _none()
    without = posterior.refit(posterior, labels[rest])
    first, second = labels.first[held_out], labels.second[held_out]
    pairs = Comparisons(first, second)
    used, local = np.unique(np.concatenate([first, second]), return_inverse=True)
    moments = without.reward_moments(posterior.pool, used)
    difference: Tensor = moments.factor[local[: len(first)]] - moments.factor[local[len(first) :]]
    mean, variance = without.logit_moments(posterior.pool, pairs)
    covariance = (
        (difference[torch.from_numpy(left)] * difference[torch.from_numpy(right)]).sum(dim=1).cpu().numpy()
    )
    spread = variance.cpu().numpy()
    p = 1 / (1 + np.exp(-mean.cpu().numpy() / np.sqrt(1 + math.pi * spread / 8)))
    residual, own = labels.outcome[held_out] - p, p * (1 - p)
    shared = (
        (first[left] == first[right]).astype(float)
        + (second[left] == second[right])
        - (first[left] == second[right])
        - (second[left] == first[right])
    )
    return _Products(
        residual[left] * residual[right],
        shared,
        covariance,
        own[left] * own[right],
        np.stack([own[left], own[right]], axis=1),
        np.stack([spread[left], spread[right]], axis=1),
    )


def sharing(
    first: Int64[np.ndarray, "label"], second: Int64[np.ndarray, "label"]
) -> tuple[Int64[np.ndarray, "product"], Int64[np.ndarray, "product"]]:
    """Pairs of labels k < l that have a response in common, each once."""
    response = np.concatenate([first, second])
    label = np.tile(np.arange(len(first)), 2)
    order = np.argsort(response, kind="stable")
    found = []
    for members in np.split(label[order], np.flatnonzero(np.diff(response[order])) + 1):
        k, other = np.triu_indices(len(members), 1)
        found.append(np.sort(np.stack([members[k], members[other]], axis=1), axis=1))
    pairs = np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)
    return pairs[:, 0], pairs[:, 1]
