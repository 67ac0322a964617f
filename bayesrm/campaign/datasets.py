"""Data sets of labels as a campaign takes them: files in the forms that ``embed`` reads, which are no hand-offs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from bayesrm.campaign.asked_pairs import AskedPairs
from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.base import Broken, ParsedAnswer
from bayesrm.campaign.handoff.files import PARQUET, as_json, read_answers, suffix_of
from bayesrm.campaign.handoff.tables import is_id
from bayesrm.campaign.meanings import settle
from bayesrm.campaign.store import Store
from bayesrm.campaign.tell import recognised
from bayesrm.data.formats import FORMATS
from bayesrm.data.formats.base import Label
from bayesrm.data.matching import (
    Choose,
    MatchedLabel,
    MatchedLabels,
    PoolTexts,
    match_labels,
    open_source,
)
from bayesrm.data.sources import read_rows
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool

OF_HANDOFFS = frozenset({"question", "answer"})
"""Columns of a sheet or of lines that ``ask`` wrote."""
OF_LABELS = frozenset({"chosen", "rejected", "winner"})
"""A file with one of these holds labels, even if it is not known yet how to read it."""

OUTCOME_OF = {"left": 1.0, "tie": 0.5, "right": 0.0}
"""A side → the outcome, with the left response as the first."""


def is_data_set(path: Path, form: str | None) -> bool:
    """Whether a file that is told is a data set of labels, and no file that ``ask`` wrote or a tool exported.

    Parameters
    ----------
    path
        The file.
    form
        The format that somebody named; None where nobody did.

    Raises
    ------
    InvalidInputError
        Where it holds labels, and could not be read without being told more.
    """
    if form is not None:
        return form in FORMATS and form not in HANDOFFS
    try:
        sample = [row for _, row in islice(read_rows(str(path)), 10) if not isinstance(row, InvalidInputError)]
    except InvalidInputError:
        return suffix_of(path) == PARQUET  # whoever reads it says what is wrong
    columns = {name.strip().lower() for row in sample for name in row if isinstance(name, str)}
    if suffix_of(path) == PARQUET:
        return not (columns >= OF_HANDOFFS or _exported(as_json(sample), ".json"))
    if not sample or columns >= OF_HANDOFFS or _exported(read_answers(path), suffix_of(path)):
        return False
    try:
        open_source(str(path), [])
    except InvalidInputError:
        if columns & OF_LABELS:
            raise
        return False
    return True


def read_data_set(path: Path, pool: ResponsePool, pool_path: Path, choose: Choose | None = None) -> MatchedLabels:
    """The labels of a file that are about responses of a pool; ``choose`` tells apart pairs that read alike.

    Raises
    ------
    InvalidInputError
        Where it cannot be read, or not one of its labels is.
    """
    found = match_labels(str(path), PoolTexts.of(pool, pool_path), choose=choose)
    if not found.labels:
        first = f" ({': '.join(found.aside[0])})" if found.aside else ""
        raise InvalidInputError(
            f"not one of the {found.rows} rows of {path}, read as {found.format}, is a label of two responses of the "
            f"pool {pool_path}{first}"
        )
    return found


def read_export(
    path: Path,
    form: str | None,
    texts: PoolTexts,
    meanings: Mapping[str, str] | None = None,
    choose: Choose | None = None,
) -> MatchedLabels | None:
    """The answers of a file that a tool exported or somebody filled in, found in a pool by the texts that it shows.

    Of several answers of one annotator to a question the latest is taken.

    Parameters
    ----------
    path
        The file.
    form
        Its hand-off; None recognises it.
    texts
        Of the pool.
    meanings
        Words of answers → sides, where somebody said what they mean.
    choose
        Tells which pair is meant where several of the pool read alike; default the first.

    Returns
    -------
    MatchedLabels or None
        None where the file shows no texts.

    Raises
    ------
    InvalidInputError
        Where it cannot be read.
    """
    data = read_answers(path)
    handoff = recognised(data, path) if form is None else HANDOFFS[form]()
    parts = settle(handoff.read(handoff.with_ids(data)), meanings or {}, path.name)
    if not any(isinstance(part, ParsedAnswer) and _texts(part) for part in parts):
        return None
    found: dict[tuple[str, str], tuple[str, MatchedLabel]] = {}
    aside: list[tuple[str, str]] = []
    for part in parts:
        if isinstance(part, Broken):
            aside.append((part.place, part.reason))
        elif part.side in OUTCOME_OF:
            shown = _texts(part)
            if shown is None:
                aside.append((part.place, "the texts of the question are not in the file"))
                continue
            outcome, who = OUTCOME_OF[part.side], part.annotator or None
            label = Label(0, 1, outcome, annotator=who, answered=part.answered, question=part.question)
            try:
                pair = texts.pair(*shown, label, choose)
            except InvalidInputError as error:
                aside.append((part.place, str(error)))
                continue
            key = part.question, part.annotator or part.place
            before = found.get(key)
            if before is None or (part.answered or "") >= before[0]:
                found[key] = (
                    part.answered or "",
                    MatchedLabel(part.place, pair.first, pair.second, label, pair.question),
                )
    labels = tuple(one for _, one in found.values())
    return MatchedLabels(labels, tuple(aside), handoff.name, len(parts))


def labels_by_texts(
    path: Path,
    form: str | None,
    meanings: Mapping[str, str],
    store: Store,
    pool: ResponsePool,
    pool_path: Path,
    annotator: str = "",
    users: Mapping[str, str] | None = None,
    again: bool = False,
) -> MatchedLabels | None:
    """What a file says of pairs that it shows in words.

    Parameters
    ----------
    path, form
        The file, and its format where somebody named it.
    meanings
        Words of answers → sides, where somebody said what they mean.
    store
        Of the campaign that it is told to.
    pool, pool_path
        The pool of that campaign.
    annotator, users
        Who answered where the file does not say, and names of those whom it calls otherwise.
    again
        Also what another campaign asked.

    Returns
    -------
    MatchedLabels or None
        None where it answers questions by their ids, those of the campaign or of another one, or shows no pair of the
        pool.

    Raises
    ------
    InvalidInputError
        Where it is a data set that cannot be read, or is about another pool.
    """
    if not path.is_file():
        return None
    if is_data_set(path, form):
        return read_data_set(path, pool, pool_path, AskedPairs(store, annotator, users))
    if pool.texts is None or _is_of_a_campaign(path, form, store, others=not again):
        return None
    choose = AskedPairs(store, annotator, users)
    found = read_export(path, form, PoolTexts.of(pool, pool_path), meanings, choose)
    return found if found is not None and found.labels else None


def _is_of_a_campaign(path: Path, form: str | None, store: Store, others: bool) -> bool:
    """Whether a file answers what this campaign asked, or one of the others, whose question may be another one, too.

    Two campaigns about a pool, such as which response helps more and which one harms less, ask about the same texts.
    """
    data = read_answers(path)
    handoff = recognised(data, path) if form is None else HANDOFFS[form]()
    asked = {question.id for question in store.questions()}
    named = {part.question for part in handoff.read(data)}
    return bool(named & asked) or (others and any(map(is_id, named)) and not handoff.holds_labels(data))


def _texts(part: ParsedAnswer) -> tuple[str, str, str] | None:
    """Prompt, left and right, where the file shows them all."""
    prompt, left, right = (part.shown.get(name) for name in ("prompt", "left", "right"))
    if not (isinstance(prompt, str) and isinstance(left, str) and isinstance(right, str)):
        return None
    return prompt, left, right


def _exported(data: bytes, suffix: str) -> bool:
    """Whether a format that is known by its content knows a file."""
    return any(part().recognises(data, suffix) for part in HANDOFFS.values() if part.order == 0)
