"""What the reward model sees: layers and covariates, linear, by kernels and by networks; random pairs within prompts.

    python tests/benchmarks/layers.py FOLDER [--seeds 10] [--labels 40 320] [--rewards curved] [--once] [--out FILE]

FOLDER has the pools ``pool`` and ``test`` with golden rewards: pool directories of several blocks as ``bayesrm
embed`` makes them, or with a ``layers.npy`` (response, layer, embedding) beside the embeddings. Where ``pool`` has
recorded votes (``votes.parquet``), these answer, each once; elsewhere an annotator of temperature 2. Covariates are
computed from the texts. "synthetic" in place of FOLDER is a world of four layers that are noisy curved maps of an
embedding in which golden rewards are bent; it has no texts. --rewards replaces golden ones by some that no linear
reward can follow: "curved" ones have their maximum inside, "folded" ones fall to either side of a plane, "crossed"
ones are high where one thing or the other is true, but not both. With --once each prompt is asked about once. Printed:
mean and standard error over seeds; with --coverage also of how many golden logits of test pairs the 90% intervals hold,
with and without what features cannot say.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import bayesrm as brm
from bayesrm.data.covariates import surface_covariates
from bayesrm.data.synthetic import write_synthetic
from bayesrm.data.votes import VOTES
from bayesrm.diagnostics.coverage import golden_pit
from bayesrm.models.features import encode
from bayesrm.utils.grouped import less_group_means

VARIANTS = {
    "last layer, linear": ("last", False, "linear"),
    "last layer": ("last", False, "auto"),
    "last layer, covariates": ("last", True, "auto"),
    "all layers": ("all", False, "auto"),
    "all layers, covariates": ("all", True, "auto"),
    "kernel, all layers": ("all", False, "kernel"),
    "kernel, all layers, covariates": ("all", True, "kernel"),
    "linear, all layers, covariates": ("all", True, "layers"),
    "linear and kernel, all layers, covariates": ("all", True, "layers+kernel"),
    "network beside linear, all layers, covariates": ("all", True, "layers+mlp"),
    "network and kernel beside linear, all layers, covariates": ("all", True, "layers+kernel+mlp"),
    "network, all layers, covariates": ("all", True, "mlp"),
    "network and linear, all layers, covariates": ("all", True, "mlp+linear"),
}
"""Name → layers, whether there are covariates, encoder."""
SYNTHETIC = Path("synthetic")
GOLDEN = "golden"
REWARDS = (GOLDEN, "curved", "folded", "crossed")
SIMULATED = 2.0
"""The slope of simulated answers in golden rewards."""
MEASURED = ("one_minus_spearman", "one_minus_spearman_given_length", "log_loss")


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


def synthetic() -> list[tuple[brm.ResponsePool, np.ndarray]]:
    """80 prompts of ten responses to choose from and 40 of twenty to test on."""
    maps = np.random.default_rng(3).normal(size=(4, 64, 64)) / 8
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for path in write_synthetic(Path(folder), (80, 10), (40, 20), 64, seed=7):
            pool, golden = brm.load_pool(path), np.asarray(brm.load_golden(path)).reshape(-1)
            x, noise = pool.rows(np.arange(len(pool))), np.random.default_rng(5)
            layers = [np.tanh(3 * x @ m) + 0.1 * (k + 1) * noise.normal(size=x.shape) for k, m in enumerate(maps)]
            blocks = {f"layer-{k}": slice(64 * k, 64 * (k + 1)) for k in range(4)}
            rows = np.concatenate(layers, axis=1).astype(np.float32)
            made.append((brm.ResponsePool(rows, pool.prompt, blocks=blocks), golden))
    return made


def world(
    folder: Path, layers: str, covariates: bool, rewards: str = GOLDEN
) -> list[tuple[brm.ResponsePool, np.ndarray]]:
    """The pool to choose from and the one to test on, as a variant sees them, each with golden rewards or others."""
    if rewards != GOLDEN:
        return _replaced(world(folder, layers, covariates), rewards)
    if folder == SYNTHETIC:
        if layers == "last" or not covariates:
            raise SystemExit(
                "the synthetic world has layers without texts: take --variants with all layers, covariates"
            )
        return synthetic()
    parts = (folder / "pool", folder / "test")
    return [(read(part, layers, covariates), np.asarray(brm.load_golden(part))) for part in parts]


def _replaced(
    parts: list[tuple[brm.ResponsePool, np.ndarray]], rewards: str
) -> list[tuple[brm.ResponsePool, np.ndarray]]:
    """Other golden rewards, of the directions of the middle block in which responses to a prompt differ most.

    With z of a sd of one within the prompts of the pool to choose from: "curved" −‖z − ½‖² of six directions; "folded"
    −|aᵀz| and "crossed" tanh(2 aᵀz) tanh(2 bᵀz) of sixteen, with a and b orthonormal. So have the rewards.
    """
    pool = parts[0][0]
    model = brm.RewardModel(pool, "layers")
    model.fit_pool(pool)
    block = list(model.blocks.values())[len(pool.blocks) // 2]
    count = 6 if rewards == "curved" else 16
    leading = [
        encode(model, part, np.arange(len(part)), torch.device("cpu"))[:, block][:, :count] for part, _ in parts
    ]
    coordinates = [z.numpy() - leading[0].numpy().mean(axis=0) for z in leading]
    sd = less_group_means(coordinates[0], pool.group).std(axis=0)
    a, b = np.linalg.qr(np.random.default_rng(11).normal(size=(count, count)))[0][:, :2].T
    shapes = {
        "curved": lambda z: -((z - 0.5) ** 2).sum(axis=1),
        "folded": lambda z: -np.abs(z @ a),
        "crossed": lambda z: np.tanh(2 * z @ a) * np.tanh(2 * z @ b),
    }
    found = [shapes[rewards](z / sd) for z in coordinates]
    unit = less_group_means(found[0][:, None], pool.group).std()
    return [(part, reward / unit) for (part, _), reward in zip(parts, found, strict=True)]


def recorded(folder: Path) -> bool:
    """Whether people answered."""
    return (folder / "pool" / VOTES).exists()


def temperature(folder: Path, rewards: str = GOLDEN) -> float:
    """The slope of answers in golden rewards: 1 where they are recorded votes, 2 where they are simulated."""
    return 1.0 if rewards == GOLDEN and recorded(folder) else SIMULATED


def annotator(folder: Path, golden: np.ndarray, seed: int, rewards: str = GOLDEN) -> brm.Annotator:
    """Who answers: the people whose votes were recorded, else one who follows golden rewards."""
    if rewards == GOLDEN and recorded(folder):
        return brm.ReplayAnnotator(brm.load_votes(folder / "pool"), seed)
    return brm.GoldenAnnotator(golden, SIMULATED, seed)


def one_a_prompt(pool: brm.ResponsePool, seed: int) -> brm.Comparisons:
    """A random pair of each prompt, in random order."""
    draws = np.random.default_rng(seed)
    pairs = [draws.choice(members, 2, replace=False) for members in pool.members if len(members) > 1]
    first, second = draws.permutation(np.stack(pairs)).T
    return brm.Comparisons(first, second)


def coverage(
    posterior: brm.RewardPosterior, test: brm.ResponsePool, golden: np.ndarray, slope: float
) -> list[float]:
    """How many golden logits 90% intervals hold, with and without what features cannot say."""
    found = []
    for unexplained in (True, False):
        pit, _ = golden_pit(posterior, test, golden, slope, unexplained=unexplained)
        found.append(float(np.mean(np.abs(pit - 0.5) <= 0.45)))
    return found


def main() -> None:
    """Print a line for each variant and number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 40, 80, 160, 320, 640])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--rewards", choices=REWARDS, default=GOLDEN)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--out", type=Path, help="a line of JSON for each fit; what is there is not fitted again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    slope = temperature(options.folder, options.rewards)
    if options.folder != SYNTHETIC and options.rewards == GOLDEN:
        tested = options.folder / "test"
        alone = brm.baselines(read(tested, "last", False), brm.load_golden(tested))["log_characters"]
        print(f"length alone: 1−S {alone['one_minus_spearman']:.3f}", flush=True)
    found: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(dict)
    for line in options.out.read_text().splitlines() if options.out and options.out.exists() else ():
        kept = json.loads(line)
        found[kept["variant"], kept["labels"]][kept["seed"]] = kept["row"]
    for variant in options.variants:
        layers, covariates, encoder = VARIANTS[variant]
        (pool, golden), (test, test_golden) = world(options.folder, layers, covariates, options.rewards)
        for seed in range(options.seeds):
            asked = brm.candidates(pool, prompts=None, size=max(options.labels), seed=seed)
            if options.once:
                asked = one_a_prompt(pool, seed)
            labels = annotator(options.folder, golden, seed, options.rewards).label(asked)
            for count in options.labels:
                if seed in found[variant, count]:
                    continue
                start = time.perf_counter()
                posterior = brm.fit(brm.RewardModel(pool, encoder=encoder), pool, labels[:count])
                seconds = time.perf_counter() - start
                scores = brm.evaluate(posterior, test, test_golden, slope)
                row = [seconds, *(float(scores.get(name, np.nan)) for name in MEASURED)]
                if options.coverage:
                    row += coverage(posterior, test, test_golden, slope)
                found[variant, count][seed] = row
                if options.out:
                    with options.out.open("a") as file:
                        kept = {"variant": variant, "labels": count, "seed": seed, "row": row}
                        file.write(json.dumps(kept) + "\n")
        for count in options.labels:
            rows = [found[variant, count][seed] for seed in range(options.seeds)]
            mean = np.mean(rows, axis=0)
            error = (
                np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.full(mean.shape, np.nan)
            )
            text = (
                f"{variant:32s} {count:5d} labels  1−S {mean[1]:.3f} ± {error[1]:.3f}  given length {mean[2]:.3f} "
                f"± {error[2]:.3f}  log loss {mean[3]:.3f}"
            )
            if options.coverage:
                text += f"  90% hold {mean[4]:.2f} (without u {mean[5]:.2f})"
            print(f"{text}  {mean[0]:.2f} s", flush=True)


if __name__ == "__main__":
    main()
