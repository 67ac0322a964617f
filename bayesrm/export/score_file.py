"""Scores for a file of texts, row by row: what came in goes out again, with columns added.

- ``reward``, ``reward_sd``: of the row's response; lists where a row has several (chosen and rejected, completions).
- ``reward_lower``: mean − κ·sd, where κ is asked for.
- ``preference_probability``: P(first is preferred), where a row has two responses; chosen is the first.
- ``reward_error``: why a row has no scores, where one has none.

Of several answers, one that is empty has no reward; the others keep their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from bayesrm.data.formats.base import Item, Told
from bayesrm.data.reading import SAMPLE, Notes, Reader, open_reader
from bayesrm.data.source_columns import row_numbers
from bayesrm.data.sources import SourceRow, read_rows
from bayesrm.data.texts import BrokenRow
from bayesrm.errors import InvalidInputError
from bayesrm.export.loaded import LoadedRewardModel
from bayesrm.export.row_writers import ERROR, LOWER, PROBABILITY, REWARD, SD, WRITERS, RowWriter
from bayesrm.posteriors.base import RewardMoments
from bayesrm.utils.files import explaining_failed_write, replacing
from bayesrm.utils.progress import advancing

ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Scored:
    """What was written.

    Parameters
    ----------
    path
        The file.
    rows
        How many rows it has.
    responses
        How many responses were scored.
    format
        The form in which the source was read.
    broken
        Rows without scores, and why. Those that could not be read at all are not in the file.
    unreadable
        How many could not be read at all.
    notes
        What was decided of the file: a sentence each.
    """

    path: Path
    rows: int
    responses: int
    format: str
    broken: tuple[BrokenRow, ...]
    unreadable: int
    notes: tuple[str, ...] = ()


def score_file(
    model: LoadedRewardModel,
    source: Path,
    out: Path | None = None,
    kappa: float | None = None,
    mapping: Mapping[str, str] | None = None,
    show_progress: bool = True,
    implicit_prompt: bool = False,
    without: Sequence[str] = (),
) -> Scored:
    """Score every response of a file, a few hundred rows at a time, and write it whole or not at all.

    Parameters
    ----------
    model
        The reward model; it has to know how texts are embedded.
    source
        A file (.jsonl, .json, .csv, .parquet; .gz too) in any form that ``bayesrm embed`` reads.
    out
        Where to write: .jsonl, .csv or .parquet. Default: beside the source, ``NAME.scored`` and its kind.
    kappa
        Whether to add mean − κ·sd, and which κ.
    mapping
        What the source calls ``prompt``, ``response``, ``chosen``, ``rejected``, where its columns have other names.
    show_progress
        Whether to show a bar with the time left, on a terminal.
    implicit_prompt
        Whether the prompt is what chosen and rejected both begin with, whatever other columns there are.

    without
        Covariates that are held at their mean over the pool of the fit, see :meth:`LoadedRewardModel.reward`.

    Raises
    ------
    InvalidInputError
        Where the source cannot be read, its columns are in no known form, or the place to write to is none.
    """
    if not source.is_file():
        raise InvalidInputError(f"expected a file of texts, and {source} is none")
    if kappa is not None and not 0 <= kappa < float("inf"):
        raise InvalidInputError(f"expected a finite kappa of at least 0, got {kappa}")
    target = _target(source) if out is None else out
    if target.suffix not in WRITERS:
        raise InvalidInputError(f"expected a file named {', '.join(WRITERS)} to write scores to, got {target}")
    if target.exists():
        raise InvalidInputError(
            f"expected a new file, and {target} exists: remove it or choose another with --out"
        )
    notes: list[str] = []
    rows = read_rows(str(source), notes=notes)
    first = list(islice(rows, SAMPLE))
    sample = [row for _, row in first if not isinstance(row, InvalidInputError)]
    if not sample:
        raise InvalidInputError(f"expected rows of texts in {source}, and there are none")
    told = Told(implicit_prompt=implicit_prompt, beside=model.columns)
    reader = open_reader(sample, str(source), mapping, told)
    if reader.form.across_rows:
        raise InvalidInputError(
            f"expected rows that can be scored one by one, and those of {source} are {reader.form.name}, where the "
            "answers to a prompt stand in several: write prompt and response a row"
        )
    scoring = _Scoring(model, reader, kappa, without)
    scoring.look_at(sample, source)
    total = sum(1.0 for _ in read_rows(str(source)))
    with explaining_failed_write(target, "scores"), replacing(target) as temporary, ExitStack() as stack:
        writer: RowWriter | None = None
        advance = stack.enter_context(advancing("scoring", total, show_progress))
        for block in _blocks(chain(first, rows)):
            scored = scoring.score(block)
            if scored:
                if writer is None:
                    writer = WRITERS[target.suffix](temporary, scored, source)
                    stack.callback(writer.close)
                writer.write(scored)
            advance(float(len(block)))
        if writer is None:
            raise InvalidInputError(f"expected rows of texts in {source}, and none can be read")
        stack.close()
    return Scored(
        target,
        scoring.rows,
        scoring.responses,
        reader.form.name,
        tuple(scoring.broken),
        scoring.unreadable,
        (*notes, *reader.notes, *scoring.notes.sentences()),
    )


class _Scoring:
    """Scores of blocks of rows, and what was wrong with some."""

    def __init__(
        self, model: LoadedRewardModel, reader: Reader, kappa: float | None, without: Sequence[str]
    ) -> None:
        self.model, self.reader, self.kappa = model, reader, kappa
        self.without = model.function.covariates.chosen(without)
        self.several = self.pairs = False
        self.broken: list[BrokenRow] = []
        self.notes = Notes()
        self.rows = self.responses = self.unreadable = 0

    def look_at(self, sample: Sequence[Mapping[str, Any]], source: Path) -> None:
        """Choose the columns by some rows; nothing of the source is written over."""
        there = {REWARD, SD, LOWER, PROBABILITY, ERROR} & {name for row in sample for name in row}
        if there:
            raise InvalidInputError(
                f"{source} has columns that scores go to ({', '.join(sorted(there))}): rename or drop them first"
            )
        for row in sample:
            with suppress(InvalidInputError):
                count = _places(self.reader.item(row))
                self.several |= count > 1
                self.pairs |= count == 2 and self.model.likelihood is not None

    def score(self, block: Sequence[SourceRow]) -> list[dict[str, Any]]:
        """Rows with their scores; rows that cannot be read are left out."""
        items = [(row, item) for number, row in block if (item := self._read(number, row)) is not None]
        texts = [
            (item.prompt, answer.text) for _, item in items if isinstance(item, Item) for answer in item.answers
        ]
        self.rows, self.responses = self.rows + len(items), self.responses + len(texts)
        moments = None
        if texts:
            given = {name: self._given(block, items, name) for name in self.model.columns}
            pool = self.model.read([prompt for prompt, _ in texts], [response for _, response in texts], given)
            moments = self.model.moments(pool, self.without)
        scored, at = [], 0
        for row, item in items:
            assert not isinstance(row, InvalidInputError)
            if isinstance(item, str) or moments is None:
                scored.append({**row, **self._columns([], [], None), ERROR: str(item)})
                continue
            index = slice(at, at + len(item.answers))
            at = index.stop
            sd = moments.factor[index].square().sum(dim=1).sqrt()
            mean, sds = (_in_place(item, values) for values in (moments.mean[index].tolist(), sd.tolist()))
            columns = self._columns(mean, sds, self._probability(moments, index, item))
            scored.append({**row, **columns, ERROR: None})
        return scored

    def _read(self, number: int, row: Mapping[str, Any] | InvalidInputError) -> Item | str | None:
        """The item of a row, or why it cannot be scored; None where there is not even a row."""
        try:
            if isinstance(row, InvalidInputError):
                raise row
            item = self.reader.item(row)
            if _places(item) > 1 and not self.several:
                raise InvalidInputError(
                    f"expected one response, as in the rows at the beginning, got {_places(item)}"
                )
            for name in self.model.columns:
                row_numbers(row, name, len(item.answers), number)
        except InvalidInputError as error:
            self.broken.append(BrokenRow(number, str(error)))
            if isinstance(row, InvalidInputError):
                self.unreadable += 1
                return None
            return str(error)
        self.notes.add(item.notes, number)
        return item

    def _given(
        self, block: Sequence[SourceRow], items: Sequence[tuple[Any, Item | str]], name: str
    ) -> list[float]:
        """A column of the file as a covariate of the responses that are scored."""
        numbers = {id(row): number for number, row in block}
        return [
            value
            for row, item in items
            if isinstance(item, Item)
            for value in row_numbers(row, name, len(item.answers), numbers[id(row)])
        ]

    def _probability(self, moments: RewardMoments, index: slice, item: Item) -> float | None:
        if len(item.answers) != 2 or _places(item) != 2 or self.model.likelihood is None:
            return None
        first = torch.tensor([index.start], device=moments.mean.device)
        return float(moments.probability(self.model.likelihood, first, first + 1))

    def _columns(
        self, mean: list[float | None], sd: list[float | None], probability: float | None
    ) -> dict[str, Any]:
        columns: dict[str, Any] = {REWARD: mean, SD: sd}
        if self.kappa is not None:
            columns[LOWER] = [
                None if m is None or s is None else m - self.kappa * s for m, s in zip(mean, sd, strict=True)
            ]
        if not self.several or not mean:
            columns = {name: values[0] if values else None for name, values in columns.items()}
        return columns | ({PROBABILITY: probability} if self.pairs else {})


def _places(item: Item) -> int:
    """How many answers a row has, with those that say nothing."""
    return len(item.answers) if item.places is None else item.places


def _in_place(item: Item, values: Sequence[float]) -> list[float | None]:
    """A value for each answer of the row; None for those that say nothing."""
    full: list[float | None] = [None] * _places(item)
    for at, (answer, value) in enumerate(zip(item.answers, values, strict=True)):
        full[at if answer.place is None else answer.place] = value
    return full


def _target(source: Path) -> Path:
    """Beside the source: ``answers.jsonl.gz`` → ``answers.scored.jsonl``."""
    plain = source.with_suffix("") if source.suffix == ".gz" else source
    suffix = plain.suffix if plain.suffix in WRITERS else ".jsonl"
    return plain.with_name(f"{plain.stem}.scored{suffix}")


def _blocks(rows: Iterator[SourceRow]) -> Iterator[list[SourceRow]]:
    while block := list(islice(rows, ROWS_AT_ONCE)):
        yield block
