r"""Greedy over lists, and over their members: the list of largest gain per unit of cost, again and again.

Of each prompt the best list is looked for: among all of them where there are at most five hundred, else grown from the
best pair by the member that adds most, then improved by swaps of one member. A batch needs the best prompt only, and
where the worth is submodular what a prompt could add before is a bound on what it can add now: so just the prompts that
stand highest are looked at again (lazy evaluation, Minoux 1978), and of each of them just the lists that stood highest.
Greedy is then exact wherever prompts are enumerated, and a batch is worth at least (1 − 1/e) of the best one. Worths
that are not submodular are looked at again in full where there are few lists; where there are many, their prompts are
passed over as if they were submodular.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.groups import PromptGroup, all_lists
from bayesrm.design.lists.worth import ListWorth, Prompts
from bayesrm.design.search.lazy import best_known
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted

FEW = 5_000
"""With at most this many lists all are looked at before every choice, if the worth is not submodular."""
NUMBERS_AT_ONCE = 2_000_000
NUMBERS_KEPT = 50_000_000
"""Up to 400 megabytes the information of all lists is kept, and up to as many what each was worth last."""
LOOKED_AT_CLOSELY = 16
"""Lists of a prompt whose gains are computed, where bounds or something else say that these are the best."""
LOOKED_AT_AGAIN = 16
"""Prompts that are looked at again together, the first time; twice as many whenever none of them was the best."""
SWAPS = 3
"""Most rounds of swaps that improve a list that was grown."""
BETTER = 1 + 1e-9
Found = tuple[Int64[Tensor, "prompt member"], Float[Tensor, "prompt"], Float[Tensor, "prompt"]]
"""Of each prompt a list, what it adds, and its score."""


class ListGreedy:
    """A growing batch of lists.

    Parameters
    ----------
    worth
        What lists add.
    groups
        The prompts.
    candidates
        Theirs, for constraints and costs.
    generator
        Breaks ties: prompts and responses stand in random order.
    """

    def __init__(
        self, worth: ListWorth, groups: list[PromptGroup], candidates: CandidateSet, generator: np.random.Generator
    ) -> None:
        self.worth, self.groups = worth, [_shuffled(group, generator) for group in groups]
        self._rules, self._prompt = candidates.constraints, candidates.pool.group[candidates.responses]
        self._used = torch.zeros(len(candidates.responses), dtype=torch.int64)
        self._asked = np.zeros(candidates.pool.n_prompts, np.int64)
        self._cost = list_costs(candidates)
        order = generator.permutation(sum(len(group.rows) for group in self.groups))
        sizes = np.cumsum([0, *(len(group.rows) for group in self.groups)])
        self._group = np.searchsorted(sizes, order, side="right") - 1
        self._place = order - sizes[self._group]
        self._score = np.full(len(order), np.inf)
        self._gain = np.zeros(len(order))
        self._best = np.zeros((len(order), self.groups[0].size), np.int64)
        self._seen = np.full(len(order), -1)
        every = [len(group.rows) * len(group.every) for group in self.groups if group.enumerated]
        self._total = sum(every) if len(every) == len(self.groups) else None
        self._numbers = sum(every) * (self.groups[0].size - 1) ** 2
        self._bounded = worth.submodular and self._total is not None and self._total <= NUMBERS_KEPT
        self.chosen: list[tuple[int, int, Int64[Tensor, "member"]]] = []
        """Group, prompt and members of each list."""

    def choose(self, size: int) -> tuple[Int64[np.ndarray, "list member"], Float[np.ndarray, "list"]]:
        """The lists, as rows of the candidates' responses, and what each added."""
        few = not self.worth.submodular and self._total is not None and self._total <= FEW
        lists: list[Int64[np.ndarray, "member"]] = []
        gains: list[float] = []
        while len(lists) < size:
            at = self._next(few)
            if at is None:
                raise InvalidInputError(
                    f"expected a batch of {counted(size, 'list')}, and there are only {len(lists)} of "
                    f"{self.groups[0].size} responses{f' with {self._rules}' if self._rules.limited else ''}: ask for "
                    "fewer or shorter lists, or give more candidates"
                )
            lists.append(self._take(at))
            gains.append(self._gain[at])
        return np.array(lists), np.array(gains)

    def _next(self, few: bool) -> int | None:
        """The prompt whose best list is the best of all."""
        again = len(self._score) if few else LOOKED_AT_AGAIN
        return best_known(self._score, self._seen, len(self.chosen), self._look, again)

    def _look(self, prompts: Int64[np.ndarray, "prompt"]) -> None:
        """The best list of each of these prompts as the batch is now, or a bound on what it is worth."""
        for number, group in enumerate(self.groups):
            own = prompts[self._group[prompts] == number]
            for part in _parts(own, group):
                place = torch.from_numpy(self._place[part])
                looked_at = self.worth.look_at(group.rows[place])
                if self._bounded:
                    (members, gain, score), known = self._best_by_bounds(group, place, looked_at)
                    part_known = part[known]
                else:
                    (members, gain, score), part_known = self._best_of(group, place, looked_at), part
                self._best[part], self._gain[part] = members.numpy(), gain.cpu().numpy()
                self._score[part] = score.cpu().numpy()
                self._seen[part_known] = len(self.chosen)

    def _best_of(self, group: PromptGroup, prompts: Int64[Tensor, "prompt"], looked_at: Prompts) -> Found:
        if group.enumerated:
            members = group.every.expand(len(prompts), -1, -1)
            f = self._information(group, prompts, looked_at, members)
            return self._best_among(looked_at, members, group.allowed(prompts, members), f)
        return self._grown(group, prompts, looked_at)

    def _best_by_bounds(
        self, group: PromptGroup, prompts: Int64[Tensor, "prompt"], looked_at: Prompts
    ) -> tuple[Found, Bool[np.ndarray, "prompt"]]:
        """The highest of the bounds of each prompt's lists, and whether it is what the list is worth now.

        A list is worth at most what it was when it was looked at last. Those of the highest bounds are looked at.
        """
        if group.bounds is None or group.weights is None:
            count, device = group.rows.shape[1], self.worth.device
            group.bounds = torch.full((len(group.rows), len(group.every)), torch.inf, dtype=torch.float64)
            group.weights = torch.zeros((len(group.rows), count, count), dtype=torch.float64, device=device)
        if first := bool(group.bounds[prompts].isposinf().any()):
            group.weights[prompts] = self.worth.weights(looked_at)
        looked_at.weights = group.weights[prompts]
        if first or len(group.every) <= LOOKED_AT_CLOSELY:
            lists = torch.arange(len(group.every)).expand(len(prompts), -1)
            members = group.every.expand(len(prompts), -1, -1)
        else:
            lists = group.bounds[prompts].topk(LOOKED_AT_CLOSELY, dim=1).indices
            members = group.every[lists]
        gain = self.worth.gains(looked_at, members, self.worth.information(looked_at, members)).cpu()
        score = self._scored(looked_at, members, group.allowed(prompts, members), gain)
        bounds = group.bounds[prompts].scatter(1, lists, score)
        group.bounds[prompts] = bounds
        highest, best = bounds.max(dim=1)
        now, where = (lists == best[:, None]).max(dim=1)
        gain = gain.gather(1, where[:, None])[:, 0]
        return (group.every[best], gain, highest), (now | highest.isneginf()).numpy()

    def _best_among(
        self,
        prompts: Prompts,
        members: Int64[Tensor, "prompt list member"],
        allowed: Bool[Tensor, "prompt list"],
        f: Float[Tensor, "prompt list other other"],
    ) -> Found:
        """The best of some lists of each prompt, what it gains, and its score: −∞ where none is allowed."""
        at = torch.arange(len(members))[:, None]
        if members.shape[1] > LOOKED_AT_CLOSELY:
            promising = self.worth.promising(prompts, members, f)
            if promising is not None:
                score = self._scored(prompts, members, allowed, promising)
                kept = score.topk(LOOKED_AT_CLOSELY, dim=1).indices.cpu()
                members, allowed, f = members[at, kept], allowed[at, kept], f[at, kept]
        gain = self.worth.gains(prompts, members, f)
        score = self._scored(prompts, members, allowed, gain)
        best = score.argmax(dim=1).cpu()
        at = at[:, 0]
        return members[at, best], gain[at, best], score[at, best]

    def _scored(
        self,
        prompts: Prompts,
        members: Int64[Tensor, "prompt list member"],
        allowed: Bool[Tensor, "prompt list"],
        value: Float[Tensor, "prompt list"],
    ) -> Float[Tensor, "prompt list"]:
        """What lists are worth per unit of cost: −∞ where they may not be asked."""
        if self._rules.per_response is not None or self._cost is not None:
            of = prompts.rows[torch.arange(len(members))[:, None, None], members]
            if self._rules.per_response is not None:
                allowed = allowed & (self._used[of] < self._rules.per_response).all(dim=2)
            if self._cost is not None:
                value = value / self._cost[of].sum(dim=2).to(value.device)
        return value.masked_fill(~allowed.to(value.device), -torch.inf)

    def _information(
        self,
        group: PromptGroup,
        prompts: Int64[Tensor, "prompt"],
        looked_at: Prompts,
        members: Int64[Tensor, "prompt list member"],
    ) -> Float[Tensor, "prompt list other other"]:
        """F of all lists of some prompts, kept where it fits into memory."""
        if self._bounded or self._numbers > NUMBERS_KEPT:
            return self.worth.information(looked_at, members)
        if group.information is None:
            shape = (len(group.rows), len(group.every), group.size - 1, group.size - 1)
            group.information = torch.full(shape, torch.nan, dtype=torch.float64)
        if group.information[prompts, 0, 0, 0].isnan().any():
            group.information[prompts] = self.worth.information(looked_at, members).cpu()
        return group.information[prompts].to(self.worth.device)

    def _grown(self, group: PromptGroup, prompts: Int64[Tensor, "prompt"], looked_at: Prompts) -> Found:
        """From the best pair, by the member that adds most, and then swaps."""
        count = group.rows.shape[1]

        def best(members: Int64[Tensor, "prompt list member"], allowed: Bool[Tensor, "prompt list"]) -> Found:
            return self._best_among(looked_at, members, allowed, self.worth.information(looked_at, members))

        pairs = all_lists(count, 2).expand(len(prompts), -1, -1)
        members, gain, score = best(pairs, group.allowed(prompts, pairs))
        while members.shape[1] < group.size:
            longer = _with_each(members, count)
            members, gain, score = best(longer, _different(group, prompts, longer))
        for _ in range(SWAPS):
            before = score
            for place in range(group.size):
                swapped = _with_each(torch.cat([members[:, :place], members[:, place + 1 :]], dim=1), count)
                found = best(swapped, _different(group, prompts, swapped))
                better = found[2] > score * BETTER
                members = torch.where(better.cpu()[:, None], found[0], members)
                gain, score = torch.where(better, found[1], gain), torch.where(better, found[2], score)
            if torch.equal(before, score):
                break
        return members, gain, score

    def _take(self, at: int) -> Int64[np.ndarray, "member"]:
        group, place = self.groups[self._group[at]], int(self._place[at])
        members = torch.from_numpy(self._best[at]).clone()
        rows = group.rows[place, members]
        self.worth.add(rows)
        group.fresh[place, members[:, None], members[None, :]] = False
        self._used[rows] += 1
        prompt = self._prompt[int(rows[0])]
        self._asked[prompt] += 1
        self.chosen.append((int(self._group[at]), place, members))
        if self._rules.per_prompt is not None and self._asked[prompt] >= self._rules.per_prompt:
            self._score[at], self._seen[at] = -np.inf, np.iinfo(np.int64).max
        return rows.numpy()

    def bound(self, gained: float, size: int) -> float | None:
        """No batch of this size is worth more; None where not all lists of a prompt can be looked at.

        Of a submodular worth no batch C' exceeds f(C) + Σ over C' of what its lists would add to C; of a concave one no
        C' exceeds f(C) + Σ_C' g − Σ_C g, g the slopes at C.
        """
        if self._total is None:
            return None
        value = self.worth.gains if self.worth.submodular else self.worth.slopes
        best, of_chosen = torch.empty(0, dtype=torch.float64), 0.0
        for number, group in enumerate(self.groups):
            own = np.arange(len(group.rows))
            for part in _parts(own, group):
                place = torch.from_numpy(part)
                members = group.every.expand(len(place), -1, -1)
                looked_at = self.worth.look_at(group.rows[place])
                f = self._information(group, place, looked_at, members)
                values = value(looked_at, members, f).cpu()
                for of_group, prompt, chosen in self.chosen:
                    if of_group == number and part[0] <= prompt <= part[-1]:
                        same = (group.every == chosen.sort().values).all(dim=1)
                        of_chosen += float(values[prompt - part[0], same][0])
                        if self.worth.submodular:
                            values[prompt - part[0], same] = 0.0
                best = torch.cat([best, values.flatten()])
                best = best.topk(min(size, len(best))).values
        slack = float(best.sum()) - (0.0 if self.worth.submodular else of_chosen)
        bound = gained + max(0.0, slack)
        return min(bound, gained / (1 - np.exp(-1))) if self.worth.submodular and self._plain else bound

    @property
    def _plain(self) -> bool:
        """Whether greedy had no constraints, for which it has a guarantee."""
        return self._rules.unrestricted


