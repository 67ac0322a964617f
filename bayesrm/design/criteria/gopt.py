r"""G-optimality: f(C) = max_t Var η_t − max_t Var(η_t | C) over candidates t (Kiefer & Wolfowitz 1960), smoothed.

For the maximum stands the norm (Σ_t σ_t^2p)^(1/p) with p = 32: at most n^(1/32) times as large, concave, and not flat
where two candidates tie. The targets are by default the candidates, or 256 of them drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.narrow import narrow
from bayesrm.design.objectives.target_objective import TargetLoss, TargetObjective
from bayesrm.design.objectives.targets import candidate_pairs, target_logits
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import Count, checked

POWER = 32
_TINY = 1e-300


@checked
@dataclass(frozen=True)
class GOptimal(Criterion):
    """Least variance of the candidate whose logit is the least certain.

    Parameters
    ----------
    targets
        Pairs of the candidates' pool; or a pool, of which pairs within prompts are drawn; by default candidates.
    size
        How many targets are drawn at most.
    """

    name: ClassVar[str] = "gopt"

    targets: Pairs | ResponsePool | None = None
    size: Count = 256

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The fall of the norm of the targets' variances."""
        targets = candidate_pairs(candidates, self.size) if self.targets is None else self.targets
        aimed = target_logits(posterior, candidates, targets, self.size).whitened
        whitened = posterior.information_factor(candidates.pool, candidates.responses)
        rows, aimed = narrow(whitened, aimed)
        return TargetObjective(rows, fisher_weight(posterior, candidates), aimed, _Largest())


class _Largest(TargetLoss):
    def total(self, left: Float[Tensor, "*pair target"]) -> Float[Tensor, "*pair"]:
        """(Σ_t σ_t^2p)^(1/p), by its largest term."""
        largest = left.amax(dim=-1).clamp(min=_TINY)
        share = left / largest[..., None]
        for _ in range(5):
            share = share.square_()
        return largest * share.sum(dim=-1).pow(1 / POWER)

    def price(self, left: Float[Tensor, "target"]) -> Float[Tensor, "target"]:
        """(σ_t² / ℓ)^(p−1)."""
        return (left / self.total(left).clamp(min=_TINY)).pow(POWER - 1)
