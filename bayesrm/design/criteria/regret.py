r"""Best-of-N: f(C) = (1/P) Σ_p Σ_i ĥ(m_b(p) − m_i, Δ_i), the regret that the batch takes off choosing a best response.

b(p) is the response of highest mean reward to prompt p, i its rivals, Δ_i what the batch takes off the variance of
the logit between the two, and ĥ the value of learning it, see :mod:`bayesrm.design.objectives.decisions`. The
knowledge gradient with correlated beliefs (Frazier, Powell & Dayanik 2009) is E max_i m'_i − m_b; here stands its
upper bound by the sum over rivals of E max(0, m'_i − m'_b), which a single serious rival makes exact. Only the 256
rivals are looked at for which it would be worth most to learn all of the logit: those of the largest ĥ at its variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.criteria.rank import choice_objective
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.decisions import value_of_choice
from bayesrm.design.objectives.targets import TargetLogits, best_and_rivals, target_pool
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Comparisons, Pairs, ResponsePool
from bayesrm.utils.checked import Count, checked


@checked
@dataclass(frozen=True)
class BestOfNRegret(Criterion):
    """Least regret from taking the response of highest mean reward to each prompt.

    Parameters
    ----------
    targets
        The pool whose prompts are decided on, by default that of the candidates.
    size
        How many rivals are looked at, of all prompts together.
    """

    name: ClassVar[str] = "regret"
    needs_all_candidates: ClassVar[bool] = False

    targets: ResponsePool | None = None
    size: Count = 256

    def with_targets(self, targets: Pairs | ResponsePool) -> Criterion:
        """At the prompts of another pool."""
        if not isinstance(targets, ResponsePool):
            raise InvalidInputError(
                f"expected a pool as targets of regret, whose prompts are decided on, got {type(targets).__name__}"
            )
        return super().with_targets(targets)

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The mean regret, in logits, that a batch is expected to save a prompt."""
        pool = target_pool(candidates, self.targets)
        moments = posterior.reward_moments(pool)
        rivals = best_and_rivals(moments, pool)
        if len(rivals) == 0:
            raise InvalidInputError(
                "expected prompts with at least two responses to choose from, got none: give regret other targets"
            )
        mean, variance = moments.logits(torch.from_numpy(rivals.first), torch.from_numpy(rivals.second))
        worth = value_of_choice(mean.clamp(min=1e-150), variance).cpu().numpy()
        kept = np.sort(np.argsort(-worth, kind="stable")[: self.size])
        prompts = sum(len(members) > 1 for members in pool.members)
        targets = TargetLogits.of(posterior, pool, Comparisons(rivals.first[kept], rivals.second[kept]))
        return choice_objective(posterior, candidates, targets, 1 / prompts)
