"""Choosing a batch: which pairs, who answers them, and on which side each response stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayesrm import rng
from bayesrm.campaign.store import Question
from bayesrm.design import make_design
from bayesrm.design.base import Criterion, Design
from bayesrm.design.candidates.constraints import Constraints, Cost
from bayesrm.design.selection import Selection
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool


@dataclass(frozen=True)
class Request:
    """What a batch is to be.

    Parameters
    ----------
    size
        How many pairs.
    design, selector
        See ``select``; None is what the studies recommend.
    scope
        "within-prompt", or "cross-prompt" where any two responses may be compared.
    overlap, overlap_share
        How many annotators are to answer the same pair, and for which share of the pairs.
    annotators
        Who answers, each with a quota of answers or None; empty where anybody does.
    per_prompt, per_response, cost
        See ``candidates``.

    Raises
    ------
    InvalidInputError
        Where these cannot be had together.
    """

    size: int = 200
    design: str | Criterion | Design | None = None
    selector: str | None = None
    scope: str = "within-prompt"
    overlap: int = 1
    overlap_share: float = 1.0
    annotators: Mapping[str, int | None] = field(default_factory=dict)
    per_prompt: int | None = None
    per_response: int | None = None
    cost: Cost | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidInputError(f"expected a batch of at least 1 pair, got {self.size}")
        if self.overlap < 1:
            raise InvalidInputError(f"expected an overlap of at least 1 annotator a pair, got {self.overlap}")
        if not 0 <= self.overlap_share <= 1:
            raise InvalidInputError(f"expected an overlap share between 0 and 1, got {self.overlap_share}")
        if self.annotators and self.overlap > len(self.annotators):
            raise InvalidInputError(
                f"expected at least {self.overlap} annotators for an overlap of {self.overlap}, got "
                f"{len(self.annotators)}: name more with --annotator"
            )
        for name, quota in self.annotators.items():
            if not name.strip() or (quota is not None and quota < 1):
                raise InvalidInputError(
                    f"expected an annotator's name with a quota of at least 1, got {name}={quota}"
                )
        if self.cost is not None and not self.plan.criterion.uses_labels:
            raise InvalidInputError(
                f"the design {self.plan.criterion.name} chooses at random and cannot weigh gains against costs: choose "
                "another one with --design, such as vopt"
            )
        self.constraints()

    @property
    def plan(self) -> Design:
        """The design."""
        return make_design(self.design, self.selector)

    def with_targets(self, targets: ResponsePool | None) -> Design:
        """The design, aimed at the target prompts where it can be."""
        plan = self.plan
        if targets is None or not any(part.name == "targets" for part in _fields(plan.criterion)):
            return plan
        return Design(dataclasses.replace(plan.criterion, targets=targets), plan.selector)  # type: ignore[type-var]

    def constraints(self) -> Constraints:
        """What the batch has to respect."""
        return Constraints(self.per_prompt, self.per_response, cost=self.cost)

    def describe(self) -> dict[str, Any]:
        """The settings, as JSON-able values."""
        return {
            "size": self.size,
            "selector": self.plan.selector.name,
            "scope": self.scope,
            "overlap": self.overlap,
            "overlap_share": self.overlap_share,
            "annotators": dict(self.annotators),
            "constraints": str(self.constraints()),
            "costs": self.cost is not None,
        }


def questions_of(selection: Selection, request: Request, tag: str, batch: int, seed: int) -> list[Question]:
    """Questions about the selected pairs, in random order and with random sides."""
    generator = rng.stream(seed, "questions", batch)
    order = generator.permutation(len(selection))
    first_is_left = generator.random(len(selection)) < 0.5
    several = generator.permutation(len(selection)) < round(request.overlap_share * len(selection))
    wanted = np.where(several, request.overlap, 1)
    assigned = _assign(wanted, request.annotators, generator)
    return [
        Question(
            id=f"q{tag}-{batch}-{place + 1}",
            batch=batch,
            place=place + 1,
            first=int(selection.first[at]),
            second=int(selection.second[at]),
            first_is_left=bool(first_is_left[place]),
            gain=float(selection.gain[at]),
            annotators=assigned[place],
            wanted=int(wanted[place]),
        )
        for place, at in enumerate(order)
    ]


def _assign(
    wanted: np.ndarray, annotators: Mapping[str, int | None], generator: np.random.Generator
) -> Sequence[tuple[str, ...]]:
    """Different annotators for each question, whoever has the most left of their quota or the fewest questions."""
    if not annotators:
        return [()] * len(wanted)
    names = list(annotators)
    quota = np.array([np.inf if annotators[name] is None else annotators[name] for name in names], dtype=float)
    if quota.sum() < wanted.sum():
        raise InvalidInputError(
            f"expected quotas for the {int(wanted.sum())} answers of this batch, and they add up to "
            f"{int(quota.sum())}: raise them, or ask for fewer pairs"
        )
    given = np.zeros(len(names))
    assigned: list[tuple[str, ...]] = [()] * len(wanted)
    # Those that several are to answer come first, as long as most annotators have some left.
    for place in np.argsort(-wanted, kind="stable"):
        free = np.flatnonzero(given < quota)
        if len(free) < wanted[place]:
            raise InvalidInputError(
                f"expected quotas that leave {wanted[place]} annotators for each pair, and they are used up before: "
                "raise the smaller ones, or ask for fewer pairs"
            )
        used = np.where(np.isinf(quota), given / max(1, wanted.sum()), given / quota)
        ranked = sorted(free, key=lambda who: (used[who], generator.random()))
        chosen = ranked[: wanted[place]]
        given[chosen] += 1
        assigned[place] = tuple(sorted(names[who] for who in chosen))
    return assigned


def _fields(criterion: object) -> tuple[Any, ...]:
    return dataclasses.fields(criterion) if dataclasses.is_dataclass(criterion) else ()
