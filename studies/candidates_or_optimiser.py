"""More candidates, or a better optimiser?

The paper draws 20,000 pairs and takes those of the largest gradient, which does not see that two of them ask the same.
Here a design may also choose greedily, or greedily with swaps, and from all pairs of the drawn prompts, of which there
are hundreds of thousands. Nats are the joint information of a batch about the last layer under the posterior that chose
it; the first round is the fair comparison, as all ways then have the same posterior. Labels are what a practitioner
counts.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.evaluation.comparison import compare
from bayesrm.evaluation.intervals import paired_interval
from bayesrm.plots.studies import METRICS, Line, Panel, curve_grid
from bayesrm.plots.style import BASELINE_COLOUR, COLOURS
from bayesrm.study import StudyResults


def answer(results: StudyResults) -> str:
    """What each is worth in nats and in 1 − Spearman."""
    table = nats(results).set_index("way")
    greedy, gradient, everything = sampled(results, "greedy"), sampled(results, "gradient"), "greedy of all"
    curve = compare(results.trajectory, over="way", baseline=gradient).set_index("way")

    def change(way: str) -> str:
        row = curve.loc[way]
        low, high = row["area_difference_low"], row["area_difference_high"]
        return f"{row['area_difference']:+.3f} ({low:+.3f} to {high:+.3f})"

    first = {way: f"{table.loc[way, 'first_round']:.1f}" for way in (greedy, gradient, everything)}
    return (
        f"In the first round, greedy choice of {greedy.removeprefix('greedy of ')} pairs brings {first[greedy]} nats "
        f"where the gradient brings {first[gradient]}, and greedy choice of all pairs brings {first[everything]}.\n"
        f"In 1 − Spearman averaged over the curve, greedy choice differs from the gradient by {change(greedy)}, and "
        f"with all pairs by {change(everything)} (95% intervals over seeds)."
    )


def sampled(results: StudyResults, optimiser: str) -> str:
    """The way in which an optimiser chooses from a sample of the pairs: its name has the sample's size."""
    ways = [str(way) for way in results.trajectory["way"].values]
    (found,) = [way for way in ways if way.startswith(f"{optimiser} of ") and not way.endswith("all")]
    return found


def figures(results: StudyResults) -> dict[str, Figure]:
    """Ranking and nats against labels."""
    trajectory = results.trajectory.isel(pool=0)
    ways = [str(way) for way in trajectory["way"].values]
    lines = []
    for i, way in enumerate(sorted(ways, key=lambda name: name == "random")):
        colour = BASELINE_COLOUR if way == "random" else COLOURS[i % len(COLOURS)]
        lines.append(Line(way, trajectory.sel(way=way), colour, dashed=way == "random"))
    # Random pairs are not chosen for their information, and nobody has counted it.
    informed = [line for line in lines if not line.dashed]
    seeds = f"way\n({trajectory.sizes['seed']} seeds)"
    return {
        "learning_curves": curve_grid([Panel("PA D-opt, Laplace", lines)], METRICS, seeds, width=5.2),
        "nats": curve_grid([Panel("joint information of each batch", informed)], ("gain",), seeds, width=5.2),
    }


def tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Nats by way, and ranking against random and against the gradient."""
    return {
        "nats": nats(results),
        "against_random": compare(results.trajectory, over="way", baseline="random"),
        "against_the_gradient": compare(results.trajectory, over="way", baseline=sampled(results, "gradient")),
    }


def nats(results: StudyResults) -> pd.DataFrame:
    """Joint information of the batches, mean over seeds: of the first round, and of all."""
    trajectory = results.trajectory.isel(pool=0)
    rows = []
    for way in trajectory["way"].values:
        if way == "random":
            continue
        cell = trajectory.sel(way=way)
        first = cell["gain"].isel(round=0).values
        reference = trajectory["gain"].sel(way=sampled(results, "gradient")).isel(round=0).values
        interval = paired_interval(first, reference)
        rows.append(
            {
                "way": way,
                "first_round": float(first.mean()),
                "more_than_gradient": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "short_of_the_best_batch_at_most": float(cell["shortfall"].isel(round=0).mean()),
                "all_rounds": float(cell["gain"].sum("round").mean()),
            }
        )
    return pd.DataFrame(rows)
