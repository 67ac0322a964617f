"""The tables of a campaign's store, and what each format of them added to the one before."""

from __future__ import annotations

import sqlite3

FORMAT = 6
"""Raised with every change of the tables; a store of an older format is brought up to it when it is opened."""


def make_tables(db: sqlite3.Connection) -> None:
    """All tables, in an empty file."""
    db.executescript(_FIRST)
    for statement in (trigger for table in _APPEND_ONLY for trigger in _only_added(table)):
        db.execute(statement)
    db.execute("PRAGMA user_version = 1")
    add_missing(db)


def add_missing(db: sqlite3.Connection) -> None:
    """What formats after the one of this file added; rows that are there stay as they are.

    Foreign keys must not be enforced meanwhile: a table that others refer to may be made anew.
    """
    (there,) = db.execute("PRAGMA user_version").fetchone()
    for number in range(there + 1, FORMAT + 1):
        for statement in _ADDED[number]:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {FORMAT}")


def _only_added(*tables: str) -> list[str]:
    """Triggers that refuse to change or delete rows."""
    return [
        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are only ever added'); END"
        for table in tables
        for change in ("UPDATE", "DELETE")
    ]


_FIRST = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE batch (number INTEGER PRIMARY KEY, asked TEXT NOT NULL, design TEXT NOT NULL, settings TEXT NOT NULL);
CREATE TABLE question (
    id TEXT PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch (number), place INTEGER NOT NULL,
    first INTEGER NOT NULL, second INTEGER NOT NULL, first_is_left INTEGER NOT NULL, gain REAL NOT NULL,
    annotators TEXT NOT NULL, wanted INTEGER NOT NULL);
CREATE UNIQUE INDEX one_question_a_pair ON question (min(first, second), max(first, second));
CREATE TABLE source (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, format TEXT NOT NULL, annotator TEXT NOT NULL,
    told TEXT NOT NULL, counts TEXT NOT NULL, UNIQUE (sha256, annotator));
CREATE TABLE answer (
    id INTEGER PRIMARY KEY, question TEXT NOT NULL REFERENCES question (id), annotator TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('first', 'second', 'tie', 'skip')), answered TEXT, told TEXT NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id), place TEXT NOT NULL, comment TEXT);
