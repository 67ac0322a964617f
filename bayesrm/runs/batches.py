"""From the settings of a batch to what selects it: the design, the candidates, and what the batch has to respect."""

from __future__ import annotations

from pathlib import Path

from bayesrm.data import load_pool
from bayesrm.design import make_design
from bayesrm.design.base import Design
from bayesrm.design.candidates.constraints import Constraints
from bayesrm.design.candidates.costs import costs_of
from bayesrm.design.candidates.forming import candidates
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.runs.settings import BatchSettings
from bayesrm.types import Pairs, ResponsePool


def design_of(settings: BatchSettings) -> Design:
    """The design, with its selector and its targets."""
    targets = settings.targets
    if isinstance(targets, str | Path):
        targets = load_pool(targets)
    return make_design(settings.design, settings.selector, targets)


def constraints_of(settings: BatchSettings, pool: ResponsePool) -> Constraints:
    """What a batch has to respect, and what its pairs cost; InvalidInputError where that is not about this pool."""
    cost = settings.cost
    if isinstance(cost, str | Path):
        cost = costs_of(cost, pool)
    constraints = Constraints(settings.per_prompt, settings.per_response, settings.min_within, cost)
    constraints.require_costs_of(pool)
    return constraints


def candidates_of(
    settings: BatchSettings,
    pool: ResponsePool,
    constraints: Constraints,
    seed: int,
    exclude: Pairs | None = None,
) -> CandidateSet:
    """The candidates for a batch that has to respect these constraints, see ``candidates``."""
    pairs = candidates(
        pool,
        settings.scope,
        prompts=settings.prompts,
        size=settings.candidates,
        seed=seed,
        exclude=exclude,
        identical=settings.identical,
    )
    pairs.constraints = constraints
    return pairs
