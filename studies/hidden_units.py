"""Width of the network, after the paper's figures 20 to 22.

Three hidden layers of so many units each; the last is what designs take for features. A column an approach, as the
paper computes it. Our model is linear and has no such layers.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.paper_figures import factor, factor_effects, says_factor
from bayesrm.study import StudyResults


def answer(results: StudyResults) -> str:
    """What the factor does to the paper's methods and to ours."""
    return says_factor(results.trajectory, "hidden", "hidden units")


def figures(results: StudyResults) -> dict[str, Figure]:
    """A column an approach, a line a value."""
    return factor(results.trajectory, "hidden", "hidden units")


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every approach with each value against the first."""
    return {"effects": factor_effects(results.trajectory, "hidden")}
