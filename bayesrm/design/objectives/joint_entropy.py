r"""BatchBALD's objective over K draws of the rewards: the joint information of a batch's answers (Kirsch et al. 2019).

    f(C) = I(y_C; k) = H(y_C) − (1/K) Σ_k Σ_{m∈C} H(y_m | k),    P(y_C) = (1/K) Σ_k Π_m p(y_m | k).

Given a configuration y_C of the answers so far the draws have posterior π(k | y_C), so what m adds is

    f(C ∪ {m}) − f(C) = E_{y_C} H(Σ_k π(k | y_C) p(y_m | k)) − (1/K) Σ_k H(y_m | k):

only y_C has to be enumerated or sampled, the answer to m and the draws are summed over exactly (Rao–Blackwell). All
configurations are kept while there are at most S of them, ten binary answers for S = 1024. From then on S are sampled
anew after every pair, as many for each draw, with the same random numbers wherever a batch is the same: configurations
that were kept and extended would carry their errors along, and greedy picks what is overestimated.

f is submodular, so gains from earlier on bound gains from later on and only the most promising pairs are computed
anew (Minoux 1978). It cannot pass log K: with fewer draws than the batch has bits, the answers identify each of the K
draws and nothing seems left to learn. Where nine tenths of log K are reached, what follows is ordered by each pair's
own information.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Objective, batch_gains
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.models.features import difference
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.posteriors.pairs import ListedPairs, PairBlock

CEILING = 0.9
BEYOND = 1e-9
"""What a pair's own information is scaled by beyond the ceiling, so that it stands behind every gain before it."""
PAIRS_AT_ONCE = 1_024
_TINY = 1e-300
ANEW = 64
"""Pairs that are computed anew together."""


