"""What the owner of a campaign can decide later about its answers, people and batches."""

from __future__ import annotations

import os
from collections.abc import Collection

from bayesrm.campaign.releasing import CloseReport, ReleaseReport, close, release
from bayesrm.campaign.renaming import RenameReport, rename, undo_rename
from bayesrm.campaign.store import Store
from bayesrm.campaign.untelling import NOT_SAID, OWNER, UntellReport, untell


class Decisions:
    """The methods of a campaign by which mistakes are undone; rows stay in its store, and decisions are added.

    Attributes
    ----------
    store : Store
        The label store of the campaign.
    """

    store: Store

    def untell(
        self,
        *files: str | os.PathLike[str],
        annotators: Collection[str] = (),
        batches: Collection[int] = (),
        questions: Collection[str] = (),
        by: str = OWNER,
        reason: str = NOT_SAID,
        dry_run: bool = False,
    ) -> UntellReport:
        """Take answers back: those of which all that is given holds.

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
        return untell(self.store, files, annotators, batches, questions, by, reason, dry_run)

    def rename(
        self,
        old: str,
        new: str,
        files: Collection[str | os.PathLike[str]] = (),
        batches: Collection[int] = (),
        merge: bool = False,
        by: str = OWNER,
        reason: str = NOT_SAID,
        dry_run: bool = False,
    ) -> RenameReport:
        """Call an annotator otherwise, or say whose answers without a name are.

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
        return rename(self.store, old, new, files, batches, merge, by, reason, dry_run)

    def undo_rename(self, by: str = OWNER, reason: str = NOT_SAID) -> str:
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
        return undo_rename(self.store, by, reason)

    def release(self, batch: int, by: str = OWNER, reason: str = NOT_SAID, dry_run: bool = False) -> ReleaseReport:
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
        return release(self.store, batch, by, reason, dry_run)

    def close(self, batch: int, reopen: bool = False, by: str = OWNER, reason: str = NOT_SAID) -> CloseReport:
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
        return close(self.store, batch, reopen, by, reason)
