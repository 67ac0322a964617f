"""Handing a batch out: its questions with their texts, as annotators see them, in files of any format."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.base import Sheet
from bayesrm.campaign.records import Question
from bayesrm.campaign.sheets import write_sheets
from bayesrm.campaign.source import prompt_texts
from bayesrm.campaign.store import Store
from bayesrm.errors import InvalidInputError
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked

BATCHES = "batches"
"""The folder of a campaign that questions are written to."""


class CanHandOut:
    """Writes the questions of a campaign for annotators.

    Attributes
    ----------
    directory : path
    store : Store
    pool_path : path
    pool : ResponsePool
    configuration : CampaignSettings
        Those of the campaign.
    """

    directory: Path
    store: Store
    pool_path: Path
    pool: ResponsePool
    configuration: CampaignSettings

    @checked
    def hand_out(self, to: str, batch: int | None = None, out: str | os.PathLike[str] | None = None) -> list[Path]:
        """Write the files of a batch. A file that is there and differs stays, and the new one gets a number.

        Parameters
        ----------
        to : str
            A format, see ``bayesrm.campaign.handoff``.
        batch : int, optional
            Its number; default the last.
        out : str or path, optional
            A folder; default ``batches`` in that of the campaign.

        Raises
        ------
        InvalidInputError
            Where there is no such batch or format, the format has no rankings and the batch has lists, or the pool has
            no texts to show.
        """
        handoff = HANDOFFS[to]()
        numbers = [entry["number"] for entry in self.store.batches()]
        number = max(numbers, default=0) if batch is None else batch
        if number not in numbers:
            there = f"there are batches 1 to {max(numbers)}" if numbers else "nothing was asked yet"
            raise InvalidInputError(f"there is no batch {number} in {self.directory}: {there}")
        self.require_texts()
        questions = [question for question in self.store.questions() if question.batch == number]
        if any(question.is_list for question in questions):
            require_rankings(to)
        elif self.configuration.points is not None:
            require_grades(to)
        if not HANDOFFS[to].identifies_annotators and any(q.wanted > 1 and not q.annotators for q in questions):
            raise InvalidInputError(
                f"an overlap needs the names of annotators, which a {to} file does not have: ask "
                "with --annotator for each of them, or in a tool that has users"
            )
        folder = self.directory / BATCHES if out is None else Path(out)
        names = sorted({name for question in questions for name in question.annotators}) or [""]
        stems = _stems(names, stem_of(number))
        written: list[Path] = []
        for name in names:
            own = [question for question in questions if not name or name in question.annotators]
            written += write_sheets(handoff, [self.sheet(question, name) for question in own], folder, stems[name])
        return written

    def require_texts(self) -> None:
        """InvalidInputError where nobody could read the questions."""
        if self.pool.texts is None:
            raise InvalidInputError(
                f"expected the texts of responses in the pool {self.pool_path}, and it has none, so nobody could "
                "answer: add a column response to its responses.parquet, or make the pool with bayesrm embed"
            )

    @cached_property
    def _prompts(self) -> Sequence[str]:
        return prompt_texts(self.pool_path, self.pool)

    def sheet(self, question: Question, annotator: str = "") -> Sheet:
        """A question with its texts, as an annotator sees it; of a pool that has texts."""
        texts = self.pool.texts
        assert texts is not None
        if question.is_list:
            shown = tuple(texts[member] for member in question.members)
            return Sheet(question, self._prompts[question.first], "", "", annotator, shown)
        left, right = question.left, question.right
        prompt = self._prompts[left]
        if self.pool.group[left] != self.pool.group[right]:
            prompt = f"Left answers: {prompt}\n\nRight answers: {self._prompts[right]}"
        return Sheet(question, prompt, texts[left], texts[right], annotator, grades=self.configuration.points or 0)


def require_grades(to: str) -> None:
    """InvalidInputError where a format cannot ask how much better a response is."""
    if HANDOFFS[to].grade_step is None:
        able = ", ".join(name for name, part in HANDOFFS.items() if part.grade_step is not None)
        raise InvalidInputError(f"the format {to} asks which one is better alone: hand grades out as {able}")


def require_rankings(to: str) -> None:
    """InvalidInputError where a format cannot ask for rankings."""
    if HANDOFFS[to].rank_step is None:
        able = ", ".join(name for name, part in HANDOFFS.items() if part.rank_step is not None)
        raise InvalidInputError(f"the format {to} asks about pairs only: hand lists out as {able}")


def stem_of(batch: int) -> str:
    """How the names of a batch's files begin."""
    return f"batch-{batch:03d}"


def _stems(names: Sequence[str], beginning: str) -> dict[str, str]:
    """A file name for each annotator, unique and valid on every file system."""
    stems: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^\w-]+", "_", name)
        stem = f"{beginning}-{plain}" if name else beginning
        while stem in stems.values():
            stem += "_"
        stems[name] = stem
    return stems
