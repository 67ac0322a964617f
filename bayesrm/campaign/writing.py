"""What is written to a campaign's store: files with their answers, and decisions about answers and questions.

All of it happens inside a transaction that the store opens, see :meth:`bayesrm.campaign.store.Store.telling`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bayesrm.campaign.names import Names
from bayesrm.campaign.records import Answer, Closing, Question, Release, Renaming, Retraction, SeenPool, now

ANSWER = (
    "question, annotator, verdict, answered, place, comment, told, answer.id, key, seconds, vote, outcome, weight, "
    "margin, ranking, grade"
)
STANDING = f"SELECT {ANSWER} FROM answer WHERE id NOT IN (SELECT answer FROM retraction) ORDER BY id"


def standing_names(db: sqlite3.Connection) -> Names:
    """The renamings that were not undone."""
    rows = db.execute(
        "SELECT id, old, new, renamed, by, reason, everything FROM renaming "
        "WHERE id NOT IN (SELECT renaming FROM renaming_undone) ORDER BY id"
    ).fetchall()
    listed: dict[int, set[int]] = {}
    for renaming, answer in db.execute("SELECT renaming, answer FROM renamed") if rows else ():
        listed.setdefault(renaming, set()).add(answer)
    return Names(
        [
            Renaming(id, old, new, at, by, reason, None if everything else frozenset(listed.get(id, ())))
            for id, old, new, at, by, reason, everything in rows
        ]
    )


@dataclass(frozen=True)
class ToldFile:
    """A file that was told.

    Parameters
    ----------
    id
        The number of its row.
    name, sha256
        Its own, and the digest of its bytes.
    annotator
        Who was said to have answered where the file does not say; "" where nobody was named.
    told
        When, in ISO 8601 and UTC.
    taken_back
        Whether it brought answers of which none stands.
    """

    id: int
    name: str
    sha256: str
    annotator: str
    told: str
    taken_back: bool


class Telling:
    """One transaction of a campaign's store.

    Parameters
    ----------
    db
        A connection, inside of its transaction.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def names(self) -> Names:
        """The renamings that stand, as present names."""
        return standing_names(self._db)

    def answers(self) -> list[Answer]:
        """Every answer told before and not taken back, under present names."""
        return self.names().apply(Answer(*row) for row in self._db.execute(STANDING))

    def closed(self) -> dict[int, Closing]:
        """Batch → the decision that no further answers to it are taken."""
        rows = self._db.execute("SELECT batch, closed, decided, by, reason FROM closing ORDER BY id")
        last = {batch: (closed, Closing(batch, at, by, reason)) for batch, closed, at, by, reason in rows}
        return {batch: decision for batch, (closed, decision) in last.items() if closed}

    def released(self) -> dict[str, Release]:
        """Question → the decision that it is no longer waited for and may be asked again."""
        rows = self._db.execute("SELECT question, released, by, reason FROM release ORDER BY id")
        return {row[0]: Release(*row) for row in rows}

    def retracted(self) -> list[tuple[Answer, Retraction]]:
        """The answers that were taken back, in order of taking back, under present names."""
        rows = self._db.execute(
            f"SELECT {ANSWER}, retraction.answer, retracted, by, reason, scope FROM answer "
            "JOIN retraction ON retraction.answer = answer.id ORDER BY retraction.id"
        ).fetchall()
        answers = self.names().apply(Answer(*row[:-5]) for row in rows)
        return [(answer, Retraction(*row[-5:])) for answer, row in zip(answers, rows, strict=True)]

    def kept_back(self) -> set[tuple[str, str, str, str | None]]:
        """Question, annotator, answer and time of what no other file may bring back: all but what a file brought."""
        return {
            (answer.question, answer.annotator, answer.said, answer.answered)
            for answer, why in self.retracted()
            if why.scope in ("annotator", "batch", "answer")
        }

    def see_pool(self, seen: SeenPool) -> None:
        """Keep what the pool was when all of it was read."""
        row = (now(), seen.path, json.dumps(seen.files), seen.content)
        self._db.execute("INSERT INTO pool (checked, path, files, content) VALUES (?, ?, ?, ?)", row)

    def sources(self) -> list[ToldFile]:
        """The files that were told, oldest first."""
        rows = self._db.execute(
            "SELECT source.id, name, sha256, source.annotator, source.told, count(answer.id), count(retraction.id) "
            "FROM source LEFT JOIN answer ON answer.source = source.id "
            "LEFT JOIN retraction ON retraction.answer = answer.id GROUP BY source.id ORDER BY source.id"
        )
        return [
            ToldFile(id, name, digest, annotator, told, taken_back=0 < answers == back)
            for id, name, digest, annotator, told, answers, back in rows
        ]

    def known(self, sha256: str) -> list[ToldFile]:
        """The files of this content that were told, oldest first."""
        return [source for source in self.sources() if source.sha256 == sha256]

    def rows_of(self, sources: Iterable[int]) -> set[int]:
        """The numbers of the answers that came with files."""
        wanted = set(sources)
        return {id for id, source in self._db.execute("SELECT id, source FROM answer") if source in wanted}

    def retract(self, answers: Sequence[int], by: str, reason: str, scope: str = "") -> int:
        """Take back answers by the numbers of their rows, and say how many of them were not taken back before."""
        at = now()
        return self._db.executemany(
            "INSERT OR IGNORE INTO retraction (answer, retracted, by, reason, scope) VALUES (?, ?, ?, ?, ?)",
            [(answer, at, by, reason, scope) for answer in answers],
        ).rowcount

    def release(self, questions: Sequence[str], by: str, reason: str) -> int:
        """Wait for these questions no longer, and say how many of them were waited for before."""
        at = now()
        return self._db.executemany(
            "INSERT OR IGNORE INTO release (question, released, by, reason) VALUES (?, ?, ?, ?)",
            [(question, at, by, reason) for question in questions],
        ).rowcount

    def close(self, batch: int, closed: bool, by: str, reason: str) -> None:
        """Take no further answers to a batch, or take them again."""
        row = (batch, int(closed), now(), by, reason)
        self._db.execute("INSERT INTO closing (batch, closed, decided, by, reason) VALUES (?, ?, ?, ?, ?)", row)

    def rename(self, old: str, new: str, answers: Sequence[int] | None, by: str, reason: str) -> None:
        """Let a name stand for another one: everywhere, or in these rows alone."""
        row = (old, new, now(), by, reason, int(answers is None))
        renaming = self._db.execute(
            "INSERT INTO renaming (old, new, renamed, by, reason, everything) VALUES (?, ?, ?, ?, ?, ?)", row
        ).lastrowid
        self._db.executemany("INSERT INTO renamed VALUES (?, ?)", [(renaming, answer) for answer in answers or ()])

    def undo_renaming(self, renaming: int, by: str, reason: str) -> None:
        """Let a renaming no longer stand."""
        self._db.execute("INSERT INTO renaming_undone VALUES (?, ?, ?, ?)", (renaming, now(), by, reason))

    def answer(self, answer: Answer, form: str) -> tuple[Answer, bool]:
        """Keep an answer with a key, given on the page or in the terminal: its row, and whether it is new."""
        query = f"SELECT {ANSWER} FROM answer WHERE key = ?"
        there = self._db.execute(query, (answer.key,)).fetchone()
        if there is not None:
            return Answer(*there), False
        told = now()
        own = (form, form, form, answer.annotator)
        self._db.execute(
            "INSERT INTO source (name, sha256, format, annotator, told, counts) SELECT ?, ?, ?, ?, ?, '{}' "
            "WHERE NOT EXISTS (SELECT 1 FROM source WHERE sha256 = ? AND annotator = ?)",
            (*own, told, *own[2:]),
        )
        self._db.execute(
            "INSERT INTO answer (question, annotator, verdict, answered, place, comment, told, source, key, seconds, "
            "margin, ranking, grade) SELECT ?, ?, ?, ?, ?, ?, ?, id, ?, ?, ?, ?, ? FROM source WHERE sha256 = ? "
            "AND annotator = ?",
            (
                answer.question, answer.annotator, answer.verdict, told, answer.place, answer.comment, told, answer.key,
                answer.seconds, answer.margin, answer.ranking, answer.grade, *own[2:],
            ),
        )  # fmt: skip
        return Answer(*self._db.execute(query, (answer.key,)).fetchone()), True

    def show(self, question: str, annotator: str, until: str) -> None:
        """Note that a question is on somebody's screen, and until when it is kept for them."""
        row = question, annotator, now(), until
        self._db.execute("INSERT INTO shown (question, annotator, shown, until) VALUES (?, ?, ?, ?)", row)

    def begin(self, batch: int, design: str, settings: dict[str, Any]) -> None:
        """Begin a batch whose questions come one by one."""
        self._db.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", (batch, now(), design, json.dumps(settings)))

    def ask(self, question: Question) -> bool:
        """Add a question to a batch that is there; False where its pair was asked before."""
        try:
            insert_questions(self._db, [question])
        except sqlite3.IntegrityError:
            return False
        return True

    def questions(self) -> list[Question]:
        """All questions, in order of asking, under present names."""
        return self.names().assigned(read_questions(self._db))

    def add_unasked(self, batch: int, design: str, questions: Sequence[Question]) -> None:
        """Add pairs that were not asked here to the batch that such pairs are kept in."""
        self._db.execute("INSERT OR IGNORE INTO batch VALUES (?, ?, ?, '{}')", (batch, now(), design))
        insert_questions(self._db, questions)

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
            "INSERT INTO answer (question, annotator, verdict, answered, place, comment, told, source, vote, outcome, "
            "weight, margin, ranking, grade) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    a.question, a.annotator, a.verdict, a.answered, a.place, a.comment, told, source, a.vote, a.outcome,
                    a.weight, a.margin, a.ranking,
                    a.grade,
                )
                for a in answers
            ],
        )  # fmt: skip
        rows = [(source, place, reason) for place, reason in asides]
        self._db.executemany("INSERT INTO aside (source, place, reason) VALUES (?, ?, ?)", rows)


def read_questions(db: sqlite3.Connection) -> Iterator[Question]:
    """All questions, in order of asking, as they were asked."""
    rows = db.execute(
        "SELECT id, batch, place, first, second, first_is_left, gain, annotators, wanted, members FROM question "
        "ORDER BY batch, place"
    )
    for name, batch, place, first, second, left, gain, who, wanted, members in rows.fetchall():
        of_list = () if members is None else tuple(json.loads(members))
        yield Question(
            name, batch, place, first, second, bool(left), gain, tuple(json.loads(who)), wanted, of_list
        )


def insert_questions(db: sqlite3.Connection, questions: Sequence[Question]) -> None:
    """Add questions to batches that are there."""
    rows = [
        (
            q.id, q.batch, q.place, q.first, q.second, int(q.first_is_left), q.gain, json.dumps(q.annotators),
            q.wanted, json.dumps(q.members) if q.is_list else None,
        )
        for q in questions
    ]  # fmt: skip
    db.executemany(
        "INSERT INTO question (id, batch, place, first, second, first_is_left, gain, annotators, wanted, members) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