@dataclass(frozen=True)
class JointEntropyObjective(Objective):
    """f(C) = I(y_C; k); see the module.

    Parameters
    ----------
    draws
        (response, draw) joint draws of the rewards.
    likelihood
        What gives the answers' probabilities.
    configurations
        S, how many configurations of answers are kept.
    seed
        Root of the resampling.
    lazy
        Whether pairs that cannot be the best may keep an old score; not where the best may be forbidden or dear.
    ceiling
        The part of log K beyond which pairs are ordered by their own information.
    """

    draws: Float[Tensor, "response draw"]
    likelihood: Likelihood
    configurations: int
    seed: int
    lazy: bool = True
    ceiling: float = CEILING

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """Each pair's own information: f has no value between in and out."""
        return self.batch().score()

    def batch(self) -> Batch:
        """The empty batch."""
        return _JointBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """What each adds to those before it; never below zero."""
        return batch_gains(_JointBatch(replace(self, lazy=False, ceiling=math.inf)), pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """f(C ∪ {m}) − f(C), zero for m in C: as f is submodular no C' exceeds f(C) + Σ_C' slope."""
        batch = _JointBatch(replace(self, ceiling=math.inf))
        batch.track(pairs)
        for index in range(len(pairs)):
            batch.add(index)
        score, size = batch.score(), len(self.draws)
        inside = pairs.first * size + pairs.second

        def slope(others: PairBlock) -> Tensor:
            return score(others).masked_fill(torch.isin(others.first * size + others.second, inside), 0.0)

        return slope

    def probabilities(self, pairs: PairBlock) -> Float[Tensor, "outcome draw pair"]:
        """p(y | k) of each outcome, draw and pair."""
        logits = difference(self.draws, pairs.first, pairs.second).T.contiguous()
        if len(self.likelihood.outcomes) == 2:
            first = self.likelihood.probability(logits)
            return torch.stack([1 - first, first])
        return self.likelihood.outcome_probabilities(logits).movedim(-1, 0).contiguous()


class _JointBatch(Batch):
    """Keeps configurations y_C with their probabilities, and π(k | y_C) of each.

    Parameters
    ----------
    objective
        f.
    """

    def __init__(self, objective: JointEntropyObjective) -> None:
        self._objective = objective
        self._empty()
        self._chosen: list[int] = []
        self._pairs: PairBlock = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))
        self._scores = self._own = torch.empty(0, dtype=torch.float64)
        self._old = torch.empty(0, dtype=torch.bool)

    def score(self) -> PairFunction:
        return self._beyond if self._reached else self._gain

    def track(self, pairs: PairBlock) -> None:
        self._pairs = pairs
        self._own = self._own_information(pairs)
        self._scores = self._own.clone()
        self._old = torch.full_like(self._own, len(self._chosen) > 0, dtype=torch.bool)

    @property
    def tracked(self) -> Tensor:
        if self._reached:
            return BEYOND * self._own
        if not self._objective.lazy:
            self._compute(torch.nonzero(self._old)[:, 0])
            return self._scores.clone()
        open_scores = self._scores.clone()
        open_scores[self._chosen] = -math.inf
        while self._old[(best := int(open_scores.argmax()))] and open_scores[best] > -math.inf:
            promising = open_scores.masked_fill(~self._old, -math.inf).topk(min(ANEW, len(open_scores))).indices
            promising = promising[self._old[promising]]
            self._compute(promising)
            open_scores[promising] = self._scores[promising]
            open_scores[self._chosen] = -math.inf
        return self._scores.clone()

    def add(self, index: int) -> None:
        self._chosen.append(index)
        self._take(index)
        self._old.fill_(True)

    def remove(self, index: int) -> None:
        """The batch without it, from the beginning."""
        self._chosen.remove(index)
        self._empty()
        for kept in self._chosen:
            self._take(kept)
        self._scores, self._old = self._own.clone(), torch.ones_like(self._old)

    @property
    def _reached(self) -> bool:
        return self._information > self._objective.ceiling * math.log(self._objective.draws.shape[1])

    def _empty(self) -> None:
        draws = self._objective.draws
        self._weight = draws.new_ones(1)
        self._posterior = draws.new_full((1, draws.shape[1]), 1 / draws.shape[1])
        self._answers: list[Float[Tensor, "outcome draw"]] = []
        self._information = 0.0

    def _take(self, index: int) -> None:
        pair = ListedPairs(self._pairs.first[[index]], self._pairs.second[[index]])
        self._information += float(self._gain(pair)[0])
        p = self._objective.probabilities(pair)[:, :, 0]
        self._answers.append(p)
        if len(self._weight) * len(p) > self._objective.configurations:
            self._posterior = self._sampled()
            self._weight = self._posterior.new_full((len(self._posterior),), 1 / len(self._posterior))
            return
        joint = self._posterior[:, None, :] * p[None]
        probability = joint.sum(dim=2)
        weight = (self._weight[:, None] * probability).flatten()
        kept = torch.nonzero(weight > 0)[:, 0]
        self._weight = weight[kept] / weight[kept].sum()
        self._posterior = joint.flatten(0, 1)[kept] / probability.flatten()[kept, None]

    def _sampled(self) -> Float[Tensor, "configuration draw"]:
        """π(k | y_C) of configurations sampled from each draw, with strata for the answers to each pair."""
        p = torch.stack(self._answers)
        generator = rng.stream(self._objective.seed, "configurations", len(p))
        draws, count = p.shape[2], self._objective.configurations
        each = max(1, count // draws)
        source = np.arange(draws)
        if draws > count:
            source = generator.choice(draws, count, replace=False)
        place = generator.random((len(p), len(source), each))
        uniform = torch.from_numpy((place.argsort(axis=2) + generator.random(place.shape)) / each).to(p.device)
        below = p[:, :, source].cumsum(dim=1)[:, :-1]
        outcome = (uniform[:, None] > below[..., None]).sum(dim=1).flatten(1)
        log_p = p.clamp(min=_TINY).log()
        total = p.new_zeros((outcome.shape[1], draws))
        for log_each, answers in zip(log_p, outcome, strict=True):
            total += log_each[answers]
        return total.softmax(dim=1)

    def _gain(self, pairs: PairBlock) -> Tensor:
        parts = zip(pairs.first.split(PAIRS_AT_ONCE), pairs.second.split(PAIRS_AT_ONCE), strict=True)
        gains = [self._gain_of_some(ListedPairs(first, second)) for first, second in parts]
        return torch.cat(gains) if gains else self._weight.new_empty(0)

    def _gain_of_some(self, pairs: ListedPairs) -> Tensor:
        total = self._weight.new_zeros(len(pairs))
        for p in self._objective.probabilities(pairs):
            # Σ_k π p may exceed 1 by rounding, where the entropy's term must not turn negative.
            predicted = (self._posterior @ p).clamp_(max=1.0)
            total += self._weight @ torch.special.entr(predicted) - torch.special.entr(p).mean(dim=0)
        # Sampled configurations may say a little more than is left to be said.
        left = math.log(self._objective.draws.shape[1]) - self._information
        return total.clamp_(min=0.0, max=max(left, 0.0))

    def _own_information(self, pairs: PairBlock) -> Tensor:
        return _JointBatch(self._objective)._gain(pairs) if self._chosen else self._gain(pairs)

    def _beyond(self, pairs: PairBlock) -> Tensor:
        return BEYOND * _JointBatch(self._objective)._gain(pairs)

    def _compute(self, index: Tensor) -> None:
        at = index.to(self._pairs.first.device)
        self._scores[index] = self._gain(ListedPairs(self._pairs.first[at], self._pairs.second[at]))
        self._old[index] = False
