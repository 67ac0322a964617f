r"""BatchBALD: f(C) = I(y_C; β), the information of a batch's answers taken together (Kirsch et al. 2019).

Over K draws from the posterior, of any form, see :mod:`bayesrm.design.objectives.joint_entropy`: exact for as many
answers as can be enumerated, over sampled configurations of answers beyond. K draws carry no more than log K nats,
4.6 for K = 100: from nine tenths of that on pairs are ordered by their own information, and the gains reported are
close to zero. Ask for more draws where batches are informative, or take ``batchbald-gaussian``, which has no
ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.joint_entropy import CEILING, JointEntropyObjective
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.utils.checked import Count, Seed, checked


@checked
@dataclass(frozen=True)
class BatchBALD(Criterion):
    """Most joint information of the batch's answers, from posterior draws; cannot pass the log of their number.

    Parameters
    ----------
    draws
        K.
    configurations
        How many configurations of answers are kept: 1024 enumerate ten binary answers.
    seed
        Root of the draws.
    """

    name: ClassVar[str] = "batchbald"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
    ceiling: ClassVar[float] = CEILING

    draws: Count = 100
    configurations: Count = 1024
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise InvalidInputError(f"expected at least 2 draws, got {self.draws}")

    def seeded(self, seed: int) -> BatchBALD:
        """With other draws."""
        return replace(self, seed=seed)

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Joint information over draws of the candidates' rewards."""
        generator = rng.stream(self.seed, "batchbald")
        rewards = posterior.sample_rewards(candidates.pool, candidates.responses, self.draws, generator)
        return JointEntropyObjective(
            rewards.T.double().contiguous(),
            posterior.likelihood,
            self.configurations,
            self.seed,
            lazy=candidates.constraints.unrestricted,
            ceiling=self.ceiling,
        )
