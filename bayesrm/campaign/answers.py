"""From rows of the store to preferences: which answer counts, and which likelihood fits what there is.

Rankings of lists are the choices that Plackett and Luce take them for, see :mod:`bayesrm.utils.rankings`.

Of an annotator's answers to a question the one told last counts, whatever times stand in files: a clock may be wrong.
Skips count as answers given and say nothing of rewards. Ties are outcomes of ½.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from bayesrm.campaign.grades import without_points
from bayesrm.campaign.records import Answer, Question
from bayesrm.types import Preferences
from bayesrm.utils.rankings import NOT_SAID
from bayesrm.utils.wording import counted, one_or_many

OUTCOMES = {"first": 1.0, "tie": 0.5, "second": 0.0}
NAMED_ANSWERS = 20
"""An annotator with fewer answers says too little of their reliability. In sixteen simulated campaigns of four
annotators with 15 or 20 answers each, reliabilities cost little (1 − Spearman .108 for .103), and with twenty random
answers of a fifth kept it at .112 where one likelihood for all had .133."""
TIES = 10
"""With fewer ties they are taken as half a win for either side, without a parameter of their own."""


def latest(answers: Iterable[Answer]) -> dict[tuple[str, str], Answer]:
    """The answer that counts, for each question and voter, of answers in order of telling.

    A voter is an annotator, or one vote of somebody whom a data set does not name.
    """
    return {(answer.question, answer.voter): answer for answer in answers}


def as_preferences(
    questions: Sequence[Question], answers: Iterable[Answer], grades: int | None = None
) -> Preferences:
    """The answers that count and are no skips, in the order of the questions, whenever they were told.

    With ``grades``, the points of a scale, outcomes are grades on it, for a graded likelihood; see :func:`outcome_of`.
    """
    return labels_of(questions, answers, grades)[0]


def labels_of(
    questions: Sequence[Question], answers: Iterable[Answer], grades: int | None = None
) -> tuple[Preferences, Int64[np.ndarray, "comparison"]]:
    """The preferences, and of which of :func:`used_answers` each is: a ranking has several."""
    used = used_answers(questions, answers)
    asked = {question.id: question for question in questions}
    of_lists = np.array([asked[answer.question].is_list for answer in used], dtype=bool)
    pairs, source = _of_pairs(used, asked, np.flatnonzero(~of_lists), grades)
    if not of_lists.any():
        return pairs, source
    rankings, ranked = _of_lists(used, asked, np.flatnonzero(of_lists))
    both = np.concatenate([source, ranked])
    order = np.argsort(both, kind="stable")
    return pairs.append(rankings)[order], both[order]


def _of_pairs(
    used: Sequence[Answer], asked: Mapping[str, Question], at: Int64[np.ndarray, "answer"], grades: int | None
) -> tuple[Preferences, Int64[np.ndarray, "comparison"]]:
    if not len(at):
        return Preferences.none(), at
    own = [used[place] for place in at]
    pairs = [asked[answer.question] for answer in own]
    names = np.array([answer.annotator for answer in own])
    weights = np.array([1.0 if answer.weight is None else answer.weight for answer in own])
    labels = Preferences(
        np.array([pair.first for pair in pairs]),
        np.array([pair.second for pair in pairs]),
        np.array([outcome_of(answer, grades) for answer in own]),
        annotator=names if (names != "").any() else None,
        weight=weights if (weights != 1).any() else None,
    )
    return labels, at


def _of_lists(
    used: Sequence[Answer], asked: Mapping[str, Question], at: Int64[np.ndarray, "answer"]
) -> tuple[Preferences, Int64[np.ndarray, "comparison"]]:
    shown = [asked[used[place].question] for place in at]
    said = [used[place].ranked(question) for place, question in zip(at, shown, strict=True)]
    labels = Preferences.from_rankings(
        [[list(place) for place in ranking.places] for ranking in said],
        annotator=at,
        lists=[list(question.members) for question in shown],
        worst=[NOT_SAID if ranking.worst is None else ranking.worst for ranking in said],
    )
    assert labels.annotator is not None
    source = labels.annotator.astype(np.int64)
    names = np.array([answer.annotator for answer in used])[source]
    return replace(labels, annotator=names if (names != "").any() else None), source


def used_answers(questions: Sequence[Question], answers: Iterable[Answer]) -> list[Answer]:
    """The answers that count and are no skips, in the order of the questions."""
    place = {question.id: number for number, question in enumerate(questions)}
    used = [answer for answer in latest(answers).values() if answer.verdict != "skip"]
    return sorted(used, key=lambda answer: (place[answer.question], answer.annotator, answer.vote))


def order_of_telling(questions: Sequence[Question], answers: Iterable[Answer]) -> Int64[np.ndarray, "comparison"]:
    """Positions of the preferences of :func:`as_preferences` in the order in which they were told."""
    used = used_answers(questions, answers)
    _, source = labels_of(questions, answers)
    told = sorted(range(len(source)), key=lambda row: (used[source[row]].told, used[source[row]].id))
    return np.array(told, dtype=np.int64)


def outcome_of(answer: Answer, grades: int | None = None) -> float:
    """1 where the first is better, 0 where the second is, ½ for a tie, or the probability that a data set says.

    On a scale of ``grades`` points it is the grade; an answer without one is of middling points.
    """
    if grades is not None and answer.grade is not None:
        return answer.grade
    outcome = OUTCOMES[answer.verdict] if answer.outcome is None else answer.outcome
    return outcome if grades is None else without_points(outcome, grades)


@dataclass(frozen=True)
class ChosenLikelihood:
    """A likelihood by name, and why it."""

    name: str
    reason: str


def choose_likelihood(preferences: Preferences, rankings: bool = False) -> ChosenLikelihood:
    """What the answers call for: reliabilities where several answer, a probability of ties where there are some.

    Rankings of lists, which are there or are to come with ``rankings``, have neither: they are taken as choices of the
    best among those left, whoever gave them.
    """
    if rankings or preferences.choice is not None:
        return ChosenLikelihood(
            "bradley-terry", "some answers are rankings, which it takes as choices of the best"
        )
    ties = int((preferences.outcome == 0.5).sum())
    named = Counter(() if preferences.annotator is None else preferences.annotator.tolist())
    named.pop("", None)
    frequent = sum(count >= NAMED_ANSWERS for count in named.values())
    if frequent >= 2:
        return ChosenLikelihood(
            "annotators",
            f"{frequent} annotators have {NAMED_ANSWERS} answers and more, so each has a reliability"
            f"{_counting_ties(ties)}",
        )
    if ties >= TIES:
        are = one_or_many(ties, "is a tie", "are ties")
        return ChosenLikelihood("davidson", f"{counted(ties, 'answer')} {are}, so how often equals tie is learned")
    reason = f"one kind of annotator and next to no ties{_counting_ties(ties)}" if ties else ""
    return ChosenLikelihood("bradley-terry", reason)


def _counting_ties(ties: int) -> str:
    if not ties:
        return ""
    return f"; the {one_or_many(ties, 'tie counts', f'{ties} ties count')} as half a win for either side"