def list_costs(candidates: CandidateSet) -> Float[Tensor, "response"] | None:
    """The cost of each candidate response, of which a list costs the sum; None without costs.

    Raises
    ------
    InvalidInputError
        Where pairs have costs of their own.
    """
    cost = candidates.constraints.cost
    if cost is None:
        return None
    if callable(cost):
        raise InvalidInputError(
            "expected a cost for each response, of which a list costs the sum, got a function of pairs: give an array, "
            "or cost='length'"
        )
    candidates.constraints.require_costs_of(candidates.pool)
    return torch.from_numpy(cost[candidates.responses])


def _shuffled(group: PromptGroup, generator: np.random.Generator) -> PromptGroup:
    """Responses of each prompt in random order, which breaks ties."""
    count = group.rows.shape[1]
    order = generator.permuted(np.tile(np.arange(count), (len(group.rows), 1)), axis=1)
    to = torch.from_numpy(order)
    at = torch.arange(len(to))[:, None, None]
    apart, fresh = (matrix[at, to[:, :, None], to[:, None, :]] for matrix in (group.apart, group.fresh))
    return PromptGroup(group.rows.gather(1, to), apart, fresh, group.size)


def _parts(prompts: np.ndarray, group: PromptGroup) -> Iterator[np.ndarray]:
    count = group.rows.shape[1]
    lists = len(group.every) if group.enumerated else count * (count - 1) // 2
    step = max(1, NUMBERS_AT_ONCE // (lists * group.size**2))
    for start in range(0, len(prompts), step):
        yield prompts[start : start + step]


def _with_each(members: Int64[Tensor, "prompt member"], count: int) -> Int64[Tensor, "prompt response longer"]:
    """Each response of the prompt put to the end of a list."""
    last = torch.arange(count).expand(len(members), -1)[..., None]
    return torch.cat([members[:, None].expand(-1, count, -1), last], dim=2)


def _different(
    group: PromptGroup, prompts: Int64[Tensor, "prompt"], members: Int64[Tensor, "prompt list member"]
) -> Bool[Tensor, "prompt list"]:
    """Which lists may be asked, where the last of each may be there before."""
    return group.allowed(prompts, members) & (members[..., -1:] != members[..., :-1]).all(dim=2)
