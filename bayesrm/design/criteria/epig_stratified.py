r"""EPIG with targets stratified by prompt: as many target pairs of each prompt, however many answers it has.

Of n answers there are n (n − 1) / 2 pairs, so that among random pairs prompts with many answers count by the square of
their number; quality is measured prompt by prompt. All else is as in ``epig``: :mod:`bayesrm.design.criteria.epig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.criteria.epig import EPIG
from bayesrm.design.objectives.targets import TargetLogits, by_prompt, target_pool
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked


@checked
@dataclass(frozen=True)
class StratifiedEPIG(EPIG):
    """Most information about the answers to target pairs, of which every prompt has as many."""

    name: ClassVar[str] = "epig-stratified"

    def aimed(self, posterior: RewardPosterior, candidates: CandidateSet) -> TargetLogits:
        """Pairs as given; or of each prompt of a pool as many."""
        if self.targets is not None and not isinstance(self.targets, ResponsePool):
            return super().aimed(posterior, candidates)
        pool = target_pool(candidates, self.targets)
        return TargetLogits.of(posterior, pool, by_prompt(pool, self.size))
