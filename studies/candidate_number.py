"""Number of candidates, after the paper's figures 17 to 19.

Each round draws so many prompts and forms at most 20,000 pairs of their responses. A column an approach, as the paper
computes it and then ours.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.paper_figures import factor, factor_effects, says_factor
from bayesrm.study import StudyResults


def answer(results: StudyResults) -> str:
    """What the factor does to the paper's methods and to ours."""
    return says_factor(results.trajectory, "prompts", "prompts a round")


def figures(results: StudyResults) -> dict[str, Figure]:
    """A column an approach, a line a value."""
    return factor(results.trajectory, "prompts", "prompts a round")


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every approach with each value against the first."""
    return {"effects": factor_effects(results.trajectory, "prompts")}
