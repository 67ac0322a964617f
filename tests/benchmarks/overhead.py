"""What a sweep of very small cells spends outside the cells: start-up of workers, scheduling, results.

python tests/benchmarks/overhead.py [--cells 200] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import bayesrm as brm
from bayesrm.runs.cell import Cell
from bayesrm.runs.config import RunConfig
from bayesrm.runs.results import write_results
from bayesrm.runs.sweep import combined, sweep


def measure(folder: Path, cells: int, workers: int) -> dict[str, float]:
    """Seconds on the wall, within cells, and the part of the workers' time that was not spent in a cell."""
    random = np.random.default_rng(0)
    for name in ("pool", "test"):
        embeddings = random.standard_normal((200, 8)).astype(np.float32)
        brm.save_pool(folder / name, brm.ResponsePool(embeddings, np.repeat(np.arange(40), 5)), embeddings[:, 0])
    asked = [
        Cell(
            {"design": design, "seed": seed},
            RunConfig(
                pool=folder / "pool", test=folder / "test", encoder="linear", inference="laplace", design=design,
                batch_size=10, rounds=2, prompts=20, candidates=100, draws=100, seed=seed,
            ),
            folder / "runs" / f"{design}-{seed}",
        )
        for seed in range(cells // 2)
        for design in ("random", "dopt")
    ]  # fmt: skip
    start = time.perf_counter()
    assert not sweep(asked, folder, workers)
    swept = time.perf_counter() - start
    write_results(combined(asked), folder / "results.nc")
    wall = time.perf_counter() - start
    inside = sum(cell.seconds()["total"] for cell in asked)
    start = time.perf_counter()
    sweep(asked, folder, workers)
    return {
        "cells": len(asked),
        "workers": workers,
        "wall": wall,
        "combining": wall - swept,
        "a_cell": inside / len(asked),
        "outside": 1 - inside / (workers * wall),
        "again_when_all_is_finished": time.perf_counter() - start,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measure(Path(temporary), asked.cells, asked.workers), indent=2))
