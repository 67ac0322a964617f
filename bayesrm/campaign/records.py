"""What a campaign's store holds, row by row: what was asked, what was said of it, and later decisions about both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

from bayesrm.campaign.rankings import Ranking


@dataclass(frozen=True)
class Question:
    """A pair, or a list of more responses to one prompt, as it is asked.

    Parameters
    ----------
    id
        What answers refer to; no other campaign has it.
    batch, place
        The number of the batch, from 1, and the place in it, from 1. Batches below 1 hold pairs that were not asked
        here, see :mod:`bayesrm.campaign.unasked`.
    first, second
        Indices of the two responses in the pool; of a list, of the two that are shown first.
    first_is_left
        Whether the first stands on the left.
    gain
        What the design expected of it.
    annotators
        Who is to answer it; empty where anybody may.
    wanted
        How many annotators are to answer it.
    members
        Indices of the responses of a list, in the order in which they are shown, as A, B, C and so on; empty of a pair.
    """

    id: str
    batch: int
    place: int
    first: int
    second: int
    first_is_left: bool
    gain: float
    annotators: tuple[str, ...] = ()
    wanted: int = 1
    members: tuple[int, ...] = ()

    @property
    def is_list(self) -> bool:
        """Whether more than two responses are asked about."""
        return bool(self.members)

    @property
    def shown(self) -> tuple[int, ...]:
        """All responses, in the order in which they are shown."""
        return self.members or (self.left, self.right)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """All pairs that it asks about."""
        return list(combinations(self.members, 2)) if self.members else [(self.first, self.second)]

    @property
    def left(self) -> int:
        """The response on the left."""
        return self.first if self.first_is_left else self.second

    @property
    def right(self) -> int:
        """The response on the right."""
        return self.second if self.first_is_left else self.first

    def verdict(self, side: str) -> str:
        """What "left", "right", "tie", "skip" or "ranked" says of first and second, or of a list."""
        if side in ("left", "right"):
            return "first" if (side == "left") == self.first_is_left else "second"
        return side


@dataclass(frozen=True)
class Retraction:
    """An answer that was taken back.

    Parameters
    ----------
    answer
        The number of its row.
    retracted
        When, in ISO 8601 and UTC.
    by
        Who took it back: an annotator's name, or "owner".
    reason
        Why.
    scope
        By what it was named: "file", "annotator", "batch" or "answer"; "" where an annotator took back a click.
    """

    answer: int
    retracted: str
    by: str
    reason: str
    scope: str = ""


@dataclass(frozen=True)
class Answer:
    """A row of the store: what an annotator said of a question, once.

    Parameters
    ----------
    question, annotator
        Who said it of what, by the name that they have now; the annotator is "" where nobody is named.
    verdict
        "first", "second", "tie" or "skip"; "ranked" of a list.
    answered
        When, in ISO 8601 and UTC, where the file says so.
    place
        Where in its file it stands.
    comment
        What else was said.
    told
        When it was told.
    id
        The number of its row, counted from 1; 0 before there is one.
    key
        What the page or the terminal called it, so that sending it again adds nothing; None of answers from files.
    seconds
        How long the question was on the screen, where that is known.
    vote
        Which of the annotator's answers to this question it is, from 0: a data set may hold several votes of people it
        does not name, and each counts, where a sheet has one answer that may be corrected.
    outcome
        The probability that the first is better, where a data set says it in place of a verdict.
    weight
        How much it counts; None counts as 1.
    margin
        By how much the better one is better, in the unit of the data set that says so.
    ranking
        What is said of a list, as :meth:`bayesrm.campaign.rankings.Ranking.as_json` writes it; None where its verdict
        says all.
    grade
        How much better the first is, from 0 to 1 where it is better by all that the scale has; None where nobody said.
    named
        Who it was told as, where they were renamed since; None where the name is the one that was told.
    """

    question: str
    annotator: str
    verdict: str
    answered: str | None = None
    place: str = ""
    comment: str | None = None
    told: str = ""
    id: int = 0
    key: str | None = None
    seconds: float | None = None
    vote: int = 0
    outcome: float | None = None
    weight: float | None = None
    margin: float | None = None
    ranking: str | None = None
    grade: float | None = None
    named: str | None = None

    @property
    def voter(self) -> str:
        """Who answered, and with which of their votes on the question."""
        return f"{self.annotator}\0{self.vote}" if self.vote else self.annotator

    @property
    def said(self) -> str:
        """The answer itself, the same text for the same answer."""
        if self.grade is not None:
            return f"{self.verdict} {self.grade:.4f}"
        return self.verdict if self.ranking is None else self.ranking

    def ranked(self, question: Question) -> Ranking:
        """What it says of a list: all members in one place where it is a tie."""
        if self.ranking is None:
            return Ranking((tuple(sorted(question.members)),))
        return Ranking.from_json(self.ranking)

    @property
    def told_as(self) -> str:
        """The name that it was told under."""
        return self.annotator if self.named is None else self.named


@dataclass(frozen=True)
class Renaming:
    """A name that stands for another one.

    Parameters
    ----------
    id
        The number of its row.
    old, new
        The names; ``old`` is "" where answers had none.
    renamed
        When, in ISO 8601 and UTC.
    by, reason
        Who decided it, and why.
    answers
        The rows that it is about; None where it is about all that were told under the old name or will be.
    """

    id: int
    old: str
    new: str
    renamed: str
    by: str
    reason: str
    answers: frozenset[int] | None = None


@dataclass(frozen=True)
class Release:
    """A pair that is no longer waited for, and that may be asked again.

    Parameters
    ----------
    question
        The id under which it was asked.
    released
        When, in ISO 8601 and UTC.
    by, reason
        Who decided it, and why.
    """

    question: str
    released: str
    by: str
    reason: str


@dataclass(frozen=True)
class Closing:
    """A batch to which no further answers are taken.

    Parameters
    ----------
    batch
        Its number.
    closed
        When, in ISO 8601 and UTC.
    by, reason
        Who decided it, and why.
    """

    batch: int
    closed: str
    by: str
    reason: str


@dataclass(frozen=True)
class SeenPool:
    """The pool of a campaign, as it was when all of it was read.

    Parameters
    ----------
    path
        Where it was.
    files
        Size and time of change of its files.
    content
        The digest of all of it.
    """

    path: str
    files: dict[str, list[int]]
    content: str


def now() -> str:
    """The time in ISO 8601 and UTC, so that texts order like times."""
    return as_text(datetime.now(UTC))


def as_text(moment: datetime) -> str:
    """A time in the one form that the store has; one without a zone is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")
