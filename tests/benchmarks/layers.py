"""What the reward model sees: the last layer, all layers, covariates and kernels on random pairs within prompts.

    python tests/benchmarks/layers.py FOLDER [--seeds 10] [--labels 40 80 320] [--coverage]

FOLDER has the pools ``pool`` and ``test`` with golden rewards: pool directories of several blocks as ``bayesrm
embed`` makes them, or with a ``layers.npy`` (response, layer, embedding) beside the embeddings. Where ``pool`` has
recorded votes (``votes.parquet``), these answer, each once; elsewhere an annotator of temperature 2. Covariates are
computed from the texts. Printed: mean and standard error over seeds; with --coverage also of how many golden logits
of test pairs the 90% intervals hold, with and without what features cannot say.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import bayesrm as brm
from bayesrm.data.covariates import surface_covariates
from bayesrm.data.votes import VOTES
from bayesrm.diagnostics.coverage import golden_pit

VARIANTS = {
    "last layer": ("last", False, "auto"),
    "last layer, covariates": ("last", True, "auto"),
    "all layers": ("all", False, "auto"),
    "all layers, covariates": ("all", True, "auto"),
    "kernel, all layers, covariates": ("all", True, "kernel"),
}


def read(folder: Path, layers: str, covariates: bool) -> brm.ResponsePool:
    """A pool with the blocks and covariates of a variant."""
    pool = brm.load_pool(folder)
    blocks, rows = pool.blocks, pool.rows(np.arange(len(pool)))
    if (folder / "layers.npy").exists():
        hidden = np.load(folder / "layers.npy", allow_pickle=False).astype(np.float32)
        width = hidden.shape[2]
        blocks = {f"layer-{k}": slice(k * width, (k + 1) * width) for k in range(hidden.shape[1])}
        rows = hidden.reshape(len(hidden), -1)
    if layers == "last":
        rows, blocks = np.ascontiguousarray(rows[:, list(blocks.values())[-1]]), None
    table = pd.read_parquet(folder / "responses.parquet")
    known = surface_covariates(table["prompt"].tolist(), table["response"].tolist()) if covariates else {}
    return brm.ResponsePool(rows, pool.prompt, texts=table["response"].tolist(), blocks=blocks, covariates=known)


def main() -> None:
    """Print a line for each variant and number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--labels", type=int, nargs="+", default=[40, 80, 320])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    golden, test_golden = (brm.load_golden(options.folder / name) for name in ("pool", "test"))
    recorded = (options.folder / "pool" / VOTES).exists()
    temperature = 1.0 if recorded else 2.0
    for variant in options.variants:
        layers, covariates, encoder = VARIANTS[variant]
        pool, test = (read(options.folder / name, layers, covariates) for name in ("pool", "test"))
        found: dict[int, list[list[float]]] = {count: [] for count in options.labels}
        for seed in range(options.seeds):
            asked = brm.candidates(pool, prompts=None, size=max(options.labels), seed=seed)
            annotator = brm.GoldenAnnotator(golden, temperature, seed)
            if recorded:
                annotator = brm.ReplayAnnotator(brm.load_votes(options.folder / "pool"), seed)
            answers = annotator.label(asked)
            for count in options.labels:
                start = time.perf_counter()
                posterior = brm.fit(brm.RewardModel(pool, encoder=encoder), pool, answers[:count])
                seconds = time.perf_counter() - start
                scores = brm.evaluate(posterior, test, test_golden, temperature)
                row = [scores["one_minus_spearman"], scores["one_minus_spearman_given_length"], scores["log_loss"]]
                if options.coverage:
                    for unexplained in (True, False):
                        pit, _ = golden_pit(posterior, test, test_golden, temperature, unexplained=unexplained)
                        row.append(float(np.mean(np.abs(pit - 0.5) <= 0.45)))
                found[count].append([*row, seconds])
        for count, rows in found.items():
            mean = np.mean(rows, axis=0)
            error = (
                np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.full(len(mean), np.nan)
            )
            text = (
                f"{variant:32s} {count:5d} labels  1−S {mean[0]:.3f} ± {error[0]:.3f}  given length {mean[1]:.3f}"
            )
            text += f"  log loss {mean[2]:.3f}"
            if options.coverage:
                text += f"  90% hold {mean[3]:.2f} (without u {mean[4]:.2f})"
            print(f"{text}  {mean[-1]:.2f} s", flush=True)


if __name__ == "__main__":
    main()
