"""Whatever becomes an array, as one; what does not is refused in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import told


def as_array(name: str, values: Any) -> np.ndarray:
    """Values as an array, without a copy where they are one; tensors leave their device and their graph.

    Parameters
    ----------
    name
        What they are, for the message.
    values
        An array, a tensor, or lists of numbers or texts.

    Raises
    ------
    InvalidInputError
        Where they do not become an array, such as lists of different lengths.
    """
    if isinstance(values, np.ndarray):
        return values
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            return np.asarray((values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy())
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInputError(
            f"expected {name} to become an array, got {told(values)} ({reason:.120})"
        ) from error


def as_numbers(name: str, values: Any) -> Float[np.ndarray, "..."]:
    """A copy of values as float64.

    Raises
    ------
    InvalidInputError
        Where they are not real numbers.
    """
    array = as_array(name, values)
    if array.dtype.kind not in "biufO":
        raise InvalidInputError(f"expected {name} to be numbers, got {array.dtype}")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"expected {name} to be numbers, got {told(values)}") from error
