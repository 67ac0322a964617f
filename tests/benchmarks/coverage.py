"""How many golden rewards 90% intervals hold, and how many they are said to hold, on test prompts of several pools.

    python tests/benchmarks/coverage.py synthetic FOLDER … [--seeds 5] [--labels 40 160 320] [--repeated 0 40]
                                        [--rewards folded] [--out LINES.jsonl]

FOLDER, "synthetic" and --rewards are those of ``tests/benchmarks/layers.py``. With ``--repeated 40`` forty of the
pairs, but no more than half of the labels, are answered by five people each and the other labels are single, in all as
many. Printed for each pool: the mean and the range over seeds of how many golden logits (τ (g_i − g_j) of disjoint
pairs) 90% intervals hold, the range that the posterior gives for it (5 to 95%, means over seeds), in how many seeds the
truth lies in that range up to the error of a test pool, the 90% interval of s, and the encoders that "auto" took.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch

import bayesrm as brm
from bayesrm.diagnostics.coverage import coverage, golden_pit

sys.path.insert(0, str(Path(__file__).resolve().parent))
from layers import GOLDEN, REWARDS, annotator, temperature, world

ANSWERS = 5
"""People who answer each repeated pair."""


def answers(
    people: brm.Annotator, pool: brm.ResponsePool, labels: int, repeated: int, seed: int
) -> brm.Preferences:
    """Random pairs within prompts, some of them answered by several people."""
    several = min(repeated, labels // (2 * ANSWERS))
    single = labels - several * ANSWERS
    asked = brm.candidates(pool, prompts=None, size=several + single, seed=seed)
    once = np.arange(several, several + single)
    index = np.concatenate([np.repeat(np.arange(several), ANSWERS), once])
    return people.label(brm.Comparisons(asked.first[index], asked.second[index]))


def main() -> None:
    """Print a line for each pool, number of labels and number of repeated pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, nargs="+", default=[40, 160, 320])
    parser.add_argument("--repeated", type=int, nargs="+", default=[0, 40])
    parser.add_argument("--rewards", choices=REWARDS, default=GOLDEN)
    parser.add_argument("--out", type=Path, help="a line of JSON for each fit; what is there is not fitted again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = options.out.read_text().splitlines() if options.out and options.out.exists() else []
    found = {tuple(kept["key"]): kept["row"] for kept in map(json.loads, lines)}
    for name in options.pools:
        folder = Path(name)
        (pool, golden), (test, test_golden) = world(folder, "all", True, options.rewards)
        slope = temperature(folder, options.rewards)
        for repeated in options.repeated:
            for labels in options.labels:
                rows, encoders = [], []
                for seed in range(options.seeds):
                    key = (folder.name, options.rewards, repeated, labels, seed)
                    if key not in found:
                        people = annotator(folder, golden, seed, options.rewards)
                        prefs = answers(people, pool, labels, repeated, seed)
                        posterior = brm.fit(brm.RewardModel(pool, encoder="auto"), pool, prefs)
                        pit, prompt = golden_pit(posterior, test, test_golden, slope)
                        held = coverage(pit, np.unique(prompt, return_inverse=True)[1], (0.9,))
                        said = posterior.predictive.coverage(test, 0.9)
                        found[key] = [
                            posterior.model.encoder.name,
                            float(held["coverage"][0]),
                            float(held["error"][0]),
                            said.quantile(0.05),
                            said.quantile(0.95),
                            said.within(0.85, 0.95),
                            *posterior.unexplained.interval(),
                        ]
                        if options.out:
                            with options.out.open("a") as file:
                                file.write(json.dumps({"key": key, "row": found[key]}) + "\n")
                    encoders.append(found[key][0])
                    rows.append(found[key][1:])
                held, error, low, high, within, s_low, s_high = np.array(rows).T
                margin = np.maximum(2 * error, 0.02)  # a test pool of which all is held has no error of its own
                inside = int(((held > low - margin) & (held < high + margin)).sum())
                print(
                    f"{folder.name:12s} {labels:4d} labels, {repeated:3d} repeated  hold {held.mean():.2f} "
                    f"({held.min():.2f} to {held.max():.2f})  said {low.mean():.2f} to {high.mean():.2f}, true in "
                    f"{inside} of {len(rows)}  P(.85–.95) {within.mean():.2f}  "
                    f"s {s_low.mean():.2f} to {s_high.mean():.2f}  {dict(Counter(encoders))}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
