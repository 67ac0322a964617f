"""Who an answer belongs to: the name that it was told under, read through the renamings that stand.

Rows keep the name that was told. A renaming is about every answer of a name, those that will be told included, or about
the answers that are listed with it; they apply in the order in which they were made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from bayesrm.campaign.records import Answer, Question, Renaming


class Names:
    """The renamings of a campaign that stand.

    Parameters
    ----------
    renamings
        In the order in which they were made.
    """

    def __init__(self, renamings: Sequence[Renaming]) -> None:
        self.renamings = tuple(renamings)

    def of(self, told: str, answer: int = 0) -> str:
        """The present name of an annotator; ``answer`` is the row of an answer told before."""
        name = told
        for renaming in self.renamings:
            if renaming.old == name and (renaming.answers is None or answer in renaming.answers):
                name = renaming.new
        return name

    def apply(self, answers: Iterable[Answer]) -> list[Answer]:
        """Answers under the present names of their annotators."""
        if not self.renamings:
            return list(answers)
        return [self._renamed(answer) for answer in answers]

    def assigned(self, questions: Iterable[Question]) -> list[Question]:
        """Questions with the present names of the annotators they were assigned to."""
        if not any(renaming.answers is None for renaming in self.renamings):
            return list(questions)
        return [self._assigned(question) for question in questions]

    def _assigned(self, question: Question) -> Question:
        people = tuple(dict.fromkeys(map(self.of, question.annotators)))
        if people == question.annotators:
            return question
        return dataclasses.replace(question, annotators=people, wanted=min(question.wanted, len(people)))

    def _renamed(self, answer: Answer) -> Answer:
        name = self.of(answer.annotator, answer.id)
        if name == answer.annotator:
            return answer
        return dataclasses.replace(answer, annotator=name, named=answer.annotator)
