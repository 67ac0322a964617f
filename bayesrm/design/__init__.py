"""Designs: which pairs to ask about. A design is a criterion with a selector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import index
from typing import Literal, SupportsIndex, overload

from bayesrm.design.base import Criterion, Design, Selector
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.select import select_lists
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.selection import Selection
from bayesrm.design.whom import select_answers
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.registry import Registry
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import Seed, checked

CRITERIA: Registry[Criterion] = Registry(f"{__name__}.criteria", Criterion, "design")
SELECTORS: Registry[Selector] = Registry(f"{__name__}.selectors", Selector, "selector")
RECOMMENDED_DESIGN = "within-first"
"""What ``design=None`` means: random within prompts, better than random across them, see studies/README.md."""


def make_design(
    design: str | Criterion | Design | None = None,
    selector: str | Selector | None = None,
    targets: Pairs | ResponsePool | None = None,
) -> Design:
    """A design by name or of a criterion; ``selector`` replaces the default where the criterion leaves a choice."""
    if isinstance(design, Design):
        if selector is not None:
            raise InvalidInputError("expected a Design alone, which has its selector, and selector was given too")
        return design if targets is None else replace(design, criterion=design.criterion.with_targets(targets))
    design = RECOMMENDED_DESIGN if design is None else design
    criterion = design if isinstance(design, Criterion) else CRITERIA[design]()
    if targets is not None:
        criterion = criterion.with_targets(targets)
    if selector is not None and not isinstance(selector, str):
        return Design(criterion, selector)
    asked = SELECTORS[criterion.default_selector if selector is None else selector]()
    chosen = SELECTORS[criterion.default_selector]() if criterion.selects_itself else asked
    return Design(criterion, chosen)


@overload
def select(
    posterior: RewardPosterior,
    candidates: CandidateSet,
    design: str | Criterion | Design | None = None,
    size: int = 125,
    selector: str | Selector | None = None,
    seed: Seed = 0,
    targets: Pairs | ResponsePool | None = None,
    list_size: Literal[2] = 2,
    annotators: Sequence[str] | Mapping[str, int | None] | None = None,
    prices: Mapping[str, float] | None = None,
) -> Selection: ...


@overload
def select(
    posterior: RewardPosterior,
    candidates: CandidateSet,
    design: str | Criterion | Design | None = None,
    size: int = 125,
    selector: str | Selector | None = None,
    seed: Seed = 0,
    targets: Pairs | ResponsePool | None = None,
    *,
    list_size: SupportsIndex,
    annotators: Sequence[str] | Mapping[str, int | None] | None = None,
    prices: Mapping[str, float] | None = None,
) -> Selection | ListSelection: ...


@checked
def select(
    posterior: RewardPosterior,
    candidates: CandidateSet,
    design: str | Criterion | Design | None = None,
    size: int = 125,
    selector: str | Selector | None = None,
    seed: Seed = 0,
    targets: Pairs | ResponsePool | None = None,
    list_size: SupportsIndex = 2,
    annotators: Sequence[str] | Mapping[str, int | None] | None = None,
    prices: Mapping[str, float] | None = None,
) -> Selection | ListSelection:
    """Choose the pairs, or the lists, to ask about next.

    Parameters
    ----------
    posterior : RewardPosterior
        What is known so far (``fit`` with no preferences gives the prior).
    candidates : CandidateSet
        The pairs to choose from.
    design : str or Criterion or Design, optional
        A name (see ``bayesrm designs``); a criterion with settings, such as ``BatchBALD(draws=500)`` of
        :mod:`bayesrm.design.criteria`; a Design; or None for what the studies recommend.
    size : int, default 125
        How many pairs; lists with ``list_size``; answers with ``annotators``.
    selector : str or Selector, optional
        "greedy" (default of information designs), "exchange" (greedy, then swaps), "gradient" (the paper's),
        "gradient-sample" (its sampled form); designs whose score is a plain sum take the top ``size`` whatever is
        asked.
    seed : int, default 0
        Root of random choices and of the breaking of ties.
    targets : Pairs or ResponsePool, optional
        What the reward model is to predict well, for the designs that have targets (``epig``, ``rank``, ``regret``,
        ``vopt``, …): a pool of prompts like those it will meet, whose embeddings need no labels; or pairs of the
        candidates' pool. By default pairs of that pool, mostly within prompts: see each design.
    list_size : int, default 2
        How many responses to one prompt are ranked at once, between 2, a pair, and 8. Lists are formed of the
        candidates' responses, and each has at least one pair that is a candidate. Designs of information or prediction
        take them by the information of a whole ranking, those that score pairs by the mean over the pairs of a list.
    annotators : sequence of str, or mapping of str to int or None, optional
        Who can be asked, by name, with a quota of answers or None. The batch then says whom to ask about each pair, by
        what each answer is expected to teach given how reliable people were so far, and a pair occurs again with
        another annotator where a second answer is worth more than any new pair. Of a new name a typical annotator is
        expected. Without quotas and prices the most reliable are asked as much as they teach most. Needs a posterior
        of ``likelihood="annotators"`` and a design of information or prediction; the time is that of a batch of pairs
        times the annotators. See :mod:`bayesrm.design.whom` for the formula.
    prices : mapping of str to float, optional
        What an answer by each costs, default 1: gains are weighed per price.

    Returns
    -------
    Selection or ListSelection
        ``first``, ``second``: (size,) indices into the pool; ``gain``: (size,) nats; ``shortfall``: at most so
        many nats below the best possible batch. ``lists``: (size, list_size) indices, which is all that there is of
        lists of more than two. ``annotator``: (size,) names, with ``annotators``.

    Raises
    ------
    InvalidInputError, CapabilityError
        Where a name is unknown, the batch is larger than the candidates, the design needs what the posterior does
        not have, or it knows no lists.

    See Also
    --------
    candidates : The pairs to choose from.
    Live : One pair after another.
    run : Rounds of it, simulated.

    Examples
    --------
    >>> batch = brm.select(posterior, brm.candidates(pool, exclude=prefs), design="pa-dopt", size=20)
    >>> posterior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, prefs.append(annotator.label(batch)))
    >>> brm.select(posterior, brm.candidates(pool), design="pa-dopt", size=5, list_size=4).lists.shape
    (5, 4)
    """
    plan, members = make_design(design, selector, targets), index(list_size)
    if annotators is not None:
        if members != 2:
            raise InvalidInputError(
                f"expected pairs for annotators, got list_size={members}: leave one of them out"
            )
        return select_answers(plan, posterior, candidates, size, annotators, prices, seed)
    if prices is not None:
        raise InvalidInputError("expected annotators where there are prices of them: name them with annotators=")
    if members == 2:
        return plan.select(posterior, candidates, size, seed)
    return select_lists(plan, posterior, candidates, size, members, seed)


def designs() -> dict[str, str]:
    """What can be asked for as ``design``: name → one line.

    See Also
    --------
    select : Takes a name.
    register : Adds one of your own.

    Examples
    --------
    >>> brm.designs()["random"]
    'Uniformly random pairs; promises no gain.'
    """
    return CRITERIA.lines()


__all__ = ["CRITERIA", "SELECTORS", "Design", "designs", "make_design", "select"]
