"""Width of the network, after the paper's figures 20 to 22.

Three hidden layers of so many units each; the last is what designs take for features. A column an approach, as the
paper computes it. Our model is linear and has no such layers.
"""

from __future__ import annotations

from bayesrm.study.paper_figures import factor_study

answer, figures, tables = factor_study("hidden", "hidden units")
