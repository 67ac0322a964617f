"""Work in a forked child that is killed: before its n-th file operation, or at a moment.

A child of this process has imported everything already and starts within 20 ms, where a new Python takes seconds. What
counts as an operation: opening a file to write, replacing, linking and removing files, making and removing folders,
syncing, each statement by which SQLite writes, and each line that is printed.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
import sqlite3
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVENTS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir")
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|CREATE|BEGIN|COMMIT|ALTER|DROP)", re.IGNORECASE)
FAILED = 99
"""Exit status of a child whose work raised something."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Parameters
    ----------
    killed
        Whether it was killed; else it had done its work before.
    status
        Its exit status, where it was not.
    operations
        How many operations on files it had begun.
    said, complained
        What it had printed, on stdout and stderr.
    seconds
        How long it ran.
    """

    killed: bool
    status: int | None
    operations: int
    said: str
    complained: str
    seconds: float


def in_child(
    work: Callable[[], object],
    folder: Path,
    scratch: Path,
    at: int | None = None,
    after: float | None = None,
) -> Ended:
    """Fork, and let the child work.

    Parameters
    ----------
    work
        What it does; what it returns is its exit status, None being 0.
    folder
        Operations on files below it are counted.
    scratch
        An existing folder elsewhere, for what it prints.
    at
        Kill it before this operation, counted from 1.
    after
        Kill it after so many seconds.
    """
    counter = mmap.mmap(-1, 8)
    outputs = [scratch / "said", scratch / "complained"]
    for path in outputs:
        path.write_bytes(b"")
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        status = FAILED
        try:
            sys.stdout, sys.stderr = (path.open("w", encoding="utf-8") for path in outputs)
            _count(str(folder.resolve()), counter, at)
            done = work()
            status = done if isinstance(done, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    (operations,) = struct.unpack("q", counter[:8])
    return Ended(
        killed=ended == -signal.SIGKILL,
        status=None if ended < 0 else ended,
        operations=operations,
        said=outputs[0].read_text(encoding="utf-8"),
        complained=outputs[1].read_text(encoding="utf-8"),
        seconds=time.perf_counter() - started,
    )


def command(*arguments: object) -> Callable[[], int]:
    """The work of ``bayesrm`` with these arguments."""

    def work() -> int:
        from bayesrm import cli

        sys.argv = ["bayesrm", *map(str, arguments)]
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)

    return work


def _count(folder: str, counter: mmap.mmap, at: int | None) -> None:
    """Count operations from now on in this process, and end it before one of them."""

    def tick() -> None:
        (done,) = struct.unpack("q", counter[:8])
        counter[:8] = struct.pack("q", done + 1)
        if at is not None and done + 1 >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    def inside(path: Any) -> bool:
        return not isinstance(path, int) and os.path.abspath(os.fsdecode(path)).startswith(folder)

    def executed(statement: str) -> None:
        if WRITES.match(statement):
            tick()

    def audit(event: str, details: Sequence[Any]) -> None:
        if event == "open":
            path, _, flags = details
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and inside(path):
                tick()
        elif event in EVENTS and inside(details[0]):
            tick()

    sync, write, connect = os.fsync, sys.stdout.write, sqlite3.connect

    def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(executed)
        return connection

    def synced(descriptor: int) -> None:
        tick()
        sync(descriptor)

    def written(text: str) -> int:
        count = write(text)
        sys.stdout.flush()
        tick()
        return count

    os.fsync, sqlite3.connect = synced, connected
    sys.stdout.write = written  # type: ignore[method-assign]
    sys.addaudithook(audit)
