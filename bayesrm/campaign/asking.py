"""Choosing a batch: which pairs or lists, who answers them, and where each response stands."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import model_validator

from bayesrm import rng
from bayesrm.campaign.records import Answer, Question
from bayesrm.design.base import Design
from bayesrm.design.candidates.constraints import Constraints
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.selection import Selection
from bayesrm.errors import InvalidInputError, NoCandidatesError
from bayesrm.runs.batches import design_of
from bayesrm.runs.settings import AskSettings
from bayesrm.types import ResponsePool
from bayesrm.utils.wording import counted, one_or_many


class Request(AskSettings):
    """What a batch is to be: ``size``, ``overlap`` and ``overlap_share``, and which pairs, see ``candidates``.

    All settings are those of :class:`~bayesrm.runs.settings.AskSettings`; the one below is added.

    Parameters
    ----------
    annotators : mapping of str to int or None
        Who answers, each with a quota of answers or None; empty where anybody does.

    Raises
    ------
    InvalidInputError
        Where these cannot be had together.

    Examples
    --------
    >>> from bayesrm.campaign.asking import Request
    >>> request = Request(size=50, design="vopt", per_prompt=2, annotators={"ann": 30, "bob": None})
    >>> request.plan.criterion.name
    'vopt'
    """

    annotators: Mapping[str, int | None] = {}

    @model_validator(mode="after")
    def _can_be_had(self) -> Request:
        if self.annotators and self.overlap > len(self.annotators):
            raise InvalidInputError(
                f"expected at least {self.overlap} annotators for an overlap of {self.overlap}, got "
                f"{len(self.annotators)}: name more with --annotator"
            )
        if self.list_size > 2 and self.scope != "within-prompt":
            raise InvalidInputError(
                f"expected lists of responses to one prompt each, got the scope {self.scope}: ask pairs across "
                "prompts, or lists within them"
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
        return self

    @property
    def plan(self) -> Design:
        """The design, with its own targets where the request names some."""
        return design_of(self)

    def with_targets(self, targets: ResponsePool | None) -> Design:
        """The design, aimed at the target prompts of a campaign where it can be and has no other targets."""
        plan = self.plan
        has_targets = any(part.name == "targets" for part in _fields(plan.criterion))
        if targets is None or self.targets is not None or not has_targets:
            return plan
        return Design(dataclasses.replace(plan.criterion, targets=targets), plan.selector)  # type: ignore[type-var]

    def describe(self, plan: Design, constraints: Constraints) -> dict[str, Any]:
        """The settings, as JSON-able values."""
        return self.record(AskSettings) | {
            "selector": plan.selector.name,
            "design_settings": plan.criterion.describe() or None,
            "annotators": dict(self.annotators),
            "constraints": str(constraints),
            "costs": self.cost is not None,
        }


def questions_of(
    selection: Selection | ListSelection, request: Request, tag: str, batch: int, seed: int
) -> list[Question]:
    """Questions about the selected pairs or lists, in random order and with random sides, or places in their list.

    Their ids say the campaign, the batch and, by a digest, the pairs and sides of the batch: a copy of a campaign, or a
    backup that was put back, that asks about others gives them other ids.
    """
    if isinstance(selection, ListSelection):
        return _lists_of(selection, request, tag, batch, seed)
    generator = rng.stream(seed, "questions", batch)
    order = generator.permutation(len(selection))
    first_is_left = generator.random(len(selection)) < 0.5
    several = generator.permutation(len(selection)) < round(request.overlap_share * len(selection))
    wanted = np.where(several, request.overlap, 1)
    assigned = _assign(wanted, request.annotators, generator)
    asked = np.stack([selection.first[order], selection.second[order], first_is_left]).astype("<i8")
    mark = short_digest(tag, batch, hashlib.sha256(asked.tobytes()).hexdigest())
    return [
        Question(
            id=f"q{tag}-{batch}-{mark}-{place + 1}",
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


def _lists_of(selection: ListSelection, request: Request, tag: str, batch: int, seed: int) -> list[Question]:
    generator = rng.stream(seed, "questions", batch)
    order = generator.permutation(len(selection))
    members = generator.permuted(selection.lists[order], axis=1)
    several = generator.permutation(len(selection)) < round(request.overlap_share * len(selection))
    wanted = np.where(several, request.overlap, 1)
    assigned = _assign(wanted, request.annotators, generator)
    mark = short_digest(tag, batch, hashlib.sha256(members.astype("<i8").tobytes()).hexdigest())
    return [
        Question(
            id=f"q{tag}-{batch}-{mark}-{place + 1}",
            batch=batch,
            place=place + 1,
            first=int(members[place, 0]),
            second=int(members[place, 1]),
            first_is_left=True,
            gain=float(selection.gain[at]),
            annotators=assigned[place],
            wanted=int(wanted[place]),
            members=tuple(members[place].tolist()),
        )
        for place, at in enumerate(order)
    ]


def short_digest(*parts: object) -> str:
    """Seven letters and digits that tell these from others; what begins with a letter no spreadsheet alters."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:7]


def nothing_left(request: Request, questions: Iterable[Question], answers: Iterable[Answer]) -> NoCandidatesError:
    """That every pair was asked, with what can still be done about it."""
    answered = {answer.question for answer in answers}
    still_open = sum(question.id not in answered for question in questions)
    waiting = "all that was asked is answered"
    if still_open:
        are = one_or_many(still_open, "is", "are")
        waiting = f"{counted(still_open, 'question')} asked before {are} not answered yet: tell what comes back"
    within = request.scope == "within-prompt"
    pairs = "pair of responses to one prompt" if within else "pair"
    across = "; pairs across prompts are asked with --scope cross-prompt" if within else ""
    return NoCandidatesError(
        f"no candidates are left: every {pairs} was asked or has identical embeddings; {waiting}{across}"
    )


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
