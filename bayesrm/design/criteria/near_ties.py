r"""Near ties, normalised by their spread: s_m = Φ(−|m_m| / σ_m) min(1, σ_m / σ̄), σ̄ the median sd of candidates.

What a ranking needs of a pair is the sign of its logit η ~ Normal(m, σ²), and Φ(−|m| / σ) is the probability of having
it wrong: G- and D-optimality look at σ alone, and ask about pairs whose order is clear (Zhao & Jun, arXiv 2602.01581,
whose designs take the interval of a difference by where it lies relative to zero). A ratio alone would also take
near-duplicates, for which both m and σ are next to nothing: a pair whose σ is below that of ordinary pairs counts for
less in proportion. Beyond it a larger σ earns nothing more, so odd answers are not sought out.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock

ORDINARY = 2_000
"""Candidates whose median standard deviation is the ordinary one."""
_TINY = 1e-150


class NearTies(Criterion):
    """Pairs whose order is most likely to be wrong, of those that are as uncertain as ordinary pairs are."""

    name: ClassVar[str] = "near-ties"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True
    promises_gain: ClassVar[bool] = False

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Probabilities of a wrong order; they are no nats."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        some = candidates.sample(min(ORDINARY, len(candidates)), rng.stream(0, "ordinary pairs"))
        ordinary = float(moments.of(candidates.block_at(some)).variance.sqrt().quantile(0.5))

        def score(pairs: PairBlock) -> Tensor:
            logits = moments.of(pairs)
            sd = logits.variance.clamp(min=0.0).sqrt().clamp(min=_TINY)
            wrong = torch.special.ndtr(-logits.mean.abs() / sd)
            return wrong * (sd / max(ordinary, _TINY)).clamp(max=1.0)

        return SumObjective(score)
