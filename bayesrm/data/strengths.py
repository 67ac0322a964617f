"""How much better the preferred answer is, as grades on a symmetric scale, from what data sets say of it.

A data set may say on how many points it grades (HelpSteer3: seven). Others give margins of few sizes, such as 0, 1, 2
and 3, whose order is all that a graded likelihood reads: the k-th size of m stands k points from the middle of 2m + 1.
Margins of many sizes are no grades.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MOST_SIZES = 5
"""Margins of more sizes are measurements, and no grades."""


def grades_of(
    outcome: Float[np.ndarray, "comparison"],
    margin: Float[np.ndarray, "comparison"],
    points: Float[np.ndarray, "comparison"],
) -> Float[np.ndarray, "comparison"]:
    """Each label as a grade between 0 and 1, 1 where the first is better by all that the scale has.

    Parameters
    ----------
    outcome
        1 where the first was preferred, 0 where the second was, ½ for a tie.
    margin
        By how much the preferred one is better; NaN where that is not said.
    points
        The points of the scale that it is on; NaN where that is not said.

    Returns
    -------
    ndarray
        NaN where a label has no grade.
    """
    known = ~np.isnan(points)
    grade = np.full(len(outcome), np.nan)
    share = margin[known] / ((points[known] - 1) / 2)
    grade[known] = 0.5 + np.sign(outcome[known] - 0.5) * 0.5 * np.clip(share, 0.0, 1.0)
    others = ~known & ~np.isnan(margin) & (margin >= 0) & np.isin(outcome, (0.0, 1.0))
    sizes = np.unique(margin[others & (margin > 0)])
    if 2 <= len(sizes) <= MOST_SIZES:
        share = np.searchsorted(sizes, margin[others], side="right") / len(sizes)
        grade[others] = 0.5 + np.sign(outcome[others] - 0.5) * 0.5 * share
        grade[~known & (outcome == 0.5)] = 0.5
    return grade
