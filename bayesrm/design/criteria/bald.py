r"""BALD: f(C) = Σ_m I(y_m; β) in nats, I = H(E p) − E H(p) over the posterior of η (Houlsby et al. 2011).

What a single answer is expected to tell of the parameters; a batch is scored as if its answers shared nothing. Under a
Gaussian η the integrals are good to 1e-6 nats for any standard deviation s, over draws they are averages. Ties and
other outcomes count as outcomes of their own. As s → 0, I → ½ log(1 + w s²).
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.answer_entropy import answer_information
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior


class BALD(Criterion):
    """Pairs whose outcome the posterior's draws disagree about most; needs a posterior with spread."""

    name: ClassVar[str] = "bald"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True
    needs_all_candidates: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Mutual information of each pair's outcome with the parameters."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        likelihood = posterior.likelihood
        return SumObjective(lambda pairs: answer_information(moments, likelihood, pairs))
