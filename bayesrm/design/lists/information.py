r"""The Fisher information of a ranking, in the rewards of its K responses (Plackett–Luce).

A ranking is a chain of choices, each with information diag(π) − π πᵀ among the set S that is left, π_S = softmax(r_S).
So its information is a weighted Laplacian, F = Σ_{i<j} ω_ij (e_i − e_j)(e_i − e_j)ᵀ with

    ω_ij = Σ_{S ∋ i,j} P(S is left) π_S(i) π_S(j) = w_ij ρ_ij,      ρ_ij = Σ_{S ∋ i,j} P(S is left) (π_S(i) + π_S(j))²,

where w_ij = p(1 − p) is the Fisher weight of the pair alone: a ranking tells of each of its pairs the share ρ_ij ≤ 1 of
what a comparison of the two would tell. P(S is left) follows from the larger sets in 2^K steps. All pairs of three
equals have ρ = 4/9 + 1/3 = 7/9, and the one pair of two has ρ = 1.

Under a posterior w_ij is replaced by its mean, as it is for pairs, and ρ_ij is taken at the mean rewards: exact for
K = 2, and otherwise within a few percent of E F where rewards are as uncertain as one logit.
"""

from __future__ import annotations

from itertools import combinations

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

SMALLEST = -300.0
"""Rewards this far below the best of a list count as this far: their odds squared are above zero."""


def ranking_share(reward: Float[Tensor, "*list member"]) -> Float[Tensor, "*list member member"]:
    """ρ of every pair of members; the diagonal is zero.

    With a = exp r, ρ_ij = (a_i + a_j)² Σ_{S ∋ i,j} P(S is left) / (Σ_S a)².
    """
    size = reward.shape[-1]
    relative = (reward - reward.amax(dim=-1, keepdim=True)).clamp(min=SMALLEST)
    odds = [column.contiguous() for column in relative.exp().unbind(dim=-1)]
    left = {tuple(range(size)): torch.ones_like(odds[0])}
    total = {pair: torch.zeros_like(odds[0]) for pair in combinations(range(size), 2)}
    for count in range(size, 1, -1):
        for members in combinations(range(size), count):
            of_set = sum(odds[k] for k in members)
            reached = left.pop(members) / of_set
            for pair in combinations(members, 2):
                total[pair] += reached / of_set
            for place, k in enumerate(members):
                rest = members[:place] + members[place + 1 :]
                left[rest] = left.get(rest, 0.0) + reached * odds[k]
    share = reward.new_zeros((*reward.shape, size))
    for (i, j), value in total.items():
        share[..., i, j] = share[..., j, i] = value * (odds[i] + odds[j]).square()
    return share


def grounded(weight: Float[Tensor, "*list member member"]) -> Float[Tensor, "*list other other"]:
    """The Laplacian of these weights in the differences r_i − r_K, i < K."""
    laplacian = torch.diag_embed(weight.sum(dim=-1)) - weight
    return laplacian[..., :-1, :-1]


def entries(
    matrix: Shaped[Tensor, "prompt line response"],
    row: Int64[Tensor, "prompt list ..."],
    column: Int64[Tensor, "prompt list ..."],
) -> Shaped[Tensor, "prompt list ..."]:
    """Entries of the matrix of each prompt; fastest where those of all prompts stand in the same places."""
    flat = matrix.flatten(1)
    if len(row) and row.stride(0) == column.stride(0) == 0:
        return flat[:, (row[0] * matrix.shape[2] + column[0]).to(flat.device)]
    cells = row * matrix.shape[2] + column
    return flat.gather(1, cells.flatten(1).to(flat.device)).view(cells.shape)
