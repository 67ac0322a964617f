"""Who answers and what asking costs, as the configuration of a run says it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np

from bayesrm.annotators.base import Annotator, SupportsLabel
from bayesrm.design.candidates.constraints import Constraints
from bayesrm.utils.identity import code_digest, is_own, settings_of

_SECRET = re.compile("key|token|secret|passw|credential|auth", re.IGNORECASE)


def describe_annotator(annotator: SupportsLabel) -> dict[str, Any]:
    """What an annotator says of itself; of a user's own that does not, also its plain attributes."""
    said = annotator.describe() if isinstance(annotator, Annotator) else {"annotator": type(annotator).__name__}
    if _says_all(annotator):
        return said
    settings = _without_secrets(settings_of(annotator))
    return said | {"settings": settings} if settings else said


def describe_cost(constraints: Constraints) -> str | None:
    """A function by its name and its code, costs by their digest."""
    cost = constraints.cost
    if cost is None:
        return None
    if callable(cost):
        return f"{getattr(cost, '__qualname__', type(cost).__name__)} {code_digest(cost)}"
    return digest(cost)


def digest(array: np.ndarray) -> str:
    """SHA-256 of values."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _without_secrets(value: Any) -> Any:
    """Without texts whose names say that they are secret, such as keys of a service: results are passed on."""
    if not isinstance(value, dict):
        return value
    return {
        name: _without_secrets(each)
        for name, each in value.items()
        if not (isinstance(each, str) and _SECRET.search(name))
    }


def _says_all(annotator: SupportsLabel) -> bool:
    """Whether its class, or one of a user's that it is derived from, has a ``describe`` of its own."""
    kinds = type(annotator).__mro__
    described_by = next((kind for kind in kinds if "describe" in vars(kind)), None)
    if described_by is None or not isinstance(annotator, Annotator):
        return False
    return not is_own(annotator) or described_by.__module__.split(".")[0] != Annotator.__module__.split(".")[0]
