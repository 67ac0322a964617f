r"""Which pairs to ask, and whom: a batch of answers, where a pair may be answered by more than one person.

An answer by annotator a has the Fisher weight w_a of :mod:`bayesrm.design.answers`. With W the summed weight of what
answers a pair has, from the past and in the batch, and τ² the variance of what features cannot say of a pair, its
answers tell I(W) = W / (1 + W τ²) of zᵀβ. One more by a adds

    Δ = I(W + w_a) − I(W) = w_a / ((1 + W τ²)(1 + (W + w_a) τ²)),

which takes the place of w in what a design gains from a pair: for information ½ log(1 + Δ zᵀC z) nats, with C the
covariance that the batch leaves, and for predictions the fall of the variances of targets. The batch is chosen
greedily, always the pair and annotator of largest gain per price. Δ and C only fall, so that gains only fall where the
worth is submodular, and just the pairs that stand highest are looked at again.

It costs one gain for each pair and annotator, and then those that are looked at again: about as much as a batch of
pairs, times the annotators. Slopes are at their location. What features cannot say is taken to be one number of each
pair: pairs that share a response share nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.design.answers import added_by, knows_annotators, weight_by_annotator
from bayesrm.design.base import MOST_REMEMBERED, Design
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.worth import InformationWorth, LinearWorth, ListWorth, TargetWorth, list_worth
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.design.search.constrained import Tally, per_cost
from bayesrm.design.search.lazy import best_known
from bayesrm.design.selection import Selection
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.models.context import NOBODY
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.pairs import ListedPairs
from bayesrm.types import Comparisons, ResponsePool
from bayesrm.utils.wording import counted

MOST = 20_000_000
"""Candidates times annotators, whose weights are kept: 160 megabytes."""
FEW = 5_000
"""With at most this many candidates all are looked at before every choice, if the worth is not submodular."""
SMALLEST = 1e-300
AT_ONCE = 4_096
AGAIN = 32
"""Pairs that are looked at again together, the first time; twice as many whenever none of them was the best."""


def select_answers(
    design: Design,
    posterior: RewardPosterior,
    candidates: CandidateSet,
    size: int,
    annotators: Sequence[str] | Mapping[str, int | None],
    prices: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Selection:
    """Choose answers: pairs, each with whom to ask; see :func:`bayesrm.select`.

    Raises
    ------
    InvalidInputError
        Where names, quotas or prices are wrong, or there are not as many answers.
    CapabilityError
        Where the posterior does not know how reliable people are, or the design knows nothing of covariances.
    """
    quotas = _quotas(annotators, size)
    price = _prices(quotas, prices)
    if not knows_annotators(posterior):
        raise CapabilityError(
            "whom to ask follows from how reliable people are, which this posterior does not know: fit with "
            "likelihood='annotators' to answers that name their annotators"
        )
    design.require_provided(posterior)
    if candidates.constraints.min_within:
        raise CapabilityError("min_within counts pairs, not answers: leave it out, or leave annotators out")
    if len(candidates) * len(quotas) > MOST:
        raise InvalidInputError(
            f"expected at most {MOST:,} candidates times annotators, got {len(candidates):,} times {len(quotas)}: "
            "draw fewer with candidates(..., size=...)"
        )
    generator = rng.stream(seed, "selector")
    tau = 2 * posterior.unexplained.variance  # of fits, and not where gradients are off
    with torch.inference_mode():
        known = posterior
        if len(candidates.responses) <= MOST_REMEMBERED:
            known = posterior.remembering(candidates.responses)
        objective = design.criterion.seeded(seed).objective(known, candidates)
        worth = list_worth(objective, known.reward_moments(candidates.pool, candidates.responses).mean)
        if not isinstance(worth, InformationWorth | LinearWorth | TargetWorth) or design.selector.name != "greedy":
            raise CapabilityError(
                f"the design {design.criterion.name!r} does not weigh one answer against another: for annotators take "
                "one of information or prediction with its own selector, such as pa-dopt or epig"
            )
        base: PairFunction = objective.weight  # type: ignore[attr-defined]
        greedy = AnswerGreedy(worth, base, known, candidates, quotas, price, tau, generator)
        position, who, gain = greedy.choose(size)
    first, second = candidates.pairs_at(position)
    return Selection(
        candidates.responses[first],
        candidates.responses[second],
        gain=gain,
        design=design.criterion.name,
        posterior=posterior,
        pool=candidates.pool,
        annotator=np.array(list(quotas))[who],
    )


class AnswerGreedy:
    """A growing batch of answers.

    Parameters
    ----------
    worth
        What information about a pair adds.
    base
        The design's own weight of a pair, which is that of a typical annotator.
    posterior
        Knows how reliable people are, and who answered what.
    candidates
        The pairs.
    quotas
        Name → the most answers, or None.
    price
        (annotator,) what an answer of each costs, a factor of what a pair costs.
    tau
        τ².
    generator
        Breaks ties: pairs stand in random order.
    """

    def __init__(
        self,
        worth: ListWorth,
        base: PairFunction,
        posterior: LastLayerPosterior,
        candidates: CandidateSet,
        quotas: Mapping[str, int | None],
        price: Float[np.ndarray, "annotator"],
        tau: float,
        generator: np.random.Generator,
    ) -> None:
        self._worth, self._candidates, names = worth, candidates, list(quotas)
        self._position = generator.permutation(len(candidates))
        first, second = candidates.pairs_at(self._position)
        self._rows = torch.from_numpy(np.stack([first, second], axis=1))
        pairs = Comparisons(candidates.responses[first], candidates.responses[second])
        parts = [slice(start, start + AT_ONCE) for start in range(0, len(pairs), AT_ONCE)]
        weights = [_scaled(posterior, candidates, pairs, part, self._rows[part], base, names) for part in parts]
        self._weight = torch.cat(weights)
        self._tau = tau
        self._given, self._open = _answered(posterior, candidates.pool, pairs, names)
        self._given = self._given.to(self._weight)
        self._left = np.array([np.inf if quota is None else quota for quota in quotas.values()])
        self._price = torch.from_numpy(price)
        self._cost: Tensor | None = None
        if candidates.constraints.cost is not None:
            rate = per_cost(lambda block: torch.ones(len(block), dtype=torch.float64), candidates)
            self._cost = 1 / rate(ListedPairs(*self._rows.T))
        self._score = np.full(len(pairs), np.inf)
        self._gain, self._who = np.zeros(len(pairs)), np.zeros(len(pairs), np.int64)
        self._seen = np.full(len(pairs), -1)
        self._inside = np.zeros(len(pairs), dtype=bool)
        self._chosen = 0

    def choose(
        self, size: int
    ) -> tuple[Int64[np.ndarray, "answer"], Int64[np.ndarray, "answer"], Float[np.ndarray, "answer"]]:
        """Positions of the candidates, who answers each, and what each answer added."""
        self._tally = Tally(self._candidates, size)
        found: list[tuple[int, int, float]] = []
        while len(found) < size:
            at = self._next()
            if at is None:
                raise InvalidInputError(
                    f"expected a batch of {counted(size, 'answer')}, and there are only {len(found)} that nobody gave "
                    "before, within quotas and caps: ask for fewer, name more annotators, raise quotas, or give more "
                    "candidates"
                )
            found.append((int(self._position[at]), int(self._who[at]), float(self._gain[at])))
            self._take(at)
        position, who, gain = zip(*found, strict=True)
        return np.array(position, np.int64), np.array(who, np.int64), np.array(gain)

    def _next(self) -> int | None:
        again = len(self._score) if not self._worth.submodular and len(self._score) <= FEW else AGAIN
        return best_known(self._score, self._seen, self._chosen, self._look_at_all, again)

    def _look_at_all(self, at: Int64[np.ndarray, "some"]) -> None:
        for start in range(0, len(at), AT_ONCE):
            self._look(at[start : start + AT_ONCE])

    def _look(self, at: Int64[np.ndarray, "some"]) -> None:
        """Whom to ask about each of these pairs, as the batch is now."""
        place = torch.from_numpy(at)
        looked_at = self._worth.look_at(self._rows[place])
        weight = self._weight[place]
        delta = added_by(weight, self._given[place, None], self._tau)
        members = torch.tensor([0, 1]).expand(len(at), weight.shape[1], 2)
        gain = self._worth.gains(looked_at, members, delta[..., None, None]).cpu()
        score = gain / self._price
        if self._cost is not None:
            score = score / self._cost[place, None]
        may = self._open[place] & torch.from_numpy(self._left > 0) & self._allowed(at)[:, None]
        best, who = score.masked_fill(~may, -torch.inf).max(dim=1)
        self._score[at], self._who[at] = best.numpy(), who.numpy()
        self._gain[at] = gain.gather(1, who[:, None])[:, 0].numpy()
        self._seen[at] = self._chosen

    def _allowed(self, at: Int64[np.ndarray, "some"]) -> Bool[Tensor, "some"]:
        """Caps count pairs: a pair of the batch may have a second answer."""
        if not self._candidates.constraints.limited:
            return torch.ones(len(at), dtype=torch.bool)
        first, second = self._rows[torch.from_numpy(at)].numpy().T
        return torch.from_numpy(self._inside[at] | self._tally.allowed(self._position[at], first, second))

    def _take(self, at: int) -> None:
        who = self._who[at]
        weight = self._weight[at, who]
        self._worth.add(self._rows[at], added_by(weight, self._given[at], self._tau)[None, None])
        self._given[at] += weight
        self._open[at, who] = False
        self._left[who] -= 1
        if not self._inside[at]:
            self._inside[at] = True
            self._tally.add(int(self._position[at]))
        self._chosen += 1


def _scaled(
    posterior: LastLayerPosterior,
    candidates: CandidateSet,
    pairs: Comparisons,
    part: slice,
    rows: Int64[Tensor, "pair 2"],
    base: PairFunction,
    names: Sequence[str],
) -> Float[Tensor, "pair annotator"]:
    """The design's weight of each pair, times each annotator's Fisher weight over that of a typical one."""
    some = Comparisons(pairs.first[part], pairs.second[part])
    weight = weight_by_annotator(posterior, candidates.pool, some, [*names, NOBODY])
    return base(ListedPairs(*rows.T))[:, None] * weight[:, :-1] / weight[:, -1:].clamp(min=SMALLEST)


def _answered(
    posterior: LastLayerPosterior, pool: ResponsePool, pairs: Comparisons, names: Sequence[str]
) -> tuple[Float[Tensor, "pair"], Bool[Tensor, "pair annotator"]]:
    """The summed Fisher weight of the answers that each pair has, and which of these people gave none of them."""
    told, count = posterior.preferences, len(posterior.pool)
    given, unasked = np.zeros(len(pairs)), np.ones((len(pairs), len(names)), dtype=bool)
    if pool is not posterior.pool or len(told) == 0:
        return torch.from_numpy(given), torch.from_numpy(unasked)
    codes, before = (
        np.minimum(each.first, each.second) * count + np.maximum(each.first, each.second) for each in (pairs, told)
    )
    order = np.argsort(codes)
    place = np.searchsorted(codes[order], before).clip(max=len(codes) - 1)
    at = order[place]
    met = codes[at] == before
    who = np.full(len(told), NOBODY) if told.annotator is None else told.annotator.astype(str)
    for name in np.unique(who[met]).tolist():
        own = at[met & (who == name)]
        some = Comparisons(pairs.first[own], pairs.second[own])
        np.add.at(given, own, weight_by_annotator(posterior, posterior.pool, some, [name])[:, 0].cpu().numpy())
        if name in names:
            unasked[own, names.index(name)] = False
    return torch.from_numpy(given), torch.from_numpy(unasked)


def _quotas(annotators: Sequence[str] | Mapping[str, int | None], size: int) -> dict[str, int | None]:
    if isinstance(annotators, str) or len(annotators) == 0:
        raise InvalidInputError(
            f"expected the names of annotators, got {list(annotators)!r}: give a list of names, or a mapping from "
            "names to quotas"
        )
    quotas = dict(annotators) if isinstance(annotators, Mapping) else dict.fromkeys(annotators)
    if len(quotas) < len(annotators):
        raise InvalidInputError(f"expected different annotators, got {list(annotators)}")
    for name, quota in quotas.items():
        if not isinstance(name, str) or name == NOBODY or (quota is not None and quota < 1):
            raise InvalidInputError(
                f"expected an annotator's name with a quota of at least 1, got {name!r}: {quota}"
            )
    total = sum(np.inf if quota is None else quota for quota in quotas.values())
    if not 1 <= size <= total:
        raise InvalidInputError(
            f"expected a batch of between 1 and {total:g} answers, the sum of the quotas, got {size}"
        )
    return quotas


def _prices(
    quotas: Mapping[str, int | None], prices: Mapping[str, float] | None
) -> Float[np.ndarray, "annotator"]:
    prices = {} if prices is None else prices
    unknown = [name for name in prices if name not in quotas]
    if unknown:
        raise InvalidInputError(f"expected prices of annotators that are named, got one of {unknown[0]!r}")
    price = np.array([float(prices.get(name, 1.0)) for name in quotas])
    if not (np.isfinite(price) & (price > 0)).all():
        raise InvalidInputError(f"expected prices above 0, got {dict(prices)}")
    return price
