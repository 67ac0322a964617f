r"""Whether labels say that a reward is not linear in the embedding: then it becomes linear plus a Gaussian process.

Beside the linear features as they were fitted, prior scales and all, stands a process g with the kernel of
:mod:`bayesrm.models.encoders.kernel` at its usual length scale, scaled so that the rewards of two usual responses to
one prompt differ by g with a prior sd of κ = ½ logit. What labels say of it is the log Bayes factor

    log p(y | fᵀβ + g) − log p(y | fᵀβ),

both by Laplace. Nothing of g is fitted, so nothing has to be paid for a fit: where it is above 0, labels are more
probable with the process than without. It is exact: with D = L Lᵀ the covariance of g's differences over the labelled
comparisons, L stands beside their feature differences.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.linear_part import MOST_COMPARISONS, linear_reward
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.trained import Trained, select_blocks
from bayesrm.inference.fitting.training import MIN_COMPARISONS
from bayesrm.models.encoders import IF_NOT_LINEAR, KERNEL
from bayesrm.models.encoders.kernel import USUAL_LENGTH, kernel_coordinates, kernel_of_distance
from bayesrm.models.features import labelled_differences
from bayesrm.models.log_joint import GaussianPrior
from bayesrm.models.reward_model import RewardModel
from bayesrm.models.spectrum import NOTHING
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.linalg import cholesky_factor

SPREAD = 0.5
"""κ, in logits."""
ENOUGH = 0.5
"""Nats that labels have to bring. With less it was as often taken in vain as in time, see studies/README.md."""


def beside_a_kernel_if_not_linear(trained: Trained, pool: ResponsePool, preferences: Preferences) -> Trained:
    """A linear reward, or the sum of such a one and a process where labels say that it takes one.

    Prior scales that were given, and programs of the user's, are for the features as they are: there nothing is added.
    """
    model = trained.model
    final = model.custom_encoder or model.program is not None or model.scale_given
    if not model.automatic or final or len(preferences) < MIN_COMPARISONS:
        return trained
    device = trained.beta.device
    if log_bayes_factor(model, pool, preferences, prior_precision(trained, pool)) < ENOUGH:
        return trained
    both = model.with_encoder(IF_NOT_LINEAR).to(device)
    both.encoder.fit_pool(pool)
    return linear_reward(both, pool, preferences, device)


def log_bayes_factor(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, precision: Float[Tensor, "feature"]
) -> float:
    """For a process beside the linear part of a reward, in nats; the first :data:`MOST_COMPARISONS` labels decide.

    Parameters
    ----------
    model
        With an encoder of layers. A process that it has itself counts for nothing here: beside its linear part stands
        the one of the module.
    pool, preferences
        What it was fitted to.
    precision
        (feature,) diagonal of the prior's precision.
    """
    device, preferences = precision.device, preferences[:MOST_COMPARISONS]
    columns = [at for name, at in model.blocks.items() if name != KERNEL]
    data = select_blocks(labelled_differences(model, pool, preferences, device), columns)
    linear = model.log_joint(data, torch.cat([precision[at] for at in columns]), columns)
    mode = find_mode(linear)
    used, first, second = compact(preferences.first, preferences.second)
    (projection,) = kernel_coordinates(pool, model.encoder)
    with torch.no_grad():
        z = model.encoder.prepare(torch.from_numpy(pool.rows(used)).to(device)) @ projection.to(device).float()
    kernel = kernel_of_distance(torch.cdist(z.double(), z.double()), USUAL_LENGTH, "rbf")
    covariance = kernel[first] - kernel[second]
    covariance = covariance[:, first] - covariance[:, second]
    if float(covariance.diagonal().max()) <= NOTHING:  # responses that are alike, of which a process says nothing
        return 0.0
    root = SPREAD * cholesky_factor(covariance)
    none = root.new_zeros(len(root))
    location, known = linear.prior({})
    both = replace(
        linear,
        data=replace(data, difference=torch.cat([data.difference, root], dim=1), responses=None),
        prior=GaussianPrior(torch.cat([location, none]), torch.cat([known, none + 1])),
    )
    return find_mode(both, torch.cat([mode.latent, none])).log_evidence - mode.log_evidence
