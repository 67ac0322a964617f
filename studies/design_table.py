r"""Every design against random, under the default model: which of them can be a default.

Pools (people's arguments with their recorded votes, AlpacaEval, data/quickstart, and a world in which a linear reward
is right) × what is asked (pairs within prompts, any two responses, lists of four) × designs, in three batches up to 160
pairs, or 80 lists, which are as many texts to read. A cell of the study is a line of JSON, appended as soon as it is
there: run again it goes on where it was. Seeds come outermost, so whatever is there is whole tables of fewer seeds. The
same seed has the same candidates, fits and annotators for every design, so that differences to random are paired.

    python studies/design_table.py --tiny
    python studies/design_table.py --out runs/designs.jsonl --seeds 10
    python studies/design_table.py --out runs/others.jsonl --first-seed 5 --seeds 5   # on a second machine
    python studies/design_table.py --out runs/designs.jsonl --table
    python studies/design_table.py --out runs/longer.jsonl --longer --pool alpaca_eval --design epig-stratified

``--longer`` asks 500 pairs within prompts, in five batches; ``--embeddings-alone`` leaves hidden layers and covariates
out.

1 − Spearman within test prompts is averaged over the three batches. Intervals are 95% by Student's t over seeds and
test prompts, and no narrower than over seeds alone; stars are p < .05 after Holm's correction over all designs and
settings of the table. In total means over the settings that a design has; a default needs all of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq

import bayesrm as brm
from bayesrm import rng
from bayesrm.data.covariates import surface_covariates
from bayesrm.data.votes import VOTES
from bayesrm.design import CRITERIA
from bayesrm.errors import CapabilityError
from bayesrm.evaluation.intervals import Interval, mean_interval
from bayesrm.evaluation.metrics import best_of_n_by_prompt, best_of_sizes, log_loss, predict, spearman_by_prompt
from bayesrm.evaluation.names import BASELINE

ROOT = Path(__file__).resolve().parents[1]
RIGHT = "model is right"
LIST = 4
TEMPERATURE = 2.0
CANDIDATES_FROM = 100
"""Prompts that candidates are drawn from in each round."""
FIRST = (
    "random",
    "within-first",
    "epig",
    "epig-stratified",
    "moments",
    "r-idea",
    "near-ties",
    "double-thompson",
    "pa-dopt",
    "vopt",
    "rank-vopt",
    "bald",
)
"""The designs that could be a default, or were at the front elsewhere; all others follow."""
Key = tuple[str, str, str]
"""Pool, what is asked, design."""


@dataclass(frozen=True)
class Setting:
    """What is asked, and in which batches.

    Parameters
    ----------
    name
        What tables call it.
    scope
        "within-prompt" or "cross-prompt".
    list_size
        2 for pairs.
    batches
        Sizes of the batches.
    """

    name: str
    scope: str
    list_size: int
    batches: tuple[int, ...]


SETTINGS = (
    Setting("within", "within-prompt", 2, (40, 40, 80)),
    Setting("across", "cross-prompt", 2, (40, 40, 80)),
    Setting("lists", "within-prompt", LIST, (20, 20, 40)),
)


LONGER = (Setting("within to 500", "within-prompt", 2, (40, 40, 80, 160, 180)),)


@dataclass(frozen=True)
class World:
    """A pool to ask about and one to be tested on."""

    pool: brm.ResponsePool
    golden: np.ndarray
    test: brm.ResponsePool
    test_golden: np.ndarray
    votes: brm.Votes | None = None


def read(folder: Path, embeddings_alone: bool = False) -> World:
    """Pools with all layers that are there, and with covariates of the texts."""
    parts = []
    for name in ("pool", "test"):
        pool = brm.load_pool(folder / name)
        if embeddings_alone:
            parts.append(pool)
            continue
        table = pd.read_parquet(folder / name / "responses.parquet")
        rows, blocks = pool.rows(np.arange(len(pool))), dict(pool.blocks)
        if (folder / name / "layers.npy").exists():
            layers = np.load(folder / name / "layers.npy", allow_pickle=False).astype(np.float32)
            width = layers.shape[2]
            blocks = {f"layer-{k}": slice(k * width, (k + 1) * width) for k in range(layers.shape[1])}
            rows = layers.reshape(len(layers), -1)
        known = surface_covariates(table["prompt"].tolist(), table["response"].tolist())
        parts.append(brm.ResponsePool(rows, pool.prompt, blocks=blocks, covariates=known))
    votes = brm.load_votes(folder / "pool") if (folder / "pool" / VOTES).exists() else None
    golden = [brm.load_golden(folder / name) for name in ("pool", "test")]
    return World(parts[0], golden[0], parts[1], golden[1], votes)


def linear_world(prompts: int = 100, responses: int = 10, dim: int = 30) -> World:
    """Embeddings of decaying spectrum, half of whose variance is the prompt's, and a reward that is linear in them."""
    draw = rng.stream(0, "linear world")
    scale = (1 + np.arange(dim)) ** -0.5
    weights = draw.standard_normal(dim) / np.linalg.norm(scale) * 1.5
    parts: list[tuple[brm.ResponsePool, np.ndarray]] = []
    for _ in range(2):
        shared, own = draw.standard_normal((prompts, 1, dim)), draw.standard_normal((prompts, responses, dim))
        x = ((shared + own) * scale * 0.5**0.5).reshape(-1, dim)
        parts.append(
            (brm.ResponsePool(x.astype(np.float32), np.repeat(np.arange(prompts), responses)), x @ weights)
        )
    return World(*parts[0], *parts[1])


