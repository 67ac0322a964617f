"""Taking answers back: they no longer count, and stay in the store with who took them back, when and why.

What the same person said of a question before, and corrected by an answer that is taken back, counts again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from bayesrm.campaign.answers import latest
from bayesrm.campaign.decisions import NOT_SAID, OWNER, require_there, said
from bayesrm.campaign.store import Store
from bayesrm.campaign.writing import Telling
from bayesrm.errors import InvalidInputError
from bayesrm.utils.checked import Unicode, checked
from bayesrm.utils.files import sha256
from bayesrm.utils.wording import counted, one_or_many


@dataclass(frozen=True)
class UntellReport:
    """What was taken back.

    Parameters
    ----------
    answers
        How many answers.
    people
        Whose they were, "" for nobody who is named.
    questions
        How many questions they were about.
    counting_again
        Earlier answers of the same people, which count again.
    dry_run
        Whether this is only what would be taken back.
    """

    answers: int
    people: tuple[str, ...]
    questions: int
    counting_again: int = 0
    dry_run: bool = False

    def __str__(self) -> str:
        whose = ", ".join(name or "nobody who is named" for name in self.people)
        would = "would be" if self.dry_run else one_or_many(self.answers, "is", "are")
        about = counted(self.questions, "question")
        text = f"{counted(self.answers, 'answer')} by {whose} to {about} {would} taken back."
        if self.counting_again:
            count = one_or_many(self.counting_again, "counts", "count")
            text += f" {counted(self.counting_again, 'earlier answer')} that they had corrected {count} again."
        return (
            f"{text} Nothing was written." if self.dry_run else f"{text} They stay in the store, with the reason."
        )


class CanUntell:
    """Takes answers of a campaign back.

    Attributes
    ----------
    store : Store
        Its label store.
    """

    store: Store

    @checked
    def untell(
        self,
        *files: str | os.PathLike[str],
        annotators: Collection[str] = (),
        batches: Collection[int] = (),
        questions: Collection[str] = (),
        by: Unicode = OWNER,
        reason: Unicode = NOT_SAID,
        dry_run: bool = False,
    ) -> UntellReport:
        """Take back the answers that match every condition given.

        Parameters
        ----------
        *files : str or path
            Files that were told, by name, or by content where they are there.
        annotators : collection of str, optional
            People; "" for answers without a name.
        batches : collection of int, optional
            Numbers of batches.
        questions : collection of str, optional
            Ids of questions.
        by : str, default "owner"
        reason : str, default "not said"
            Who takes them back, and why; both are kept, with the answers.
        dry_run : bool, default False
            Whether to say only what would be taken back.

        Raises
        ------
        InvalidInputError
            Where nothing is given, or no answer that counts is like that.
        """
        annotators, batches, questions = tuple(annotators), tuple(batches), tuple(questions)
        if not (files or annotators or batches or questions):
            raise InvalidInputError(
                "expected what to take back, and nothing was said: name a file that was told, --annotator, --batch or "
                "--answer"
            )
        by, reason = said(by, reason)
        asked = {question.id: question for question in self.store.questions()}
        require_there("batch", batches, {question.batch for question in asked.values()})
        require_there("question", questions, asked)
        scope = "answer" if questions else "annotator" if annotators else "batch" if batches else "file"
        with self.store.reading() if dry_run else self.store.telling() as telling:
            before = telling.answers()
            wanted = [
                answer
                for answer in before
                if (not batches or asked[answer.question].batch in batches)
                and (not questions or answer.question in questions)
                and (not annotators or answer.annotator in annotators)
            ]
            if files:
                told = rows_told_by(telling, files)
                wanted = [answer for answer in wanted if answer.id in told]
            if not wanted:
                people = sorted({answer.annotator or "nobody who is named" for answer in before})
                raise InvalidInputError(
                    "no answer that counts is like that, so nothing was taken back: "
                    + (f"there are answers by {', '.join(people)}" if people else "there are no answers")
                )
            standing = latest(before)
            left = latest(answer for answer in before if answer.id not in {answer.id for answer in wanted})
            keys = {(answer.question, answer.annotator) for answer in wanted}
            again = sum(key in left and left[key].id != standing[key].id for key in keys)
            if not dry_run:
                telling.retract([answer.id for answer in wanted], by, reason, scope)
            people_of = tuple(sorted({answer.annotator for answer in wanted}))
            return UntellReport(len(wanted), people_of, len({key[0] for key in keys}), again, dry_run)


def rows_told_by(telling: Telling, files: Iterable[str | os.PathLike[str]]) -> set[int]:
    """The rows of answers that came from files."""
    sources = telling.sources()
    wanted: set[int] = set()
    for file in map(Path, files):
        digest = sha256(file) if file.is_file() else None
        found = {source.id for source in sources if source.name == file.name or source.sha256 == digest}
        if not found:
            told = ", ".join(dict.fromkeys(source.name for source in reversed(sources))) or "no file"
            raise InvalidInputError(
                f"no file of the name or content of {file} was told, so nothing was taken back: {told} was told"
            )
        wanted |= found
    return telling.rows_of(wanted)
