"""Votes on pairs, and which of them a campaign has already."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass

from bayesrm.campaign.answers import OUTCOMES, latest, outcome_of
from bayesrm.campaign.names import Names
from bayesrm.campaign.records import Answer, Question


@dataclass(frozen=True)
class Vote:
    """A label of a data set.

    Parameters
    ----------
    place
        Where it stands, in words.
    first, second
        The responses.
    outcome
        1 where the first was preferred, 0 where the second was, ½ for a tie, or a probability.
    annotator
        Who; "" where nobody is named.
    answered
        When, in ISO 8601 and UTC.
    weight, margin
        How much it counts, and by how much one is better; None where the data set does not say.
    grade
        How much better the first is, from 0 to 1; None where the data set does not say.
    question
        The id of the campaign's question that it names; "" where it names none.
    """

    place: str
    first: int
    second: int
    outcome: float
    annotator: str = ""
    answered: str | None = None
    weight: float | None = None
    margin: float | None = None
    grade: float | None = None
    question: str = ""


class Ballot:
    """The answers of a campaign, kept up to date while votes are added.

    Parameters
    ----------
    answers
        Those that stand, in order of telling.
    names
        Who is called what now.
    """

    def __init__(self, answers: Sequence[Answer], names: Names) -> None:
        self._names = names
        self._current = latest(answers)
        of_pairs = [a for a in answers if a.verdict in OUTCOMES]
        self._said = {(a.question, a.annotator, outcome_of(a), a.answered) for a in of_pairs}
        standing = [a for a in self._current.values() if not a.annotator and a.verdict in OUTCOMES]
        self._unnamed = Counter((a.question, outcome_of(a), a.weight or 1.0) for a in standing)
        self._votes: Counter[tuple[str, str]] = Counter()
        self._of: defaultdict[tuple[str, str], list[Answer]] = defaultdict(list)
        for answer in answers:
            self._of[answer.question, answer.annotator].append(answer)
        self._people: defaultdict[str, set[str]] = defaultdict(set)
        for answer in self._current.values():
            self._people[answer.question].add(answer.annotator)

    def counts_several(self, vote: Vote, question: Question) -> bool:
        """Whether a label of a question, by nobody who is named, can only be what several who are named said of it."""
        people = self._people[question.id]
        return not self._names.of(vote.annotator) and len(people) > 1 and "" not in people

    def knows(self, vote: Vote, question: Question, again: bool) -> bool:
        """Whether a label that names a question was told before, as an export has it: a ranking as pairs, a probability
        as two rows, and what was corrected since as it was, unless ``again`` says that it is meant.
        """
        outcome = vote.outcome if vote.first == question.first else 1 - vote.outcome
        who = self._names.of(vote.annotator)
        for answer in self._of[question.id, who]:
            if question.is_list:
                if decided(answer, question, (vote.first, vote.second)) == vote.outcome:
                    return True
                continue
            if answer.verdict not in OUTCOMES or answer.answered != vote.answered:
                continue
            first = outcome_of(answer)
            if first not in (0.0, 0.5, 1.0):
                share = {1.0: first, 0.0: 1 - first}.get(outcome, math.nan)
                counted, weight = (answer.weight or 1.0) * share, vote.weight or 1.0
                # Formats without weights, and majorities, have the likelier side.
                if math.isclose(counted, weight, rel_tol=1e-9) or (share > 0.5 and weight == 1):
                    return True
            elif who and first == outcome and not again:
                return True
        return False

    def cast(
        self, vote: Vote, question: Question, back: Set[tuple[str, str, str, str | None]]
    ) -> tuple[Answer | None, bool]:
        """The answer that a vote is, and whether it corrects another one; no answer where it was told before, or, with
        True, where it was taken back.
        """
        who = self._names.of(vote.annotator)
        outcome = vote.outcome if vote.first == question.first else 1 - vote.outcome
        weight = vote.weight or 1.0
        said = _answer(vote, question, outcome, 0).said
        if {(question.id, who, words, vote.answered) for words in (said, _verdict(outcome))} & back:
            return None, True
        if not who:
            if self._unnamed[question.id, outcome, weight]:
                self._unnamed[question.id, outcome, weight] -= 1
                return None, False
            number = self._free(question.id)
        else:
            if vote.answered is not None and (question.id, who, outcome, vote.answered) in self._said:
                return None, False
            number = self._votes[question.id, who]
            self._votes[question.id, who] += 1
        answer = _answer(vote, question, outcome, number)
        named = dataclasses.replace(answer, annotator=who)
        standing = self._current.get((question.id, named.voter))
        if standing is not None and _said(standing) == (outcome, weight):
            return None, False
        self._current[question.id, named.voter] = named
        return answer, standing is not None

    def _free(self, question: str) -> int:
        """The number of the next vote of somebody who is not named."""
        number = self._votes[question, ""]
        while (question, f"\0{number}" if number else "") in self._current:
            number += 1
        self._votes[question, ""] = number
        return number


def _said(answer: Answer) -> tuple[float, float] | None:
    """The outcome of an answer and how much it counts; None of a skip."""
    return None if answer.verdict == "skip" else (outcome_of(answer), answer.weight or 1.0)


def decided(answer: Answer, question: Question, pair: tuple[int, int]) -> float | None:
    """What an answer to a list says of a pair, 1 where the first is better; None where it does not say."""
    if answer.verdict == "skip":
        return None
    for one, other, outcome in answer.ranked(question).pairs(question.members):
        if (one, other) == pair:
            return outcome
        if (other, one) == pair:
            return 1 - outcome
    return None


def _verdict(outcome: float) -> str:
    return "tie" if outcome == 0.5 else "first" if outcome > 0.5 else "second"


def _answer(vote: Vote, question: Question, outcome: float, number: int) -> Answer:
    soft = outcome not in (0.0, 0.5, 1.0)
    return Answer(
        question.id,
        vote.annotator,
        _verdict(outcome),
        vote.answered,
        vote.place,
        vote=number,
        outcome=outcome if soft else None,
        weight=vote.weight,
        margin=vote.margin,
        grade=vote.grade if vote.grade is None or vote.first == question.first else 1 - vote.grade,
    )
