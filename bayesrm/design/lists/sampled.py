"""Lists by the scores of their pairs, for designs that are plain sums: the top of many lists, or a sample of them.

A list scores the mean over its pairs. All lists are looked at where there are at most 50,000, else a uniform sample of
them, as candidates are a sample of all pairs. A design of constant scores, such as ``random``, so has random lists.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import torch
from jaxtyping import Float, Int64

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.greedy import list_costs
from bayesrm.design.lists.groups import PromptGroup
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.pairs import ListedPairs
from bayesrm.utils.wording import counted

LISTED = 50_000
SPARE = 4
"""Times as many lists as are asked for are drawn at least: some may not be allowed."""

Lists = Int64[np.ndarray, "list member"]


def candidate_lists(groups: list[PromptGroup], size: int, generator: np.random.Generator) -> Lists:
    """All lists, or a uniform sample of them, as rows of the candidates' responses; in random order."""
    wanted = max(LISTED, SPARE * size)
    number = [len(group.rows) * comb(group.rows.shape[1], group.size) for group in groups]
    shares = np.array(number, dtype=np.float64) / float(sum(number))
    drawn = np.full(len(groups), -1) if sum(number) <= wanted else generator.multinomial(wanted, shares)
    found = []
    for group, count in zip(groups, drawn.tolist(), strict=True):
        if count < 0:
            prompts = torch.arange(len(group.rows)).repeat_interleave(len(group.every))
            members = group.every.repeat(len(group.rows), 1)
        else:
            prompts = torch.from_numpy(generator.integers(len(group.rows), size=count))
            order = generator.random((count, group.rows.shape[1])).argsort(axis=1)[:, : group.size]
            members = torch.from_numpy(np.sort(order, axis=1))
        allowed = group.allowed(prompts, members[:, None])[:, 0]
        found.append(group.rows[prompts[allowed, None], members[allowed]].numpy())
    lists = np.unique(np.concatenate(found), axis=0)
    return lists[generator.permutation(len(lists))]


def mean_over_pairs(score: PairFunction, lists: Lists) -> Float[np.ndarray, "list"]:
    """The mean score of the pairs of each list."""
    ends = torch.from_numpy(lists)
    pairs = list(combinations(range(ends.shape[1]), 2))
    total = torch.zeros(len(ends), dtype=torch.float64)
    for a, b in pairs:
        total += score(ListedPairs(ends[:, a], ends[:, b])).cpu()
    return (total / len(pairs)).numpy()


def take_lists(
    candidates: CandidateSet, lists: Lists, score: Float[np.ndarray, "list"], size: int
) -> Int64[np.ndarray, "chosen"]:
    """Positions of the ``size`` lists of largest score per unit of cost that the constraints allow, in this order."""
    cost = list_costs(candidates)
    if cost is not None:
        score = score / cost.numpy()[lists].sum(axis=1)
    rules, prompt = candidates.constraints, candidates.pool.group[candidates.responses]
    used, asked = np.zeros(len(prompt), np.int64), np.zeros(candidates.pool.n_prompts, np.int64)
    chosen: list[int] = []
    pairs: set[tuple[int, int]] = set()
    for at in np.argsort(-score, kind="stable").tolist():
        own = lists[at]
        of_list = set(combinations(sorted(own.tolist()), 2))
        if rules.per_response is not None and (used[own] >= rules.per_response).any():
            continue
        if rules.per_prompt is not None and asked[prompt[own[0]]] >= rules.per_prompt:
            continue
        if of_list <= pairs:
            continue
        used[own] += 1
        asked[prompt[own[0]]] += 1
        pairs |= of_list
        chosen.append(at)
        if len(chosen) == size:
            return np.array(chosen, dtype=np.int64)
    raise InvalidInputError(
        f"expected a batch of {counted(size, 'list')}, and there are only {len(chosen)} of {lists.shape[1]} responses"
        f"{f' with {rules}' if rules.limited else ''}: ask for fewer or shorter lists, or give more candidates"
    )
