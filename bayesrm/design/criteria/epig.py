r"""EPIG: f(C) = mean_t I(y_C; y_t), what the batch tells of answers to target pairs t (Bickford Smith et al. 2023).

Both answers as Gaussian observations of their logits with precisions w, the expected Fisher weights:

    I(y_C; y_t) = ½ log (1 + w_t Var η_t) / (1 + w_t Var(η_t | C)),

so a target whose answer is sure (w_t ≈ 0) counts for nothing, and one of small w_t by its variance. The targets are by
default 256 random pairs within prompts of the candidates' pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.narrow import narrow
from bayesrm.design.objectives.target_objective import TargetLoss, TargetObjective
from bayesrm.design.objectives.targets import TargetLogits, target_logits
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import Count, checked


@checked
@dataclass(frozen=True)
class EPIG(Criterion):
    """Most information about the answers to target pairs, by default random ones within prompts.

    Parameters
    ----------
    targets
        Pairs of the candidates' pool; or a pool, of which pairs within prompts are drawn; by default the candidates'.
    size
        How many targets are drawn at most.
    """

    name: ClassVar[str] = "epig"
    needs_all_candidates: ClassVar[bool] = False

    targets: Pairs | ResponsePool | None = None
    size: Count = 256

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The mean information about the targets, in nats."""
        targets = self.aimed(posterior, candidates)
        whitened = posterior.information_factor(candidates.pool, candidates.responses)
        loss = _Information(targets.weight)
        rows, aimed = narrow(whitened, targets.whitened)
        return TargetObjective(rows, fisher_weight(posterior, candidates), aimed, loss)

    def aimed(self, posterior: RewardPosterior, candidates: CandidateSet) -> TargetLogits:
        """The targets."""
        return target_logits(posterior, candidates, self.targets, self.size)


@dataclass(frozen=True)
class _Information(TargetLoss):
    weight: Float[Tensor, "target"]

    def total(self, left: Float[Tensor, "*pair target"]) -> Float[Tensor, "*pair"]:
        """mean_t ½ log(1 + w_t σ_t²)."""
        return torch.log1p(self.weight * left).mean(dim=-1) / 2

    def price(self, left: Float[Tensor, "target"]) -> Float[Tensor, "target"]:
        """½ w_t / (1 + w_t σ_t²), of the mean."""
        return self.weight / (1 + self.weight * left) / (2 * len(left))

    def most(self, left: Float[Tensor, "target"]) -> Float[Tensor, "target"]:
        """½ log(1 + w_t σ_t²) / σ_t², of the mean: a fall of a concave ℓ is at most its part of the whole one."""
        known = self.weight * left
        of_each = torch.where(known > 1e-8, torch.log1p(known) / known, torch.ones_like(known))
        return self.weight * of_each / (2 * len(left))
