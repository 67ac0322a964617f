"""Which texts are read together: of equal tokens one, of like length, and within the token budget of a batch.

The batches depend on the texts only, so that a run that was interrupted computes the very same numbers. The longest
come first: what does not fit into memory shows at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from bayesrm.embedding.tokens import Tokens


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """Batches of different texts, in the order of computation.

    Parameters
    ----------
    order
        (unique,) a text of each kind, in the order of computation.
    place
        (text,) where in ``order`` its like stands.
    starts
        (batch + 1,) where each batch begins in ``order``, and the end.
    """

    order: Int64[np.ndarray, "unique"]
    place: Int64[np.ndarray, "text"]
    starts: Int64[np.ndarray, "batch_and_end"]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def batch(self, number: int) -> Int64[np.ndarray, "member"]:
        """The texts of a batch."""
        return self.order[self.starts[number] : self.starts[number + 1]]


def plan_batches(tokens: Tokens, budget: int) -> BatchPlan:
    """Batches of at most ``budget`` tokens, padding included; a longer text has a batch of its own."""
    seen: dict[tuple[int, bytes], int] = {}
    like = np.array(
        [seen.setdefault((int(tokens.split[text]), tokens[text].tobytes()), text) for text in range(len(tokens))],
        dtype=np.int64,
    )
    unique = np.array(list(seen.values()), dtype=np.int64)
    lengths = tokens.lengths
    order = unique[np.argsort(-lengths[unique], kind="stable")]
    starts = [0]
    while starts[-1] < len(order):
        longest = max(1, int(lengths[order[starts[-1]]]))
        starts.append(min(len(order), starts[-1] + max(1, budget // longest)))
    at = np.empty(len(tokens), dtype=np.int64)
    at[order] = np.arange(len(order))
    return BatchPlan(order, at[like], np.array(starts, dtype=np.int64))
