"""Which pair a label means, where several pairs of a pool read alike.

Short answers to a prompt are often the same text, and then a label that is found by its texts could be of several
pairs. A row that names a question of the campaign is about that one. Else a pair that the campaign has a question about
is meant, before all one that has this very answer already, so that labels that were told before are found again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from bayesrm.campaign.answers import OUTCOMES, latest, outcome_of
from bayesrm.campaign.ballot import decided
from bayesrm.campaign.handoff.base import time_of
from bayesrm.campaign.rankings import LETTERS
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.store import Store
from bayesrm.data.formats.base import Label
from bayesrm.data.matching import Chosen
from bayesrm.errors import InvalidInputError


class AskedPairs:
    """The questions of a campaign, by which labels of a file are told apart that read alike.

    Parameters
    ----------
    store
        Of the campaign.
    annotator
        Who gave the labels of the file, where it does not say.
    users
        What it calls who gave them → their name.
    """

    def __init__(self, store: Store, annotator: str = "", users: Mapping[str, str] | None = None) -> None:
        self._annotator, self._users, self._names = annotator, users or {}, store.names()
        questions = store.questions()
        self._by_id = {question.id: question for question in questions}
        # Questions that were asked before those that a data set brought, each in their order.
        ordered = sorted((question for question in questions if not question.is_list), key=lambda q: q.batch <= 0)
        self._places = {question.id: place for place, question in enumerate(ordered)}
        self._about: defaultdict[frozenset[int], list[Question]] = defaultdict(list)
        for question in ordered:
            self._about[frozenset((question.first, question.second))].append(question)
        self._rankings: defaultdict[tuple[str, str], list[Answer]] = defaultdict(list)
        counting = list(latest(store.answers()).values())
        for answer in counting:
            if self._by_id[answer.question].is_list:
                self._rankings[answer.question, answer.annotator].append(answer)
        standing = [a for a in counting if a.verdict in OUTCOMES and not self._by_id[a.question].is_list]
        self._given = Counter((a.question, a.annotator, outcome_of(a), a.answered) for a in standing)
        self._answered = {(a.question, a.annotator) for a in standing}
        self._left = defaultdict(float, {said: float(count) for said, count in self._given.items()})

    def __call__(self, pairs: Sequence[tuple[int, int]], label: Label) -> Chosen | None:
        """The pair that a label is of, and the question that it names; None where no question is about one of them.

        Parameters
        ----------
        pairs
            Those that read like the label's, the response that it has first before the other one.
        label
            What was said.

        Raises
        ------
        InvalidInputError
            Where it names a question that shows other texts.
        """
        name, _, letters = (label.question or "").partition(":")
        named = self._by_id.get(name)
        if named is not None:
            about = {frozenset(pair) for pair in _named_by(letters, named)}
            own = [pair for pair in pairs if frozenset(pair) in about]
            if not own:
                raise InvalidInputError(
                    f"it shows other texts than {named.id} asks about: the cells of the row do not belong together, so "
                    "put them right and tell the file again"
                )
            if named.is_list:
                return Chosen(*self._of_list(named, own, label), named.id)
            return Chosen(*self._best([(named, pair) for pair in own], label)[1], named.id)
        found = [(question, pair) for pair in pairs for question in self._about.get(frozenset(pair), ())]
        return Chosen(*self._best(found, label)[1]) if found else None

    def _of_list(self, question: Question, pairs: Sequence[tuple[int, int]], label: Label) -> tuple[int, int]:
        """The first that a ranking of this person says of the list; two that read the same come in both orders."""
        said = self._rankings[question.id, self._who(label)]
        agreed = (p for p in pairs if any(decided(answer, question, p) == label.outcome for answer in said))
        return next(agreed, pairs[0])

    def _who(self, label: Label) -> str:
        """Who gave a label, by their present name."""
        name = label.annotator or ""
        return self._names.of(self._users.get(name, name or self._annotator))

    def _best(
        self, found: Sequence[tuple[Question, tuple[int, int]]], label: Label
    ) -> tuple[Question, tuple[int, int]]:
        """The first that has this very answer, and not for another label; else one that this person answered."""
        who, when = self._who(label), time_of(label.answered)

        def said(question: Question, pair: tuple[int, int]) -> tuple[str, str, float, str | None]:
            outcome = label.outcome if pair[0] == question.first else 1 - label.outcome
            return question.id, who, outcome, when

        def rank(one: tuple[Question, tuple[int, int]]) -> tuple[bool, bool, bool, int]:
            key = said(*one)
            answered = bool(who) and (one[0].id, who) in self._answered
            return self._left[key] <= 0, self._given[key] <= 0, not answered, self._places[one[0].id]

        best = min(found, key=rank)
        # Ties are also written as two halves, in both orders.
        self._left[said(*best)] -= 0.5 if label.outcome == 0.5 and label.weight == 0.5 else 1.0
        return best


def _named_by(letters: str, question: Question) -> list[tuple[int, int]]:
    """The pair of a list that two letters name; all pairs of a question where they name none."""
    members = dict(zip(LETTERS, question.members, strict=False))
    if len(letters) == 2 and set(letters) <= set(members):
        return [(members[letters[0]], members[letters[1]])]
    return question.pairs
