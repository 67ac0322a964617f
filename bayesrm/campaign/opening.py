"""How the SQLite file of a campaign is opened: to write where that is possible, else to read what is there.

A store in WAL mode writes small files beside itself even to be read. Where nothing can be written, on a read-only or
full disk or in another user's folder, it is read without them; answers that are still in the write-ahead log are read
with it, from a copy in memory.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

BUSY_SECONDS = 60
"""How long a command waits for another one that is writing."""
NOT_WRITABLE = ("readonly", "unable to open", "disk i/o", "is full")
"""Words of SQLite's messages where the file, or its folder, cannot be written to."""


def open_store(path: Path, threads: bool = False) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it is one to read with only.

    Parameters
    ----------
    path
        The file.
    threads
        Whether several threads use it, one after another.
    """
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=not threads)
    try:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            db.execute(f"PRAGMA {setting}")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return db, False
    except sqlite3.OperationalError as error:
        db.close()
        if not cannot_write(error):
            raise
    except BaseException:
        db.close()
        raise
    return _to_read(path, threads), True


def cannot_write(error: sqlite3.OperationalError) -> bool:
    """Whether an error is about a file that cannot be written to."""
    return any(words in str(error).lower() for words in NOT_WRITABLE)


def _to_read(path: Path, threads: bool) -> sqlite3.Connection:
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        db = _in_memory(path, log, threads)
    else:
        address = f"file:{quote(str(path.resolve()))}?immutable=1"
        db = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=not threads)
    db.execute("PRAGMA query_only = ON")
    return db


def _in_memory(path: Path, log: Path, threads: bool) -> sqlite3.Connection:
    """What the file and its write-ahead log hold together."""
    with tempfile.TemporaryDirectory(prefix="bayesrm-") as folder:
        for file in (path, log):
            shutil.copyfile(file, Path(folder) / file.name)
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=not threads)
        with closing(sqlite3.connect(Path(folder) / path.name)) as copy:
            copy.backup(db)
        return db
