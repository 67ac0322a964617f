r"""Numbers for pairs inside groups of responses.

With the members of a group numbered 0 … n−1, its pair (a, b), a < b, has number b(b−1)/2 + a, and groups are numbered
one after the other. So pairs are sampled, walked and excluded by number, without ever being listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

PairIndex = Int64[np.ndarray, "pair"]


@dataclass(frozen=True)
class PairNumbering:
    """Numbers for all pairs inside groups of responses; see the module.

    Parameters
    ----------
    members
        (member,) rows, group after group.
    sizes
        (group,) number of members of each group.
    """

    members: Int64[np.ndarray, "member"]
    sizes: Int64[np.ndarray, "group"]

    @cached_property
    def starts(self) -> Int64[np.ndarray, "boundary"]:
        """Where the members of each group begin, and where the last one ends."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def pair_starts(self) -> Int64[np.ndarray, "boundary"]:
        """Where the pairs of each group begin, and where the last ones end."""
        return np.concatenate([[0], np.cumsum(self.sizes * (self.sizes - 1) // 2)])

    def __len__(self) -> int:
        return int(self.pair_starts[-1])

    def decode(self, number: PairIndex) -> tuple[PairIndex, PairIndex]:
        """The two members of each numbered pair."""
        group = np.searchsorted(self.pair_starts, number, side="right") - 1
        within = number - self.pair_starts[group]
        b = ((1 + np.sqrt(8.0 * within + 1)) / 2).astype(np.int64)
        b -= b * (b - 1) // 2 > within
        b += b * (b + 1) // 2 <= within
        a = within - b * (b - 1) // 2
        return self.members[self.starts[group] + a], self.members[self.starts[group] + b]

    def encode(self, first: PairIndex, second: PairIndex) -> Int64[np.ndarray, "inside"]:
        """The numbers of those pairs, in either orientation, that lie inside one group; others are dropped."""
        place = np.full(max(self.members.max(initial=-1), first.max(initial=-1), second.max(initial=-1)) + 1, -1)
        place[self.members] = np.arange(len(self.members))
        places = place[first], place[second]
        low, high = np.minimum(*places), np.maximum(*places)
        low, high = low[low >= 0], high[low >= 0]
        group = np.searchsorted(self.starts, low, side="right") - 1
        same = high < self.starts[group + 1]
        group = group[same]
        a, b = low[same] - self.starts[group], high[same] - self.starts[group]
        return self.pair_starts[group] + b * (b - 1) // 2 + a
