"""The same fits and designs on the CPU and on a GPU: seconds of both, and what the GPU's memory held at most.

    python tests/benchmarks/devices.py

A pool as of ``embed --layers all`` (seven layers of 384, 5,000 responses, 1,000 labels), designs over all 12.5 million
pairs, a network of the paper's size, and networks drawn whole. Without a GPU it says so. Gains of both batches are
compared: what a GPU adds in another order may break ties in another way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from blocks import layered_pool

import bayesrm as brm


def timed(do: Callable[[], Any], device: str) -> tuple[float, float, Any]:
    """Seconds and the GPU's highest memory in MB of a second call; the first loads kernels."""
    do()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    found = do()
    if device == "cuda":
        torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else 0.0
    return time.perf_counter() - start, peak, found


def main() -> None:
    """Print a line of JSON for each."""
    if not torch.cuda.is_available():
        print("No GPU on this machine: nothing to compare.")
        return
    whole = layered_pool(500, 10)
    random = np.random.default_rng(1)
    golden = whole.embeddings @ random.standard_normal(whole.dim)
    prefs = brm.GoldenAnnotator(golden / golden.std(), 2.0, seed=0).label(
        brm.candidates(whole, prompts=None, size=1000)
    )
    last = brm.ResponsePool(np.ascontiguousarray(whole.embeddings[:, -384:]), whole.prompt)
    posteriors: dict[str, brm.RewardPosterior] = {}

    def fit(
        pool: brm.ResponsePool, encoder: str, inference: str, device: str
    ) -> Callable[[], brm.RewardPosterior]:
        def do() -> brm.RewardPosterior:
            fresh = brm.ResponsePool(pool.embeddings, pool.prompt, blocks=pool.blocks, covariates=pool.covariates)
            return brm.fit(brm.RewardModel(fresh, encoder), fresh, prefs, inference, device=device)

        return do

    for name, pool, encoder, inference in (
        ("auto on seven layers, laplace", whole, "auto", "laplace"),
        ("network on one layer, laplace", last, "mlp+linear", "laplace"),
        ("network on one layer, ensemble", last, "mlp+linear", "ensemble"),
        ("kernel on one layer, laplace", last, "kernel", "laplace"),
        ("seven layers, svi", whole, "layers", "svi"),
    ):
        line: dict[str, Any] = {"what": name}
        rewards = {}
        for device in ("cpu", "cuda"):
            line[device], peak, posterior = timed(fit(pool, encoder, inference, device), device)
            rewards[device] = posterior.reward(pool)[0]
            if name.startswith("auto"):
                posteriors[device] = posterior
        report(line, peak)
        line_up = np.corrcoef(rewards["cpu"], rewards["cuda"])[0, 1]
        print(json.dumps({"what": name, "correlation of rewards": round(float(line_up), 6)}), flush=True)

    for design in ("pa-dopt", "epig", "bald"):
        line = {"what": f"200 of 12.5 million pairs, auto on seven layers, {design}"}
        gains = {}
        for device, posterior in posteriors.items():

            def choose(posterior: brm.RewardPosterior = posterior, design: str = design) -> brm.Selection:
                own = brm.candidates(posterior.pool, "cross-prompt", prompts=None, size=None)
                return brm.select(posterior, own, design, 200)

            line[device], peak, batch = timed(choose, device)
            gains[device] = float(batch.gain.sum())
        line["gain, cuda / cpu"] = gains["cuda"] / gains["cpu"]
        report(line, peak)


def report(line: dict[str, Any], peak: float) -> None:
    """One line."""
    line["cpu / cuda"] = line["cpu"] / line["cuda"]
    line["MB on the GPU"] = peak
    print(json.dumps({key: round(v, 4) if isinstance(v, float) else v for key, v in line.items()}), flush=True)


if __name__ == "__main__":
    main()
