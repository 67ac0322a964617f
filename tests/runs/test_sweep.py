"""Sweeps on a cluster: whatever happens to its workers, nothing is lost, nothing is done twice, all is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import bayesrm as brm
from bayesrm.errors import BayesRMError, InvalidInputError
from bayesrm.runs.cell import CELL_FILE, Cell
from bayesrm.runs.config import RunConfig
from bayesrm.runs.results import open_results
from bayesrm.runs.sweep import _rounds_done, combined, sweep
from bayesrm.runs.worker import carry_out

CELLS = 4
PATIENCE = 300.0
"""Seconds that a process may take to start on a busy machine."""

SCRIPT = """
import os, time

def measure(cell):
    time.sleep(1)
    with open(cell.folder.parent.parent / "measured.log", "a") as log:
        log.write(f"{cell.name} {os.getpid()}\\n")
    return {"labels_seen": float(len(cell.labels()))}
"""


@pytest.fixture
def pools(tmp_path) -> Path:
    random = np.random.default_rng(0)
    weights = random.standard_normal(5)
    for name in ("pool", "test"):
        embeddings = random.standard_normal((60, 5)).astype(np.float32)
        brm.save_pool(
            tmp_path / name, brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5)), embeddings @ weights
        )
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def cells(pools: Path, out: Path, script: bool = False, **settings: object) -> list[Cell]:
    return [
        Cell(
            {"seed": seed},
            RunConfig(
                pool=pools / "pool", test=pools / "test", encoder="linear", inference="laplace", design="dopt",
                batch_size=4, rounds=2, prompts=8, candidates=None, draws=10, seed=seed, **settings,
            ),
            out / "runs" / f"seed{seed}",
            pools / "script.py" if script else None,
        )
        for seed in range(CELLS)
    ]  # fmt: skip


def content(cell: Cell) -> dict[str, object]:
    """What the results of a cell hold, in its order and to the bit.

    The bytes of the file say less: how HDF5 lays it out depends on when Python lets go of what was written, and the
    profiler of a Dask worker holds on to that for some moments.
    """
    with open_results(cell.folder) as groups:
        groups = groups.load()
    return {
        f"{name}/{variable}": (value.dims, value.dtype, value.values.tobytes(), str(value.attrs))
        for name in groups.groups
        for variable, value in groups[name].to_dataset().variables.items()
    } | {name: str(groups[name].attrs) for name in groups.groups}


def assert_same(some: list[Cell], others: list[Cell]) -> None:
    for one, other in zip(some, others, strict=True):
        assert content(one) == content(other)
    left, right = (combined(each)["trajectory"].to_dataset() for each in (some, others))
    xr.testing.assert_identical(left, right.drop_vars("labels_seen", errors="ignore"))


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen]:
    """A Dask process of this interpreter, ended with the context."""
    started = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def in_the_middle(cell: Cell) -> bool:
    return (cell.folder / "rounds/0001.metrics.json").exists() and not (cell.folder / CELL_FILE).exists()


def test_a_killed_worker_loses_nothing_and_nothing_is_done_twice(pools, tmp_path):
    """A scheduler and two workers of their own; one is killed while both are in the middle of a cell."""
    expected = cells(pools, tmp_path / "alone")
    assert not sweep(expected, tmp_path / "alone")

    out = tmp_path / "cluster"
    asked = cells(pools, out, script=True)
    contact = tmp_path / "scheduler.json"
    scheduler = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    worker = ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    kept: dict[Path, int] = {}
    lost: set[str] = set()
    failures: dict[str, str] = {}
    with process(*scheduler, "--scheduler-file", str(contact)):
        wait_for(lambda: contact.exists() and contact.stat().st_size > 0)
        address = json.loads(contact.read_text())["address"]
        with (
            process(*worker, address, "--local-directory", str(tmp_path)) as victim,
            process(*worker, address, "--local-directory", str(tmp_path)),
        ):
            with Client(address) as client:  # else the first might have carried out all before the second is there
                client.wait_for_workers(2, timeout=PATIENCE)
            thread = Thread(target=lambda: failures.update(sweep(asked, out, scheduler=address)))
            thread.start()
            wait_for(lambda: sum(map(in_the_middle, asked)) == 2)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            lost = {cell.name for cell in asked if not (cell.folder / CELL_FILE).exists()}
            kept = {
                path: path.stat().st_mtime_ns
                for path in out.rglob("*")
                if path.is_file() and (path.match("rounds/[0-9]*") or path.name == CELL_FILE)
            }
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert not failures
    lines = [line.split() for line in (out / "measured.log").read_text().splitlines()]
    # A cell that was killed while it was measured, or just after, is measured again.
    counted = [name for name, by in lines if name not in lost or by != str(victim.pid)]
    assert sorted(counted) == sorted(cell.name for cell in asked)
    assert not [path for path, changed in kept.items() if path.stat().st_mtime_ns != changed]
    assert len(kept) >= 12
    for cell in asked:
        assert cell.part().extra == {"labels_seen": 8.0}
    assert_same(expected, asked)


def test_results_do_not_depend_on_the_order_or_on_what_was_there(pools, tmp_path):
    expected = cells(pools, tmp_path / "alone")
    sweep(expected, tmp_path / "alone")
    shorter = cells(pools, tmp_path / "again")
    carry_out(shorter[3].to_json())
    asked = cells(pools, tmp_path / "again")
    sweep(asked[::-1], tmp_path / "again")
    assert_same(expected, asked)


def test_a_cell_goes_over_the_wire_as_plain_values(pools, tmp_path):
    for cell in cells(pools, tmp_path, script=True, hidden=16, flip=0.1):
        assert Cell.from_json(cell.to_json()) == cell


def test_errors_of_all_cells_are_one_sentence_and_leave_no_folder(pools, tmp_path, capsys):
    wrong = cells(pools, tmp_path / "out", per_prompt=1)
    for cell in wrong:
        object.__setattr__(cell, "config", cell.config.model_copy(update={"encoder": "deep"}))
    with pytest.raises(BayesRMError, match=r"unknown encoder 'deep'.* 3 others failed\)"):
        sweep(wrong, tmp_path / "out")
    assert "seed3 failed: encoder: unknown encoder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_was_there_stays(pools, tmp_path):
    wrong = cells(pools, tmp_path)[:1]
    object.__setattr__(wrong[0], "config", wrong[0].config.model_copy(update={"encoder": "deep"}))
    with pytest.raises(BayesRMError, match="unknown encoder 'deep'"):
        sweep(wrong, tmp_path)
    assert tmp_path.exists()


def test_errors_that_nobody_foresaw_leave_a_traceback(pools, tmp_path, monkeypatch):
    def broken(cell):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Cell, "carry_out", broken)
    asked = cells(pools, tmp_path / "out")[:2]
    with pytest.raises(BayesRMError, match=r"ZeroDivisionError: .* \(and 1 other failed, see .*failures\)"):
        sweep(asked, tmp_path / "out")
    assert "Traceback" in (tmp_path / f"out/failures/{asked[1].name}.txt").read_text()


def test_progress_counts_the_rounds_that_lie_in_the_folders(pools, tmp_path):
    asked = cells(pools, tmp_path)[:2]
    assert _rounds_done(asked) == 0
    sweep(asked[:1], tmp_path)
    assert _rounds_done(asked) == asked[0].config.rounds


def test_two_cells_cannot_share_a_folder(pools, tmp_path):
    twice = cells(pools, tmp_path)[:1] * 2
    with pytest.raises(InvalidInputError, match="have the same folder, seed0"):
        sweep(twice, tmp_path)


def test_a_scheduler_that_is_not_there(pools, tmp_path, monkeypatch):
    monkeypatch.setattr("bayesrm.runs.sweep.SECONDS_TO_CONNECT", 1)
    with pytest.raises(InvalidInputError, match="there is no Dask scheduler at tcp"):
        sweep(cells(pools, tmp_path), tmp_path, scheduler="tcp://127.0.0.1:1")
