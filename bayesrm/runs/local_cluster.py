"""Worker processes of this machine that nobody else on it can talk to.

Whoever can send a message to a Dask worker can run code in it, and ports of this machine are open to all its users. So
every cluster has a certificate of its own, which scheduler, workers and client demand of each other. It lives in their
memory and is gone with them. Workers keep their files in a folder that only their user can open, as they import from
it; and no web page of Dask tells others what they do.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from bayesrm.utils.processes import holding_back_ctrl_c

if TYPE_CHECKING:
    from distributed import Client

WORKER_ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": 2**26, "MALLOC_MMAP_THRESHOLD_": 2**25}
"""Bytes. Dask has workers return memory to the system at every turn, and getting it back takes half of their time."""


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """A client of single-threaded worker processes, which live as long as the context."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="bayesrm-", ignore_cleanup_errors=True))
        with holding_back_ctrl_c():
            running.enter_context(dask.config.set(_settings(folder)))
            cluster = running.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    security=Security.temporary(),
                    # Port 0 is a free one: without it, a second cluster on the machine warns that 8787 is taken.
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    # Pages of mapped pools count as a worker's memory, though the system takes them back when it
                    # needs to.
                    memory_limit=None,
                    silence_logs=logging.ERROR,
                )
            )
            client = running.enter_context(Client(cluster, set_as_default=False))
        yield client


def _settings(folder: str) -> dict[str, Any]:
    environment = {
        f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in WORKER_ENVIRONMENT.items()
    }
    pages: dict[str, Any] = {f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}
    # A profiler that looks at a thread holds its frames, and with them HDF5's handles, for a moment longer. HDF5 then
    # lays the same results out in other bytes.
    profiler = {"distributed.worker.profile.enabled": False}
    return environment | pages | profiler | {"temporary-directory": folder}
