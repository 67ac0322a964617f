"""Batches that nobody waits for any more: their unanswered pairs are released, or the whole batch is closed.

A released pair no longer counts as open and may be asked again, under a new id; a late answer to it is taken all the
same. A closed batch is not open either, its pairs are not asked again, and answers to it are set aside.
"""

from __future__ import annotations

from dataclasses import dataclass

from bayesrm.campaign.decisions import NOT_SAID, OWNER, require_there, said
from bayesrm.campaign.store import Store
from bayesrm.errors import InvalidInputError
from bayesrm.utils.checked import Unicode, checked
from bayesrm.utils.wording import counted, one_or_many


@dataclass(frozen=True)
class ReleaseReport:
    """What became of a batch.

    Parameters
    ----------
    batch
        Its number.
    pairs
        How many pairs are released.
    answered
        How many of its pairs have an answer, and stay.
    dry_run
        Whether this is only what would become of it.
    """

    batch: int
    pairs: int
    answered: int
    dry_run: bool = False

    def __str__(self) -> str:
        would = "would be" if self.dry_run else one_or_many(self.pairs, "is", "are")
        text = (
            f"{counted(self.pairs, 'unanswered question')} of batch {self.batch} {would} released: no longer open, and "
            f"ask may choose {one_or_many(self.pairs, 'it', 'them')} again. {counted(self.answered, 'question')} with "
            f"answers {one_or_many(self.answered, 'stays', 'stay')}."
        )
        return f"{text} Nothing was written." if self.dry_run else text


@dataclass(frozen=True)
class CloseReport:
    """What became of a batch.

    Parameters
    ----------
    batch
        Its number.
    closed
        Whether it is closed now.
    open
        How many of its pairs had no answer and were not released.
    """

    batch: int
    closed: bool
    open: int

    def __str__(self) -> str:
        questions = counted(self.open, "question")
        if not self.closed:
            return (
                f"Batch {self.batch} is open again: answers to it are taken, and {questions} without one "
                f"{one_or_many(self.open, 'waits', 'wait')} for it."
            )
        return (
            f"Batch {self.batch} is closed: answers to it are set aside from now on, and {questions} without one "
            f"{one_or_many(self.open, 'is', 'are')} not waited for. --reopen takes this back."
        )


class CanRelease:
    """Releases and closes batches of a campaign.

    Attributes
    ----------
    store : Store
        Its label store.
    """

    store: Store

    @checked
    def release(
        self, batch: int, by: Unicode = OWNER, reason: Unicode = NOT_SAID, dry_run: bool = False
    ) -> ReleaseReport:
        """Wait no longer for the unanswered pairs of a batch; they may be asked again.

        Parameters
        ----------
        batch : int
            Its number.
        by : str, default "owner"
        reason : str, default "not said"
            Who decides it, and why.
        dry_run : bool, default False
            Whether to say only what would be released.

        Raises
        ------
        InvalidInputError
            Where there is no such batch, or no pair of it is left to release.
        """
        own = [question.id for question in self.store.questions() if question.batch == batch]
        require_there("batch", [batch], {entry["number"] for entry in self.store.batches()})
        with self.store.reading() if dry_run else self.store.telling() as telling:
            answered = {answer.question for answer in telling.answers()}.intersection(own)
            unanswered = [name for name in own if name not in answered | telling.released().keys()]
            if not unanswered:
                raise InvalidInputError(
                    f"no question of batch {batch} is left to release: {len(answered)} of its {len(own)} have answers, "
                    "and the others were released before"
                )
            if not dry_run:
                telling.release(unanswered, *said(by, reason))
        return ReleaseReport(batch, len(unanswered), len(answered), dry_run)

    @checked
    def close(
        self, batch: int, reopen: bool = False, by: Unicode = OWNER, reason: Unicode = NOT_SAID
    ) -> CloseReport:
        """Take no further answers to a batch, or take them again.

        Parameters
        ----------
        batch : int
            Its number.
        reopen : bool, default False
            Whether to open it again.
        by : str, default "owner"
        reason : str, default "not said"
            Who decides it, and why.

        Raises
        ------
        InvalidInputError
            Where there is no such batch, or it is as it would be already.
        """
        own = [question.id for question in self.store.questions() if question.batch == batch]
        require_there("batch", [batch], {entry["number"] for entry in self.store.batches()})
        with self.store.telling() as telling:
            there = telling.closed().get(batch)
            if (there is None) == reopen:
                state = "not closed" if there is None else f"closed already, by {there.by} at {there.closed[:19]}Z"
                raise InvalidInputError(f"batch {batch} is {state}, so nothing changed")
            telling.close(batch, not reopen, *said(by, reason))
            done = {answer.question for answer in telling.answers()} | telling.released().keys()
        return CloseReport(batch, not reopen, sum(name not in done for name in own))
