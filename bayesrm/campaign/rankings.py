"""Rankings of a list of responses: as the store keeps them, and in words.

The members of a list are called A, B, C, … in the order in which they are shown.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LETTERS = string.ascii_uppercase[:8]
"""What the members of a list are called."""


@dataclass(frozen=True)
class Ranking:
    """An answer to a list.

    Parameters
    ----------
    places
        Members, best first; those that share a place are a tie. Who is not named is worse than all that are.
    worst
        Who is the worst of those that are not named, where somebody said it.
    """

    places: tuple[tuple[int, ...], ...]
    worst: int | None = None

    @property
    def named(self) -> list[int]:
        """All members that it names."""
        last = [] if self.worst is None else [self.worst]
        return [member for place in self.places for member in place] + last

    def of(self, members: Sequence[int]) -> Ranking:
        """The same ranking with positions replaced by what they stand for."""
        places = tuple(tuple(sorted(members[at] for at in place)) for place in self.places)
        return Ranking(places, None if self.worst is None else members[self.worst])

    def as_json(self) -> str:
        """As the store keeps it: the same text for the same answer."""
        said = {"places": [sorted(place) for place in self.places]}
        return json.dumps(said if self.worst is None else said | {"worst": self.worst})

    @classmethod
    def from_json(cls, text: str) -> Ranking:
        """From what :meth:`as_json` gave."""
        said = json.loads(text)
        return cls(tuple(map(tuple, said["places"])), said.get("worst"))

    def pairs(self, members: Sequence[int]) -> Iterator[tuple[int, int, float]]:
        """First, second and outcome of each pair that it decides: 1 where the first is better, ½ for a tie.

        Parameters
        ----------
        members
            All of the list.
        """
        named = {member for place in self.places for member in place}
        left = [member for member in members if member not in named]
        for at, place in enumerate(self.places):
            after = [member for later in self.places[at + 1 :] for member in later] + left
            for one, member in enumerate(place):
                yield from ((member, other, 0.5) for other in place[one + 1 :])
                yield from ((member, other, 1.0) for other in after)
        if self.worst is not None:
            yield from ((member, self.worst, 1.0) for member in left if member != self.worst)


def in_words(ranking: Ranking, members: Sequence[int] | None = None) -> str:
    """As an answer is written, such as "B > A = D > C"; the members are positions, or found in what is given."""
    at = {member: place for place, member in enumerate(members)} if members is not None else None
    places = [" = ".join(sorted(LETTERS[_at(member, at)] for member in place)) for place in ranking.places]
    text = " > ".join(places)
    return text if ranking.worst is None else f"{text} ... {LETTERS[_at(ranking.worst, at)]}".strip()


def _at(member: int, at: dict[int, int] | None) -> int:
    return member if at is None else at[member]
