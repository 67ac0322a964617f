r"""Whether labels say that a reward is not linear in the embedding: then it becomes linear plus a Gaussian process.

Beside the linear features as they were fitted, prior scales and all, stands a process g with the kernel of
:mod:`bayesrm.models.encoders.kernel` at its usual length scale, scaled so that the rewards of two usual responses to
one prompt differ by g with a prior sd of κ = ½ logit. What labels say of it is the log Bayes factor

    log p(y | fᵀβ + g) − log p(y | fᵀβ),

both by Laplace. Nothing of g is fitted, so nothing has to be paid for a fit. The process is exact: with D = L Lᵀ the
covariance of g's differences over the labelled comparisons, L stands beside their feature differences.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from bayesrm.inference.fitting.linear_part import MOST_COMPARISONS, linear_reward
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.trained import Trained
from bayesrm.inference.fitting.training import MIN_COMPARISONS
from bayesrm.models.encoders import IF_NOT_LINEAR, RECOMMENDED_FOR_BLOCKS
from bayesrm.models.encoders.kernel import USUAL_LENGTH, kernel_coordinates, kernel_of_distance
from bayesrm.models.features import labelled_differences
from bayesrm.models.log_joint import GaussianPrior
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.linalg import cholesky_factor

SPREAD = 0.5
"""κ, in logits."""
CLEARLY = 1.0
"""Nats that labels have to bring: on five real pools 20 campaigns each of 40 and 160 labels brought at most .36."""


def beside_a_kernel_if_not_linear(trained: Trained, pool: ResponsePool, preferences: Preferences) -> Trained:
    """A linear reward on several blocks, or the sum of such a one and a process where labels say that it takes one.

    Prior scales that were given, and programs of the user's, are for the features as they are: there nothing is added.
    """
    model = trained.model
    automatic = model.automatic and not model.custom_encoder and model.encoder.name == RECOMMENDED_FOR_BLOCKS
    if not automatic or model.program is not None or model.scale_given or len(preferences) < MIN_COMPARISONS:
        return trained
    if log_bayes_factor(trained, pool, preferences) < CLEARLY:
        return trained
    device = trained.beta.device
    both = model.with_encoder(IF_NOT_LINEAR).to(device)
    both.encoder.fit_pool(pool)
    return linear_reward(both, pool, preferences, device)


def log_bayes_factor(trained: Trained, pool: ResponsePool, preferences: Preferences) -> float:
    """For a process beside the linear reward, in nats; the first :data:`MOST_COMPARISONS` labels decide.

    Parameters
    ----------
    trained
        The linear reward; its prior scales are chosen where they are not yet.
    pool, preferences
        What it was fitted to.
    """
    model, device = trained.model, trained.beta.device
    precision = prior_precision(trained, pool)
    data = trained.data
    if len(preferences) > MOST_COMPARISONS:
        preferences = preferences[:MOST_COMPARISONS]
        data = labelled_differences(model, pool, preferences, device)
    linear = model.log_joint(data, precision)
    mode = find_mode(linear)
    used, first, second = compact(preferences.first, preferences.second)
    (projection,) = kernel_coordinates(pool, model.encoder)
    with torch.no_grad():
        z = model.encoder.prepare(torch.from_numpy(pool.rows(used)).to(device)) @ projection.to(device).float()
    kernel = kernel_of_distance(torch.cdist(z.double(), z.double()), USUAL_LENGTH, "rbf")
    covariance = kernel[first] - kernel[second]
    covariance = SPREAD**2 * (covariance[:, first] - covariance[:, second])
    root = cholesky_factor(covariance)
    none, one = root.new_zeros(len(root)), root.new_ones(len(root))
    location, _ = linear.prior({})
    both = replace(
        linear,
        data=replace(data, difference=torch.cat([data.difference, root], dim=1), responses=None),
        prior=GaussianPrior(torch.cat([location, none]), torch.cat([precision, one])),
    )
    found = find_mode(both, torch.cat([mode.latent, none]))
    return found.log_evidence - mode.log_evidence
