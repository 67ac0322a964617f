"""Many runs, on one machine or on a cluster, by ``dask.distributed``.

Every cell is a run in a folder of its own and depends on nothing but its settings, so it does not matter how many
workers there are, or in which order they work. A cell that is finished is never carried out again; one that was cut
off goes on with the round that it had come to. Pools are opened by each worker from their files and memory-mapped:
all processes of a machine share the pages. Workers on other machines need the same paths, on a shared disk.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import xarray as xr

from bayesrm.errors import BayesRMError, InvalidInputError
from bayesrm.runs.cell import Cell
from bayesrm.runs.combine import combine_parts
from bayesrm.runs.config import RunConfig
from bayesrm.runs.local_cluster import local_cluster
from bayesrm.runs.worker import Outcome, carry_out
from bayesrm.utils.files import replacing
from bayesrm.utils.progress import following
from bayesrm.utils.terminal import printable
from bayesrm.utils.wording import counted

if TYPE_CHECKING:
    from distributed import Client

RUNS, FAILURES = "runs", "failures"
ROUNDS_DONE = "rounds/*.metrics.json"
"""In the folder of a run: the last file of each of its rounds."""
SECONDS_TO_CONNECT = 10


def cells_of(configs: Sequence[RunConfig], out: Path) -> list[Cell]:
    """A cell for each run, in a folder below ``out`` that is named by its settings."""
    return [Cell({}, config.absolute(), (out / RUNS / config.folder).absolute()) for config in configs]


def sweep(
    cells: Sequence[Cell],
    out: Path,
    workers: int = 1,
    scheduler: str | None = None,
    description: str = "Runs",
) -> dict[str, str]:
    """Carry out those cells that are not finished.

    Parameters
    ----------
    cells
        The runs, each with its folder.
    out
        Where tracebacks of failing cells go, in ``failures``.
    workers
        How many processes, of one thread each; with one there is no other process than this.
    scheduler
        Address of a running Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers are used instead.
    description
        Stands beside the progress bar.

    Returns
    -------
    failures
        Name of a cell → one sentence. The other cells are finished.

    Raises
    ------
    InvalidInputError
        Where two cells share a folder, or there is no scheduler at that address.
    BayesRMError
        Where not a single cell could be carried out, or the scheduler was lost.
    """
    names = [cell.name for cell in cells]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(
            f"two of the {len(cells)} runs have the same folder, {twice}: their settings agree"
        )
    waiting = [cell for cell in cells if not cell.is_finished()]
    was_there = out.exists()
    failures: dict[str, str] = {}
    with following(description, sum(cell.config.rounds for cell in waiting), lambda: _rounds_done(waiting)):
        for outcome in _outcomes(waiting, workers, scheduler):
            trace = out / FAILURES / f"{outcome.name}.txt"
            if outcome.sentence is None:
                trace.unlink(missing_ok=True)
                continue
            failures[outcome.name] = outcome.sentence
            if outcome.traceback:
                with replacing(trace) as temporary:
                    temporary.write_text(outcome.traceback)
            if len(cells) > 1:
                print(printable(f"{outcome.name} failed: {' '.join(outcome.sentence.split())}"), file=sys.stderr)
    if cells and len(failures) == len(cells):
        if not was_there:
            _remove_if_empty(out)
        first, others = next(iter(failures.values())), len(failures) - 1
        where = f", see {out / FAILURES}" if (out / FAILURES).exists() else ""
        raise BayesRMError(first + (f" (and {counted(others, 'other')} failed{where})" if others else ""))
    return failures


def combined(cells: Sequence[Cell], posterior: bool = False) -> xr.DataTree:
    """The results of cells, see :func:`bayesrm.runs.combine.combine_parts`."""
    return combine_parts([cell.part() for cell in cells], posterior)


def stage_seconds(cells: Sequence[Cell]) -> dict[str, float]:
    """What the stages of all finished cells took together."""
    total: dict[str, float] = {}
    for cell in cells:
        for stage, seconds in cell.seconds().items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total


def _rounds_done(cells: Sequence[Cell]) -> int:
    """Rounds that are complete, by what lies in the folders: whoever carries the cells out, on whatever machine."""
    return sum(min(len(list(cell.folder.glob(ROUNDS_DONE))), cell.config.rounds) for cell in cells)


def _remove_if_empty(out: Path) -> None:
    """Remove a folder in which no run has left a file."""
    if out.is_dir() and not any(path.is_file() for path in out.rglob("*")):
        shutil.rmtree(out, ignore_errors=True)


def _outcomes(cells: Sequence[Cell], workers: int, scheduler: str | None) -> Iterator[Outcome]:
    """What becomes of each cell, as it comes."""
    if scheduler is None and min(workers, len(cells)) <= 1:
        for cell in cells:
            yield Outcome(**carry_out(cell.to_json()))
        return
    with _client(min(workers, len(cells)), scheduler) as client:
        yield from _from_workers(client, cells)


def _from_workers(client: Client, cells: Sequence[Cell]) -> Iterator[Outcome]:
    from distributed import CancelledError, as_completed
    from distributed.client import FutureCancelledError

    # Earlier cells first. A key of its own for each: what an earlier client left at the scheduler is not taken over.
    batch = uuid4().hex[:8]
    cell_of = {
        client.submit(carry_out, cell.to_json(), key=f"{cell.name}-{batch}", pure=False, priority=-i): cell
        for i, cell in enumerate(cells)
    }
    try:
        for future in as_completed(list(cell_of), loop=client.loop, raise_errors=False):
            error = future.exception()
            if error is None:
                yield Outcome(**future.result())
            else:
                # Errors of a cell come as outcomes: this is what Dask says of a worker that died, or lacks bayesrm.
                yield Outcome(cell_of[future].name, f"{type(error).__name__}: {error}", str(error))
            future.release()
    except (CancelledError, FutureCancelledError, OSError) as error:
        raise BayesRMError(
            f"the connection to the scheduler was lost ({error}): start it again and repeat the command; "
            "what is finished is kept"
        ) from error
    finally:
        if client.status == "running":
            client.cancel(list(cell_of), force=True)


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    """A client of the scheduler, or of a cluster of this machine that lives as long as the context."""
    from distributed import Client

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise InvalidInputError(
                f"there is no Dask scheduler at {scheduler}: start one with `dask scheduler`, and workers with "
                "`dask worker ADDRESS --nthreads 1`"
            ) from error
        with client:
            if not client.scheduler_info()["workers"]:
                print(
                    printable(f"The scheduler at {scheduler} has no workers yet: waiting for them."),
                    file=sys.stderr,
                )
            yield client
        return
    with local_cluster(workers) as client:
        yield client
