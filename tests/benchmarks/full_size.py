"""One cell on a synthetic pool of the paper's full size: its time by stage and its peak of memory.

    python tests/benchmarks/full_size.py [--out DIR] [--encoder mlp] [--rounds 3]

Makes 5.7 GB of files in a temporary folder (or in DIR, where they are kept) and runs the cell in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bayesrm.data.synthetic import write_synthetic
from bayesrm.runs.cell import CELL_FILE, Cell
from bayesrm.runs.config import RunConfig

RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
from bayesrm.runs.worker import carry_out
outcome = carry_out(json.loads(sys.argv[1]))
if outcome["sentence"]:
    raise SystemExit(outcome["traceback"])
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
"""


def measure(folder: Path, encoder: str, rounds: int) -> dict[str, object]:
    """Write the pools, run the cell, and say what it took."""
    start = time.perf_counter()
    train, test = write_synthetic(folder)
    written = time.perf_counter() - start
    config = RunConfig(
        pool=train, test=test, encoder=encoder, inference="laplace", design="pa-dopt", rounds=rounds, draws=100
    )
    cell = Cell({}, config, folder / "run")
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(cell.to_json())], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    record = json.loads((cell.folder / CELL_FILE).read_text())
    tree = cell.tree()
    return {
        "write_seconds": written,
        "seconds": record["seconds"],
        "peak_gigabytes": int(done.stdout) / 1e9,
        "one_minus_spearman": tree["trajectory"]["one_minus_spearman"].values.tolist(),
        "test_responses": 1_000_000,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--encoder", default="mlp")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if asked.out is None else asked.out
        print(json.dumps(measure(folder, asked.encoder, asked.rounds), indent=2))
