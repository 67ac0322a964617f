r"""Posteriors whose rewards are linear in fixed features: r = φᵀβ.

What they share: features, a location of β and of the nuisance parameters ν, and an information matrix
Λ = I/σ² + Σ_k w_k z_k z_kᵀ of β with a factor F, Λ = F Fᵀ. For a Gaussian posterior Λ is the (marginal) precision;
for draws the inverse of their covariance; for a point the Fisher information that frequentist designs use.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import CapabilityError
from bayesrm.models.context import Context
from bayesrm.models.features import RESPONSE_BLOCK, KnownFeatures, encode, labelled_differences
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.chains import chains_for, chosen_responses, filling, in_chains
from bayesrm.posteriors.datatree import Gaussian, last_layer_draws
from bayesrm.posteriors.predictive import Predictive, predictive
from bayesrm.posteriors.unexplained import Unexplained
from bayesrm.types import Preferences, ResponsePool, require_within
from bayesrm.utils.checked import Count, Seed, checked
from bayesrm.utils.factors import Factor


@dataclass(frozen=True)
class LatentDraws:
    """Draws of x = (ν, β).

    Parameters
    ----------
    latent
        (chain, draw, latent) draws, nuisance parameters unconstrained and before β.
    log_q
        (chain, draw) their log density under the approximation that they come from, in nats, if there is one.
    stats
        Further statistics of the sampler, (chain, draw) each.
    """

    latent: Float[Tensor, "chain draw latent"]
    log_q: Float[Tensor, "chain draw"] | None = None
    stats: dict[str, Float[np.ndarray, "chain draw"]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LastLayerPosterior(RewardPosterior):
    """A posterior of β over the features of a trained encoder.

    Parameters
    ----------
    model, pool, preferences
        What it was fitted with; the encoder is trained and no longer changes.
    location
        (feature,) the point or the mean of β, float64.
    information
        F, see :mod:`bayesrm.utils.factors`.
    prior_precision
        (feature,) diagonal of the prior's precision, 1/σ².
    log_evidence
        Log marginal likelihood in nats where the inference estimates one, else NaN.
    refit
        The inference's own fit of the last layer, used by :meth:`condition`.
    nuisance
        (nuisance,) location of the unconstrained nuisance parameters.
    inference
        The name of the inference.
    known
        Features that need not be computed again, see :meth:`remembering`.
    laplace
        Laplace's fit of the last layer, for what takes many fits; None where a point stands for the posterior.
    refit_beta
        A fit of β alone that is faster than ``refit``, used by :meth:`relabel_beta`; None where there is none.
    relearn
        Trains an encoder of the same kind on other preferences, and fits its last layer by Laplace; None as above.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"spread", "features"})
    independent: ClassVar[bool] = True
    """Whether draws are, and not of Markov chains."""

    model: RewardModel
    pool: ResponsePool
    preferences: Preferences
    location: Float[Tensor, "feature"]
    information: Factor
    prior_precision: Float[Tensor, "feature"]
    log_evidence: float
    refit: Callable[[LastLayerPosterior, Preferences], LastLayerPosterior]
    nuisance: Float[Tensor, "nuisance"]
    inference: str = field(kw_only=True)
    known: KnownFeatures | None = field(default=None, kw_only=True)
    laplace: Callable[[LastLayerPosterior, Preferences], LastLayerPosterior] | None = field(
        default=None, kw_only=True
    )
    refit_beta: Callable[[LastLayerPosterior, Preferences], LastLayerPosterior] | None = field(
        default=None, kw_only=True
    )
    relearn: Callable[[LastLayerPosterior, Preferences], LastLayerPosterior] | None = field(
        default=None, kw_only=True
    )

    @property
    def learns_features(self) -> bool:
        """Whether the same labels have taught the features."""
        return self.model.encoder.learns_features

    @property
    def information_cholesky(self) -> Float[Tensor, "feature feature"]:
        """Lower-triangular L with Λ = L Lᵀ, float64."""
        return self.information.cholesky

    @property
    @abstractmethod
    def covariance_factor(self) -> Float[Tensor, "feature rank"]:
        """C with Cov(β) = C Cᵀ."""

    @abstractmethod
    def scale_tril(self) -> Float[Tensor, "latent latent"]:
        """The lower-triangular root of the covariance of (β, ν), ν unconstrained; zeros for a point."""

    @abstractmethod
    def latent_draws(self, draws: int, generator: np.random.Generator) -> LatentDraws:
        """Draws of x = (ν, β)."""

    @cached_property
    def likelihood(self) -> Likelihood:
        """The likelihood with nuisance parameters at their location, for comparisons by nobody in particular."""
        space = self.model.nuisance_space(self.context, self.location.device)
        return self.model.likelihood.given(space.values(self.nuisance))

    @cached_property
    def log_joint(self) -> LogJoint:
        """The exact log joint density of x given the labels, which the posterior approximates or was drawn from."""
        return self.joint_after(self.preferences)

    def joint_after(self, preferences: Preferences) -> LogJoint:
        """The log joint density given other labels, on the same features and with the same prior."""
        data = labelled_differences(self.model, self.pool, preferences, self.location.device, self.known)
        return self.model.log_joint(data, self.prior_precision)

    def features(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> Float[Tensor, "response feature"]:
        """Features φ of some responses of a pool (default: of all), float64; only their rows are read."""
        self.model.require_pool(pool)
        index = np.arange(len(pool)) if responses is None else responses
        return encode(self.model, pool, index, self.location.device, self.known)

    def remembering(self, responses: Int64[np.ndarray, "_"]) -> LastLayerPosterior:
        """Encode some responses of the pool once, and the labelled ones, for this and all refits of it."""
        labelled = (self.preferences.first, self.preferences.second)
        index = np.unique(np.concatenate([responses, *labelled]))
        return replace(self, known=KnownFeatures(self.pool, index, self.features(self.pool, index)))

    def information_factor(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"]
    ) -> Float[Tensor, "response rank"]:
        """u = F⁻¹φ."""
        return self.whitened(pool, responses)

    def whitened(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"] | None = None
    ) -> Float[Tensor, "response feature"]:
        """Rows F⁻¹φ of some responses of a pool (default: of all)."""
        index = np.arange(len(pool)) if responses is None else responses
        known = None if self._known_whitened is None else self._known_whitened.of(pool, index)
        return self.whiten(self.features(pool, index)) if known is None else known

    @cached_property
    def _known_whitened(self) -> KnownFeatures | None:
        return None if self.known is None else replace(self.known, features=self.whiten(self.known.features))

    def whiten(self, features: Float[Tensor, "response feature"]) -> Float[Tensor, "response feature"]:
        """Rows F⁻¹φ."""
        return self.information.whiten(features)

    @checked
    def condition(self, preferences: Preferences) -> LastLayerPosterior:
        """The exact refit with more preferences, warm-started; features and prior scale stay fixed."""
        return self.relabel(self.preferences.append(preferences))

    def relabel(self, preferences: Preferences) -> LastLayerPosterior:
        """The exact refit with these preferences in place of all that it was fitted to, warm-started."""
        return self._refitted(self.refit, preferences)

    def relabel_beta(self, preferences: Preferences) -> LastLayerPosterior:
        """The same with nuisance parameters as they are, where that is faster: for somebody who waits."""
        return self._refitted(self.refit if self.refit_beta is None else self.refit_beta, preferences)

    def _refitted(
        self, fit: Callable[[LastLayerPosterior, Preferences], LastLayerPosterior], preferences: Preferences
    ) -> LastLayerPosterior:
        require_within(preferences, self.pool)
        refitted = fit(self, preferences)
        # An inference may use the refit of another one, which puts its own name on what it returns.
        return replace(refitted, inference=self.inference, known=self.known)

    @checked
    def to_datatree(
        self,
        draws: Count = 1024,
        seed: Seed = 0,
        log_likelihood: bool = False,
        responses: ArrayLike | None = None,
    ) -> xr.DataTree:
        """The posterior in ArviZ's groups.

        Parameters
        ----------
        draws : int
            Number of posterior draws of β (one for a point); of 16 and more, the next larger number that fills four
            chains. Where it is a square, as the default is, both lines of ArviZ smooth the same tail of importance
            weights, and ``az.loo(tree, reff=1.0)`` is the same number.
        seed : int
            Root of the draws.
        log_likelihood : bool
            Whether to add log p(y_k | β) of every comparison and draw: 8 bytes × draws × comparisons.
        responses : array_like of int, optional
            Responses of the pool whose rewards are wanted under each draw, as ``reward`` in the group ``posterior``:
            each less its mean over the pool, as :meth:`reward` has them.

        Raises
        ------
        InvalidInputError
            Where a response is none of the pool's.
        """
        index = None if responses is None else chosen_responses(responses, self.pool)
        drawn = self.chains(draws if "spread" in self.provides else 1, rng.stream(seed, "posterior draws"))
        parts = last_layer_draws(
            self.log_joint, self.model.blocks, drawn.latent, rng.child(seed, "predictive draws")
        )
        if index is not None:
            centred = self.features(self.pool, index) - self._mean_features
            parts = parts.with_rewards(drawn.latent[..., len(self.nuisance) :] @ centred.T, index)
        return parts.tree(
            self.preferences,
            stats=drawn.stats,
            log_q=None if drawn.log_q is None else drawn.log_q.cpu().numpy(),
            approximation=Gaussian(
                torch.cat([self.location, self.nuisance]), self.scale_tril(), self.information.matrix
            ),
            prior_precision=self.prior_precision.cpu().numpy(),
            log_likelihood=log_likelihood,
            attributes={
                "inference": self.inference,
                "model": json.dumps(self.model.describe(), sort_keys=True),
                "posterior_seed": seed,
                "log_evidence": float(self.log_evidence),
            },
            independent=self.independent,
        )

    def chains(self, draws: int, generator: np.random.Generator) -> LatentDraws:
        """Draws as ArviZ has them: independent ones in four chains, which may be up to three draws more."""
        if not self.independent:
            return self.latent_draws(draws, generator)
        count = filling(draws)
        drawn, chains = self.latent_draws(count, generator), chains_for(count)
        return replace(
            drawn,
            latent=in_chains(drawn.latent, chains),
            log_q=None if drawn.log_q is None else in_chains(drawn.log_q, chains),
        )

    @cached_property
    def _mean_features(self) -> Float[Tensor, "feature"]:
        """Of all responses of the pool, block by block."""
        total = self.location.new_zeros(len(self.location))
        for start in range(0, len(self.pool), RESPONSE_BLOCK):
            block = np.arange(start, min(start + RESPONSE_BLOCK, len(self.pool)))
            total += self.features(self.pool, block).sum(dim=0)
        return total / len(self.pool)

    @cached_property
    def predictive(self) -> Predictive:
        """Of the consensus' rewards, over prior scales and what features leave out; computed when first asked for."""
        return predictive(self)

    @property
    def unexplained(self) -> Unexplained:
        """The posterior of s, the sd of what features cannot say of a reward."""
        return self.predictive.unexplained

    @property
    def prior(self) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
        """(feature,) mean and (feature,) precision of β's prior, nuisance parameters at their location."""
        space = self.model.nuisance_space(self.context, self.location.device)
        return self.model.prior(self.prior_precision)(space.values(self.nuisance))

    def sample_last_layer(self, draws: int, generator: np.random.Generator) -> Float[Tensor, "draw feature"]:
        """Draws of β."""
        latent = self.latent_draws(draws, generator).latent
        return latent.reshape(-1, latent.shape[-1])[:, len(self.nuisance) :]

    def sample_rewards(
        self,
        pool: ResponsePool,
        responses: Int64[np.ndarray, "response"],
        draws: int,
        generator: np.random.Generator,
    ) -> Float[Tensor, "draw response"]:
        """Joint draws of the rewards: one draw of β for all responses."""
        return self.sample_last_layer(draws, generator) @ self.features(pool, responses).T

    @property
    def context(self) -> Context:
        """What is known of the comparisons that it was fitted to."""
        return Context.of(self.preferences, self.location.device)


def with_features(posterior: RewardPosterior) -> LastLayerPosterior:
    """The posterior as one over features that all draws share, which criteria that require "features" work on.

    Parameters
    ----------
    posterior : RewardPosterior
        Any.

    Raises
    ------
    CapabilityError
        Where it has no such features, whatever it says that it provides.
    """
    if isinstance(posterior, LastLayerPosterior):
        return posterior
    raise CapabilityError(
        f"expected a posterior over the last layer of one encoder, as 'features' stands for, got "
        f"{type(posterior).__name__}: derive it from LastLayerPosterior, or take another inference"
    )
