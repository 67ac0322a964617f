"""Starting processes that work beside this one."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from typing import Any

from bayesrm.utils import plugins


def worker_processes(workers: int, prepare: Callable[..., None] | None = None, *given: Any) -> ProcessPoolExecutor:
    """Processes that know the plugins of this one before anything else is sent to them.

    Parameters
    ----------
    workers
        How many.
    prepare
        A function of a module that each calls first; None where there is nothing to prepare.
    given
        Its arguments, which may be objects of plugins. They are sent as bytes: torch would share tensors through a
        socket in the temporary folder, whose path can be too long.
    """
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin, (pickle.dumps((prepare, given)),))


def _begin(packed: bytes) -> None:
    plugins.load()
    prepare, given = pickle.loads(packed)
    if prepare is not None:
        prepare(*given)


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
