"""A design is a criterion (what a batch is worth) and a selector (how a batch is chosen)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float

from bayesrm import rng
from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.search.contenders import Near
from bayesrm.design.search.ranking import top
from bayesrm.design.selection import Selection
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import Seed, checked
from bayesrm.utils.identity import settings_of


class Criterion(ABC):
    """What a batch is worth under a posterior.

    Attributes
    ----------
    name : str
        What it is asked for by.
    requires : frozenset of str, default frozenset()
        What it needs of a posterior, of what posteriors offer: "spread", "features".
    default_selector : str, default "greedy"
        The selector used where none is asked for.
    selects_itself : bool, default False
        True where only the default selector makes sense: the best batch of a plain sum is its top.
    uses_labels : bool, default True
        Whether the answers so far change what is chosen. Without them no model is fitted to choose, gains cannot be
        weighed against costs, and forecasts hold the design against no other.
    promises_gain : bool, default True
        Whether a batch is worth more than 0 before there are labels.
    at_random : bool, default False
        Whether pairs are chosen by chance alone, which reports then say in a sentence.
    needs_all_candidates : bool, default True
        Whether what a batch is worth depends on which candidates there are. Otherwise a good pair can be looked for
        among a few of them, as :class:`bayesrm.Live` does for somebody who waits.

    See Also
    --------
    bayesrm.select : Takes a criterion by its name, or as an object with settings of its own.

    Examples
    --------
    A new criterion: the posterior variance of a pair's logit, for each pair on its own.

    >>> import bayesrm as brm
    >>> from bayesrm.design.objectives.base import SumObjective
    >>> class Variance(brm.Criterion):
    ...     '''Pairs whose difference of rewards is least known.'''
    ...     name = "variance"
    ...     requires = frozenset({"spread"})
    ...     default_selector = "top"
    ...     selects_itself = True
    ...     def objective(self, posterior, candidates):
    ...         moments = posterior.reward_moments(candidates.pool, candidates.responses)
    ...         return SumObjective(lambda pairs: moments.of(pairs).variance)
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]] = frozenset()
    default_selector: ClassVar[str] = "greedy"
    selects_itself: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = True
    promises_gain: ClassVar[bool] = True
    at_random: ClassVar[bool] = False
    needs_all_candidates: ClassVar[bool] = True

    @abstractmethod
    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The worth of batches of these candidates, under a posterior that offers what it needs."""

    def seeded(self, seed: int) -> Criterion:
        """This criterion with its random choices, if it makes any, rooted at ``seed``."""
        return self

    @checked
    def with_targets(self, targets: Pairs | ResponsePool) -> Criterion:
        """This criterion with other targets; InvalidInputError where it has none."""
        if "targets" not in self._usual():
            raise InvalidInputError(
                f"the design {self.name!r} has no targets: leave targets out, or take one of the designs for "
                "predictions, such as epig or rank"
            )
        return cast("Criterion", replace(cast("Any", self), targets=targets))

    def describe(self) -> dict[str, Any]:
        """Settings that are not the usual ones, ready for JSON; targets by their digest."""
        told = settings_of(self)
        targets: Any = getattr(self, "targets", None)
        known = isinstance(targets, ResponsePool) or hasattr(targets, "first")
        return told | {"targets": _digest_of(targets)} if known else told

    def _usual(self) -> dict[str, Any]:
        """The default of each setting."""
        return {field.name: field.default for field in fields(self)} if is_dataclass(self) else {}


class Selector(ABC):
    """How a batch is chosen.

    Attributes
    ----------
    name : str
        What it is asked for by.
    first_is_best : bool, default False
        Whether the first pair that it chooses is the one of the largest gain.

    See Also
    --------
    bayesrm.select : Takes a selector by its name, or as an object with settings of its own.

    Examples
    --------
    A new selector: the best of several random batches, which needs nothing but the worth of batches.

    >>> import numpy as np
    >>> import bayesrm as brm
    >>> class BestOfSeveral(brm.Selector):
    ...     '''The best of a few random batches.'''
    ...     name = "best-of-several"
    ...     def __init__(self, tries=10):
    ...         self.tries = tries
    ...     def choose(self, objective, candidates, size, generator):
    ...         batches = [np.sort(generator.choice(len(candidates), size, replace=False)) for _ in range(self.tries)]
    ...         return max(batches, key=lambda batch: float(objective.gains(candidates.block_at(batch)).sum()))
    """

    name: ClassVar[str]
    first_is_best: ClassVar[bool] = False

    def describe(self) -> dict[str, Any]:
        """Settings that are not the usual ones, ready for JSON."""
        return settings_of(self)

    @abstractmethod
    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Positions of ``size`` different candidates, in order of choice, that respect the constraints."""

    def next(
        self,
        objective: Objective,
        candidates: CandidateSet,
        generator: np.random.Generator,
        near: Near | None = None,
    ) -> PairIndex:
        """The position of the one pair to ask next, before those of others that may come next.

        Parameters
        ----------
        objective : Objective
        candidates : CandidateSet
        generator : numpy.random.Generator
            As for :meth:`choose` of one pair.
        near : Near, optional
            What the choice before this one found out: it can save looking closely at most candidates.
        """
        return self.choose(objective, candidates, 1, generator)

    def inclusion(
        self, objective: Objective, candidates: CandidateSet, positions: PairIndex
    ) -> Float[np.ndarray, "pair"] | None:
        """The probability that each of the chosen had of being chosen; None where there is none to speak of."""
        return None


