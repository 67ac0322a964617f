"""Pairs that no model of the embeddings can distinguish: responses with near-duplicate embeddings.

They occur on real pools (empty answers, prompts that fill the embedder's window on their own, an answer with another
full stop). Their probability is ½ whatever the labels, so entropy sampling would spend its whole budget on them.
Near duplicates are closer than a thousandth of the usual distance between pairs of the same kind.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.spatial import KDTree

from bayesrm import rng
from bayesrm.types import Comparisons, ResponsePool, compact

NEAR = 1e-3
_PAIRS_AT_ONCE = 1_024
_ROWS_AT_ONCE = 4_096
_FEW = 64
"""Groups of at most this size are compared pair by pair."""
_DIRECTIONS = 8
_SAMPLED = 1_024


def squared_distances(
    pool: ResponsePool, first: Int64[np.ndarray, "pair"], second: Int64[np.ndarray, "pair"]
) -> Float[np.ndarray, "pair"]:
    """Between the embeddings of each pair, some pairs at a time."""
    squared = np.empty(len(first))
    # In the order of their first responses, so that most rows are read once.
    order = np.argsort(first, kind="stable")
    for start in range(0, len(order), _PAIRS_AT_ONCE):
        part = order[start : start + _PAIRS_AT_ONCE]
        used, a, b = compact(first[part], second[part])
        rows = pool.rows(used)
        squared[part] = np.square(rows[a] - rows[b], dtype=np.float64).sum(axis=1)
    return squared


def too_near(squared: Float[np.ndarray, "pair"], usual: Float[np.ndarray, "other"]) -> Bool[np.ndarray, "pair"]:
    """Which squared distances are those of near duplicates, given the distances of ordinary pairs."""
    return squared <= NEAR**2 * (usual.mean() if len(usual) else 0.0)


def near_pairs(pool: ResponsePool, groups: list[Int64[np.ndarray, "_"]]) -> Comparisons:
    """All pairs inside groups of near duplicates."""
    groups = [group for group in groups if len(group) > 1]
    found = [np.empty((0, 2), np.int64)]
    if groups:
        usual = squared_distances(pool, *_some_pairs(groups))
        for group in groups:
            near = _all_pairs(group) if len(group) <= _FEW else _likely_pairs(pool, group, float(usual.mean()))
            found.append(near[too_near(squared_distances(pool, *near.T), usual)])
    first, second = np.concatenate(found).T
    return Comparisons(first, second)


def _some_pairs(groups: list[Int64[np.ndarray, "_"]]) -> tuple[Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]:
    """Random pairs inside the groups, groups drawn by how many pairs they have; always the same ones."""
    generator = rng.stream(0, "usual distance")
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    share = sizes * (sizes - 1)
    ends = [
        generator.choice(groups[k], 2, replace=False)
        for k in generator.choice(len(groups), _SAMPLED, p=share / share.sum())
    ]
    first, second = np.array(ends, dtype=np.int64).T
    return first, second


def _all_pairs(group: Int64[np.ndarray, "_"]) -> Int64[np.ndarray, "_ 2"]:
    """All pairs of a group."""
    a, b = np.triu_indices(len(group), 1)
    return np.stack([group[a], group[b]], axis=1)


def _likely_pairs(pool: ResponsePool, group: Int64[np.ndarray, "_"], usual: float) -> Int64[np.ndarray, "_ 2"]:
    """Pairs that are near along a few directions in which the group varies much: all that are near, and a few more."""
    sample = pool.rows(group[:: -(-len(group) // _SAMPLED)]).astype(np.float64)
    sample -= sample.mean(axis=0)
    start = rng.stream(0, "directions").standard_normal((pool.dim, min(_DIRECTIONS, pool.dim)))
    directions, _ = np.linalg.qr(sample.T @ (sample @ start))
    blocks = np.split(group, range(_ROWS_AT_ONCE, len(group), _ROWS_AT_ONCE))
    coordinates = np.concatenate([pool.rows(block) @ directions for block in blocks])
    reach = (1 + 1e-6) * NEAR * usual**0.5 + 1e-6 * float(np.abs(coordinates).max())
    return group[np.sort(KDTree(coordinates).query_pairs(reach, output_type="ndarray"), axis=1)].reshape(-1, 2)
