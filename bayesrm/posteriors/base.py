r"""What a posterior over rewards offers, whatever inference made it.

Everything that designs and metrics need follows from the first two moments of the reward at some responses,

    E r_i = m_i,        Cov(r_i, r_j) = u_iᵀ u_j,

so a posterior gives the means m and a factor U with one row a response. The logit of a pair then has mean
m_i − m_j and variance ‖u_i − u_j‖²; no covariance over pairs is ever formed. A point estimate is the same
thing with a factor of width zero.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.models.far_out import warn_far_out
from bayesrm.models.features import RESPONSE_BLOCK, difference
from bayesrm.models.likelihoods.base import Likelihood, gaussian_expectation
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.pairs import ListedPairs, PairBlock
from bayesrm.posteriors.predictive import Predictive
from bayesrm.posteriors.unexplained import Unexplained
from bayesrm.types import Comparisons, Pairs, Preferences, ResponsePool, as_index, compact, require_within
from bayesrm.utils.checked import Count, Seed, checked


@dataclass(frozen=True)
class RewardMoments:
    """Posterior mean and covariance factor of the rewards of some responses, in float64.

    Parameters
    ----------
    mean
        (response,) posterior means m.
    factor
        (response, rank) rows u with Cov(r_i, r_j) = u_iᵀ u_j; rank 0 for a point.
    draws
        (response, draw) joint draws of the rewards, where the posterior consists of draws: expectations are then
        averages over them; without draws the logit of a pair is Gaussian.
    """

    mean: Float[Tensor, "response"]
    factor: Float[Tensor, "response rank"]
    draws: Float[Tensor, "response draw"] | None = None

    @classmethod
    def from_draws(cls, draws: Float[Tensor, "response draw"]) -> RewardMoments:
        """Mean and covariance of draws; one draw alone has no spread."""
        mean = draws.mean(dim=1)
        count = draws.shape[1]
        factor = (draws - mean[:, None]) / math.sqrt(count - 1) if count > 1 else draws.new_empty((len(draws), 0))
        return cls(mean, factor, draws)

    def logits(
        self, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """Mean and variance of η = r(first) − r(second); indices are rows of these moments."""
        variance = difference(self.factor, first, second).square().sum(dim=1)
        return difference(self.mean, first, second), variance

    def of(self, pairs: PairBlock) -> PairLogits:
        """The posterior of the logits of a block of pairs of rows of these moments."""
        return PairLogits(self, pairs)

    def probability(
        self, likelihood: Likelihood, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """The posterior predictive P(first preferred) = E p(η)."""
        return self.of(ListedPairs(first, second)).probability(likelihood)

    def fisher_weight(
        self, likelihood: Likelihood, first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]
    ) -> Float[Tensor, "pair"]:
        """The posterior mean of the Fisher weight, E w(η)."""
        return self.of(ListedPairs(first, second)).fisher_weight(likelihood)

    def expectation(
        self,
        function: Callable[[Float[Tensor, "pair"]], Float[Tensor, "pair"]],
        first: Int64[Tensor, "pair"],
        second: Int64[Tensor, "pair"],
    ) -> Float[Tensor, "pair"]:
        """E f(η) for each pair: a quadrature under a Gaussian logit, the average over draws if there are any."""
        return self.of(ListedPairs(first, second)).expectation(function)


class PairLogits:
    """The posterior of the logits η of a block of pairs: nothing is computed before it is asked for.

    Parameters
    ----------
    moments
        Of the rewards.
    pairs
        Pairs of their rows.
    """

    def __init__(self, moments: RewardMoments, pairs: PairBlock) -> None:
        self._moments, self._pairs = moments, pairs

    @cached_property
    def mean(self) -> Float[Tensor, "pair"]:
        """E η = m_i − m_j."""
        return self._pairs.difference(self._moments.mean)

    @cached_property
    def variance(self) -> Float[Tensor, "pair"]:
        """Var η = ‖u_i − u_j‖²."""
        return self._pairs.squared_distance(self._moments.factor)

    def probability(self, likelihood: Likelihood) -> Float[Tensor, "pair"]:
        """The posterior predictive P(first preferred) = E p(η)."""
        if self._moments.draws is None:
            return likelihood.expected_probability(self.mean, self.variance)
        return self.expectation(likelihood.probability)

    def fisher_weight(self, likelihood: Likelihood) -> Float[Tensor, "pair"]:
        """The posterior mean of the Fisher weight, E w(η)."""
        if self._moments.draws is None:
            return likelihood.expected_fisher_weight(self.mean, self.variance)
        return self.expectation(likelihood.fisher_weight)

    def expectation(
        self, function: Callable[[Float[Tensor, "pair"]], Float[Tensor, "pair"]]
    ) -> Float[Tensor, "pair"]:
        """E f(η): a quadrature under a Gaussian logit, the average over draws if there are any."""
        draws = self._moments.draws
        if draws is None:
            return gaussian_expectation(function, self.mean, self.variance)
        total = torch.zeros(len(self._pairs), dtype=self._pairs.dtype, device=draws.device)
        for draw in draws.unbind(dim=1):
            total += function(self._pairs.difference(draw))
        return total / draws.shape[1]


class RewardPosterior(ABC):
    """What is known of the reward after some preferences.

    Attributes
    ----------
    model : RewardModel
        The fitted model: encoder, likelihood, prior scale.
    pool : ResponsePool
        The pool that the preferences refer to.
    preferences : Preferences
        The preferences it was fitted to.
    inference : str
        The name of the inference that it came from, such as "laplace".

    See Also
    --------
    fit : Makes one.
    diagnose : How far to trust it.
    evaluate : How good it is on other prompts.

    Examples
    --------
    >>> mean, sd = posterior.reward(pool)
    >>> probability = posterior.preference_probability(pool, [0, 1], [2, 3])
    >>> tree = posterior.to_datatree(draws=100)  # ArviZ's groups
    >>> "posterior" in tree.children
    True
    """

    provides: ClassVar[frozenset[str]] = frozenset({"spread"})
    """What designs can ask for: "spread", and "features" that all draws share."""

    model: RewardModel
    pool: ResponsePool
    preferences: Preferences
    inference: str

    # --- what a posterior must say ------------------------------------------------------------------------

    @abstractmethod
    def reward_moments(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> RewardMoments:
        """Moments of the rewards of some responses of a pool (default: of all), up to a common constant."""

    @abstractmethod
    def sample_rewards(
        self,
        pool: ResponsePool,
        responses: Int64[np.ndarray, "response"],
        draws: int,
        generator: np.random.Generator,
    ) -> Float[Tensor, "draw response"]:
        """Joint posterior draws of the rewards of some responses."""

    @abstractmethod
    def entropy(self) -> float:
        """Posterior entropy of the last layer in nats; raises CapabilityError where there is none."""

    @abstractmethod
    def condition(self, preferences: Preferences) -> RewardPosterior:
        """The posterior after more preferences about the same pool, features and prior scale fixed."""

    @abstractmethod
    def to_datatree(
        self,
        draws: Count = 1024,
        seed: Seed = 0,
        log_likelihood: bool = False,
        responses: ArrayLike | None = None,
    ) -> xr.DataTree:
        """ArviZ's groups, the same for every inference: see :mod:`bayesrm.posteriors.datatree`.

        Parameters
        ----------
        draws : int
            Number of posterior draws, where it is free; independent ones come in four chains.
        seed : int
            Root of the draws.
        log_likelihood : bool
            Whether to add log p(y_k | draw) of every comparison and draw.
        responses : array_like of int, optional
            Responses of the pool whose rewards are wanted under each draw: ``reward`` in the group ``posterior``.
        """

    def remembering(self, responses: Int64[np.ndarray, "_"]) -> RewardPosterior:
        """The same posterior, ready to be asked again and again about these responses of its pool."""
        return self

    def information_factor(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"]
    ) -> Float[Tensor, "response rank"]:
        """Rows u whose squared distances are the logit variances that designs reduce, in float64."""
        return self.reward_moments(pool, responses).factor

    # --- what follows ---------------------------------------------------------------------------------------

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood of the model."""
        return self.model.likelihood

    @checked
    def reward(
        self, pool: ResponsePool, without: Sequence[str] = ()
    ) -> tuple[Float[np.ndarray, "response"], Float[np.ndarray, "response"]]:
        """Posterior mean and standard deviation of each reward, centred within the pool.

        Parameters
        ----------
        pool : ResponsePool
            Any pool of the same embedding; it is encoded block by block.
        without
            Covariates that are held at their mean over the responses to the same prompt: what the reward would be if
            these did not differ. "length" stands for all that say how long a text is. What the embedding knows of them
            stays in.

        Returns
        -------
        mean, sd
            (response,) each: of r_n − (1/N) Σ_m r_m, in logits.
        """
        if len(without):
            pool = pool.holding(self.model.covariates.chosen(without))
        warn_far_out(self.model.encoder, pool, stacklevel=4)
        return self.about_mean(pool)

    def about_mean(
        self, pool: ResponsePool
    ) -> tuple[Float[np.ndarray, "response"], Float[np.ndarray, "response"]]:
        """What :meth:`reward` returns, without its warning of responses far out."""
        centre = sum(moments.factor.sum(dim=0) for _, moments in self._blocks(pool)) / len(pool)
        means, sds = [], []
        for _, moments in self._blocks(pool):
            means.append(moments.mean)
            sds.append((moments.factor - centre).square().sum(dim=-1).sqrt())
        mean = torch.cat(means)
        return (mean - mean.mean()).cpu().numpy(), torch.cat(sds).cpu().numpy()

    @checked
    def preference_probability(
        self, pool: ResponsePool, first: ArrayLike, second: ArrayLike
    ) -> Float[np.ndarray, "pair"]:
        """Posterior predictive probability that the first is preferred, averaged over the posterior of η."""
        pairs = PlainPairs(as_index(first, "first"), as_index(second, "second"))
        if len(pairs.first) != len(pairs.second):
            raise InvalidInputError(
                f"expected first and second of the same length, got {len(pairs.first)} and {len(pairs.second)}"
            )
        moments, rows, others = self._encode_pairs(pool, pairs)
        warn_far_out(self.model.encoder, pool, np.concatenate([pairs.first, pairs.second]), stacklevel=4)
        return moments.probability(self.likelihood, rows, others).cpu().numpy()

    @property
    def unexplained(self) -> Unexplained:
        """The posterior of s, the sd of what features cannot say of a reward: :mod:`bayesrm.posteriors.unexplained`."""
        return self.predictive.unexplained

    @property
    def predictive(self) -> Predictive:
        """What is predicted of the consensus: :mod:`bayesrm.posteriors.predictive`.

        Raises
        ------
        CapabilityError
            Where draws share no features, as those of whole networks.
        """
        raise CapabilityError(
            f"what features cannot say needs a posterior of the last layer, and {type(self).__name__} has draws of "
            "whole networks: fit with inference='laplace', 'svi', 'nuts' or 'plugin'"
        )

    @checked
    def predictive_interval(
        self, pool: ResponsePool, level: float = 0.9
    ) -> tuple[Float[np.ndarray, "response"], Float[np.ndarray, "response"]]:
        """Intervals of what people think of each response, with what no feature says of it.

        That is k(s) φᵀβ + u, and not φᵀβ as :meth:`reward` has it, over all that is unknown of it:
        :mod:`bayesrm.posteriors.predictive`.

        Parameters
        ----------
        pool : ResponsePool
            Any pool of the same embedding.
        level : float
            How often they are to hold the truth.

        Returns
        -------
        low, high : (response,) float array
            In logits, measured from the pool's mean as in :meth:`reward`.

        Raises
        ------
        InvalidInputError
            Where the level is not between 0 and 1.
        CapabilityError
            See :attr:`predictive`.
        """
        if not 0 < level < 1:
            raise InvalidInputError(f"expected a level between 0 and 1, got {level}")
        warn_far_out(self.model.encoder, pool, stacklevel=4)
        return self.predictive.interval(pool, level)

    @checked
    def consensus_probability(
        self, pool: ResponsePool, first: ArrayLike, second: ArrayLike
    ) -> Float[np.ndarray, "pair"]:
        """The probability that people on the whole prefer the first: P(k(s) φᵀβ + u of the first is larger).

        :meth:`preference_probability` is that of a single answer, with the noise of answers and without u.
        """
        pairs = Comparisons(as_index(first, "first"), as_index(second, "second"))
        probability = self.predictive.probability(pool, pairs)
        warn_far_out(self.model.encoder, pool, np.concatenate([pairs.first, pairs.second]), stacklevel=4)
        return probability

    @checked
    def logit_moments(
        self, pool: ResponsePool, pairs: Pairs
    ) -> tuple[Float[Tensor, "pair"], Float[Tensor, "pair"]]:
        """Posterior mean and variance of η for each pair; each response is encoded once."""
        moments, first, second = self._encode_pairs(pool, pairs)
        return moments.logits(first, second)

    @checked
    def logit_covariance(self, pool: ResponsePool, pairs: Pairs, others: Pairs) -> Float[Tensor, "pair other"]:
        """Posterior covariance of the logits of two lists of pairs."""
        moments, first, second = self._encode_pairs(pool, pairs)
        left = moments.factor[first] - moments.factor[second]
        moments, first, second = self._encode_pairs(pool, others)
        return left @ (moments.factor[first] - moments.factor[second]).T

    @checked
    def sample_logits(
        self, pool: ResponsePool, pairs: Pairs, draws: Count, generator: np.random.Generator
    ) -> Float[Tensor, "draw pair"]:
        """Joint posterior draws of the logits of some pairs."""
        require_within(pairs, pool)
        used, first, second = local_pairs(pairs)
        rewards = self.sample_rewards(pool, used, draws, generator)
        return rewards[:, first] - rewards[:, second]

    def _blocks(self, pool: ResponsePool) -> Iterator[tuple[np.ndarray, RewardMoments]]:
        for start in range(0, len(pool), RESPONSE_BLOCK):
            block = np.arange(start, min(start + RESPONSE_BLOCK, len(pool)))
            yield block, self.reward_moments(pool, block)

    def _encode_pairs(self, pool: ResponsePool, pairs: Pairs) -> tuple[RewardMoments, Tensor, Tensor]:
        require_within(pairs, pool)
        used, first, second = local_pairs(pairs)
        return self.reward_moments(pool, used), first, second


@dataclass(frozen=True)
class PlainPairs:
    """Pairs without the checks of Comparisons: a response may be held against itself."""

    first: Int64[np.ndarray, "_"]
    second: Int64[np.ndarray, "_"]


def local_pairs(pairs: Pairs) -> tuple[Int64[np.ndarray, "response"], Tensor, Tensor]:
    """The responses that pairs refer to, and both ends as rows of what is computed for them."""
    used, first, second = compact(pairs.first, pairs.second)
    return used, torch.from_numpy(first), torch.from_numpy(second)
