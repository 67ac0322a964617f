"""Number of candidates, after the paper's figures 17 to 19.

Each round draws so many prompts and forms at most 20,000 pairs of their responses. A column an approach, as the paper
computes it and then ours.
"""

from __future__ import annotations

from bayesrm.study.paper_figures import factor_study

answer, figures, tables = factor_study("prompts", "prompts a round")
