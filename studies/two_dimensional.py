"""What designs ask about in two dimensions, after the paper's figure 1.

The golden reward is the log density of two Gaussians of variance 0.25 at ±(2.5, 2.5). Each round draws 1,000 points
from a standard normal, so the modes are seldom seen, and a design chooses 200 pairs of 20,000. The reward model is the
paper's network with 16 units in each of three layers. "ours" is the same network with a Laplace posterior of its last
layer and batches chosen greedily.

Maps show the reward that was learned after a round, centred and scaled, with contours of the golden one in white; pairs
asked about in that round are linked red dots, and the first column has the points to choose from in grey. Ranking is
measured on 2,000 fresh points from the same normal distribution.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import bayesrm as brm
from bayesrm import rng
from bayesrm.plots.studies import reward_maps
from bayesrm.runs.cell import Cell
from bayesrm.study import StudyResults
from bayesrm.study.paper_figures import display, efficiency, says_who_wins, standings

MODE, VARIANCE = 2.5, 0.25
POINTS, TEST_POINTS = 20_000, 2_000
GRID = np.linspace(-4.0, 4.0, 61)
"""Places of a map along either axis."""


def golden(points: np.ndarray) -> np.ndarray:
    """Log density of the mixture, (point,)."""
    modes = np.array([[-MODE, -MODE], [MODE, MODE]])
    squares = ((points[:, None, :] - modes) ** 2).sum(axis=-1)
    return np.logaddexp.reduce(-squares / (2 * VARIANCE), axis=1) - np.log(4 * np.pi * VARIANCE)


def pools(folder: Path) -> dict[str, tuple[Path, Path]]:
    """A pool of points that are prompts of their own, and a test pool of one prompt."""
    for name, count in (("pool", POINTS), ("test", TEST_POINTS)):
        if (folder / name).exists():
            continue
        points = rng.stream(0, "plane", name).standard_normal((count, 2)).astype(np.float32)
        prompt = np.arange(count) if name == "pool" else np.zeros(count, np.int64)
        brm.save_pool(folder / name, brm.ResponsePool(points, prompt), golden=golden(points.astype(np.float64)))
    return {"plane": (folder / "pool", folder / "test")}


def answer(results: StudyResults) -> str:
    """Who ranks best, and whether what was asked about spreads out."""
    spread = distances(results)
    far, near = spread["distance of the two responses"].idxmax(), spread["distance of the two responses"].idxmin()
    return (
        says_who_wins(results.trajectory)
        + f"\nPairs lie farthest apart with {display(far)} ({spread.loc[far].iloc[0]:.2f} on average) and closest with "
        f"{display(near)} ({spread.loc[near].iloc[0]:.2f}); random ones are "
        f"{spread.loc['paper random'].iloc[0]:.2f} apart."
    )


def figures(results: StudyResults) -> dict[str, Figure]:
    """Figure 1, of the first seed, and learning curves over all."""
    trajectory = results.trajectory.assign_coords(scope="cross-prompt").expand_dims("scope")
    return {"figure_1": reward_maps(maps(results)), "learning_curves": efficiency(trajectory)["cross_prompt"]}


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Standings, and where pairs lie."""
    spread = distances(results)
    spread.insert(0, "approach", [display(approach) for approach in spread.index])
    return {"standings": standings(results.trajectory), "pairs": spread.reset_index(drop=True)}


def maps(results: StudyResults) -> xr.Dataset:
    """What figure 1 shows, see reward_maps."""
    x, y = np.meshgrid(GRID, GRID)
    plane = np.stack([x.ravel(), y.ravel()], axis=1)
    everywhere = brm.ResponsePool(plane.astype(np.float32), np.zeros(len(plane), np.int64))
    approaches = [str(approach) for approach in results.trajectory["approach"].values]
    rounds = [int(number) for number in results.trajectory["round"].values]
    seed = int(results.trajectory["seed"].values[0])
    rewards, pairs, points = [], [], []
    for approach in approaches:
        cell = results.cell(approach=approach, seed=seed)
        places = cell.pool().rows(np.arange(len(cell.pool())))
        posteriors = [cell.posterior(i) for i in range(len(rounds))]
        rewards.append([posterior.reward(everywhere)[0].reshape(x.shape) for posterior in posteriors])
        pairs.append(
            [
                np.stack([places[record.selection.first], places[record.selection.second]], 1)
                for record in cell.records()
            ]
        )
        points.append(places[offered(cell)])
    most = max(map(len, points))
    points = [np.pad(part, ((0, most - len(part)), (0, 0)), constant_values=np.nan) for part in points]
    return xr.Dataset(
        {
            "reward": (("design", "round", "y", "x"), np.array(rewards)),
            "pair": (("design", "round", "comparison", "end", "axis"), np.array(pairs)),
            "candidate": (("design", "point", "axis"), np.array(points)),
            "truth": (("y", "x"), golden(plane).reshape(x.shape)),
        },
        {"design": [display(approach) for approach in approaches], "round": rounds, "x": GRID, "y": GRID},
    )


def offered(cell: Cell) -> np.ndarray:
    """The points that the first round could choose from."""
    config = cell.config
    return brm.candidates(
        cell.pool(), config.scope, config.prompts, config.candidates, rng.child(config.seed, "candidates", 0)
    ).responses


def distances(results: StudyResults) -> pd.DataFrame:
    """By approach: how far apart both responses of a pair are, how far from the centre, and in golden reward."""
    rows = {}
    for approach in results.trajectory["approach"].values:
        apart, out, differs = [], [], []
        for cell in results.cells:
            if cell.place["approach"] != approach:
                continue
            places, rewards = cell.pool().rows(np.arange(len(cell.pool()))), cell.golden()
            labels = cell.labels()
            first, second = places[labels.first], places[labels.second]
            apart.append(np.linalg.norm(first - second, axis=1).mean())
            out.append(np.linalg.norm(np.concatenate([first, second]), axis=1).mean())
            differs.append(np.abs(rewards[labels.first] - rewards[labels.second]).mean())
        rows[str(approach)] = [float(np.mean(part)) for part in (apart, out, differs)]
    columns = ["distance of the two responses", "distance from the centre", "difference of golden rewards"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
