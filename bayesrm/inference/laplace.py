r"""Laplace: x = (ν, β) ~ Normal(x̂, Λ⁻¹), x̂ the exact MAP on the features of the trained encoder, Λ the full Hessian.

Nuisance parameters ν of the likelihood are part of it; designs and rewards see the marginal of β. The prior scale σ,
unless given, is chosen from the labels, see :mod:`bayesrm.inference.fitting.prior_scale`.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting.nested import find_mode, hold_nuisance
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.factors import DenseFactor


class Laplace(Inference):
    """A Gaussian at the exact MAP with the full Hessian; the prior scale is chosen from the labels."""

    name: ClassVar[str] = "laplace"

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> GaussianPosterior:
        """Train the encoder, freeze it, and approximate the posterior of the last layer."""
        trained = train_encoder(model, pool, preferences, seed, device)
        joint = trained.model.log_joint(trained.data, prior_precision(trained, pool))
        mode = find_mode(joint, torch.cat([trained.nuisance, trained.beta]))
        return laplace_posterior(trained.model, pool, preferences, joint, mode)


def refit(posterior: LastLayerPosterior, preferences: Preferences) -> GaussianPosterior:
    """The exact posterior with other preferences on the same features, started at the old mode."""
    joint = posterior.joint_after(preferences)
    start: Tensor | Mode
    if joint.nuisance.size != len(posterior.nuisance):
        start = torch.cat([joint.nuisance.start(), posterior.location])
    elif isinstance(posterior, GaussianPosterior):
        start = _known_mode(posterior)
    else:
        start = torch.cat([posterior.nuisance, posterior.location])
    return laplace_posterior(posterior.model, posterior.pool, preferences, joint, find_mode(joint, start))


def refit_beta(posterior: LastLayerPosterior, preferences: Preferences) -> GaussianPosterior:
    """The same, with nuisance parameters as they are, where they are the same ones: a tenth of the time."""
    joint = posterior.joint_after(preferences)
    if not isinstance(posterior, GaussianPosterior) or not 0 < joint.nuisance.size == len(posterior.nuisance):
        return refit(posterior, preferences)
    mode = hold_nuisance(joint, _known_mode(posterior))
    return laplace_posterior(posterior.model, posterior.pool, preferences, joint, mode)


def _known_mode(posterior: GaussianPosterior) -> Mode:
    """The mode that a posterior is at, and what it says of the curvature there."""
    factor = posterior.joint
    given = factor.lower if isinstance(factor, DenseFactor) and not len(posterior.nuisance) else None
    return Mode(posterior.nuisance, posterior.location, factor, math.nan, math.nan, given)


def relearn(posterior: LastLayerPosterior, preferences: Preferences) -> GaussianPosterior:
    """What an encoder of the same kind learns from other preferences, afresh."""
    model = posterior.model.fresh(0)
    model.encoder.requires_grad_(True)
    model.encoder.final = False
    return Laplace().fit(model, posterior.pool, preferences, 0, posterior.location.device)


def laplace_posterior(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, joint: LogJoint, mode: Mode
) -> GaussianPosterior:
    """The Gaussian at a mode of the log joint."""
    _, precision = joint.prior(joint.nuisance.values(mode.nuisance))
    return GaussianPosterior(
        model=model,
        pool=pool,
        preferences=preferences,
        location=mode.beta,
        information=mode.information,
        prior_precision=precision,
        log_evidence=mode.log_evidence,
        refit=refit,
        nuisance=mode.nuisance,
        joint=mode.joint,
        inference=Laplace.name,
        laplace=refit,
        refit_beta=refit_beta,
        relearn=relearn,
    )
