"""Reading some rows of an array that may lie in a file, without the rest of the file becoming resident.

The system maps a file's pages in large pieces and counts them as the process's own until they are released, so
rows spread over a 3 GB pool would soon hold all of it. Here they are copied a few at a time and released.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

_ROWS_AT_ONCE = 256


def take_rows(
    array: Float[np.ndarray, "response embedding"], index: Int64[np.ndarray, "row"]
) -> Float[np.ndarray, "row embedding"]:
    """``array[index]`` as float32."""
    file = _mapped_file(array)
    with np.errstate(over="ignore"):
        if file is None:
            return np.asarray(array[index], dtype=np.float32)
        rows = np.empty((len(index), array.shape[1]), dtype=np.float32)
        for start in range(0, len(index), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            rows[part] = array[index[part]]
            file.madvise(mmap.MADV_DONTNEED)
    return rows


def _mapped_file(array: Any) -> mmap.mmap | None:
    """The read-only mapping below a memory-mapped array, where the system can release its pages."""
    if not hasattr(mmap, "MADV_DONTNEED") or getattr(array, "mode", None) != "r":
        return None
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array
