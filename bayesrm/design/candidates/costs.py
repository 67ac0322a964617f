"""What it costs to ask about a response: read from a file, or the length of its text."""

from __future__ import annotations

import os

import numpy as np
from jaxtyping import Float

from bayesrm.design.candidates.constraints import require_costs
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool

LENGTH = "length"


def costs_of(source: str | os.PathLike[str], pool: ResponsePool) -> Float[np.ndarray, "response"]:
    """The cost of each response of a pool.

    Parameters
    ----------
    source
        "length": one more than the number of characters of its text; else an .npy file with a cost for each response.
    pool
        The pool.

    Raises
    ------
    InvalidInputError
        Where these are not a positive number for each response, or there are no texts to measure.
    """
    if source == LENGTH:
        if pool.texts is None:
            raise InvalidInputError(
                "expected a pool with the texts of its responses for cost='length', got one without: give an .npy file "
                "with a cost for each response instead"
            )
        return np.array([1.0 + len(pool.texts[at]) for at in range(len(pool))])
    try:
        cost = np.asarray(np.load(source, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"expected 'length' or an .npy file of costs, got {source} ({error})") from error
    if cost.shape != (len(pool),):
        raise InvalidInputError(
            f"expected a cost for each of the {len(pool)} responses in {source}, got shape {cost.shape}"
        )
    require_costs(cost)
    return cost
