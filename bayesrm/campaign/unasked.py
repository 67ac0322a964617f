"""Labels that a campaign did not ask for: those that came with its pool, and data sets that are told.

A label of a pair that was asked is an answer to its question. Any other pair becomes a question of a batch that nobody
asked, so that it is never asked again. Each label is a vote. Somebody who is named and votes on a pair once corrects
what they said before; votes of people who are not named are counted, and a data set that is told again, or has grown,
adds those that it has more of.

A label that names a question of the campaign comes from an export of its own labels, or of those of a copy of it: what
the campaign has heard already, be it corrected since, is no new label.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bayesrm import rng
from bayesrm.campaign.asking import short_digest
from bayesrm.campaign.ballot import Ballot, Vote
from bayesrm.campaign.handoff.base import time_of
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.store import Store
from bayesrm.campaign.tell import TellReport
from bayesrm.campaign.writing import Telling
from bayesrm.data.matching import MatchedLabels
from bayesrm.data.preferences import PREFERENCES, load_column, load_preferences
from bayesrm.data.votes import read_votes
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences, ResponsePool, require_within
from bayesrm.utils.files import sha256

IMPORTED, TOLD = 0, -1
"""The batches of pairs that were not asked: those of the pool's own labels, and those of data sets that were told."""
BATCH_NAMES = {IMPORTED: "imported", TOLD: "told"}
OF_POOL, BY_ROWS = "pool", "row numbers"
"""The formats that the pool's own labels are kept under, and those of other files with row numbers of the pool."""


@dataclass(frozen=True)
class Told:
    """A data set that is told.

    Parameters
    ----------
    name, sha256, form
        What it is called, the digest of its bytes, and its form.
    annotator
        Who answered, where it does not say.
    votes
        Its labels.
    aside
        Place and reason of each row that is none, or is about responses that the pool does not have.
    batch
        Where pairs go that were not asked.
    """

    name: str
    sha256: str
    form: str
    annotator: str
    votes: Sequence[Vote]
    aside: Sequence[tuple[str, str]] = ()
    batch: int = TOLD


def came_with(pool_path: Path, pool: ResponsePool) -> Told | None:
    """The labels beside a pool, which bayesrm embed found in its source; None where there are none.

    Raises
    ------
    InvalidInputError
        Where they are about other responses, or are rankings.
    """
    file = pool_path / PREFERENCES
    if not file.is_file():
        return None
    return dataclasses.replace(by_rows(file, pool, "begin it with --without-labels"), form=OF_POOL, batch=IMPORTED)


def by_rows(file: Path, pool: ResponsePool, instead: str) -> Told:
    """The labels of a file that says by row numbers of the pool which responses they are about.

    Parameters
    ----------
    file
        As ``save_preferences`` writes it, or with a row a vote in CSV or JSON Lines.
    pool
        The pool.
    instead
        What to do where they are rankings, for the message.

    Raises
    ------
    InvalidInputError
        Where it cannot be read, or they are about other responses, or are rankings.
    """
    is_parquet = file.suffix == ".parquet"
    labels = load_preferences(file) if is_parquet else read_votes(file)
    require_within(labels, pool)
    if labels.choice is not None:
        raise InvalidInputError(
            f"expected labels of pairs in {file}, and they are rankings, which a campaign does not take: {instead}"
        )
    table = pq.read_table(file) if is_parquet else None
    sizes = [None if table is None else load_column(table, name, file) for name in ("margin", "grade")]
    return Told(file.name, sha256(file), BY_ROWS, "", votes_of(labels, "label", *sizes))


def votes_of(
    labels: Preferences, place: str, margins: np.ndarray | None = None, grades: np.ndarray | None = None
) -> list[Vote]:
    """Labels as votes, with their number as the place."""
    names = [""] * len(labels) if labels.annotator is None else labels.annotator.astype(str).tolist()
    weights = np.ones(len(labels)) if labels.weight is None else labels.weight
    given = np.full(len(labels), np.nan) if margins is None else margins
    graded = np.full(len(labels), np.nan) if grades is None else grades
    return [
        Vote(
            f"{place} {at + 1}",
            int(labels.first[at]),
            int(labels.second[at]),
            float(labels.outcome[at]),
            names[at],
            None,
            None if weights[at] == 1 else float(weights[at]),
            None if np.isnan(given[at]) else float(given[at]),
            None if np.isnan(graded[at]) else float(graded[at]),
        )
        for at in range(len(labels))
    ]


def data_set(path: Path, found: MatchedLabels, annotator: str, users: Mapping[str, str] | None = None) -> Told:
    """A file whose labels were found in the pool; ``users`` are names of those whom it calls otherwise."""
    named = users or {}
    votes = [
        Vote(
            one.place,
            one.first,
            one.second,
            one.label.outcome,
            named.get(one.label.annotator or "", one.label.annotator or annotator),
            time_of(one.label.answered),
            one.label.weight,
            one.label.margin,
            None if np.isnan(grade) else float(grade),
            one.question,
        )
        for one, grade in zip(found.labels, found.grades(), strict=True)
    ]
    return Told(path.name, sha256(path), found.format, annotator, votes, found.aside)


