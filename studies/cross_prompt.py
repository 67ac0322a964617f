"""Comparisons across prompts, after the paper's figures 14 to 16.

A comparison within a prompt is between two answers to it; one across prompts may be between answers to different ones,
and there are many more of them. Ranking is measured within prompts either way: that is what a reward model is for. A
column an approach, as the paper computes it and then ours, a line a scope.
"""

from __future__ import annotations

from bayesrm.study.paper_figures import factor_study

answer, figures, tables = factor_study("scope", "comparisons")
