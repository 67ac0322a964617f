"""Labels between two fits, after the paper's figures 4 and 8 to 13.

Each line asks for the same number of labels in all, in larger or smaller batches: with smaller ones a design hears more
often what was answered. A column an approach, as the paper computes it and then ours.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.paper_figures import factor, factor_effects, says_factor
from bayesrm.study import StudyResults


def answer(results: StudyResults) -> str:
    """What the factor does to the paper's methods and to ours."""
    return says_factor(results.trajectory, "batch", "labels a round")


def figures(results: StudyResults) -> dict[str, Figure]:
    """A column an approach, a line a value."""
    return factor(results.trajectory, "batch", "labels a round")


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every approach with each value against the first."""
    return {"effects": factor_effects(results.trajectory, "batch")}
