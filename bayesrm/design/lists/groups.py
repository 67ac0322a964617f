"""Which lists there are: sets of K candidate responses to one prompt.

A list has at least one pair that is a candidate, so that no list repeats what was asked, and none that is a near
duplicate, which nobody can rank. Prompts of as many responses stand together in a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.design.candidates.near import NEAR
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.information import entries
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted

SMALLEST, LARGEST = 2, 8
ENUMERATED = 1_000
"""Prompts with at most this many lists are searched in full; for others lists are grown member by member."""
PROMPTS_AT_ONCE = 256


@dataclass
class PromptGroup:
    """Prompts with the same number of candidate responses.

    Parameters
    ----------
    rows
        (prompt, response) rows of the candidates' responses.
    apart
        (prompt, response, response) whether two are no near duplicates.
    fresh
        (prompt, response, response) whether a pair is a candidate that is in no list of the batch.
    size
        K.
    information
        (prompt, list, other, other) what a ranking of each list tells, once it was computed.
    bounds
        (prompt, list) what each list was worth, per unit of cost, when it was looked at last.
    weights
        (prompt, response, response) the Fisher weight of each pair, once it was computed.
    """

    rows: Int64[Tensor, "prompt response"]
    apart: Bool[Tensor, "prompt response response"]
    fresh: Bool[Tensor, "prompt response response"]
    size: int
    information: Float[Tensor, "prompt list other other"] | None = None
    bounds: Float[Tensor, "prompt list"] | None = None
    weights: Float[Tensor, "prompt response response"] | None = None

    @property
    def enumerated(self) -> bool:
        """Whether all lists of a prompt are looked at."""
        return comb(self.rows.shape[1], self.size) <= ENUMERATED

    @property
    def every(self) -> Int64[Tensor, "list member"]:
        """All lists of a prompt, as places among its responses."""
        return all_lists(self.rows.shape[1], self.size)

    def allowed(
        self, prompts: Int64[Tensor, "some"], members: Int64[Tensor, "some list member"]
    ) -> Bool[Tensor, "some list"]:
        """Which lists of some prompts may be asked."""
        a, b = torch.triu_indices(members.shape[2], members.shape[2], 1)
        fresh, apart = (
            entries(matrix[prompts], members[..., a], members[..., b]) for matrix in (self.fresh, self.apart)
        )
        return fresh.any(dim=2) & apart.all(dim=2)


def prompt_groups(candidates: CandidateSet, size: int) -> list[PromptGroup]:
    """The prompts that have lists of this size, by how many candidate responses they have.

    Raises
    ------
    InvalidInputError
        Where the size is out of range, or no prompt has as many responses.
    """
    require_size(size)
    prompt = candidates.pool.group[candidates.responses]
    order = np.argsort(prompt, kind="stable")
    _, start, counts = np.unique(prompt[order], return_index=True, return_counts=True)
    if not (counts >= size).any():
        raise InvalidInputError(
            f"expected lists of at most {counted(int(counts.max(initial=0)), 'response')}, as many as a prompt has "
            f"among the candidates, got list_size={size}"
        )
    groups = []
    for count in np.unique(counts[counts >= size]).tolist():
        rows = order[start[counts == count][:, None] + np.arange(count)]
        a, b = np.triu_indices(count, 1)
        fresh = candidates.has(rows[:, a].ravel(), rows[:, b].ravel()).reshape(len(rows), -1)
        groups.append(
            PromptGroup(
                torch.from_numpy(rows),
                _matrix(_apart(candidates, rows), count),
                _matrix(fresh, count),
                size,
            )
        )
    return groups


def require_size(size: int) -> None:
    """InvalidInputError where lists cannot have as many members."""
    if not SMALLEST <= size <= LARGEST:
        raise InvalidInputError(
            f"expected list_size between {SMALLEST}, which is a pair, and {LARGEST}, got {size}: people do not rank "
            "longer lists well"
        )


@cache
def all_lists(count: int, size: int) -> Int64[Tensor, "list member"]:
    """All sets of some size of the numbers below a count."""
    return torch.tensor(list(combinations(range(count), size)), dtype=torch.int64)


def _apart(
    candidates: CandidateSet, rows: Int64[np.ndarray, "prompt response"]
) -> Bool[np.ndarray, "prompt pair"]:
    """Which pairs of each prompt are no near duplicates: at least a thousandth of the usual distance apart."""
    squared = np.concatenate([_squared(candidates, part) for part in _parts(rows)])
    return squared > NEAR**2 * squared.mean()


def _parts(rows: Int64[np.ndarray, "prompt response"]) -> Iterator[Int64[np.ndarray, "part response"]]:
    for start in range(0, len(rows), PROMPTS_AT_ONCE):
        yield rows[start : start + PROMPTS_AT_ONCE]


def _squared(candidates: CandidateSet, rows: Int64[np.ndarray, "part response"]) -> np.ndarray:
    """(part, pair) squared distances of the embeddings."""
    index, place = np.unique(candidates.responses[rows], return_inverse=True)
    embeddings = torch.from_numpy(candidates.pool.rows(index)).double()[
        torch.from_numpy(place.reshape(rows.shape))
    ]
    centred = embeddings - embeddings.mean(dim=1, keepdim=True)
    gram = centred @ centred.mT
    own = gram.diagonal(dim1=1, dim2=2)
    a, b = torch.triu_indices(rows.shape[1], rows.shape[1], 1)
    return (own[:, a] + own[:, b] - 2 * gram[:, a, b]).clamp(min=0.0).numpy()


def _matrix(pairs: Bool[np.ndarray, "prompt pair"], count: int) -> Bool[Tensor, "prompt response response"]:
    """Pairs above the diagonal as symmetric matrices."""
    matrix = torch.zeros((len(pairs), count, count), dtype=torch.bool)
    a, b = torch.triu_indices(count, count, 1)
    matrix[:, a, b] = matrix[:, b, a] = torch.from_numpy(pairs)
    return matrix
