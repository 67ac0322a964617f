"""Lazy evaluation (Minoux 1978): what stands highest is looked at again until it is known to be the best."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64


def best_known(
    score: Float[np.ndarray, "place"],
    seen: Int64[np.ndarray, "place"],
    now: int,
    look: Callable[[Int64[np.ndarray, "some"]], None],
    at_once: int,
) -> int | None:
    """The place of the highest score that is known as the batch is now; None where all are −∞.

    Parameters
    ----------
    score
        Of each place when it was looked at last, which no later look exceeds.
    seen
        How large the batch was then.
    now
        How large it is.
    look
        Brings both up to date at some places.
    at_once
        How many places are looked at together, the first time; twice as many whenever none of them was the best. Into
        an empty batch all are.
    """
    while True:
        at = int(score.argmax())
        if score[at] == -np.inf:
            return None
        if seen[at] == now:
            return at
        stale = np.flatnonzero(seen < now)
        if now and len(stale) > at_once:
            stale = stale[np.argpartition(-score[stale], at_once - 1)[:at_once]]
        at_once *= 2
        look(stale)
