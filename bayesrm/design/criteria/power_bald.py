r"""PowerBALD: pairs sampled without replacement with odds I(y_m; β)^b, b = 1 (Kirsch et al. 2023).

The top of log I + G/b with Gumbel noise G is the same as sampling with these odds. Chance keeps apart what the top of
BALD would take together, at the cost of BALD. Selections carry the probabilities with which pairs were included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.answer_entropy import answer_information
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock
from bayesrm.utils.checked import Positive, checked


@checked
@dataclass(frozen=True)
class PowerBALD(Criterion):
    """Pairs sampled with odds proportional to what BALD says that their answers tell.

    Parameters
    ----------
    power
        b: 0 is uniform sampling, larger is closer to BALD's top.
    """

    name: ClassVar[str] = "power-bald"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
    default_selector: ClassVar[str] = "gradient-sample"

    power: Positive = 1.0

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """BALD's sum, whose gradient as the selector sees it is to the power b."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        likelihood = posterior.likelihood
        return _Odds(lambda pairs: answer_information(moments, likelihood, pairs), self.power)


@dataclass(frozen=True)
class _Odds(SumObjective):
    power: float

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        def odds(pairs: PairBlock) -> Tensor:
            return self.score(pairs) ** self.power

        return odds
