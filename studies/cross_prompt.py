"""Comparisons across prompts, after the paper's figures 14 to 16.

A comparison within a prompt is between two answers to it; one across prompts may be between answers to different ones,
and there are many more of them. Ranking is measured within prompts either way: that is what a reward model is for. A
column an approach, as the paper computes it and then ours, a line a scope.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.paper_figures import factor, factor_effects, says_factor
from bayesrm.study import StudyResults


def answer(results: StudyResults) -> str:
    """What the factor does to the paper's methods and to ours."""
    return says_factor(results.trajectory, "scope", "comparisons")


def figures(results: StudyResults) -> dict[str, Figure]:
    """A column an approach, a line a value."""
    return factor(results.trajectory, "scope", "comparisons")


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every approach with each value against the first."""
    return {"effects": factor_effects(results.trajectory, "scope")}
