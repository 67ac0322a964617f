"""What was learnt from an object, remembered for as long as the object lives: statistics of a pool, for every refit."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
_known: dict[int, dict[Hashable, Any]] = {}


def remembered(owner: Any, key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` returned the first time for this owner and key; the owner must not change."""
    values = _known.get(id(owner))
    if values is None:
        values = _known[id(owner)] = {}
        weakref.finalize(owner, _known.pop, id(owner), None)
    if key not in values:
        values[key] = make()
    made: T = values[key]
    return made
