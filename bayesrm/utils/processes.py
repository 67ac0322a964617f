"""Starting processes that work beside this one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def holding_back_ctrl_c() -> Iterator[None]:
    """Threads and processes that start in here never hear Ctrl-C; this one hears it when they have started.

    A terminal sends it to all processes at once: workers that died of it would fill the screen with what each of them
    was doing, where one sentence of this process, which stops the workers, is enough.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Python unblocks the signal when it starts the tracker, so the tracker is started before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