def tell_votes(store: Store, told: Told, dry_run: bool = False, again: bool = False) -> TellReport:
    """Take a data set, whole or not at all; see :meth:`bayesrm.Campaign.tell`."""
    settings = store.settings()
    with store.reading() if dry_run else store.telling() as telling:
        report = take(telling, told, settings["tag"], int(settings["seed"]), dry_run, again)
    return dataclasses.replace(report, dry_run=dry_run)


def take(
    telling: Telling, told: Told, tag: str, seed: int, dry_run: bool = False, again: bool = False
) -> TellReport:
    """Take a data set inside a transaction.

    Parameters
    ----------
    telling
        The transaction.
    told
        The data set.
    tag, seed
        Of the campaign.
    dry_run
        Whether to write nothing.
    again
        Whether to take votes that were taken back.
    """
    known = telling.known(told.sha256)
    for file in known:
        if file.annotator == told.annotator and not file.taken_back:
            return TellReport(told.name, told.form, already=file.told)
    there = telling.questions()
    pairs = [question for question in there if not question.is_list]
    asked = {_pair(question.first, question.second): question for question in pairs}
    by_id = {question.id: question for question in there}
    newest = max((question.batch for question in there), default=0)
    ballot = Ballot(telling.answers(), telling.names())
    aside = list(told.aside)
    votes: list[Vote] = []
    corrected = late = kept_back = repeated = 0
    for vote in told.votes:
        named = by_id.get(vote.question)
        if named is not None and ballot.counts_several(vote, named):
            aside.append((vote.place, "it counts what several people said, and here each of them counts already"))
        elif named is not None and ballot.knows(vote, named, again):
            repeated += 1
        else:
            votes.append(vote)
    fresh = _new_questions(dataclasses.replace(told, votes=votes), asked, tag, seed)
    asked |= {_pair(question.first, question.second): question for question in fresh}
    closed = telling.closed()
    # The very file that was taken back is meant when it is told again; others bring back nothing by the way.
    back = set() if again or any(file.taken_back for file in known) else telling.kept_back()
    taken: list[Answer] = []
    for vote in votes:
        named = by_id.get(vote.question)
        question = asked[_pair(vote.first, vote.second)] if named is None or named.is_list else named
        if question.batch in closed:
            aside.append(
                (vote.place, f"batch {question.batch} is closed: close --reopen takes answers to it again")
            )
            continue
        answer, corrects = ballot.cast(vote, question, back)
        if answer is None:
            kept_back += corrects
            repeated += not corrects
            continue
        taken.append(answer)
        corrected += corrects
        late += 0 < question.batch < newest
    unasked = {question.id for question in asked.values() if question.batch <= 0}
    report = TellReport(
        told.name,
        told.form,
        new=len(taken),
        corrected=corrected,
        late=late,
        ties=sum(answer.verdict == "tie" for answer in taken),
        repeated=repeated,
        kept_back=kept_back,
        aside=tuple(aside),
        unasked=sum(answer.question in unasked for answer in taken),
    )
    if not dry_run:
        telling.add_unasked(told.batch, BATCH_NAMES[told.batch], fresh)
        telling.add(told.name, told.sha256, told.form, told.annotator, report.counts(), taken, aside)
    return report


def _new_questions(told: Told, asked: dict[tuple[int, int], Question], tag: str, seed: int) -> list[Question]:
    """A question for each pair that does not have one yet."""
    counts = Counter(_pair(vote.first, vote.second) for vote in told.votes)
    # As the first vote has them.
    ends = {_pair(vote.first, vote.second): (vote.first, vote.second) for vote in reversed(told.votes)}
    pairs = [pair for pair in counts if pair not in asked]
    before = sum(question.batch == told.batch for question in asked.values())
    left = rng.stream(seed, "unasked", told.batch + 1, before).random(len(pairs)) < 0.5
    # As in the ids of what is asked: a copy of a campaign that is told other pairs gives them other ids.
    name = BATCH_NAMES[told.batch]
    sides = [(*ends[pair], bool(side)) for pair, side in zip(pairs, left, strict=True)]
    mark = short_digest(tag, name, before, sides)
    return [
        Question(
            f"q{tag}-{name}-{mark}-{before + place}",
            told.batch,
            before + place,
            *ends[pair],
            first_is_left=bool(left[place - 1]),
            gain=0.0,
            wanted=counts[pair],
        )
        for place, pair in enumerate(pairs, start=1)
    ]


def _pair(first: int, second: int) -> tuple[int, int]:
    return (first, second) if first < second else (second, first)
