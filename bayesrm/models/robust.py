r"""Limits that no single response can move: what lies far outside of a column's usual range is taken for its edge.

With med, q1 and q3 the median and the quartiles of a column, and r = (q3 − q1)/1.349 its robust standard deviation,
values beyond med ± 5 r are clipped, in columns where something lies beyond med ± 10 r. One response a thousand times as
far out as the others would otherwise set the scale of the column, its spectrum, and by its leverage the whole reward.
A column that is constant but for less than a half percent of the responses has r = 0, and is taken for constant.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

USUAL, FAR = 5.0, 10.0
"""Robust standard deviations: where values are clipped, and from where on a value is far."""
FEWEST = 20
"""With fewer responses than this nothing can be called far."""
_QUARTILES_OF_NORMAL, _TAIL_OF_NORMAL = 1.349, 2.576


Limits = tuple[Float[np.ndarray, "column"], Float[np.ndarray, "column"]]
"""Of each column, the lower one and the upper one."""


def usual_range(values: Float[np.ndarray, "response column"], extremes: Limits | None = None) -> Limits:
    """Lower and upper limits of each column; infinite where nothing is far.

    Parameters
    ----------
    values
        Responses that tell what is usual.
    extremes
        The smallest and the largest value of each column, where ``values`` are only some of the responses.
    """
    columns = values.shape[1]
    nowhere = np.full(columns, -np.inf), np.full(columns, np.inf)
    n = len(values)
    if n < FEWEST:
        return nowhere
    tail = max(0.005, 1.5 / n)
    low, first, middle, third, high = np.quantile(values, [tail, 0.25, 0.5, 0.75, 1 - tail], axis=0)
    r = (third - first) / _QUARTILES_OF_NORMAL
    # Mostly constant columns, such as counts of something rare, are measured by their tails.
    tails = (high - low) / 2 / _TAIL_OF_NORMAL
    r = np.where(r > 0.1 * tails, r, tails)
    smallest, largest = (values.min(axis=0), values.max(axis=0)) if extremes is None else extremes
    far = np.maximum(largest - middle, middle - smallest) > FAR * r
    lower, upper = np.where(far, middle - USUAL * r, -np.inf), np.where(far, middle + USUAL * r, np.inf)
    return lower, upper
