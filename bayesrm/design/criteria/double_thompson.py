r"""Double Thompson sampling, prompt by prompt: each prompt's best response under one draw against that under another.

As ActiveUltraFeedback has it (arXiv 2603.09692, after Wu & Liu 2016): every prompt of a batch has one pair, the best
responses under two independent posterior draws, the second drawn again until they differ. With π_i the posterior
probability that i is the best of its prompt, pair (i, j) of prompt p has the probability

    π_i π_j / Σ_{k<l in p} π_k π_l,

and where one response is the best under every draw, any other one stands against it. All prompts have the same odds,
also those whose best response is clear, which ``dueling`` leaves out. Pairs are sampled without replacement with these
odds; π comes from K draws. Pairs across prompts are of two champions: π_i π_j.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.criteria.dueling import champions
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock
from bayesrm.utils.checked import Count, Seed, checked

_CLEAR = 1e-12


@checked
@dataclass(frozen=True)
class DoubleThompson(Criterion):
    """The best response to a prompt under one posterior draw against the best under another, all prompts alike.

    Parameters
    ----------
    draws
        K.
    seed
        Root of the draws.
    """

    name: ClassVar[str] = "double-thompson"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
    default_selector: ClassVar[str] = "gradient-sample"

    draws: Count = 256
    seed: Seed = 0

    def seeded(self, seed: int) -> DoubleThompson:
        """With other draws."""
        return replace(self, seed=seed)

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The odds of each pair; they are no nats."""
        champion = champions(posterior, candidates, self.draws, rng.stream(self.seed, "double thompson"))
        group = torch.from_numpy(candidates.pool.group[candidates.responses]).to(champion.device)
        total, squares, members = (
            champion.new_zeros(candidates.pool.n_prompts).index_add_(0, group, values)
            for values in (champion, champion.square(), torch.ones_like(champion))
        )
        within = ((total.square() - squares) / 2)[group]
        rivals = (members - 1)[group].clamp(min=1.0)

        def odds(pairs: PairBlock) -> Tensor:
            (left, right), (one, other) = pairs.ends(champion), pairs.ends(group)
            all_pairs, others = pairs.ends(within)[0], pairs.ends(rivals)[0]
            drawn = left * right
            against = torch.where(all_pairs > _CLEAR, drawn / all_pairs.clamp(min=_CLEAR), (left + right) / others)
            return torch.where(one == other, against, drawn).flatten()

        return SumObjective(odds)
