"""Pairs that no model of the embeddings can tell apart: responses whose embeddings are the same to the bit.

They occur on real pools (empty answers, prompts that fill the embedder's window on their own). Their
probability is ½ whatever the labels, so entropy sampling would spend its whole budget on them.
"""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Bool, Int64

from bayesrm.types import Comparisons, ResponsePool, compact

_BLOCK = 4096


def same_embedding(
    pool: ResponsePool, first: Int64[np.ndarray, "pair"], second: Int64[np.ndarray, "pair"]
) -> Bool[np.ndarray, "pair"]:
    """Whether the two embeddings of each pair are equal; each response's row is read once."""
    used, first, second = compact(first, second)
    twin = _twin(pool, used)
    return twin[first] == twin[second]


def identical_pairs(pool: ResponsePool, groups: list[Int64[np.ndarray, "_"]]) -> Comparisons:
    """All pairs inside the groups whose two embeddings are equal."""
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for group in groups:
        twin = _twin(pool, group)
        order = np.argsort(twin, kind="stable")
        for same in np.split(group[order], np.flatnonzero(np.diff(twin[order])) + 1):
            if len(same) > 1:
                a, b = np.triu_indices(len(same), 1)
                firsts.append(same[a])
                seconds.append(same[b])
    return Comparisons(np.concatenate(firsts), np.concatenate(seconds))


def _twin(pool: ResponsePool, responses: Int64[np.ndarray, "response"]) -> Int64[np.ndarray, "response"]:
    """For each response the position of the first one with the same embedding."""
    seen: dict[bytes, int] = {}
    twin = np.empty(len(responses), dtype=np.int64)
    for start in range(0, len(responses), _BLOCK):
        for k, row in enumerate(pool.rows(responses[start : start + _BLOCK]), start):
            twin[k] = seen.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), k)
    return twin
