"""Choosing a batch: which pairs or lists, who answers them, and where each response stands."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from pydantic import model_validator

from bayesrm import rng
from bayesrm.campaign.assigning import assign
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
        if self.second_answers and (self.list_size > 2 or self.overlap > 1 or not self.plan.criterion.uses_labels):
            raise InvalidInputError(
                "second answers are weighed against new pairs that a design chose by what they teach: leave out "
                "--second-answers, or --list, --overlap and designs that choose at random"
            )
        if self.second_answers and len(self.annotators) == 1:
            raise InvalidInputError(
                "expected at least two annotators for second answers, got one: name more with --annotator"
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


@dataclasses.dataclass(frozen=True)
class Answers:
    """What is known of the answers to a selection before they are given.

    Parameters
    ----------
    teaches
        (pair, annotator) what an answer of each annotator teaches; None where nobody knows.
    left_out, twice
        Positions of pairs that give way, and of those that are answered twice in their place.
    """

    teaches: Float[np.ndarray, "pair annotator"] | None = None
    left_out: Int64[np.ndarray, "left"] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    twice: Int64[np.ndarray, "twice"] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))


def questions_of(
    selection: Selection | ListSelection,
    request: Request,
    tag: str,
    batch: int,
    seed: int,
    answers: Answers | None = None,
) -> list[Question]:
    """Questions about the selected pairs or lists, in random order and with random sides, or places in their list.

    Their ids say the campaign, the batch and, by a digest, the pairs and sides of the batch: a copy of a campaign, or a
    backup that was put back, that asks about others gives them other ids.
    """
    if isinstance(selection, ListSelection):
        return _lists_of(selection, request, tag, batch, seed)
    generator = rng.stream(seed, "questions", batch)
    answers = Answers() if answers is None else answers
    kept = np.setdiff1d(np.arange(len(selection)), answers.left_out)
    order = kept[generator.permutation(len(kept))]
    first_is_left = generator.random(len(kept)) < 0.5
    several = generator.permutation(len(kept)) < round(request.overlap_share * len(kept))
    wanted = np.where(several, request.overlap, 1)
    wanted[np.isin(order, answers.twice)] = 2
    teaches = None if answers.teaches is None else answers.teaches[order]
    assigned = assign(wanted, request.annotators, generator, teaches)
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
    assigned = assign(wanted, request.annotators, generator)
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


def _fields(criterion: object) -> tuple[Any, ...]:
    return dataclasses.fields(criterion) if dataclasses.is_dataclass(criterion) else ()
