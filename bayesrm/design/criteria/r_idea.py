r"""Information minus a discrepancy: f(C) = ½ log det(I + Σ_C w v vᵀ) + λ (d/2) R(C), for models that are wrong.

Where the model is wrong, questions far from what will be predicted amplify its error; R-IDeA (Tang, Sloman & Kaski,
arXiv 2506.07805) takes a discrepancy between the questions asked and those of the test off their expected information.
Theirs is the maximum mean discrepancy under an RBF kernel. Here it is the divergence of squared whitened differences
from those of all candidates, past labels included: R of :mod:`bayesrm.design.criteria.moments`, which keeps f monotone,
submodular and certified. d = (Σ_j μ_j)² / Σ_j μ_j² counts the directions that candidates differ in, each of which is
worth ½ log of its information; so λ = 1 weighs both alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.criteria.moments import moment_matching
from bayesrm.design.objectives.added import AddedObjective
from bayesrm.design.objectives.base import InformationObjective, Objective
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.utils.checked import Count, checked


@checked
@dataclass(frozen=True)
class InformationLessDiscrepancy(Criterion):
    """Most information, less how far questions are from representative ones: after R-IDeA, for models that are wrong.

    Parameters
    ----------
    weight
        λ: 0 is ``pa-dopt``, a large one ``moments``.
    axes
        As of ``moments``.
    """

    name: ClassVar[str] = "r-idea"

    weight: float = 1.0
    axes: Count = 64

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise InvalidInputError(f"expected a finite weight of at least 0, got {self.weight}")

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Nats of information, and of representativeness."""
        whitened = posterior.information_factor(candidates.pool, candidates.responses)
        information = InformationObjective(whitened, fisher_weight(posterior, candidates))
        matching, directions = moment_matching(posterior, candidates, self.axes)
        return AddedObjective(information, matching, self.weight * directions / 2)
