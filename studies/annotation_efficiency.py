"""Annotation efficiency, after the paper's figures 3, 5, 6 and 7.

Rows are 1 − Spearman's correlation within test prompts, averaged over prompts, and the golden reward of the best of N
by the learned reward; columns are pools, first with the paper's methods as the paper computes them and then with ours.
The first pair of figures has comparisons within prompts, as figures 3 and 6, the other across prompts, as 5 and 7.

The paper's: a network of three layers of 64, 600 steps of Adam on all labels so far, no prior, plugged in; D-opt, PA
D-opt and det(XtX) by the largest gradient with a ridge of 1e-6. BatchBALD has the network's dropout for a posterior, as
the paper does not say which one it had. Ours: a Laplace posterior of a linear
model on embeddings scaled by their spectrum within prompts, with batches chosen greedily; and what a user gets who asks
for nothing.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.plots.studies import forest
from bayesrm.study import StudyResults
from bayesrm.study.paper_figures import display, efficiency, says_who_wins, standings


def answer(results: StudyResults) -> str:
    """For the paper's computation and for ours, who beats random."""
    return says_who_wins(results.trajectory)


def figures(results: StudyResults) -> dict[str, Figure]:
    """The paper's figures, and what is saved."""
    return efficiency(results.trajectory) | {"labels_needed": saved(standings(results.trajectory))}


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Every approach against random of its own model."""
    table = standings(results.trajectory)
    return {"standings": table.assign(approach=[display(approach) for approach in table["approach"]])}


def saved(table: pd.DataFrame) -> Figure:
    """Labels needed, as a part of what random needs."""
    rows = pd.DataFrame(
        {
            "approach": [f"{display(row.approach)}, {row.pool}, {row.scope}" for row in table.itertuples()],
            "scope": table["scope"],
            "estimate": table["ratio"],
            "low": table["ratio_low"],
            "high": table["ratio_high"],
        }
    )
    rows = rows[[not str(approach).endswith(" random") for approach in table["approach"]]]
    return forest(rows, "approach", "scope", "labels to reach what random ends with, as a part of random's")
