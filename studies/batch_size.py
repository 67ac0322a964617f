"""Labels between two fits, after the paper's figures 4 and 8 to 13.

Each line asks for the same number of labels in all, in larger or smaller batches: with smaller ones a design hears more
often what was answered. A column an approach, as the paper computes it and then ours.
"""

from __future__ import annotations

from bayesrm.study.paper_figures import factor_study

answer, figures, tables = factor_study("batch", "labels a round")
