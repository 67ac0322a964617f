"""Who answers which question: whoever has most left of a quota, and of the questions those that teach most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment

from bayesrm.errors import InvalidInputError

AT_ONCE = 1_000
"""Questions that are dealt out together: the time is cubic in their number."""


def assign(
    wanted: Int64[np.ndarray, "question"],
    annotators: Mapping[str, int | None],
    generator: np.random.Generator,
    teaches: Float[np.ndarray, "question annotator"] | None = None,
) -> Sequence[tuple[str, ...]]:
    """Different annotators for each question, whoever has the most left of their quota or the fewest questions.

    With what an answer of each teaches, everybody has as many questions as without, and of those that one person is to
    answer everybody has the ones with which all learn most together.
    """
    if not annotators:
        return [()] * len(wanted)
    names = list(annotators)
    quota = np.array([np.inf if annotators[name] is None else annotators[name] for name in names], dtype=float)
    if quota.sum() < wanted.sum():
        raise InvalidInputError(
            f"expected quotas for the {int(wanted.sum())} answers of this batch, and they add up to "
            f"{int(quota.sum())}: raise them, or ask for fewer pairs"
        )
    given = np.zeros(len(names))
    assigned: list[tuple[str, ...]] = [()] * len(wanted)
    # Those that several are to answer come first, as long as most annotators have some left.
    for place in np.argsort(-wanted, kind="stable"):
        free = np.flatnonzero(given < quota)
        if len(free) < wanted[place]:
            raise InvalidInputError(
                f"expected quotas that leave {wanted[place]} annotators for each pair, and they are used up before: "
                "raise the smaller ones, or ask for fewer pairs"
            )
        used = np.where(np.isinf(quota), given / max(1, wanted.sum()), given / quota)
        ranked = sorted(free, key=lambda who: (used[who], generator.random()))
        chosen = ranked[: wanted[place]]
        given[chosen] += 1
        assigned[place] = tuple(sorted(names[who] for who in chosen))
    if teaches is not None:
        alone = np.flatnonzero(wanted == 1)
        who = np.array([names.index(assigned[place][0]) for place in alone], np.int64)
        for place, name in zip(alone, deal(teaches[alone], who), strict=True):
            assigned[place] = (names[name],)
    return assigned


def deal(
    teaches: Float[np.ndarray, "question annotator"], who: Int64[np.ndarray, "question"]
) -> Int64[np.ndarray, "question"]:
    """The same annotators as in ``who``, as often, each with the questions with which all teach most together."""
    dealt = who.copy()
    for start in range(0, len(who), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        question, slot = linear_sum_assignment(teaches[part][:, who[part]], maximize=True)
        dealt[start + question] = who[part][slot]
    return dealt
