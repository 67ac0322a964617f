r"""Double Thompson sampling: the best response under one posterior draw against the best under another (Wu & Liu 2016).

With π_i the posterior probability that i is the best response to its prompt, two draws propose the pair (i, j) with
probability proportional to π_i π_j. Pairs are sampled without replacement with these odds, from K draws, which is as if
two draws were taken for every pair until enough different ones are found. Across prompts both are champions of theirs.
Prompts whose best response is in doubt are asked about more than others; ``double-thompson`` asks about all alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import PairBlock
from bayesrm.utils.checked import Count, Seed, checked


@checked
@dataclass(frozen=True)
class Dueling(Criterion):
    """Best response under one posterior draw against best under another: for choosing good ones, not for ranking all.

    Parameters
    ----------
    draws
        K.
    seed
        Root of the draws.
    """

    name: ClassVar[str] = "dueling"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
    default_selector: ClassVar[str] = "gradient-sample"

    draws: Count = 256
    seed: Seed = 0

    def seeded(self, seed: int) -> Dueling:
        """With other draws."""
        return replace(self, seed=seed)

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The odds of each pair; they are no nats."""
        champion = champions(posterior, candidates, self.draws, rng.stream(self.seed, "dueling"))

        def odds(pairs: PairBlock) -> Tensor:
            left, right = pairs.ends(champion)
            return (left * right).flatten()

        return SumObjective(odds)


def champions(
    posterior: RewardPosterior, candidates: CandidateSet, draws: int, generator: np.random.Generator
) -> Float[Tensor, "response"]:
    """π: how often each response is the best of the candidates' to its prompt, over posterior draws."""
    rewards = posterior.sample_rewards(candidates.pool, candidates.responses, draws, generator).double()
    group = torch.from_numpy(candidates.pool.group[candidates.responses]).to(rewards.device)
    best = rewards.new_full((len(rewards), candidates.pool.n_prompts), -torch.inf)
    best.scatter_reduce_(1, group.expand_as(rewards), rewards, "amax")
    return (rewards == best[:, group]).double().mean(dim=0)
