"""Encoders on a real pool: whether the network beside linear features is as good as the better of its parts.

    python tests/benchmarks/real_encoders.py POOL                # 250, 1,000 and 4,000 labels, both scopes, 4 seeds
    python tests/benchmarks/real_encoders.py POOL --labels 250 --seeds 1

POOL is a folder with the pool directories ``pool`` and ``test``. Random pairs, an annotator of temperature 2, the
posterior by Laplace; the figure is 1 − Spearman within the prompts of ``test``. Inputs matter more than the encoder,
so each encoder is measured with both: compare within one. One line of JSON for each fit goes to standard output as it
is done, the table to standard error at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

import bayesrm as brm

ENCODERS = ("linear", "mlp", "mlp+linear")
INPUTS = ("within-prompt", "standardized")
SCOPES = ("within-prompt", "cross-prompt")
TEMPERATURE = 2.0


def measure(
    folder: Path, labels: list[int], scopes: list[str], prepared: list[str], seeds: int
) -> dict[tuple[object, ...], list[float]]:
    """1 − Spearman by (scope, labels, inputs, encoder), a figure for each seed."""
    pool, golden = brm.load_pool(folder / "pool"), brm.load_golden(folder / "pool")
    test, test_golden = brm.load_pool(folder / "test"), brm.load_golden(folder / "test")
    figures: dict[tuple[object, ...], list[float]] = {}
    for size in labels:
        for scope in scopes:
            for seed in range(seeds):
                asked = brm.candidates(pool, scope, prompts=None, size=size, seed=seed)
                preferences = brm.GoldenAnnotator(golden, TEMPERATURE, seed=seed).label(asked)
                for inputs in prepared:
                    for encoder in ENCODERS:
                        start = time.perf_counter()
                        model = brm.RewardModel(pool.dim, encoder, inputs=inputs)
                        posterior = brm.fit(model, pool, preferences, seed=seed)
                        scores = brm.evaluate(posterior, test, test_golden, TEMPERATURE)
                        figure = scores["one_minus_spearman"]
                        figures.setdefault((scope, size, inputs, encoder), []).append(figure)
                        line = {
                            "scope": scope, "labels": size, "seed": seed, "inputs": inputs, "encoder": encoder,
                            "one_minus_spearman": figure, "log_loss": scores["log_loss"],
                            "seconds": time.perf_counter() - start,
                        }  # fmt: skip
                        print(json.dumps(line), flush=True)
    return figures


def table(figures: dict[tuple[object, ...], list[float]]) -> str:
    """A row for each scope, number of labels and inputs: the encoders, and how far the last is behind the better."""
    lines = [
        f"{'scope':14}{'labels':>7}  {'inputs':14}" + "".join(f"{name:>12}" for name in ENCODERS) + "   behind"
    ]
    for scope, size, inputs in dict.fromkeys(key[:3] for key in figures):
        means = [float(np.mean(figures[scope, size, inputs, encoder])) for encoder in ENCODERS]
        behind = means[2] - min(means[:2])
        cells = "".join(f"{mean:12.4f}" for mean in means)
        lines.append(f"{scope:14}{size:7}  {inputs:14}{cells}  {behind:+.4f}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=int, nargs="+", default=[250, 1000, 4000])
    parser.add_argument("--scopes", nargs="+", choices=SCOPES, default=list(SCOPES))
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        table(measure(options.folder, options.labels, options.scopes, options.inputs, options.seeds)),
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
