r"""A diversified start for round 0: pairs whose differences of features stand for those of all candidates.

Greedy k-medoids: with few labels typical pairs teach more than uncertain ones (Hacohen, Dekel & Weinshall 2022).
Targets are 512 random candidates; in the coordinates of ``information_factor``, under the prior just the features
by their prior scale, each counts by its squared distance from the nearest chosen pair:
:mod:`bayesrm.design.objectives.coverage`.
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.coverage import CoverageObjective
from bayesrm.design.objectives.targets import candidate_pairs, target_logits
from bayesrm.posteriors.base import RewardPosterior

TARGETS = 512


class ColdStart(Criterion):
    """Pairs that stand for all candidates, near many and far from each other: for a first batch without labels."""

    name: ClassVar[str] = "cold-start"

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Distances in the whitened features of the posterior, or of the prior."""
        targets = target_logits(posterior, candidates, candidate_pairs(candidates, TARGETS), TARGETS)
        rows = posterior.information_factor(candidates.pool, candidates.responses)
        return CoverageObjective(rows, targets.whitened)