@checked
@dataclass(frozen=True)
class Design:
    """A criterion with a selector.

    Parameters
    ----------
    criterion : Criterion
    selector : Selector
        What a batch is worth, and how it is chosen.

    See Also
    --------
    select : Chooses by a design.
    designs : The names of criteria.

    Examples
    --------
    >>> from bayesrm.design.criteria.bald import BALD
    >>> from bayesrm.design.selectors.top import Top
    >>> batch = brm.select(posterior, brm.candidates(pool), brm.Design(BALD(), Top()), size=4)
    >>> batch.design
    'bald'
    """

    criterion: Criterion
    selector: Selector

    @property
    def best_of_any(self) -> bool:
        """Whether the first pair is the one of largest gain, which of any candidates is found without the others."""
        return self.selector.first_is_best and not self.criterion.needs_all_candidates

    @checked
    def select(self, posterior: RewardPosterior, candidates: CandidateSet, size: int, seed: Seed = 0) -> Selection:
        """Choose a batch.

        Parameters
        ----------
        posterior : RewardPosterior
            What is known so far.
        candidates : CandidateSet
            The pairs to choose from.
        size : int
            How many pairs.
        seed : int, default 0
            Root of random choices and of the breaking of ties.

        Raises
        ------
        InvalidInputError
            Where the batch is empty, larger than the candidates, or cannot be filled within their constraints.
        CapabilityError
            Where the criterion needs what the posterior does not have.
        """
        if not 1 <= size <= len(candidates):
            raise InvalidInputError(
                f"expected a batch of between 1 and {len(candidates)} pairs, the number of candidates, got {size}"
            )
        candidates.constraints.require_possible(size)
        self.require_provided(posterior)
        generator = rng.stream(seed, "selector")
        with torch.inference_mode():
            known = posterior
            if len(candidates.responses) <= MOST_REMEMBERED:
                known = posterior.remembering(candidates.responses)
            objective = self.criterion.seeded(seed).objective(known, candidates)
            positions = self.selector.choose(objective, candidates, size, generator)
            gains = objective.gains(candidates.block_at(positions))
            inclusion = self.selector.inclusion(objective, candidates, positions)
        first, second = candidates.pairs_at(positions)
        best = float(gains.sum())
        # The top of a plain sum is its best batch; that needs no pass over the candidates.
        exact = self.criterion.selects_itself and candidates.constraints.unrestricted
        return Selection(
            candidates.responses[first],
            candidates.responses[second],
            gain=gains.cpu().numpy(),
            design=self.criterion.name,
            certificate=best if exact else lambda: best + _shortfall(objective, candidates, positions),
            inclusion=inclusion,
            posterior=posterior,
            pool=candidates.pool,
        )

    def require_provided(self, posterior: RewardPosterior) -> None:
        """CapabilityError where the criterion needs what the posterior does not have."""
        for need in sorted(self.criterion.requires - posterior.provides):
            reason = _WITHOUT[need].format(type(posterior).__name__)
            raise CapabilityError(f"the design {self.criterion.name!r} needs {reason}, or choose another design")


def _digest_of(targets: Pairs | ResponsePool) -> str:
    if isinstance(targets, ResponsePool):
        parts = [targets.group, targets.rows(np.arange(len(targets)))]
    else:
        parts = [targets.first, targets.second]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


MOST_REMEMBERED = 100_000
"""With more responses than this among the candidates, features are computed each time that they are needed."""

_WITHOUT = {
    "spread": "a posterior with spread, and {} is a point: fit with inference='laplace'",
    "features": "last-layer features that all draws share, and {} has none: fit with 'plugin' or 'laplace'",
}


def _shortfall(objective: Objective, candidates: CandidateSet, positions: PairIndex) -> float:
    """The certificate: no batch C' of this size has f(C') > f(C) + Σ_top g − Σ_C g, g the slope at C."""
    with torch.inference_mode():
        chosen = candidates.block_at(positions)
        slope = objective.slope(chosen)
        best = top(candidates, slope, len(positions), rng.stream(0, "certificate"))
        return max(0.0, float(slope(candidates.block_at(best)).sum() - slope(chosen).sum()))
