r"""Plug-in: the maximum-likelihood point, and its Fisher information for designs (paper, eq. 3).

With an encoder to train, the point is the network as it was trained. Without one (linear Bradley–Terry) it is
found by Newton; separable labels have no finite maximum, so a ridge of 1e-6, the one of the paper's code,
keeps it finite. The same ridge makes the information invertible, unless the model has a prior scale. A linear block
beside a network is not trained with it; there, as with "auto", the point is the MAP with prior scales from the labels.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting.newton import maximise
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.span import coordinates
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.point import PointPosterior
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.factors import DenseFactor
from bayesrm.utils.linalg import cholesky_factor

RIDGE = 1e-6


class Plugin(Inference):
    """The maximum-likelihood point, without spread; its Fisher information serves designs."""

    name: ClassVar[str] = "plugin"

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> PointPosterior:
        """Train, or maximise where there is nothing to train."""
        trained = train_encoder(model, pool, preferences, seed, device)
        fitted, latent = trained.model, torch.cat([trained.nuisance, trained.beta])
        penalised = model.automatic or bool(model.encoder.linear_blocks)
        precision = torch.full_like(trained.beta, RIDGE)
        if penalised:
            precision = prior_precision(trained, pool)
        elif model.prior_scale is not None:
            precision = fitted.prior_sd().to(device).pow(-2)
        joint = fitted.log_joint(trained.data, precision)
        if penalised or not model.encoder.trainable:
            latent = _maximum(joint)
        return _point(fitted, pool, preferences, joint, latent)


def refit(posterior: LastLayerPosterior, preferences: Preferences) -> PointPosterior:
    """The maximum-likelihood last layer on fixed features."""
    joint = posterior.joint_after(preferences)
    same = joint.nuisance.size == len(posterior.nuisance)
    start = torch.cat([posterior.nuisance if same else joint.nuisance.start(), posterior.location])
    return _point(posterior.model, posterior.pool, preferences, joint, _maximum(joint, start))


def _maximum(joint: LogJoint, start: Float[Tensor, "latent"] | None = None) -> Float[Tensor, "latent"]:
    """Where the penalised likelihood is largest: the penalty keeps it in the span of the labels."""
    where = coordinates(joint)
    mode = maximise(where.joint, None if start is None else where.latent(start))
    return where.outside(mode).latent


def _point(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    joint: LogJoint,
    latent: Float[Tensor, "latent"],
) -> PointPosterior:
    """The point with its expected Fisher information + diag(τ)."""
    nuisance, beta = joint.split(latent)
    values, where = joint.nuisance.values(nuisance), coordinates(joint)
    _, precision = joint.prior(values)
    data = where.joint.data
    likelihood = joint.likelihood.given(values, data.context)
    information = likelihood.expected_information(data.difference, joint.data.difference @ beta, data.weight)
    information.diagonal().add_(where.joint.prior(values)[1])
    return PointPosterior(
        model=model,
        pool=pool,
        preferences=preferences,
        location=beta,
        information=where.factor(DenseFactor(cholesky_factor(information))),
        prior_precision=precision,
        log_evidence=float("nan"),
        refit=refit,
        nuisance=nuisance,
        inference=Plugin.name,
    )
