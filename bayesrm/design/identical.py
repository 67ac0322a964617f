"""Pairs that no model of the embeddings can tell apart: responses whose embeddings are the same to the bit.

They occur on real pools (empty answers, prompts that fill the embedder's window on their own). Their
probability is ½ whatever the labels, so entropy sampling would spend its whole budget on them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import combinations

import numpy as np
from jaxtyping import Int64

from bayesrm.types import Comparisons, ResponsePool

_BLOCK = 4096


def identical_pairs(pool: ResponsePool, groups: list[Int64[np.ndarray, "_"]]) -> Comparisons:
    """All pairs inside the groups whose two embeddings are equal; each row is read once, in blocks."""
    first: list[int] = []
    second: list[int] = []
    for group in groups:
        seen: dict[bytes, list[int]] = defaultdict(list)
        for start in range(0, len(group), _BLOCK):
            index = group[start : start + _BLOCK]
            for response, row in zip(index.tolist(), pool.rows(index), strict=True):
                seen[hashlib.blake2b(row.data, digest_size=16).digest()].append(response)
        for same in seen.values():
            for a, b in combinations(same, 2):
                first.append(a)
                second.append(b)
    return Comparisons(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64))
