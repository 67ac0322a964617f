"""Forming candidates: prompts are drawn, then pairs of their responses; or all pairs, or a list of one's own."""

from __future__ import annotations

import numpy as np

from bayesrm import rng
from bayesrm.design.candidates.alike import AskedInWords
from bayesrm.design.candidates.constraints import Constraints, Cost
from bayesrm.design.candidates.near import near_pairs, squared_distances, too_near
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import AllPairs, CandidateSet, ExplicitCandidates
from bayesrm.errors import InvalidInputError, NoCandidatesError
from bayesrm.types import Comparisons, Pairs, ResponsePool, require_within
from bayesrm.utils.checked import Seed, checked

SCOPES = ("within-prompt", "cross-prompt")


@checked
def candidates(
    pool: ResponsePool,
    scope: str = "within-prompt",
    prompts: int | None = 500,
    size: int | None = 20_000,
    seed: Seed = 0,
    exclude: Pairs | None = None,
    identical: bool = False,
    per_prompt: int | None = None,
    per_response: int | None = None,
    min_within: int = 0,
    cost: Cost | None = None,
    pairs: Pairs | None = None,
) -> CandidateSet:
    """Form candidate comparisons as the paper does (section 5.1): draw prompts, then pairs of their responses.

    Parameters
    ----------
    pool : ResponsePool
        The responses.
    scope : str, default "within-prompt"
        "within-prompt", or "cross-prompt": any two responses of the drawn prompts.
    prompts : int, default 500
        How many prompts to draw (all, where there are no more); None takes all.
    size : int, default 20_000
        How many pairs to draw from those possible (all, where there are no more); None keeps all of them,
        implicitly: they are scored in blocks and never listed.
    seed : int, default 0
        Root of both draws.
    exclude : Pairs, optional
        Pairs that are not to be candidates, such as those already asked; orientation does not matter.
    identical : bool, default False
        Whether to keep pairs whose two embeddings are the same, or nearer than a thousandth of the usual distance:
        no answer to them teaches a model anything.
    per_prompt : int, optional
    per_response : int, optional
    min_within : int, default 0
    cost : array_like or callable, optional
        What a batch chosen from them has to respect, see :class:`~bayesrm.design.candidates.constraints.Constraints`.
    pairs : Pairs, optional
        A list of your own to choose from: nothing is drawn, whatever scope, prompts, size and seed say.

    Raises
    ------
    InvalidInputError
        Where no pair is possible.

    See Also
    --------
    select : Chooses from them.

    Examples
    --------
    >>> len(brm.candidates(pool, size=1_000, exclude=prefs))
    1000
    >>> everything = brm.candidates(pool, prompts=None, size=None, per_prompt=2)  # all pairs, never listed
    >>> batch = brm.select(posterior, everything, design="epig", size=5)
    """
    require_scope(scope)
    constraints = Constraints(per_prompt, per_response, min_within, cost)
    constraints.require_costs_of(pool)
    for name, value in (("prompts", prompts), ("size", size)):
        if value is not None and value < 1:
            raise InvalidInputError(f"expected {name} of at least 1 (or None for all), got {value}")
    if pairs is not None:
        own = _of_ones_own(pool, pairs, exclude, identical)
        _require_some(len(own))
        own.constraints = constraints
        return own
    smallest = 2 if scope == "within-prompt" else 1
    eligible = np.flatnonzero(np.bincount(pool.group) >= smallest)
    if len(eligible) == 0 or len(pool) < 2:
        raise InvalidInputError(
            f"expected prompts with at least two responses to compare, got {pool.n_prompts} prompts with one: "
            "use scope='cross-prompt', on the command line --scope cross-prompt, or add responses"
        )
    kept = exclude.kept if isinstance(exclude, AskedInWords) else None
    if kept is not None:
        eligible = np.flatnonzero(np.bincount(pool.group[kept]) >= smallest)
    if prompts is not None and prompts < len(eligible):
        eligible = np.sort(rng.stream(seed, "prompts").choice(eligible, prompts, replace=False))
    groups = [pool.members[prompt] for prompt in eligible]
    groups = groups if kept is None else [group[kept[group]] for group in groups]
    groups = groups if scope == "within-prompt" else [np.concatenate(groups)]
    asked = [] if exclude is None else [exclude]
    if size is None:
        everything = AllPairs(pool, groups, asked if identical else [*asked, near_pairs(pool, groups)])
        _require_some(len(everything))
        everything.constraints = constraints
        return everything
    possible = AllPairs(pool, groups, asked)
    first, second = _draw(possible, size, rng.stream(seed, "pairs"), identical)
    _require_some(len(first))
    drawn = ExplicitCandidates(pool, Comparisons(first, second))
    drawn.constraints = constraints
    return drawn


def require_scope(scope: str) -> None:
    """InvalidInputError where there is no such scope."""
    if scope not in SCOPES:
        raise InvalidInputError(f"unknown scope {scope!r}: there are {', '.join(SCOPES)}")


def _draw(
    possible: AllPairs, size: int, generator: np.random.Generator, identical: bool
) -> tuple[PairIndex, PairIndex]:
    """A uniform sample in random order; only the responses in it are read to see which are the same."""
    size = min(size, len(possible))
    drawn = size
    while True:
        first, second = possible.pairs_at(possible.sample(drawn, generator))
        first, second = possible.responses[first], possible.responses[second]
        if not identical:
            first, second = _different(possible.pool, first, second)
        missing = size - len(first)
        if missing <= 0 or drawn == len(possible):
            return first[:size], second[:size]
        drawn = min(len(possible), drawn + 4 * missing + 100)


def _of_ones_own(pool: ResponsePool, pairs: Pairs, exclude: Pairs | None, identical: bool) -> ExplicitCandidates:
    """Each pair of a list once, whatever its orientation."""
    require_within(pairs, pool)
    ends = np.sort(np.stack([pairs.first, pairs.second], axis=1), axis=1)
    kept = np.sort(np.unique(ends, axis=0, return_index=True)[1])
    first, second = pairs.first[kept], pairs.second[kept]
    if not identical:
        first, second = _different(pool, first, second)
    own = ExplicitCandidates(pool, Comparisons(first, second))
    return own if exclude is None else own.without(exclude)


def _different(pool: ResponsePool, first: PairIndex, second: PairIndex) -> tuple[PairIndex, PairIndex]:
    """Those pairs whose two embeddings are not the same."""
    squared = squared_distances(pool, first, second)
    different = ~too_near(squared, squared)
    return first[different], second[different]


def _require_some(count: int) -> None:
    if count == 0:
        raise NoCandidatesError(
            "no candidates are left: every pair of the drawn prompts was already asked or has identical "
            "embeddings; draw more prompts, or stop"
        )