def worlds(data: Path) -> dict[str, Path | None]:
    """The pools that are there: name → folder, None for the world that is made here."""
    folders = {"arguments": data / "arguments", "alpaca_eval": data / "alpaca_eval"}
    there = {name: folder for name, folder in folders.items() if (folder / "pool").exists()}
    return {**there, "quickstart": ROOT / "data" / "quickstart", RIGHT: None}


def ordered(names: Iterable[str]) -> list[str]:
    """The designs to begin with, then the rest."""
    known = set(names)
    return [name for name in FIRST if name in known] + sorted(known - set(FIRST))


def measure(world: World, setting: Setting, design: str, seed: int, encoder: str) -> dict[str, object] | None:
    """A campaign's curve; None where the design knows no lists."""
    pool, within = world.pool, setting.scope == "within-prompt"
    votes = world.votes if within and setting.list_size == 2 else None
    replayed = None if votes is None else brm.ReplayAnnotator(votes, seed)
    annotator = replayed or brm.GoldenAnnotator(world.golden, TEMPERATURE, seed)
    labels, start = brm.Preferences.none(), time.process_time()
    posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
    found: dict[str, list[object]] = {"by_prompt": [], "log_loss": [], "best_of_n": []}
    for step, size in enumerate(setting.batches):
        root, own = rng.child(seed, "candidates", step), rng.child(seed, "selection", step)
        if replayed is not None:
            candidates = brm.candidates(pool, pairs=replayed.pairs, exclude=labels)
        else:
            candidates = brm.candidates(pool, setting.scope, prompts=CANDIDATES_FROM, seed=root, exclude=labels)
        try:
            batch = brm.select(posterior, candidates, design, size, seed=own, list_size=setting.list_size)
        except CapabilityError:
            return None
        labels = labels.append(annotator.label(batch))
        posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
        predicted = predict(posterior, world.test, world.test_golden, TEMPERATURE)
        by_prompt = 1 - spearman_by_prompt(predicted.reward, predicted.golden, predicted.group)
        sizes = best_of_sizes(predicted.group)
        best = best_of_n_by_prompt(predicted.reward, predicted.golden, predicted.group, sizes)[sizes[-1]]
        found["by_prompt"].append([None if np.isnan(value) else round(float(value), 4) for value in by_prompt])
        found["log_loss"].append(round(log_loss(predicted.probability, predicted.golden_probability), 5))
        found["best_of_n"].append(round(float(np.nanmean(best)), 5))
    return {**found, "seconds": round(time.process_time() - start, 2)}


