"""Values less the mean of their group, such as rewards less the mean over the prompt."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64


def less_group_means(
    values: Float[np.ndarray, "row column"], group: Int64[np.ndarray, "row"]
) -> Float[np.ndarray, "row column"]:
    """Each column less its mean over the rows of the same group.

    Parameters
    ----------
    values
        Any number of columns.
    group
        The group of each row, numbered from 0 without a gap.
    """
    means = np.stack([np.bincount(group, column) for column in values.T], axis=1) / np.bincount(group)[:, None]
    return np.asarray(values - means[group])
