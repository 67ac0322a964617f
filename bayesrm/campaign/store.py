"""The label store of a campaign: one SQLite file in WAL mode, to which rows are only ever added.

Whatever is written is one transaction, so a kill at any moment leaves all of it or nothing. Triggers refuse changes to
what was asked and answered: a correction is a new row, and which row counts is decided when they are read.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bayesrm.campaign.names import Names
from bayesrm.campaign.opening import cannot_write, open_store
from bayesrm.campaign.records import Answer, Closing, Question, Release, Renaming, Retraction, SeenPool, now
from bayesrm.campaign.tables import FORMAT, add_missing, make_tables
from bayesrm.campaign.writing import STANDING, Telling, insert_questions, read_questions, standing_names
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import explaining_failed_write, replacing

STORE_FILE = "campaign.sqlite"

GIVEN_HERE = ("page", "terminal")
"""Formats of answers that came from no file."""


class Store:
    """The SQLite file of a campaign.

    Parameters
    ----------
    directory
        The campaign's.

    Attributes
    ----------
    read_only : bool
        Whether nothing can be written: the disk is read-only or full, or the folder is another user's.

    Raises
    ------
    InvalidInputError
        Where there is no campaign, or one of another format.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / STORE_FILE
        self.read_only = False
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
    def create(
        cls, directory: Path, settings: dict[str, Any], fill: Callable[[Telling], None] | None = None
    ) -> Store:
        """A new store with these settings, and with what ``fill`` tells it first; whole or not at all."""
        cls.refuse_second(directory)
        for leftover in leftovers(directory):
            leftover.unlink(missing_ok=True)
        with (
            explaining_failed_write(directory, "a campaign", sqlite3.OperationalError),
            replacing(directory / STORE_FILE) as temporary,
            closing(sqlite3.connect(temporary, isolation_level=None)) as db,
        ):
            make_tables(db)
            rows = [(name, json.dumps(value)) for name, value in settings.items()]
            db.executemany("INSERT INTO setting VALUES (?, ?)", rows)
            if fill is not None:
                with _writing(db):
                    fill(Telling(db))
        return cls(directory)

    def _upgrade(self) -> None:
        """Add what older formats have not, whole or not at all; nothing of what is there changes."""
        with self._connection() as db:
            db.execute("PRAGMA foreign_keys = OFF")
            with _writing(db):
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
            self._kept, self.read_only = open_store(self.path, threads=True)

    def close(self) -> None:
        """End what :meth:`keep_open` began."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def version(self) -> int:
        """A number that changes when another process has written; only for a store that is kept open."""
        ((number,),) = self._rows("PRAGMA data_version")
        return int(number)

    def settings(self) -> dict[str, Any]:
        """What the campaign was made with."""
        return {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM setting")}

    def questions(self) -> list[Question]:
        """All that was asked, in order of asking."""
        with self._connection() as db:
            return standing_names(db).assigned(read_questions(db))

    def batches(self, asked: bool = True) -> list[dict[str, Any]]:
        """Number, time, design and settings of each batch that was asked; else also of pairs that were not."""
        which = "WHERE number > 0 " if asked else ""
        rows = self._rows(f"SELECT number, asked, design, settings FROM batch {which}ORDER BY number")
        return [{"number": n, "asked": at, "design": by, **json.loads(more)} for n, at, by, more in rows]

    def answers(self) -> list[Answer]:
        """Every answer that was told and not taken back, in order of telling, under present names."""
        return self.names().apply(Answer(*row) for row in self._rows(STANDING))

    def names(self) -> Names:
        """The renamings that stand, as present names."""
        with self._connection() as db:
            return standing_names(db)

    def renamings(self) -> list[Renaming]:
        """The renamings that stand, in the order in which they were made."""
        return list(self.names().renamings)

    def retracted(self) -> list[tuple[Answer, Retraction]]:
        """The answers that were taken back, in order of taking back."""
        with self.reading() as rows:
            return rows.retracted()

    def released(self) -> dict[str, Release]:
        """Question → the decision that it is no longer waited for and may be asked again."""
        with self.reading() as rows:
            return rows.released()

    def closed(self) -> dict[int, Closing]:
        """Batch → the decision that no further answers to it are taken."""
        with self.reading() as rows:
            return rows.closed()

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

    def pools(self) -> list[SeenPool]:
        """The pool as it was when all of it was read, oldest first; the first is what the campaign is about."""
        rows = self._rows("SELECT path, files, content FROM pool ORDER BY id")
        return [SeenPool(path, json.loads(files), content) for path, files, content in rows]

    def add_batch(self, number: int, design: str, settings: dict[str, Any], questions: Sequence[Question]) -> None:
        """Keep a batch that is about to be asked."""
        try:
            with self._transaction() as db:
                db.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", (number, now(), design, json.dumps(settings)))
                insert_questions(db, questions)
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
    def reading(self) -> Iterator[Telling]:
        """The same as :meth:`telling`, for reading only."""
        with self._connection() as db:
            yield Telling(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as db, _writing(db):
            yield db

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
            db, self.read_only = open_store(self.path)
            with closing(db):
                yield db
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            if self.read_only and cannot_write(error):
                raise InvalidInputError(
                    f"the label store {self.path} can only be read here, for the disk is full or its folder cannot be "
                    "written to, and nothing was written: make room, or copy the campaign to a folder of your own"
                ) from error
            raise InvalidInputError(
                f"the label store {self.path} cannot be used now ({error}), and nothing of this was written to it: "
                "see that no other command hangs and that the disk is not full, then run this again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise InvalidInputError(
                f"{self.path} is not a whole label store ({error}): put back a copy"
            ) from error


@contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction: all of what is written in it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def leftovers(directory: Path) -> list[Path]:
    """What a command left in a campaign's folder that was killed while it made the store."""
    return [
        path for path in directory.iterdir() if path.name.startswith(f".{STORE_FILE}.") and ".part" in path.name
    ]
