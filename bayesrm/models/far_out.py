r"""Responses that lie much farther out than those of the pool of the fit, of which a reward is extrapolated.

With z the standardised embedding of a response, clipped as those of the pool are, and d dimensions that are not dead,

    distance = √(Σ_j z_j² / d),

which is about 1 for the pool itself: under the same prior for every weight, a linear reward has that many times the
prior standard deviation of a typical one. Where the pool had nothing far out, new responses are not clipped, because a
classifier that another library loads could not clip them; a warning says how many there are.
"""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import torch
from jaxtyping import Float, Int64

from bayesrm.models.encoders import Encoder
from bayesrm.models.robust import FAR
from bayesrm.models.standardize import Standardize
from bayesrm.types import ResponsePool
from bayesrm.utils.remembered import remembered

ROWS_AT_ONCE = 512


def warn_far_out(
    encoder: Encoder, pool: ResponsePool, among: Int64[np.ndarray, "some"] | None = None, stacklevel: int = 3
) -> None:
    """Warn of responses that lie far out: how many, and how far; raw inputs, of unknown scale, are not looked at.

    Parameters
    ----------
    encoder
        Fitted to a pool.
    pool
        What is to be scored; it is read once.
    among
        The rows of it that are; None for all, of which the answer is remembered.
    stacklevel
        As of ``warnings.warn``: the default is the caller of the function that calls this one.
    """
    standardize = encoder.standardize
    if standardize is None or pool.dim != encoder.dim:  # the latter is refused where it is read
        return
    if among is None:
        known = b"".join(value.detach().cpu().numpy().tobytes() for value in standardize.state_dict().values())
        key = ("far out", hashlib.sha256(known).digest())
        looked_at = np.arange(len(pool))
        farther = remembered(pool, key, lambda: _farther(standardize, pool, looked_at))
    else:
        looked_at = np.unique(among)
        farther = _farther(standardize, pool, looked_at)
    if len(farther):
        warnings.warn(
            f"{len(farther):,} of {len(looked_at):,} responses lie over {FAR:.0f} times as far out as those of the "
            f"pool of the fit, up to {float(farther.max()):,.0f} times, and their rewards are extrapolated: were they "
            "embedded as that pool was?",
            stacklevel=stacklevel,
        )


def _farther(
    standardize: Standardize, pool: ResponsePool, among: Int64[np.ndarray, "some"]
) -> Float[np.ndarray, "far"]:
    """Distances above FAR."""
    # In one array and in place: blocks that leave something small behind keep their memory from being used again.
    distance = np.empty(len(among))
    for start in range(0, len(among), ROWS_AT_ONCE):
        at = slice(start, start + ROWS_AT_ONCE)
        distance[at] = standardize.distances(torch.from_numpy(pool.rows(among[at])).to(standardize.mean.device))
    return distance[distance > FAR]
