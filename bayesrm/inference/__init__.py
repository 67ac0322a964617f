"""Inferences, one a file, behind :func:`fit`.

A new inference is a new file here with an :class:`~bayesrm.inference.base.Inference` that has a ``name``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bayesrm.errors import InvalidInputError
from bayesrm.inference.base import Inference
from bayesrm.models import standardize
from bayesrm.models.far_out import warn_far_out
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.registry import Registry
from bayesrm.types import Preferences, ResponsePool, require_within
from bayesrm.utils.checked import Seed, checked

INFERENCES: Registry[Inference] = Registry(__name__, Inference, "inference")
RECOMMENDED_INFERENCE = "laplace"
"""What ``inference=None`` means."""


@checked
def fit(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    inference: str | Inference | None = "laplace",
    seed: Seed = 0,
    device: str | torch.device | None = None,
) -> RewardPosterior:
    """Learn a reward from preferences.

    Parameters
    ----------
    model : RewardModel
        Encoder, prior and likelihood; it is copied, not changed.
    pool : ResponsePool
        The responses that the preferences refer to.
    preferences : Preferences
        Labelled comparisons; none at all gives the prior.
    inference : str or Inference, default "laplace"
        A name (see ``bayesrm inferences``), an Inference, or None for what the studies recommend.
    seed : int, default 0
        Root of all random choices of the fit; the same seed gives the same posterior to the bit on a device, and up
        to rounding, training and draws on another.
    device : str or torch.device, optional
        Where to compute, such as "cuda"; default the CPU.

    Raises
    ------
    InvalidInputError
        Where dimensions or indices do not fit the pool.

    See Also
    --------
    RewardModel : What is fitted.
    select : What to ask next.
    evaluate : How good the posterior is.

    Examples
    --------
    >>> posterior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, prefs)
    >>> mean, sd = posterior.reward(pool)
    >>> prior = brm.fit(brm.RewardModel(pool.dim, "linear", prior_scale=0.1), pool, brm.Preferences.none())
    """
    model.require_pool(pool)
    require_within(preferences, pool)
    name = RECOMMENDED_INFERENCE if inference is None else inference
    method = INFERENCES[name]() if isinstance(name, str) else name
    posterior = method.fit(model, pool, preferences, seed, as_device(device))
    if len(preferences) and len(pool) * pool.dim > standardize.VALUES_READ:
        # A pool that is too large to be read as a whole may have a response far out, and it may be among the labels.
        labelled = np.unique(np.concatenate([preferences.first, preferences.second]))
        warn_far_out(posterior.model.encoder, pool, labelled, stacklevel=4)
    return posterior


def as_device(device: str | torch.device | None) -> torch.device:
    """The device by name, default the CPU; InvalidInputError where there is none such on this machine."""
    try:
        return torch.empty(0, device="cpu" if device is None else device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInputError(f"the device {device} cannot be used here ({reason}): use cpu") from error


def __getattr__(name: str) -> Any:
    return INFERENCES.exported(name)
