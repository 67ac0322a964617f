r"""Rankings taken apart into the choices of Plackett and Luce, as rows that a list of comparisons can hold.

The best of K is one choice among K, the second best one among the K − 1 left, and so on. Three kinds of ranking say
less than that:

- One that stops early ("the best is b") has the choices up to there. Their probabilities multiply to the sum over all
  rankings that begin so.
- A tie stands for its members in every order, each counted as that part of an answer: the log-likelihood is the mean
  over these orders, as an outcome of ½ is for a pair. Orders share choices, so a tie of g has g 2^(g−1) of them, and
  the chosen i with the others T still to come counts |T|! (g − 1 − |T|)! / g!.
- "The worst is w" is a choice among those left, with the odds turned round: exp(−r_w) / Σ exp(−r), the sequential
  best-worst choice of Marley & Louviere (2005). Its rows have outcome 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from bayesrm.errors import InvalidInputError
from bayesrm.utils.arrays import as_array
from bayesrm.utils.wording import told

NOT_SAID = -1
"""The worst response where nobody said which it is."""


@dataclass
class Choices:
    """Rows of comparisons, choice after choice.

    Parameters
    ----------
    first, second, outcome, number, source, share
        A number a row: both responses, 1 where the first was chosen as the best and 0 where as the worst (½ for a tie
        of two), the choice, the ranking that it comes from, and the part of an answer that it counts.
    count
        How many choices there are.
    """

    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    outcome: list[float] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    count: int = 0

    def add(
        self, chosen: int, others: Sequence[int], source: int, outcome: float = 1.0, share: float = 1.0
    ) -> None:
        """One choice; nothing where there was nothing to choose from."""
        if not others:
            return
        self.first += [chosen] * len(others)
        self.second += others
        self.outcome += [outcome] * len(others)
        self.number += [self.count] * len(others)
        self.source += [source] * len(others)
        self.share += [share] * len(others)
        self.count += 1

    def column(self, name: str) -> Int64[np.ndarray, "row"] | Float[np.ndarray, "row"]:
        """One of the columns as an array."""
        return np.array(getattr(self, name), dtype=np.float64 if name in ("outcome", "share") else np.int64)


def choices_of(
    rankings: Sequence[Any] | np.ndarray, lists: Sequence[Any] | np.ndarray | None = None, worst: Any = None
) -> Choices:
    """The choices of some rankings; see :meth:`bayesrm.types.Preferences.from_rankings`.

    Raises
    ------
    InvalidInputError
        Where a ranking repeats a response, ranks one that was not shown, or leaves nothing to be compared.
    """
    for name, others in (("lists", lists), ("worst", worst)):
        if others is not None and len(others) != len(rankings):
            raise InvalidInputError(f"expected {name} for each of the {len(rankings)} rankings, got {len(others)}")
    found = Choices()
    for at, ranking in enumerate(rankings):
        if not isinstance(ranking, Iterable) or isinstance(ranking, str) or getattr(ranking, "shape", None) == ():
            raise InvalidInputError(
                f"expected each ranking to be of indices of responses, got {told(ranking)} in ranking {at}"
            )
        ranking = as_array(f"ranking {at}", ranking) if hasattr(ranking, "detach") else ranking
        groups = [_members(place, at) for place in ranking]
        last = NOT_SAID if worst is None else _worst(worst[at], at)
        shown = None if lists is None else _members(lists[at], at)
        _take_apart(found, groups, shown, last, at)
    return found


def _take_apart(found: Choices, groups: list[list[int]], shown: list[int] | None, worst: int, at: int) -> None:
    ranked = [response for group in groups for response in group]
    said = ranked if worst == NOT_SAID else [*ranked, worst]
    of_list = said if shown is None else shown
    if len(set(ranked)) < len(ranked) or len(set(of_list)) < len(of_list):
        raise InvalidInputError(f"expected rankings of different responses, got {said} in ranking {at}")
    if worst in ranked:
        raise InvalidInputError(
            f"expected a worst response that is not ranked before the others, got {worst} twice in ranking {at}"
        )
    strange = set(said) - set(of_list)
    if strange:
        raise InvalidInputError(
            f"expected ranking {at} to be of the {len(of_list)} responses that were shown, got response {min(strange)}"
        )
    if len(of_list) < 2:
        raise InvalidInputError(
            f"expected rankings of at least two different responses, got {of_list} in ranking {at}"
        )
    if not said:
        raise InvalidInputError(f"expected ranking {at} to name a best or a worst response, got neither")
    left = [response for response in of_list if response not in set(ranked)]
    after = [*ranked, *left]
    for group in groups:
        after = after[len(group) :]
        _choose(found, group, after, at)
    if worst != NOT_SAID:
        found.add(worst, [response for response in left if response != worst], at, outcome=0.0)


def _choose(found: Choices, group: list[int], after: list[int], at: int) -> None:
    """The choices of one place of a ranking, which several responses may share, from what comes after it."""
    size = len(group)
    if size == 2 and not after:
        found.add(group[0], group[1:], at, outcome=0.5)
        return
    for chosen in group:
        others = [response for response in group if response != chosen]
        for count in range(size):
            share = factorial(count) * factorial(size - 1 - count) / factorial(size)
            for rest in combinations(others, count):
                found.add(chosen, [*rest, *after], at, share=share)


def _worst(value: Any, at: int) -> int:
    if not -1 <= value < 2**63:
        raise InvalidInputError(
            f"expected the index of a response as the worst, or −1, got {value} in ranking {at}"
        )
    return int(value)


def _members(place: Any, at: int) -> list[int]:
    """A response, or those that share a place."""
    members = np.atleast_1d(as_array(f"ranking {at}", place))
    if members.ndim != 1 or (members.size and (members.dtype.kind not in "iu" or members.min() < 0)):
        raise InvalidInputError(
            f"expected each ranking to be of indices of responses, got {told(place)} in ranking {at}"
        )
    return [int(member) for member in members]
