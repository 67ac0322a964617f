"""How often the interval of a replay's saving has the true one: simulated votes, many replays of five seeds each.

    python tests/benchmarks/replay_coverage.py --replays 300 --out replay_coverage.jsonl
    python tests/benchmarks/replay_coverage.py --replays 300 --out replay_coverage.jsonl --part 1/2    # one of two

Two worlds:

- "idle": half of the voted pairs are of twins, whose votes teach nothing, and the design asks the others. It needs half
  of random's labels, less what the chance in random's share of twins is worth (about a hundredth). New votes a replay.
- "pa-dopt": one set of votes for all replays, with other seeds each; a heavy tail leaves the design room.

The truth is what the mean curves over all seeds of all replays of a world say. A line a replay; what is in the file is
not run again, so parts can run beside each other into files of their own, and be read together.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bayesrm as brm
from bayesrm.design.objectives.base import SumObjective
from bayesrm.evaluation.comparison import compare
from bayesrm.evaluation.intervals import proportion_interval
from bayesrm.evaluation.learning_curves import needed

SEEDS, BUDGET, BATCH = 5, 120, 20
PROMPTS, DIM = 240, 8
TWINS = 0.02
"""How far apart twins lie."""
WORLDS = ("idle", "pa-dopt")


@brm.register
class Telling(brm.Criterion):
    """Any pair but twins."""

    name = "telling"
    default_selector = "top"
    selects_itself = True
    uses_labels = False

    def objective(self, posterior, candidates):
        """1 for pairs whose logit is not certain."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        return SumObjective(lambda pairs: (moments.of(pairs).variance > (10 * TWINS) ** 2).to(torch.float64))


def world(name: str, replay: int) -> tuple[brm.ResponsePool, brm.Votes]:
    """A pool, and a vote on each of four couples of every prompt; or on all pairs of four, for "pa-dopt"."""
    r = np.random.default_rng([WORLDS.index(name), 0 if name == "pa-dopt" else replay])
    each = 4 if name == "pa-dopt" else 8
    x = r.standard_t(3, size=(PROMPTS, each, DIM)) if name == "pa-dopt" else r.normal(size=(PROMPTS, each, DIM))
    if name == "idle":
        x[:, 5::4] = x[:, 4::4] + TWINS * r.normal(size=x[:, 4::4].shape)
        x[:, 7::4] = x[:, 6::4] + TWINS * r.normal(size=x[:, 6::4].shape)
    x = x.reshape(-1, DIM)
    pool = brm.ResponsePool(x.astype(np.float32), np.repeat(np.arange(PROMPTS), each))
    if name == "pa-dopt":
        pairs = brm.candidates(pool)
        first, second = pairs.first, pairs.second
    else:
        first = np.arange(0, len(x), 2)
        second = first + 1
    golden = x @ np.linspace(-1, 1, DIM)
    outcome = (r.random(len(first)) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    return pool, brm.Votes(first, second, outcome)


def one(name: str, replay: int) -> dict[str, Any]:
    """The curves and the interval of one replay."""
    pool, votes = world(name, replay)
    design = "telling" if name == "idle" else name
    tree = brm.replay(
        pool,
        votes,
        designs=[design],
        budget=BUDGET,
        batch_size=BATCH,
        seeds=range(SEEDS * replay, SEEDS * (replay + 1)),
        model=brm.RewardModel(pool, "linear", prior_scale=1.0),
        test_share=0.4,
        progress=False,
    )
    trajectory = tree["trajectory"].to_dataset()
    row = compare(trajectory, "vote_log_loss").set_index("design").loc[design]
    loss = trajectory["vote_log_loss"].transpose("design", "seed", "round")
    return {
        "world": name,
        "replay": replay,
        "labels": trajectory["labels"].values.tolist(),
        "random": loss.sel(design="random").mean("seed").values.round(6).tolist(),
        "design": loss.sel(design=design).mean("seed").values.round(6).tolist(),
        "ratio": [float(row[column]) for column in ("ratio", "ratio_low", "ratio_high")],
    }


def summary(lines: list[dict[str, Any]]) -> None:
    """Coverage of each world, with its own interval, and where the truth lay when it was missed."""
    for name in WORLDS:
        own = [line for line in lines if line["world"] == name]
        if not own:
            continue
        labels = np.array(own[0]["labels"], float)
        random, design = (np.mean([line[of] for line in own], axis=0) for of in ("random", "design"))
        truth = float(needed(labels, design, float(random[-1]))) / labels[-1]
        ratio, low, high = np.array([line["ratio"] for line in own]).T
        inside = (low <= truth) & (truth <= high)
        share = proportion_interval(int(inside.sum()), len(own))
        finite = np.isfinite(high) & (low > 0)
        print(
            f"{name}: truth {truth:.3f}, covered {share.estimate:.1%} ({share.low:.1%} to {share.high:.1%}) of "
            f"{len(own)}; too low {np.mean(high < truth):.1%}, too high {np.mean(low > truth):.1%}; closed "
            f"{finite.mean():.0%}, median width of those {np.median((high - low)[finite]):.2f}, median ratio "
            f"{np.median(ratio):.2f}"
        )


def main() -> None:
    """Replay what is missing, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replays", type=int, default=300)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=WORLDS)
    parser.add_argument("--out", type=Path, default=Path("replay_coverage.jsonl"))
    parser.add_argument("--part", default="1/1", help="which of how many parts, as 1/2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, options.part.split("/"))
    lines = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(line["world"], line["replay"]) for line in lines}
    for replay in range(part - 1, options.replays, parts):
        for name in options.worlds:
            if (name, replay) in done:
                continue
            lines.append(one(name, replay))
            with open(options.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    summary(lines)


if __name__ == "__main__":
    main()
