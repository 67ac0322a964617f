r"""Whether labels say that a reward is not linear in the embedding, but linear plus a Gaussian process.

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

from bayesrm.inference.fitting.linear_part import MOST_COMPARISONS
from bayesrm.inference.fitting.nested import ROUGHLY, find_mode
from bayesrm.inference.fitting.trained import select_blocks
from bayesrm.models.encoders import KERNEL
from bayesrm.models.encoders.kernel import USUAL_LENGTH, kernel_coordinates, kernel_of_distance
from bayesrm.models.encoders.layers_mlp import MLP
from bayesrm.models.features import labelled_differences
from bayesrm.models.log_joint import GaussianPrior
from bayesrm.models.reward_model import RewardModel
from bayesrm.models.spectrum import NOTHING
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.linalg import cholesky_factor

SPREAD = 0.5
"""κ, in logits."""


def log_bayes_factor(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, precision: Float[Tensor, "feature"]
) -> float:
    """For a process beside the linear part of a reward, in nats; the first :data:`MOST_COMPARISONS` labels decide.

    Parameters
    ----------
    model
        With an encoder of layers. What it has beside them itself counts for nothing here: beside its linear part stands
        the process of this module.
    pool, preferences
        What it was fitted to.
    precision
        (feature,) diagonal of the prior's precision.
    """
    device, preferences = precision.device, preferences[:MOST_COMPARISONS]
    columns = [at for name, at in model.blocks.items() if name not in (KERNEL, MLP)]
    data = select_blocks(labelled_differences(model, pool, preferences, device), columns)
    linear = model.log_joint(data, torch.cat([precision[at] for at in columns]), columns)
    mode = find_mode(linear, tolerance=ROUGHLY)
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
    near = replace(mode, beta=torch.cat([mode.beta, none]), given=None)
    return find_mode(both, near, ROUGHLY).log_evidence - mode.log_evidence
