"""How selectors honour constraints: a tally of what a batch still may take, and gains per unit of cost."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from bayesrm.design.candidates.constraints import require_costs
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.design.search.ranking import top
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.pairs import PairBlock


class Tally:
    """What a growing batch has used of its caps, and what it still may take.

    Parameters
    ----------
    candidates
        What is chosen from; their constraints are the rules.
    size
        How many pairs the batch will have.
    """

    def __init__(self, candidates: CandidateSet, size: int) -> None:
        self._rules, self._candidates, self._size = candidates.constraints, candidates, size
        self._group = candidates.pool.group[candidates.responses]
        self._responses = np.zeros(len(candidates.responses), np.int64)
        self._prompts = np.zeros(candidates.pool.n_prompts, np.int64)
        self._within = 0
        self._taken: set[int] = set()

    def __len__(self) -> int:
        return len(self._taken)

    def allowed(
        self, positions: PairIndex, first: Int64[np.ndarray, "pair"], second: Int64[np.ndarray, "pair"]
    ) -> Bool[np.ndarray, "pair"]:
        """Which of some candidates could be put into the batch next."""
        allowed = ~np.isin(positions, np.fromiter(self._taken, np.int64, len(self._taken)))
        left, right = self._group[first], self._group[second]
        if self._rules.per_response is not None:
            free = self._responses < self._rules.per_response
            allowed &= free[first] & free[second]
        if self._rules.per_prompt is not None:
            free = self._prompts < self._rules.per_prompt
            allowed &= free[left] & free[right]
        if self._rules.min_within - self._within >= self._size - len(self._taken):
            # Every place that is left has to go to a pair within a prompt.
            allowed &= (left == right) | (self._rules.min_within <= self._within)
        return allowed

    def add(self, position: int) -> None:
        """Count a candidate in."""
        self._count(position, 1)
        self._taken.add(position)

    def remove(self, position: int) -> None:
        """Count a candidate out again."""
        self._count(position, -1)
        self._taken.remove(position)

    def _count(self, position: int, by: int) -> None:
        ends = np.concatenate(self._candidates.pairs_at(np.array([position])))
        prompts = np.unique(self._group[ends])
        self._responses[ends] += by
        self._prompts[prompts] += by
        self._within += by * (len(prompts) == 1)

    def require_more(self, found: bool) -> None:
        """InvalidInputError where nothing more can be taken and the batch is not yet full."""
        if not found:
            raise InvalidInputError(
                f"expected a batch of {self._size} pairs, and with {self._rules} no further candidate is allowed "
                f"after {len(self._taken)} of them: relax the constraints, ask for fewer pairs, or give more candidates"
            )


def take_best(
    candidates: CandidateSet, score: PairFunction, size: int, generator: np.random.Generator
) -> PairIndex:
    """Positions of ``size`` candidates, always the highest score that the constraints still allow; ties at random."""
    if not candidates.constraints.limited:
        return top(candidates, score, size, generator)
    tally, chosen = Tally(candidates, size), list[int]()
    while len(chosen) < size:
        length = 4 * (size - len(chosen)) + 64
        ranked = top(candidates, score, length, generator, allowed=tally.allowed)
        tally.require_more(len(ranked) > 0)
        fill(tally, candidates, ranked, chosen, size)
    return np.array(chosen, dtype=np.int64)


def fill(tally: Tally, candidates: CandidateSet, ranked: PairIndex, chosen: list[int], size: int) -> None:
    """Take ranked candidates in their order, each if it is still allowed, until there are ``size``."""
    for position in ranked.tolist():
        if len(chosen) == size:
            break
        at = np.array([position])
        if tally.allowed(at, *candidates.pairs_at(at))[0]:
            tally.add(position)
            chosen.append(position)


def per_cost(gain: PairFunction, candidates: CandidateSet) -> PairFunction:
    """Gain per unit of cost, where candidates have costs; else the gain."""
    cost = candidates.constraints.cost
    if cost is None:
        return gain
    if isinstance(cost, np.ndarray):
        candidates.constraints.require_costs_of(candidates.pool)
        each = torch.from_numpy(cost[candidates.responses])

        def per_sum(pairs: PairBlock) -> Tensor:
            left, right = pairs.ends(each)
            score = gain(pairs)
            return score / (left + right).flatten().to(score.device)

        return per_sum

    def per_pair(pairs: PairBlock) -> Tensor:
        first, second = (candidates.responses[end.cpu().numpy()] for end in (pairs.first, pairs.second))
        costs = np.asarray(cost(first, second), dtype=np.float64)
        if costs.shape != first.shape:
            raise InvalidInputError(f"expected a cost for each of {len(first)} pairs, got shape {costs.shape}")
        require_costs(costs)
        score = gain(pairs)
        return score / torch.from_numpy(costs).to(score)

    return per_pair


def first_gain(objective: Objective, candidates: CandidateSet) -> PairFunction:
    """What orders pairs by their gain over an empty batch, per unit of cost where they have costs."""
    batch = objective.batch()
    score = batch.score()
    if candidates.constraints.cost is None:
        return score
    return per_cost(lambda pairs: batch.gain(score(pairs)), candidates)