def lines(out: Path) -> list[dict[str, object]]:
    """What is there; a last line that was cut short is left out."""
    kept = []
    for text in out.read_text(encoding="utf-8").splitlines() if out.exists() else ():
        try:
            kept.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return kept


def collect(
    out: Path,
    data: Path,
    pools: list[str],
    designs: list[str],
    seeds: range,
    encoder: str,
    minutes: float,
    settings: tuple[Setting, ...] = SETTINGS,
    embeddings_alone: bool = False,
) -> None:
    """Append the cells that are not there yet, seeds outermost."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists() and not out.read_bytes().endswith(b"\n"):
        with open(out, "a", encoding="utf-8") as file:
            file.write("\n")
    done = {(line["pool"], line["asked"], line["design"], line["seed"]) for line in lines(out)}
    there, end = worlds(data), time.monotonic() + 60 * minutes
    read_in: dict[str, World] = {}
    for seed, name, setting, design in product(seeds, pools, settings, designs):
        if (name, setting.name, design, seed) in done:
            continue
        if time.monotonic() > end:
            return
        if name not in read_in:
            folder = there[name]
            read_in[name] = linear_world() if folder is None else read(folder, embeddings_alone)
        found = measure(read_in[name], setting, design, seed, encoder)
        line = {"pool": name, "asked": setting.name, "design": design, "seed": seed, "found": found}
        with open(out, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def differences(cells: list[dict[str, object]]) -> dict[Key, np.ndarray]:
    """1 − Spearman less that of random, mean over batches, (seed, prompt), over the seeds that both have."""
    values: dict[Key, dict[int, np.ndarray]] = defaultdict(dict)
    for line in cells:
        if line["found"] is not None:
            curve = np.array(line["found"]["by_prompt"], dtype=np.float64)
            values[line["pool"], line["asked"], line["design"]][line["seed"]] = curve.mean(axis=0)
    found = {}
    for (pool, asked, design), own in values.items():
        base = values.get((pool, asked, BASELINE), {})
        shared = sorted(set(own) & set(base))
        if shared and design != BASELINE:
            cube = np.stack([own[seed] - base[seed] for seed in shared])
            found[pool, asked, design] = cube[:, np.isfinite(cube).all(axis=0)]
    return found


def interval(cube: np.ndarray, level: float = 0.95) -> Interval:
    """Of the mean over seeds and prompts: the wider one of both ways and of seeds alone.

    Of few seeds the variance between seeds is next to nothing by chance at times, and prompts alone would then say how
    sure one is.
    """
    both = [mean_interval(values, level, method="student") for values in (cube, cube.mean(axis=1))]
    return max(both, key=lambda found: found.high - found.low)


def p_value(cube: np.ndarray) -> float:
    """The level at which the interval ends at zero, from one."""

    def excess(level: float) -> float:
        found = interval(cube, level)
        return abs(found.estimate) - (found.high - found.low) / 2

    if len(cube) < 2 or excess(1e-9) <= 0:
        return 1.0
    return 0.0 if excess(1 - 1e-12) >= 0 else 1 - float(brentq(excess, 1e-9, 1 - 1e-12))


def holm(p: dict[Key, float]) -> dict[Key, float]:
    """p-values adjusted for all of them (Holm 1979)."""
    adjusted, largest = {}, 0.0
    for rank, key in enumerate(sorted(p, key=lambda key: p[key])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[key]))
        adjusted[key] = largest
    return adjusted


def total(found: dict[Key, np.ndarray], design: str) -> Interval:
    """The mean difference over a design's settings: of a pool over seeds and prompts; pools are independent.

    What is asked differs within a pool but seeds and test prompts are the same, so they are averaged first.
    """
    pools: dict[str, list[np.ndarray]] = defaultdict(list)
    for (pool, _, name), cube in found.items():
        if name == design:
            pools[pool].append(cube)
    parts = []
    for cubes in pools.values():
        seeds = min(len(cube) for cube in cubes)
        parts.append((len(cubes), interval(np.mean([cube[:seeds] for cube in cubes], axis=0), level=0.95)))
    share = np.array([count for count, _ in parts], dtype=np.float64)
    share /= share.sum()
    estimate = float(share @ [part.estimate for _, part in parts])
    half = float(np.sqrt(np.square(share * [(part.high - part.low) / 2 for _, part in parts]).sum()))
    return Interval(estimate, estimate - half, estimate + half)


def table(cells: list[dict[str, object]]) -> str:
    """The table for people, best in total first."""
    found = differences(cells)
    adjusted = holm({key: p_value(cube) for key, cube in found.items()})
    columns = list(dict.fromkeys((line["pool"], line["asked"]) for line in cells))
    designs = sorted({key[2] for key in found}, key=lambda name: total(found, name).estimate)
    counts = [
        len({line["seed"] for line in cells if (line["pool"], line["asked"]) == column}) for column in columns
    ]
    text = ["| design | in total | " + " | ".join(f"{pool}, {asked}" for pool, asked in columns) + " |"]
    text += ["|---|---|" + "---|" * len(columns), _row("seeds", ["", *map(str, counts)])]
    text.append(_row(BASELINE, ["", *(f"{_level(cells, column):.3f}" for column in columns)]))
    for design in designs:
        row = [_signed(total(found, design))]
        for column in columns:
            key = (*column, design)
            star = " *" if key in found and adjusted[key] < 0.05 else ""
            row.append(_signed(interval(found[key])) + star if key in found else "–")
        text.append(_row(design, row))
    fine = [name for name in designs if _can_be_default(found, name)]
    text += [
        "",
        "Nowhere worse than random beyond its interval, and better in total: " + (", ".join(fine) or "none"),
    ]
    return "\n".join(text) + ".\n"


def _can_be_default(found: dict[Key, np.ndarray], design: str) -> bool:
    own = [interval(cube) for key, cube in found.items() if key[2] == design]
    if len(own) < len({key[:2] for key in found}):
        return False
    return all(not part.low > 0 and np.isfinite(part.low) for part in own) and total(found, design).high < 0


def _level(cells: list[dict[str, object]], column: tuple[str, str]) -> float:
    own = [
        np.nanmean(np.array(line["found"]["by_prompt"], dtype=np.float64))
        for line in cells
        if (line["pool"], line["asked"], line["design"]) == (*column, BASELINE)
    ]
    return float(np.mean(own)) if own else float("nan")


def _signed(found: Interval) -> str:
    half = (found.high - found.low) / 2
    return f"{found.estimate:+.3f}" + ("" if np.isnan(half) else f" ± {half:.3f}")


def _row(name: str, figures: list[str]) -> str:
    return f"| {name} | " + " | ".join(figures) + " |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tiny", action="store_true", help="two designs in the small world, for a look and for CI"
    )
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    parser.add_argument("--out", type=Path, default=Path("runs/designs.jsonl"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--pool", action="append", help="only this one; may be given several times")
    parser.add_argument("--design", action="append", help="only this one; may be given several times")
    parser.add_argument(
        "--candidates-for-default", action="store_true", help="only designs that could be a default"
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--longer", action="store_true", help="500 pairs within prompts")
    parser.add_argument("--embeddings-alone", action="store_true", help="without hidden layers and covariates")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no cell after so long")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pools, designs = asked.pool or list(worlds(asked.data)), asked.design or ordered(CRITERIA)
    if asked.candidates_for_default:
        designs = [name for name in designs if name in FIRST]
    if asked.tiny:
        pools, designs, asked.seeds = [RIGHT], list(FIRST[:2]), 2
    if not asked.table:
        if BASELINE not in designs:
            designs = [BASELINE, *designs]
        seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
        settings = LONGER if asked.longer else SETTINGS
        collect(
            asked.out,
            asked.data,
            pools,
            designs,
            seeds,
            asked.encoder,
            asked.minutes,
            settings,
            asked.embeddings_alone,
        )
    print(table(lines(asked.out)))


if __name__ == "__main__":
    main()
