"""What a prediction-oriented design is to predict well: pairs of a pool, by default within prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.design.candidates.forming import candidates as form_candidates
from bayesrm.design.candidates.numbering import PairNumbering
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.errors import InvalidInputError
from bayesrm.models.features import difference
from bayesrm.posteriors.base import RewardMoments, RewardPosterior, local_pairs
from bayesrm.types import Comparisons, Pairs, ResponsePool, require_within


@dataclass(frozen=True)
class TargetLogits:
    """Target pairs as designs see them.

    Parameters
    ----------
    whitened
        (target, rank) rows t, in the coordinates of the posterior's ``information_factor``: variances are ‖t‖².
    mean
        (target,) posterior means of their logits.
    weight
        (target,) expected Fisher weights: what an answer to a target would tell of it.
    """

    whitened: Float[Tensor, "target rank"]
    mean: Float[Tensor, "target"]
    weight: Float[Tensor, "target"]

    @classmethod
    def of(cls, posterior: RewardPosterior, pool: ResponsePool, pairs: Pairs) -> TargetLogits:
        """Some pairs of a pool."""
        if len(pairs.first) == 0:
            raise InvalidInputError(
                "expected at least one target pair, got none: give pairs, or leave targets out"
            )
        require_within(pairs, pool)
        used, first, second = local_pairs(pairs)
        factor, moments = posterior.information_factor(pool, used), posterior.reward_moments(pool, used)
        return cls(
            difference(factor, first, second),
            difference(moments.mean, first, second),
            moments.fisher_weight(posterior.likelihood, first, second),
        )


def within_prompts(pool: ResponsePool, size: int) -> Comparisons:
    """At most ``size`` random pairs within prompts of a pool, always the same; any pairs where no prompt has two."""
    scope = "within-prompt" if (np.bincount(pool.group) > 1).any() else "cross-prompt"
    drawn = form_candidates(pool, scope, prompts=None, size=size, identical=True)
    return Comparisons(drawn.first, drawn.second)


def by_prompt(pool: ResponsePool, size: int) -> Comparisons:
    """At most ``size`` random pairs within prompts of a pool, always the same, of each prompt as many but for one.

    Prompts of fewer pairs have all of them; any pairs where no prompt has two responses.
    """
    draw = rng.stream(0, "targets by prompt")
    groups = [members for members in pool.members if len(members) > 1]
    if not groups:
        return within_prompts(pool, size)
    order = draw.permutation(len(groups))[:size]
    drawn: list[tuple[Int64[np.ndarray, "pair"], Int64[np.ndarray, "pair"]]] = []
    for place, group in enumerate(order.tolist()):
        numbering = PairNumbering(groups[group], np.array([len(groups[group])]))
        wanted = size // len(order) + (place < size % len(order))
        drawn.append(numbering.decode(draw.permutation(len(numbering))[:wanted]))
    first, second = (np.concatenate(ends) for ends in zip(*drawn, strict=True))
    return Comparisons(first, second)


def target_logits(
    posterior: RewardPosterior, candidates: CandidateSet, targets: Pairs | ResponsePool | None, size: int
) -> TargetLogits:
    """Pairs of the candidates' pool as given, or random pairs within prompts of a pool, by default that pool."""
    if targets is not None and not isinstance(targets, ResponsePool):
        return TargetLogits.of(posterior, candidates.pool, targets)
    pool = target_pool(candidates, targets)
    return TargetLogits.of(posterior, pool, within_prompts(pool, size))


def target_pool(candidates: CandidateSet, targets: ResponsePool | None) -> ResponsePool:
    """The pool of the targets, by default that of the candidates, checked to be of the same embedding."""
    if targets is None:
        return candidates.pool
    if targets.dim != candidates.pool.dim:
        raise InvalidInputError(
            f"expected targets of embedding dimension {candidates.pool.dim}, as the candidates have, got "
            f"{targets.dim}: were both embedded with the same model?"
        )
    return targets


def best_and_rivals(moments: RewardMoments, pool: ResponsePool) -> Comparisons:
    """Each prompt's response of highest mean reward, with every other one to that prompt."""
    mean = moments.mean.cpu().numpy()
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for members in pool.members:
        best = members[np.argmax(mean[members])]
        rivals = members[members != best]
        first.append(np.full(len(rivals), best))
        second.append(rivals)
    return Comparisons(np.concatenate(first), np.concatenate(second))


def candidate_pairs(candidates: CandidateSet, size: int) -> Comparisons:
    """At most ``size`` of the candidates, the same at every call."""
    positions = np.arange(len(candidates))
    if len(candidates) > size:
        positions = candidates.sample(size, rng.stream(0, "targets"))
    first, second = candidates.pairs_at(positions)
    return Comparisons(candidates.responses[first], candidates.responses[second])