CREATE INDEX answers_to ON answer (question, annotator);
CREATE TABLE aside (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source (id), place TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE round (id INTEGER PRIMARY KEY, fitted TEXT NOT NULL, labels TEXT NOT NULL, findings TEXT NOT NULL);
"""
_APPEND_ONLY = ("batch", "question", "source", "answer", "aside", "round")
_ADDED: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE answer ADD COLUMN key TEXT",
        "ALTER TABLE answer ADD COLUMN seconds REAL",
        "CREATE UNIQUE INDEX one_answer_a_key ON answer (key)",
        "CREATE TABLE shown (id INTEGER PRIMARY KEY, question TEXT NOT NULL REFERENCES question (id), "
        "annotator TEXT NOT NULL, shown TEXT NOT NULL, until TEXT NOT NULL)",
        "CREATE INDEX shown_until ON shown (until)",
        "CREATE TABLE retraction (id INTEGER PRIMARY KEY, answer INTEGER NOT NULL UNIQUE REFERENCES answer (id), "
        "retracted TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL)",
        *_only_added("shown", "retraction"),
    ),
    3: (
        "ALTER TABLE retraction ADD COLUMN scope TEXT NOT NULL DEFAULT ''",
        # A file that was taken back can be told again, so its content is no longer unique.
        "CREATE TABLE told_source (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, "
        "format TEXT NOT NULL, annotator TEXT NOT NULL, told TEXT NOT NULL, counts TEXT NOT NULL)",
        "INSERT INTO told_source SELECT id, name, sha256, format, annotator, told, counts FROM source",
        "DROP TABLE source",
        "ALTER TABLE told_source RENAME TO source",
        "CREATE INDEX source_content ON source (sha256)",
        # A pair that was released can be asked again.
        "CREATE TABLE release (id INTEGER PRIMARY KEY, question TEXT NOT NULL UNIQUE REFERENCES question (id), "
        "released TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL)",
        "DROP INDEX one_question_a_pair",
        "CREATE INDEX questions_about ON question (min(first, second), max(first, second))",
        "CREATE TRIGGER one_question_a_pair BEFORE INSERT ON question WHEN EXISTS (SELECT 1 FROM question AS asked "
        "WHERE min(asked.first, asked.second) = min(new.first, new.second) "
        "AND max(asked.first, asked.second) = max(new.first, new.second) "
        "AND asked.id NOT IN (SELECT question FROM release)) "
        "BEGIN SELECT RAISE(ABORT, 'a pair is asked once unless it was released'); END",
        "CREATE TABLE closing (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch (number), "
        "closed INTEGER NOT NULL, decided TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL)",
        "CREATE TABLE renaming (id INTEGER PRIMARY KEY, old TEXT NOT NULL, new TEXT NOT NULL, renamed TEXT NOT NULL, "
        "by TEXT NOT NULL, reason TEXT NOT NULL, everything INTEGER NOT NULL)",
        "CREATE TABLE renamed (renaming INTEGER NOT NULL REFERENCES renaming (id), "
        "answer INTEGER NOT NULL REFERENCES answer (id), PRIMARY KEY (renaming, answer))",
        "CREATE TABLE renaming_undone (renaming INTEGER PRIMARY KEY REFERENCES renaming (id), undone TEXT NOT NULL, "
        "by TEXT NOT NULL, reason TEXT NOT NULL)",
        # What the pool was when it was looked at; the first row is the pool that the campaign is about.
        "CREATE TABLE pool (id INTEGER PRIMARY KEY, checked TEXT NOT NULL, path TEXT NOT NULL, files TEXT NOT NULL, "
        "content TEXT NOT NULL)",
        *_only_added("source", "release", "closing", "renaming", "renamed", "renaming_undone", "pool"),
    ),
    4: (
        # Labels of data sets say more than a verdict, and several of people who are not named count.
        "ALTER TABLE answer ADD COLUMN vote INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE answer ADD COLUMN outcome REAL",
        "ALTER TABLE answer ADD COLUMN weight REAL",
        "ALTER TABLE answer ADD COLUMN margin REAL",
    ),
    5: (
        # Lists of several responses; they may share pairs with each other.
        "ALTER TABLE question ADD COLUMN members TEXT",
        "DROP TRIGGER one_question_a_pair",
        "CREATE TRIGGER one_question_a_pair BEFORE INSERT ON question WHEN new.members IS NULL AND EXISTS "
        "(SELECT 1 FROM question AS asked WHERE min(asked.first, asked.second) = min(new.first, new.second) "
        "AND max(asked.first, asked.second) = max(new.first, new.second) AND asked.members IS NULL "
        "AND asked.id NOT IN (SELECT question FROM release)) "
        "BEGIN SELECT RAISE(ABORT, 'a pair is asked once unless it was released'); END",
        # A list is ranked, which no verdict says.
        "CREATE TABLE ranked_answer (id INTEGER PRIMARY KEY, question TEXT NOT NULL REFERENCES question (id), "
        "annotator TEXT NOT NULL, "
        "verdict TEXT NOT NULL CHECK (verdict IN ('first', 'second', 'tie', 'skip', 'ranked')), answered TEXT, "
        "told TEXT NOT NULL, source INTEGER NOT NULL REFERENCES source (id), place TEXT NOT NULL, comment TEXT, "
        "key TEXT, seconds REAL, vote INTEGER NOT NULL DEFAULT 0, outcome REAL, weight REAL, margin REAL, "
        "ranking TEXT)",
        "INSERT INTO ranked_answer SELECT id, question, annotator, verdict, answered, told, source, place, comment, "
        "key, seconds, vote, outcome, weight, margin, NULL FROM answer",
        "DROP TABLE answer",
        "ALTER TABLE ranked_answer RENAME TO answer",
        "CREATE INDEX answers_to ON answer (question, annotator)",
        "CREATE UNIQUE INDEX one_answer_a_key ON answer (key)",
        *_only_added("answer"),
    ),
    6: (
        # How much better the first is, from 0 to 1, where annotators or a data set say it on a scale.
        "ALTER TABLE answer ADD COLUMN grade REAL",
    ),
}
"""Format → what it has that the one before has not."""
