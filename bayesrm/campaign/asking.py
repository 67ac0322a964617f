"""Choosing a batch: which pairs or lists, who answers them, and where each response stands."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from pydantic import model_validator

from bayesrm import rng
from bayesrm.campaign.assigning import assign
from bayesrm.campaign.names import Names
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
    prices : mapping of str to float
        What an answer of each costs, 1 where nothing is said; weighed with ``choose_annotators``.

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
    prices: Mapping[str, float] = {}

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
        self._require_choosable()
        if self.cost is not None and not self.plan.criterion.uses_labels:
            raise InvalidInputError(
                f"the design {self.plan.criterion.name} chooses at random and cannot weigh gains against costs: choose "
                "another one with --design, such as vopt"
            )
        return self

    def _require_choosable(self) -> None:
        """InvalidInputError where annotators are to be chosen, or have prices, and cannot."""
        for name, price in self.prices.items():
            if name not in self.annotators or not 0 < price < math.inf:
                raise InvalidInputError(
                    f"expected a price above 0 of somebody named with --annotator, got {name}={price}"
                )
        if not self.choose_annotators:
            if self.prices:
                raise InvalidInputError(
                    "prices say whom to ask, which is dealt out by quotas here: add --choose-annotators"
                )
            return
        if not self.annotators:
            raise InvalidInputError("expected annotators to choose from: add --annotator NAME for each of them")
        if self.list_size > 2 or self.overlap > 1 or self.second_answers:
            raise InvalidInputError(
                "annotators are chosen answer by answer, second answers to a pair among them: leave out --list, "
                "--overlap and --second-answers, or --choose-annotators"
            )
        if self.min_within:
            raise InvalidInputError(
                "--min-within counts pairs, and annotators are chosen answer by answer: leave out one of --min-within "
                "and --choose-annotators"
            )
        if not self.plan.criterion.uses_labels:
            raise InvalidInputError(
                f"the design {self.plan.criterion.name} chooses at random and cannot weigh one answer against "
                "another: choose another one with --design, such as pa-dopt"
            )
        total = sum(math.inf if quota is None else quota for quota in self.annotators.values())
        if total < self.size:
            raise InvalidInputError(
                f"expected quotas for the {self.size} answers of this batch, and they add up to {total}: raise them, "
                "or ask for fewer with --size"
            )

    def under(self, names: Names) -> Request:
        """The same about the same people, under the names that they have now.

        Raises
        ------
        InvalidInputError
            Where two of them are one person now.
        """
        now: dict[str, str] = {}
        for name in self.annotators:
            other = now.setdefault(names.of(name), name)
            if other != name:
                raise InvalidInputError(
                    f"expected different annotators, and {other} and {name} are one person since a renaming: name them "
                    "once"
                )
        people = {names.of(name): quota for name, quota in self.annotators.items()}
        prices = {names.of(name): price for name, price in self.prices.items()}
        return self.model_copy(update={"annotators": people, "prices": prices})

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
            **({"prices": dict(self.prices)} if self.prices else {}),
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
    people
        Who answers each pair, where that was chosen with it.
    """

    teaches: Float[np.ndarray, "pair annotator"] | None = None
    left_out: Int64[np.ndarray, "left"] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    twice: Int64[np.ndarray, "twice"] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    people: Sequence[tuple[str, ...]] | None = None


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
    if answers.people is None:
        teaches = None if answers.teaches is None else answers.teaches[order]
        assigned = assign(wanted, request.annotators, generator, teaches)
    else:
        assigned = [answers.people[at] for at in order]
        wanted = np.array([len(names) for names in assigned])
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
        f"no candidates are left: every {pairs} was asked, reads like one that was, or has identical embeddings; "
        f"{waiting}{across}"
    )


def _fields(criterion: object) -> tuple[Any, ...]:
    return dataclasses.fields(criterion) if dataclasses.is_dataclass(criterion) else ()
