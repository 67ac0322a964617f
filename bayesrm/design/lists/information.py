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
from jaxtyping import Float
from torch import Tensor


def ranking_share(reward: Float[Tensor, "*list member"]) -> Float[Tensor, "*list member member"]:
    """ρ of every pair of members; the diagonal is zero."""
    size = reward.shape[-1]
    share = reward.new_zeros((*reward.shape, size))
    left = {tuple(range(size)): torch.ones_like(reward[..., 0])}
    for count in range(size, 1, -1):
        for members in combinations(range(size), count):
            reached = left.pop(members)
            chosen = reward[..., list(members)].softmax(dim=-1).unbind(dim=-1)
            for a, b in combinations(range(count), 2):
                share[..., members[a], members[b]] += reached * (chosen[a] + chosen[b]).square()
            for place in range(count):
                rest = members[:place] + members[place + 1 :]
                left[rest] = left.get(rest, 0.0) + reached * chosen[place]
    return share + share.mT


def grounded(weight: Float[Tensor, "*list member member"]) -> Float[Tensor, "*list other other"]:
    """The Laplacian of these weights in the differences r_i − r_K, i < K: of full rank where all weights are above 0."""
    laplacian = torch.diag_embed(weight.sum(dim=-1)) - weight
    return laplacian[..., :-1, :-1]
