"""What a format of labels is: a file of preferences for another program, and how it takes ties."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.labels.rows import LabelRow


class LabelFormat(ABC):
    """A format that labels of a campaign are written in; a new one is a new file in this folder.

    Attributes
    ----------
    name : str
        What it is asked for by: ``bayesrm campaign labels DIR --to NAME``.
    suffix : str
        What its file is called after the dot.
    ties : str, default "keep"
        What becomes of ties where nobody says: "keep" where it has a word for them, "half" where programs that read it
        take them for preferences.
    weighted : bool, default True
        Whether a row can say how much it counts.
    next_step : str
        What to do with the file, in a sentence; ``{file}`` is its path.

    See Also
    --------
    bayesrm.Campaign.export_labels : Writes one.

    Examples
    --------
    >>> from bayesrm.campaign.labels.base import LabelFormat
    >>> class Transcript(LabelFormat):
    ...     '''A sentence for each label.'''
    ...     name = "transcript"
    ...     suffix = "txt"
    ...     next_step = "Read {file}."
    ...     def write(self, rows, path):
    ...         path.write_text("".join(f"{row.chosen} beats {row.rejected}\\n" for row in rows))
    ...         return [path]
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    ties: ClassVar[str] = "keep"
    weighted: ClassVar[bool] = True
    next_step: ClassVar[str]

    @abstractmethod
    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """Write a file, whole or not at all; what was written, ``path`` first."""


COLUMNS = {
    "question": "the id of the question",
    "prompt": "the prompt",
    "chosen": "the preferred response; of a tie, one of the two",
    "rejected": "the other response",
    "winner": "chosen, or tie",
    "annotator": "who said it; empty where nobody is named or several are counted together",
    "answered": "when, in ISO 8601 and UTC, where that is known",
    "weight": "how much the row counts",
    "votes": "answers to the question",
    "vote_share": "share of these for the chosen response, a tie half",
    "margin": "by how much the chosen one is better, in the unit of the data set that says so",
    "importance": "importance weight of the pair, which corrects for the design's selection bias",
    "batch": "the batch in which it was asked; below 1 it came from a data set",
    "design": "what chose the pair",
}
"""Columns of a table of labels, and what they mean."""


def as_record(row: LabelRow) -> dict[str, Any]:
    """A row under the names of ``COLUMNS``."""
    return {name: getattr(row, name) for name in COLUMNS}
