r"""Ranking within prompts: f(C) = mean_t ĥ(m_t, Δ_t), the regret that the batch takes off orderings of two responses.

Ordering a pair t by the sign of its mean logit m_t is regretted by as much as the other was better. Taking Δ_t =
Var η_t − Var(η_t | C) off the variance is worth ĥ, see :mod:`bayesrm.design.objectives.decisions` (after Frazier,
Powell & Dayanik 2009): nothing for pairs whose order is clear, most for those that are close and uncertain. By
default over 256 random pairs within prompts of the candidates' pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.decisions import ChoiceLoss
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.narrow import narrow
from bayesrm.design.objectives.target_objective import TargetObjective
from bayesrm.design.objectives.targets import TargetLogits, target_logits
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import Count, checked


@checked
@dataclass(frozen=True)
class RankRegret(Criterion):
    """Least regret from ordering the responses to a prompt by their mean rewards.

    Parameters
    ----------
    targets
        Pairs of the candidates' pool; or a pool, of which pairs within prompts are drawn; by default the candidates'.
    size
        How many targets are drawn at most.
    """

    name: ClassVar[str] = "rank"
    needs_all_candidates: ClassVar[bool] = False

    targets: Pairs | ResponsePool | None = None
    size: Count = 256

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The mean regret, in logits, that a batch is expected to save a target pair."""
        targets = target_logits(posterior, candidates, self.targets, self.size)
        return choice_objective(posterior, candidates, targets, 1 / len(targets.mean))


def choice_objective(
    posterior: RewardPosterior, candidates: CandidateSet, targets: TargetLogits, share: float
) -> Objective:
    """The value of learning more of target logits whose signs are decided on."""
    whitened = posterior.information_factor(candidates.pool, candidates.responses)
    loss = ChoiceLoss(targets.mean, targets.whitened.square().sum(dim=1), share)
    rows, aimed = narrow(whitened, targets.whitened)
    return TargetObjective(rows, fisher_weight(posterior, candidates), aimed, loss)
