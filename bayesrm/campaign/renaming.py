"""Who annotators are: another name for somebody, or a name for answers that had none. Rows keep what was told."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from bayesrm.campaign.answers import latest
from bayesrm.campaign.decisions import NOT_SAID, OWNER, require_there, said
from bayesrm.campaign.store import Store
from bayesrm.campaign.untelling import rows_told_by
from bayesrm.errors import InvalidInputError
from bayesrm.utils.checked import Unicode, checked
from bayesrm.utils.wording import counted, one_or_many


@dataclass(frozen=True)
class RenameReport:
    """Who is called what now.

    Parameters
    ----------
    old, new
        The names; ``old`` is "" for answers that had none.
    answers
        How many answers it is about.
    lasting
        Whether it holds for what will be told under the old name, too.
    merged
        Answers that the new name had already.
    superseded
        Answers that no longer count, because the same person answered the same question again later.
    dry_run
        Whether this is only what would be.
    """

    old: str
    new: str
    answers: int
    lasting: bool
    merged: int = 0
    superseded: int = 0
    dry_run: bool = False

    def __str__(self) -> str:
        would = "would be" if self.dry_run else one_or_many(self.answers, "is", "are")
        whose = f"by {self.old}" if self.old else "without a name"
        text = f"{counted(self.answers, 'answer')} {whose} {would} {self.new}'s"
        if self.merged:
            text += f", who has {self.merged} already"
        text += f"; so is what will be told as {self.old}'s." if self.lasting else "."
        if self.superseded:
            text += (
                f" Of {counted(self.superseded, 'question')} that were answered under both names the answer told last "
                "counts."
            )
        return f"{text} Nothing was written." if self.dry_run else text


class CanRename:
    """Renames annotators of a campaign.

    Attributes
    ----------
    store : Store
        Its label store.
    """

    store: Store

    @checked
    def rename(
        self,
        old: str,
        new: Unicode,
        files: Collection[str | os.PathLike[str]] = (),
        batches: Collection[int] = (),
        merge: bool = False,
        by: Unicode = OWNER,
        reason: Unicode = NOT_SAID,
        dry_run: bool = False,
    ) -> RenameReport:
        """Rename an annotator, or say whose the answers without a name are.

        Parameters
        ----------
        old : str
            The name so far; "" for answers without one.
        new : str
            The name from now on. Files that are told later under the old name are theirs, too, but not such without a
            name.
        files : collection of str or path, optional
        batches : collection of int, optional
            Only answers that came with these files, or to these batches.
        merge : bool, default False
            Whether ``new`` may be somebody who has answers already.
        by : str, default "owner"
        reason : str, default "not said"
            Who decides it, and why.
        dry_run : bool, default False
            Whether to say only what would be.

        Raises
        ------
        InvalidInputError
            Where nobody is called ``old``, or two people would become one.
        """
        old, new = old.strip(), new.strip()
        files, batches = tuple(files), tuple(batches)
        if not new or new == old:
            raise InvalidInputError(f"expected another name for {old or 'answers without one'}, got {new!r}")
        asked = {question.id: question for question in self.store.questions()}
        require_there("batch", batches, {question.batch for question in asked.values()})
        with self.store.reading() if dry_run else self.store.telling() as telling:
            answers = telling.answers()
            told = rows_told_by(telling, files) if files else None
            own = [
                answer
                for answer in answers
                if answer.annotator == old
                and (told is None or answer.id in told)
                and (not batches or asked[answer.question].batch in batches)
            ]
            put_to = any(old in question.annotators for question in asked.values()) if old else False
            lasting = bool(old) and not files and not batches
            if not own and not (lasting and put_to):
                people = sorted({answer.annotator or "nobody who is named" for answer in answers})
                raise InvalidInputError(
                    f"no answer {f'by {old}' if old else 'without a name'} is there to rename: there are "
                    + (f"answers by {', '.join(people)}" if people else "no answers")
                )
            theirs = [answer for answer in answers if answer.annotator == new]
            if theirs and not merge:
                raise InvalidInputError(
                    f"{new} has {counted(len(theirs), 'answer')} already, and two people must not become one by "
                    "mistake: add --merge where they are the same person"
                )
            both = {key[0] for key in latest(own)} & {key[0] for key in latest(theirs)}
            if not dry_run:
                rows = None if lasting else [answer.id for answer in own]
                telling.rename(old, new, rows, *said(by, reason))
        return RenameReport(old, new, len(own), lasting, len(theirs), len(both), dry_run)

    @checked
    def undo_rename(self, by: Unicode = OWNER, reason: Unicode = NOT_SAID) -> str:
        """Take the last renaming back that stands.

        Parameters
        ----------
        by : str, default "owner"
        reason : str, default "not said"
            Who decides it, and why.

        Returns
        -------
        str
            Which, in a sentence.

        Raises
        ------
        InvalidInputError
            Where there is none.
        """
        with self.store.telling() as telling:
            renamings = telling.names().renamings
            if not renamings:
                raise InvalidInputError("nobody was renamed, so there is nothing to take back")
            last = renamings[-1]
            telling.undo_renaming(last.id, *said(by, reason))
        return (
            f"{last.new} is no longer {last.old or 'whoever answered without a name'}: the renaming is taken back."
        )
