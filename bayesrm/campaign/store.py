"""The label store of a campaign: one SQLite file in WAL mode, to which rows are only ever added.

Whatever is written is one transaction, so a kill at any moment leaves all of it or nothing. Triggers refuse changes to
what was asked and answered: a correction is a new row, and which row counts is decided when they are read.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bayesrm.campaign.tables import FORMAT, add_missing, make_tables
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import replacing

STORE_FILE = "campaign.sqlite"
BUSY_SECONDS = 60
"""How long a command waits for another one that is writing."""
GIVEN_HERE = ("page", "terminal")
"""Formats of answers that came from no file."""


@dataclass(frozen=True)
class Question:
    """A pair as it is asked.

    Parameters
    ----------
    id
        What answers refer to; no other campaign has it.
    batch, place
        The number of the batch, from 1, and the place in it, from 1.
    first, second
        Indices of the two responses in the pool.
    first_is_left
        Whether the first stands on the left.
    gain
        What the design expected of it.
    annotators
        Who is to answer it; empty where anybody may.
    wanted
        How many annotators are to answer it.
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

    @property
    def left(self) -> int:
        """The response on the left."""
        return self.first if self.first_is_left else self.second

    @property
    def right(self) -> int:
        """The response on the right."""
        return self.second if self.first_is_left else self.first

    def verdict(self, side: str) -> str:
        """What "left", "right", "tie" or "skip" says of first and second."""
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
    """

    answer: int
    retracted: str
    by: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """A row of the store: what an annotator said of a question, once.

    Parameters
    ----------
    question, annotator
        Who said it of what; the annotator is "" where nobody is named.
    verdict
        "first", "second", "tie" or "skip".
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

    @property
    def when(self) -> str:
        """What later answers are later than: the time of the answer, or else of its telling."""
        return self.answered or self.told


