"""Lists against pairs for the same number of texts read: simulated Plackett–Luce annotators, chosen and random.

    python tests/benchmarks/lists.py FOLDER [FOLDER …] [--seeds 10] [--minutes 20] [--encoder auto] [--out LINES.jsonl]

Each FOLDER has the pools ``pool`` and ``test`` with golden rewards; models see all layers that are there, and
covariates of the texts, as those that ``bayesrm embed`` makes do. Pairs and lists of 3, 4 and 6 are asked in three
batches, up to 120, 240 and 480 texts, by a design and at random, of an annotator of temperature 2. Printed: mean
1 − Spearman within test prompts, and the ratio of texts that lists and pairs need for the same 1 − Spearman: texts at
which the curve of pairs reaches what the lists have, interpolated on log scales (past its ends by its nearest slope),
and a 90% interval over seeds by resampling them. What stands in --out is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import torch
from layers import world
from ratios import ratios

import bayesrm as brm

BUDGETS = (120, 240, 480)
SIZES = (2, 3, 4, 6)
TEMPERATURE = 2.0
PROMPTS = 100


def curve(folder: Path, size: int, design: str, seed: int, encoder: str) -> list[float]:
    """1 − Spearman after each budget."""
    (pool, golden), (test, test_golden) = world(folder, "all", covariates=True)
    annotator = brm.GoldenAnnotator(golden, TEMPERATURE, seed)
    labels, found, before = brm.Preferences.none(), [], 0
    posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
    for step, budget in enumerate(BUDGETS):
        candidates = brm.candidates(pool, prompts=PROMPTS, seed=1000 * seed + step, exclude=labels)
        count = (budget - before) // size
        batch = brm.select(posterior, candidates, design, count, seed=seed, list_size=size)
        labels, before = labels.append(annotator.label(batch)), budget
        posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
        found.append(brm.evaluate(posterior, test, test_golden)["one_minus_spearman"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--design", default="epig")
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    there = options.out is not None and options.out.exists()
    lines = [json.loads(line) for line in options.out.read_text().splitlines()] if there else []
    known = {(line["folder"], line["design"], line["size"], line["seed"]): line["found"] for line in lines}
    seeds_asked = range(options.first_seed, options.first_seed + options.seeds)
    table: dict[tuple[Path, str, int], list[list[float]]] = defaultdict(list)
    for seed, folder in product(seeds_asked, options.folders):
        for design, size in product(("random", options.design), SIZES):
            found = known.get((folder.name, design, size, seed))
            if found is None and time.monotonic() - start < 60 * options.minutes:
                found = curve(folder, size, design, seed, options.encoder)
                if options.out is not None:
                    line = {"folder": folder.name, "design": design, "size": size, "seed": seed, "found": found}
                    with open(options.out, "a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
            if found is not None:
                table[folder, design, size].append(found)
    for folder, design in product(options.folders, ("random", options.design)):
        seeds = min(len(table[folder, design, size]) for size in SIZES)
        pairs = np.array(table[folder, design, 2][:seeds])
        for size in SIZES if seeds else ():
            lists = np.array(table[folder, design, size][:seeds])
            mean = ", ".join(f"{value:.3f}" for value in lists.mean(axis=0))
            beside = "" if size == 2 else f"; ratio of texts {', '.join(ratios(lists, pairs, BUDGETS))}"
            print(f"{folder.name}, {design}, lists of {size}, {seeds} seeds: {mean}{beside}")


if __name__ == "__main__":
    main()
