"""A batch of lists by any design that is made of a posterior's covariance or of the scores of pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from bayesrm import rng
from bayesrm.design.base import MOST_REMEMBERED, Design
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.greedy import ListGreedy
from bayesrm.design.lists.groups import PromptGroup, prompt_groups
from bayesrm.design.lists.sampled import Lists, candidate_lists, mean_over_pairs, take_lists
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.lists.worth import list_worth
from bayesrm.design.objectives.base import SumObjective
from bayesrm.design.selectors.gradient_sample import SMALLEST, GradientSample
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.base import RewardPosterior


def select_lists(
    design: Design, posterior: RewardPosterior, candidates: CandidateSet, size: int, list_size: int, seed: int = 0
) -> ListSelection:
    """Choose lists of some number of responses to one prompt each; see :func:`bayesrm.select`.

    Raises
    ------
    InvalidInputError
        Where the sizes are out of range, or there are not as many lists.
    CapabilityError
        Where the design knows pairs only, or needs what the posterior does not have, or the likelihood knows no
        rankings.
    """
    if size < 1:
        raise InvalidInputError(f"expected a batch of at least 1 list, got {size}")
    design.require_provided(posterior)
    if not posterior.likelihood.takes_rankings:
        raise CapabilityError(
            f"lists are answered by rankings, which the likelihood {posterior.likelihood.name!r} does not know: fit "
            "with likelihood='bradley-terry' or 'plackett-luce', or ask for pairs"
        )
    groups = prompt_groups(candidates, list_size)
    generator = rng.stream(seed, "selector")
    with torch.inference_mode():
        known = posterior
        if len(candidates.responses) <= MOST_REMEMBERED:
            known = posterior.remembering(candidates.responses)
        objective = design.criterion.seeded(seed).objective(known, candidates)
        if isinstance(objective, SumObjective):
            lists, gains = _by_scores(design, objective, candidates, groups, size, generator)
            return _selection(lists, gains, design, posterior, candidates)
        worth = list_worth(objective, known.reward_moments(candidates.pool, candidates.responses).mean)
        if worth is None or design.selector.name != "greedy":
            raise CapabilityError(_only_pairs(design, worth is None))
        greedy = ListGreedy(worth, groups, candidates, generator)
        lists, gains = greedy.choose(size)

    def certificate() -> float | None:
        with torch.inference_mode():
            return greedy.bound(float(gains.sum()), size)

    return _selection(lists, gains, design, posterior, candidates, certificate)


def _by_scores(
    design: Design,
    objective: SumObjective,
    candidates: CandidateSet,
    groups: list[PromptGroup],
    size: int,
    generator: np.random.Generator,
) -> tuple[Lists, Float[np.ndarray, "list"]]:
    lists = candidate_lists(groups, size, generator)
    if isinstance(design.selector, GradientSample):
        odds = mean_over_pairs(objective.gradient(candidates), lists).clip(min=SMALLEST)
        score = odds / generator.standard_exponential(len(lists))
    else:
        score = mean_over_pairs(objective.score, lists)
    chosen = lists[take_lists(candidates, lists, score, size)]
    return chosen, mean_over_pairs(objective.gains, chosen)


def _selection(
    lists: Lists,
    gains: Float[np.ndarray, "list"],
    design: Design,
    posterior: RewardPosterior,
    candidates: CandidateSet,
    certificate: Callable[[], float | None] | None = None,
) -> ListSelection:
    return ListSelection(
        candidates.responses[lists],
        gain=gains,
        design=design.criterion.name,
        certificate=certificate,
        posterior=posterior,
        pool=candidates.pool,
    )


def _only_pairs(design: Design, by_criterion: bool) -> str:
    if by_criterion:
        return (
            f"the design {design.criterion.name!r} knows pairs only: for lists take a design of information or "
            "prediction, such as pa-dopt, epig or rank, or one that scores pairs, such as bald or random"
        )
    return (
        f"lists are chosen greedily, and the selector {design.selector.name!r} of {design.criterion.name!r} is for "
        "pairs: leave the selector out, or take pa-dopt, dopt, epig or another design whose default is greedy"
    )