class Store:
    """The SQLite file of a campaign.

    Parameters
    ----------
    directory
        The campaign's.

    Raises
    ------
    InvalidInputError
        Where there is no campaign, or one of another format.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / STORE_FILE
        self._kept: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        if not self.path.exists():
            raise InvalidInputError(
                f"expected a campaign in {directory}, and there is none: make one with bayesrm campaign init"
            )
        with self._connection() as connection:
            (there,) = connection.execute("PRAGMA user_version").fetchone()
        if 1 <= there < FORMAT:
            self._upgrade()
        elif there != FORMAT:
            raise InvalidInputError(
                f"expected a campaign of format {FORMAT}, and {directory} is of format {there}: use the version of "
                f"bayesrm that made it{', which is newer' if there > FORMAT else ''}"
            )

    @classmethod
    def create(cls, directory: Path, settings: dict[str, Any]) -> Store:
        """A new store with these settings, whole or not at all."""
        cls.refuse_second(directory)
        with (
            replacing(directory / STORE_FILE) as temporary,
            closing(sqlite3.connect(temporary, isolation_level=None)) as db,
        ):
            make_tables(db)
            rows = [(name, json.dumps(value)) for name, value in settings.items()]
            db.executemany("INSERT INTO setting VALUES (?, ?)", rows)
        return cls(directory)

    def _upgrade(self) -> None:
        """Add what older formats have not, whole or not at all; nothing of what is there changes."""
        with self._transaction() as db:
            add_missing(db)

    @staticmethod
    def refuse_second(directory: Path) -> None:
        """InvalidInputError where a folder has a campaign."""
        if (directory / STORE_FILE).exists():
            raise InvalidInputError(
                f"{directory} holds a campaign already: choose another folder, or go on with it"
            )

    def keep_open(self) -> None:
        """From now on use one connection, one thread after another: for a server, whose rows are few at a time."""
        if self._kept is None:
            self._kept = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            _set_up(self._kept)

    def close(self) -> None:
        """End what :meth:`keep_open` began."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def version(self) -> int:
        """A number that changes when somebody else wrote; of a store that is kept open."""
        ((number,),) = self._rows("PRAGMA data_version")
        return int(number)

    def settings(self) -> dict[str, Any]:
        """What the campaign was made with."""
        return {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM setting")}

    def questions(self) -> list[Question]:
        """All that was asked, in order of asking."""
        rows = self._rows(
            "SELECT id, batch, place, first, second, first_is_left, gain, annotators, wanted FROM question "
            "ORDER BY batch, place"
        )
        return [
            Question(name, batch, place, first, second, bool(left), gain, tuple(json.loads(who)), wanted)
            for name, batch, place, first, second, left, gain, who, wanted in rows
        ]

    def batches(self) -> list[dict[str, Any]]:
        """Number, time, design and settings of each batch."""
        rows = self._rows("SELECT number, asked, design, settings FROM batch ORDER BY number")
        return [{"number": n, "asked": at, "design": by, **json.loads(more)} for n, at, by, more in rows]

    def answers(self) -> list[Answer]:
        """Every answer that was told and not taken back, in order of telling."""
        return [Answer(*row) for row in self._rows(_STANDING)]

    def retracted(self) -> list[tuple[Answer, Retraction]]:
        """The answers that were taken back, in order of taking back."""
        rows = self._rows(
            f"SELECT {_ANSWER}, retraction.answer, retracted, by, reason FROM answer "
            "JOIN retraction ON retraction.answer = answer.id ORDER BY retraction.id"
        )
        return [(Answer(*row[:-4]), Retraction(*row[-4:])) for row in rows]

    def on_screens(self) -> dict[str, dict[str, str]]:
        """Question → annotator → until when it is kept for them, of what is on a screen now."""
        rows = self._rows("SELECT question, annotator, until FROM shown ORDER BY id")
        latest = {(question, annotator): until for question, annotator, until in rows}
        at = now()
        found: dict[str, dict[str, str]] = {}
        for (question, annotator), until in latest.items():
            if until > at:
                found.setdefault(question, {})[annotator] = until
        return found

    def sources(self) -> list[dict[str, Any]]:
        """Every file that was told, with what became of it."""
        rows = self._rows("SELECT name, format, told, counts FROM source ORDER BY id")
        return [
            {"name": name, "format": form, "told": told, **json.loads(counts)} for name, form, told, counts in rows
        ]

    def asides(self) -> list[tuple[str, str, str]]:
        """File, place and reason of each row that was set aside."""
        query = "SELECT source.name, aside.place, aside.reason FROM aside JOIN source ON source.id = aside.source"
        return [tuple(row) for row in self._rows(f"{query} ORDER BY aside.id")]

    def rounds(self) -> list[dict[str, Any]]:
        """What each fit found, oldest first; ``labels`` tells the labels that it was fitted to."""
        rows = self._rows("SELECT fitted, labels, findings FROM round ORDER BY id")
        return [{"fitted": at, "labels_digest": labels, **json.loads(more)} for at, labels, more in rows]

    def add_batch(self, number: int, design: str, settings: dict[str, Any], questions: Sequence[Question]) -> None:
        """Keep a batch that is about to be asked."""
        try:
            with self._transaction() as db:
                db.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", (number, now(), design, json.dumps(settings)))
                _insert(db, questions)
        except sqlite3.IntegrityError as error:
            raise InvalidInputError(
                "another command asked a batch at the same time, so this one was given up and nothing was asked: "
                "run it again"
            ) from error

    def add_round(self, labels: str, findings: dict[str, Any]) -> None:
        """Keep what a fit found."""
        with self._transaction() as db:
            row = (now(), labels, json.dumps(findings))
            db.execute("INSERT INTO round (fitted, labels, findings) VALUES (?, ?, ?)", row)

    @contextmanager
    def telling(self) -> Iterator[Telling]:
        """One transaction in which a file is taken; others that tell wait until it is over."""
        with self._transaction() as db:
            yield Telling(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _rows(self, query: str) -> list[tuple]:
        with self._connection() as db:
            return db.execute(query).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._kept is not None:
                with self._lock:
                    yield self._kept
                return
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as db:
                _set_up(db)
                yield db
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            raise InvalidInputError(
                f"the label store {self.path} cannot be used now ({error}), and nothing of this was written to it: "
                "see that no other command hangs and that the disk is not full, then run this again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise InvalidInputError(
                f"{self.path} is not a whole label store ({error}): put back a copy"
            ) from error


class Telling:
    """The taking of one file, inside its transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def known(self, sha256: str, annotator: str) -> str | None:
        """When a file of this content was told, if it was."""
        query = "SELECT told FROM source WHERE sha256 = ? AND annotator = ?"
        row = self._db.execute(query, (sha256, annotator)).fetchone()
        return None if row is None else row[0]

    def answers(self) -> list[Answer]:
        """Every answer told before and not taken back."""
        return [Answer(*row) for row in self._db.execute(_STANDING)]

    def retract(self, answers: Sequence[int], by: str, reason: str) -> int:
        """Take back answers by the numbers of their rows, and say how many of them were not taken back before."""
        at = now()
        return self._db.executemany(
            "INSERT OR IGNORE INTO retraction (answer, retracted, by, reason) VALUES (?, ?, ?, ?)",
            [(answer, at, by, reason) for answer in answers],
        ).rowcount

    def answer(self, answer: Answer, form: str) -> Answer:
        """Keep one answer with a key, given on the page or in the terminal; the row of this key where there is one."""
        query = f"SELECT {_ANSWER} FROM answer WHERE key = ?"
        there = self._db.execute(query, (answer.key,)).fetchone()
        if there is not None:
            return Answer(*there)
        told = now()
        self._db.execute(
            "INSERT OR IGNORE INTO source (name, sha256, format, annotator, told, counts) VALUES (?, ?, ?, ?, ?, '{}')",
            (form, form, form, answer.annotator, told),
        )
        self._db.execute(
            "INSERT INTO answer (question, annotator, verdict, answered, place, comment, told, source, key, seconds) "
            "SELECT ?, ?, ?, ?, ?, ?, ?, id, ?, ? FROM source WHERE sha256 = ? AND annotator = ?",
            (
                answer.question, answer.annotator, answer.verdict, told, answer.place, answer.comment, told, answer.key,
                answer.seconds, form, answer.annotator,
            ),
        )  # fmt: skip
        return Answer(*self._db.execute(query, (answer.key,)).fetchone())

    def show(self, question: str, annotator: str, until: str) -> None:
        """Note that a question is on somebody's screen, and until when it is kept for them."""
        row = question, annotator, now(), until
        self._db.execute("INSERT INTO shown (question, annotator, shown, until) VALUES (?, ?, ?, ?)", row)

    def ask(self, question: Question) -> bool:
        """Add a question to a batch that is there; False where its pair was asked before."""
        try:
            _insert(self._db, [question])
        except sqlite3.IntegrityError:
            return False
        return True

    def add(
        self,
        name: str,
        sha256: str,
        form: str,
        annotator: str,
        counts: dict[str, int],
        answers: Sequence[Answer],
        asides: Sequence[tuple[str, str]],
    ) -> None:
        """The file, its answers, and what of it is set aside for which reason."""
        told = now()
        source = self._db.execute(
            "INSERT INTO source (name, sha256, format, annotator, told, counts) VALUES (?, ?, ?, ?, ?, ?)",
            (name, sha256, form, annotator, told, json.dumps(counts)),
        ).lastrowid
        self._db.executemany(
            "INSERT INTO answer (question, annotator, verdict, answered, place, comment, told, source) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(a.question, a.annotator, a.verdict, a.answered, a.place, a.comment, told, source) for a in answers],
        )
        rows = [(source, place, reason) for place, reason in asides]
        self._db.executemany("INSERT INTO aside (source, place, reason) VALUES (?, ?, ?)", rows)


def _set_up(db: sqlite3.Connection) -> None:
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        db.execute(f"PRAGMA {setting}")


def _insert(db: sqlite3.Connection, questions: Sequence[Question]) -> None:
    rows = [
        (
            q.id, q.batch, q.place, q.first, q.second, int(q.first_is_left), q.gain, json.dumps(q.annotators),
            q.wanted,
        )
        for q in questions
    ]  # fmt: skip
    db.executemany("INSERT INTO question VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


_ANSWER = "question, annotator, verdict, answered, place, comment, told, answer.id, key, seconds"
_STANDING = f"SELECT {_ANSWER} FROM answer WHERE id NOT IN (SELECT answer FROM retraction) ORDER BY id"


def now() -> str:
    """The time in ISO 8601 and UTC, so that texts order like times."""
    return as_text(datetime.now(UTC))


def as_text(moment: datetime) -> str:
    """A time in the one form that the store has; one without a zone is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")
