"""Golden rewards: one finite number a response, kept apart from the pool."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from bayesrm.errors import InvalidInputError
from bayesrm.utils.arrays import as_array


def as_golden(values: ArrayLike, responses: int | None = None) -> Float[np.ndarray, "response"]:
    """Check golden rewards and flatten them to one a response, in float64.

    Parameters
    ----------
    values
        Numbers of shape (response,), or (prompt, member) or (prompt, member, 1) as the paper's files have them.
    responses
        How many there must be, where that is known.

    Raises
    ------
    InvalidInputError
        Where the shape, the type or the number is another, or a reward is not finite.
    """
    array = as_array("golden rewards", values)
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"expected golden rewards that are numbers, got {array.dtype}")
    if array.ndim not in (1, 2) and not (array.ndim == 3 and array.shape[2] == 1):
        raise InvalidInputError(
            "expected golden rewards of shape (response,), (prompts, responses) or (prompts, responses, 1), "
            f"got {array.shape}: one number a response"
        )
    golden = array.astype(np.float64).reshape(-1)
    if responses is not None and len(golden) != responses:
        raise InvalidInputError(
            f"expected one golden reward for each of the {responses} responses, got {len(golden)}: "
            "do pool and golden rewards belong together?"
        )
    if len(golden) == 0:
        raise InvalidInputError(f"expected golden rewards, got an array of shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(golden))
    if len(bad):
        raise InvalidInputError(
            f"expected finite golden rewards, got NaN or infinity for {len(bad)} of {len(golden)} responses "
            f"(the first is response {bad[0]}): leave these responses out of pool and golden rewards"
        )
    return golden
