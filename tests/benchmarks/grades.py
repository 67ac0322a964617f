"""What a grade is worth against a plain answer: the ratio of labels for the same 1 − Spearman within test prompts.

    python tests/benchmarks/grades.py data/quickstart ../shared/data/alpaca_eval --seeds 8 --out grades.jsonl
    python tests/benchmarks/grades.py ../shared/data/arguments --recorded --seeds 8 --out grades.jsonl

Each folder has the pools ``pool`` and ``test`` with golden rewards. The same random pairs are answered by one latent
judgement, temperature · difference of golden rewards + logistic noise: plainly, by its sign, and on scales of three,
five and seven points, whose thresholds lie at ½, 1½ and 2½ logits. Plain answers are fitted by Bradley–Terry, grades by
the cumulative logit with its thresholds estimated.

With ``--recorded`` the votes in ``pool/votes.parquet`` are the answers, one vote a pair: on three points with their
ties, and plainly with each tie as a coin that fell to one side, as of a question without "equal".

A line a fit; what is in the file is not computed again. The ratio is that of labels that grades and plain answers need
for the same 1 − Spearman, of mean curves, with a 90% interval over seeds by resampling them.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
import torch
from ratios import ratios

import bayesrm as brm
from bayesrm.models.likelihoods.graded import Graded

BUDGETS = (50, 100, 200, 400, 800)
SCALES = (2, 3, 5, 7)
THRESHOLDS = (0.5, 1.5, 2.5)
TEMPERATURE = 2.0


def answers(folder: Path, pool: brm.ResponsePool, seed: int, scale: int, recorded: bool) -> brm.Preferences:
    """Answers to the same random pairs, on a scale of so many points."""
    r = np.random.default_rng([seed, 1])
    if recorded:
        votes = brm.load_votes(folder / "pool")
        order = r.permutation(len(votes))
        ends = np.sort(np.stack([votes.first, votes.second], axis=1), axis=1)[order]
        _, alone = np.unique(ends, axis=0, return_index=True)
        chosen = order[np.sort(alone)[: max(BUDGETS)]]
        coin = r.integers(0, 2, len(chosen)).astype(float)
        outcome = votes.outcome[chosen]
        if scale == 2:
            outcome = np.where(outcome == 0.5, coin, outcome)
        return brm.Preferences(votes.first[chosen], votes.second[chosen], outcome)
    golden = brm.load_golden(folder / "pool")
    pairs = brm.candidates(pool, prompts=None, size=max(BUDGETS), seed=seed)
    order = r.permutation(len(pairs.first))
    first, second = pairs.first[order], pairs.second[order]
    latent = TEMPERATURE * (golden[first] - golden[second]) + r.logistic(size=len(first))
    if scale == 2:
        return brm.Preferences(first, second, (latent > 0).astype(float))
    above = np.array(THRESHOLDS[: scale // 2])
    edges = np.concatenate([-above[::-1], above])
    return brm.Preferences(first, second, np.searchsorted(edges, latent) / (scale - 1))


def main() -> None:
    """Fit what is missing, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--recorded", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("grades.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    found = {(line["folder"], line["scale"], line["seed"]): line["found"] for line in lines}
    scales = (2, 3) if options.recorded else SCALES
    for seed, folder in product(range(options.seeds), options.folders):
        pool, test = brm.load_pool(folder / "pool"), brm.load_pool(folder / "test")
        golden = brm.load_golden(folder / "test")
        for scale in scales:
            key = (f"{folder.name}{' recorded' if options.recorded else ''}", scale, seed)
            if key in found:
                continue
            labels = answers(folder, pool, seed, scale, options.recorded)
            likelihood = "bradley-terry" if scale == 2 else Graded(scale)
            model = brm.RewardModel(pool, options.encoder, likelihood=likelihood)
            fits = (brm.fit(model, pool, labels[:budget], seed=seed) for budget in BUDGETS)
            found[key] = [brm.evaluate(posterior, test, golden)["one_minus_spearman"] for posterior in fits]
            line = {"folder": key[0], "scale": scale, "seed": seed, "found": found[key]}
            with open(options.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    for name in dict.fromkeys(key[0] for key in found):
        for scale in SCALES:
            seeds = [s for s in range(options.seeds) if (name, scale, s) in found and (name, 2, s) in found]
            if not seeds:
                continue
            own, plain = (np.array([found[name, of, s] for s in seeds]) for of in (scale, 2))
            beside = "" if scale == 2 else f"; ratio of labels {', '.join(ratios(own, plain, BUDGETS))}"
            means = ", ".join(f"{value:.3f}" for value in own.mean(axis=0))
            print(f"{name}, {scale} points, {len(seeds)} seeds: {means}{beside}")


if __name__ == "__main__":
    main()
