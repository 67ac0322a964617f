"""How often the forecast's 90% interval has what 500 more labels really lead to, over replayed campaigns.

    python tests/benchmarks/forecast_coverage.py data/quickstart/pool --seeds 14 --counted 0 500

Once for each number of pairs with two answers, which say how noisy answers are; 0 knows nothing of that.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bayesrm as brm
from bayesrm.evaluation.forecast import _Prompts, forecast

STARTS = (250, 500, 1000)
MORE = 500
TEMPERATURE = 2.0
METRICS = ("one_minus_spearman", "regret")


def true_quality(posterior: brm.RewardPosterior, golden: np.ndarray) -> tuple[float, float]:
    """1 − Spearman and regret of the posterior means, on the prompts that the forecast looks at."""
    prompts = _Prompts.of(posterior.pool, seed=0)
    mean = posterior.reward_moments(posterior.pool, prompts.responses).mean.cpu().numpy()
    ranking, regret = prompts.quality(mean[None], TEMPERATURE * golden[prompts.responses][None])
    return float(ranking[0]), float(regret[0])


def main() -> None:
    """Replay and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--seeds", type=int, default=14)
    parser.add_argument("--counted", type=int, nargs="+", default=[0], help="pairs with two answers")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pool, golden = brm.load_pool(options.pool), brm.load_golden(options.pool)
    replays = []
    for seed in range(options.seeds):
        pairs = brm.candidates(pool, prompts=None, size=max(STARTS) + MORE, seed=seed)
        annotator = brm.GoldenAnnotator(golden, temperature=TEMPERATURE, seed=seed)
        labels = annotator.label(pairs)
        p = annotator.probability(pairs)
        alike = float(np.mean(p**2 + (1 - p) ** 2))
        fits = {
            size: brm.fit(brm.RewardModel(pool.dim, "auto"), pool, labels[:size], seed=seed)
            for size in sorted({*STARTS, *(start + MORE for start in STARTS)})
        }
        for start, counted in product(STARTS, options.counted):
            (later,) = forecast(fits[start], labels=(MORE,), agreement=(counted * alike, float(counted))).later
            found = true_quality(fits[start + MORE], golden)
            replay: dict[str, Any] = {"seed": seed, "labels": start, "counted": counted}
            for name, value in zip(METRICS, found, strict=True):
                said = getattr(later, name)
                replay[name] = {**vars(said), "found": value, "covered": said.low <= value <= said.high}
            replays.append(replay)
            print(json.dumps(replay), flush=True)
    for counted, name in product(options.counted, METRICS):
        covered = [replay[name]["covered"] for replay in replays if replay["counted"] == counted]
        print(f"{counted} pairs twice, {name}: {sum(covered)} of {len(covered)} within the 90% interval")
    if options.out:
        options.out.write_text(json.dumps(replays, indent=2) + "\n")


if __name__ == "__main__":
    main()
