"""The label store: rows are only ever added, answers can be taken back, and older stores go on."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from bayesrm.campaign import tables
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.store import STORE_FILE, Store
from bayesrm.campaign.tables import FORMAT

QUESTIONS = [Question(f"qabcde-1-{k}", 1, k, 2 * k, 2 * k + 1, True, 0.0) for k in (1, 2, 3)]


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store.create(tmp_path, {"seed": 3})
    made.add_batch(1, "random", {"scope": "within-prompt"}, QUESTIONS)
    return made


def tell(store: Store, *answers: Answer) -> None:
    with store.telling() as telling:
        telling.add("file", f"digest {len(answers)}", "csv", "", {}, answers, [])


def schema(store: Store) -> dict[str, str]:
    """Columns, keys and triggers, however the statements that made them were written."""
    with closing(sqlite3.connect(store.path)) as db:
        names = db.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        return {
            name: str(db.execute(f"SELECT * FROM pragma_table_info('{name}')").fetchall()) for _, name in names
        }


def test_an_answer_that_is_taken_back_no_longer_stands_and_is_still_there(store):
    tell(store, *(Answer(question.id, "ana", "first", place=f"row {k}") for k, question in enumerate(QUESTIONS)))
    with store.telling() as telling:
        assert telling.retract([2], "owner", "a wrong click") == 1
        assert telling.retract([2, 3], "owner", "again, and one more") == 1
        assert [answer.id for answer in telling.answers()] == [1]
    assert [answer.question for answer in store.answers()] == ["qabcde-1-1"]
    back = store.retracted()
    assert [(answer.id, answer.question, why.answer, why.by, why.reason) for answer, why in back] == [
        (2, "qabcde-1-2", 2, "owner", "a wrong click"),
        (3, "qabcde-1-3", 3, "owner", "again, and one more"),
    ]


@pytest.mark.parametrize("table", ["answer", "retraction", "shown", "question"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET id = 9"])
def test_rows_are_only_ever_added(store, table, change):
    tell(store, Answer(QUESTIONS[0].id, "ana", "tie"))
    with store.telling() as telling:
        telling.retract([1], "ana", "undo")
    with closing(sqlite3.connect(store.path)) as db:
        db.execute("INSERT INTO shown (question, annotator, shown, until) VALUES ('qabcde-1-1', 'ana', 'a', 'b')")
        with pytest.raises(sqlite3.IntegrityError, match=f"rows of {table} are only ever added"):
            db.execute(change.format(table))


def test_a_store_of_the_first_format_goes_on_with_all_its_rows(store, tmp_path, monkeypatch):
    folder = tmp_path / "old"
    with monkeypatch.context() as patch:
        patch.setattr(tables, "FORMAT", 1)
        old = folder / STORE_FILE
        folder.mkdir()
        with closing(sqlite3.connect(old, isolation_level=None)) as db:
            tables.make_tables(db)
            db.execute("INSERT INTO setting VALUES ('seed', '3')")
            db.execute("INSERT INTO batch VALUES (1, 'then', 'random', '{}')")
            db.execute("INSERT INTO question VALUES ('q1', 1, 1, 4, 5, 1, 0.5, '[]', 1)")
            db.execute("INSERT INTO source VALUES (1, 'a.csv', 'x', 'csv', '', 'then', '{}')")
            db.execute("INSERT INTO answer VALUES (1, 'q1', 'ana', 'tie', NULL, 'then', 1, 'row 2', 'hm')")
            assert db.execute("PRAGMA user_version").fetchone() == (1,)
    for _ in range(2):
        opened = Store(folder)
        assert opened.answers() == [Answer("q1", "ana", "tie", None, "row 2", "hm", "then", 1)]
        assert schema(opened) == schema(store)
        with closing(sqlite3.connect(old)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    tell(opened, Answer("q1", "bo", "first"))
    assert len(opened.answers()) == 2


def test_an_answer_of_the_page_that_is_sent_again_is_there_once_also_after_it_was_taken_back(store):
    given = Answer(QUESTIONS[0].id, "ana", "second", key="k1", seconds=2.5)
    for again in range(3):
        with store.telling() as telling:
            row, new = telling.answer(given, "page")
            assert new == (again == 0)
            assert (row.id, row.key, row.seconds, row.verdict) == (1, "k1", 2.5, "second")
            assert row.answered == row.told
    assert len(store.answers()) == len(store.sources()) == 1
    with store.telling() as telling:
        telling.retract([1], "ana", "undo")
        assert telling.answer(given, "page") == (row, False)
    assert store.answers() == []


def test_what_is_on_a_screen_is_kept_until_its_time_or_until_it_is_let_go(store):
    first, second, third = (question.id for question in QUESTIONS)
    with store.telling() as telling:
        telling.show(first, "ana", "2999-01-01")
        telling.show(second, "ana", "2001-01-01")
        telling.show(third, "bo", "2999-01-01")
        telling.show(third, "bo", "2001-01-01")
    assert store.on_screens() == {first: {"ana": "2999-01-01"}}


def test_a_question_joins_a_batch_unless_its_pair_was_asked(store):
    with store.telling() as telling:
        assert telling.ask(Question("qabcde-1-4", 1, 4, 20, 21, True, 0.5))
        assert not telling.ask(Question("qabcde-1-5", 1, 5, 21, 20, True, 0.5))
    assert [question.place for question in store.questions()] == [1, 2, 3, 4]


def test_a_store_that_is_kept_open_sees_what_others_write_and_is_seen(store, tmp_path):
    store.keep_open()
    before = store.version()
    with store.telling() as telling:
        telling.answer(Answer(QUESTIONS[0].id, "ana", "tie", key="k1"), "page")
    assert store.version() == before
    other = Store(tmp_path)
    assert len(other.answers()) == 1
    tell(other, Answer(QUESTIONS[1].id, "bo", "tie"))
    assert store.version() != before
    assert len(store.answers()) == 2
    with pytest.raises(sqlite3.IntegrityError), store.telling() as telling:  # noqa: PT012
        telling.show(QUESTIONS[0].id, "ana", "2999")
        telling.show("a question that nobody asked", "ana", "2999")
    assert store.on_screens() == {}
    store.close()
    assert len(store.answers()) == 2
