"""How often the forecast's 90% interval has what 500 more labels really lead to, over replayed campaigns.

python tests/benchmarks/forecast_coverage.py data/quickstart/pool --seeds 14
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import bayesrm as brm
from bayesrm.forecast import _Prompts, forecast

STARTS = (250, 500, 1000)
MORE = 500
TEMPERATURE = 2.0


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
    parser.add_argument("--counted", type=int, default=0, help="pairs with two answers; 0 knows nothing of A")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pool, golden = brm.load_pool(options.pool), brm.load_golden(options.pool)
    replays = []
    for seed in range(options.seeds):
        pairs = brm.candidates(pool, prompts=None, size=max(STARTS) + MORE, seed=seed)
        annotator = brm.GoldenAnnotator(golden, temperature=TEMPERATURE, seed=seed)
        labels = annotator.label(pairs)
        p = annotator.probability(pairs)
        alike = options.counted * float(np.mean(p**2 + (1 - p) ** 2))
        fits = {
            size: brm.fit(brm.RewardModel(pool.dim, "auto"), pool, labels[:size], seed=seed)
            for size in sorted({*STARTS, *(start + MORE for start in STARTS)})
        }
        for start in STARTS:
            (later,) = forecast(fits[start], labels=(MORE,), agreement=(alike, float(options.counted))).later
            found = true_quality(fits[start + MORE], golden)
            replay = {"seed": seed, "labels": start}
            for name, value in zip(("one_minus_spearman", "regret"), found, strict=True):
                said = getattr(later, name)
                replay[name] = {**vars(said), "found": value, "covered": said.low <= value <= said.high}
            replays.append(replay)
            print(json.dumps(replay), flush=True)
    for name in ("one_minus_spearman", "regret"):
        covered = sum(replay[name]["covered"] for replay in replays)
        print(f"{name}: {covered} of {len(replays)} within the 90% interval")
    if options.out:
        options.out.write_text(json.dumps(replays, indent=2) + "\n")


if __name__ == "__main__":
    main()
