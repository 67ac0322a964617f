r"""V-optimality: f(C) = mean_t [Var η_t − Var(η_t | C)] over target pairs t (Chaloner & Verdinelli 1995).

Under a Gaussian posterior the variance that is left follows by rank-one updates, Var(η_t | C) = tᵀ(Λ + Σ_C w z zᵀ)⁻¹t.
By default the targets are the candidates themselves, or 2,000 of them drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.linear_optimality import LinearObjective
from bayesrm.design.objectives.narrow import seen_by
from bayesrm.design.objectives.targets import candidate_pairs, target_logits
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import Count, checked


@checked
@dataclass(frozen=True)
class VOptimal(Criterion):
    """Least variance of the logits of the candidates, or of other target pairs.

    Parameters
    ----------
    targets
        Pairs of the candidates' pool; or a pool, of which pairs within prompts are drawn; by default candidates.
    size
        How many targets are drawn at most.
    """

    name: ClassVar[str] = "vopt"

    targets: Pairs | ResponsePool | None = None
    size: Count = 2_000

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The fall of the mean variance of the targets."""
        targets = candidate_pairs(candidates, self.size) if self.targets is None else self.targets
        aimed = target_logits(posterior, candidates, targets, self.size).whitened
        whitened = posterior.information_factor(candidates.pool, candidates.responses)
        rows, aimed = seen_by(whitened, aimed / len(aimed) ** 0.5)
        return LinearObjective(rows, fisher_weight(posterior, candidates), aimed)
