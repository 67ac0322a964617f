"""How designs compare along their learning curves: differences to a baseline, areas, labels saved, ranks.

Runs with the same seed are paired: they have the same candidates and the same annotator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.intervals import LEVEL, Interval, Method, mean_interval
from bayesrm.evaluation.learning_curves import Curves, area, needed, saving
from bayesrm.evaluation.names import BASELINE, METRIC_NAMES
from bayesrm.utils.wording import counted

EARLY = 1 / 8
"""Share of the labels at which ``early_difference`` looks: information that comes early is gone from the end."""
_INNER = ("seed", "round", "n", "test_prompt")


def compare(
    trajectory: xr.Dataset,
    metric: str = "one_minus_spearman",
    over: str = "design",
    baseline: str | int | float = BASELINE,
    target: float | None = None,
    level: float = LEVEL,
    method: Method = "bootstrap",
) -> pd.DataFrame:
    """Everything held against a baseline in the same setting, seed by seed.

    Parameters
    ----------
    trajectory
        Combined results with dimensions ``over``, ``seed``, ``round``; every other dimension is a setting.
    metric
        Of ``best_of_n`` the largest N counts. Where ``<metric>_by_prompt`` is there, intervals are over seeds and
        test prompts, else over seeds.
    over, baseline
        The dimension whose labels are compared, and the label they are compared with.
    target
        Level to be reached, in the metric's unit; None: what the baseline ends with.
    level, method
        Of the intervals of differences, see :func:`bayesrm.evaluation.intervals.mean_interval`.

    Returns
    -------
    DataFrame
        A row for each setting and label: the setting's columns, ``over``, ``seeds``, ``labels`` (the last number that
        it and the baseline have), ``final``, ``area`` (means), ``difference``, ``early_difference`` (after
        ``early_labels``, the first number that is at least an eighth of the last) and ``area_difference`` to the
        baseline, ``ratio`` (of labels needed for ``target``, see :func:`saving`), these four with ``_low`` and
        ``_high``;
        ``target``, ``labels_to_target``, ``rank`` by area within the setting; ``metric``, ``baseline``.
    """
    _require_label(trajectory, metric, over, baseline)
    rows = []
    for place in _places(trajectory, metric, over):
        labels = list(trajectory[over].values)
        curves = {label: _curves(trajectory, metric, {**place, over: label}) for label in labels}
        areas = {}
        for label in labels:
            pair = _paired(curves[label], curves[baseline])
            if pair is None:
                continue
            one, reference = pair
            sign = 1 if _lower_is_better(metric) else -1
            span = max(one.labels[0], reference.labels[0]), min(one.labels[-1], reference.labels[-1])
            last = np.array([span[1]])
            there = np.unique(np.append(one.labels[one.labels < span[1]], span[1]))
            early = there[there >= max(span[0], EARLY * span[1])][:1]
            row: dict[str, Any] = {**place, over: label, "seeds": len(one.values), "labels": int(span[1])}
            row["early_labels"] = int(early[0])
            row["final"] = sign * float(one.at(last).mean())
            areas[label] = float(area(one, *span).mean())
            row["area"] = sign * areas[label]
            aim = None if target is None else sign * target
            row["target"] = sign * float(reference.mean()[-1]) if target is None else target
            row["labels_to_target"] = float(needed(one.labels, one.mean(), sign * row["target"]))
            differences = {
                "difference": (one.at(last) - reference.at(last))[:, 0],
                "early_difference": (one.at(early) - reference.at(early))[:, 0],
                "area_difference": area(one, *span) - area(reference, *span),
            }
            for name, values in differences.items():
                row |= _columns(name, mean_interval(sign * values, level, method))
            row |= _columns(
                "ratio", Interval(1.0, 1.0, 1.0) if label == baseline else saving(one, reference, aim, level)
            )
            rows.append(row | {"metric": metric, "baseline": baseline})
        ranked = dict(zip(areas, rankdata(list(areas.values())), strict=True))
        for row in rows[-len(areas) :] if areas else []:
            row["rank"] = float(ranked[row[over]])
    return pd.DataFrame(rows)


def saving_sentence(row: Mapping[str, Any] | pd.Series[Any], level: float = LEVEL, over: str = "design") -> str:
    """A row of :func:`compare` in words: "dopt reaches 0.66 with 0.42× the labels of random, 95% interval …"."""
    who, target, baseline = row[over], f"{row['target']:.2f}", row["baseline"]
    if np.isnan(row["ratio"]):
        return f"{baseline} does not reach {target}, so there is no saving to speak of"
    low, high = row["ratio_low"], row["ratio_high"]
    if np.isinf(row["ratio"]):
        bound = f": it needs at least {low:.2f}× the labels of {baseline}" if low > 0 else ""
        return f"{who} does not reach {target} within {counted(row['labels'], 'label')}{bound}"
    told = f"{who} reaches {target} with {row['ratio']:.2f}× the labels of {baseline}"
    if np.isnan(low):
        return f"{told}, in a single run"
    if low == 0:
        return f"{told}, {level:.0%} interval " + ("open to both sides" if np.isinf(high) else f"up to {high:.2f}")
    return f"{told}, {level:.0%} interval " + (f"{low:.2f} or more" if np.isinf(high) else f"{low:.2f}–{high:.2f}")


def early_sentence(row: Mapping[str, Any] | pd.Series[Any], level: float = LEVEL) -> str:
    """What a row says of an eighth of the labels: "after 50 of 400 labels its log loss less that of random is …"."""
    name = METRIC_NAMES.get(row["metric"], (row["metric"], ""))[0].removesuffix(", nats")
    difference, low, high = (row["early_difference" + end] for end in ("", "_low", "_high"))
    told = (
        f"after {row['early_labels']:,} of {counted(row['labels'], 'label')} its {name} less that of {row['baseline']} "
        f"is {difference:+.3f}"
    )
    return told if np.isnan(low) else f"{told}, {level:.0%} interval {low:+.3f} to {high:+.3f}"


def area_under_curve(trajectory: xr.Dataset, metric: str = "one_minus_spearman") -> xr.DataArray:
    """Mean of a metric over labels (trapezoids), of each run; NaN where a run has gaps or is not there."""
    return _of_each_run(trajectory, metric, lambda labels, values: float(area(Curves(labels, values[None]))[0]))


def labels_to_target(trajectory: xr.Dataset, metric: str, target: float) -> xr.DataArray:
    """Labels that each run needs for a level of a metric, interpolated; infinite where it does not get there."""
    sign = 1 if _lower_is_better(metric) else -1
    return _of_each_run(
        trajectory, metric, lambda labels, values: float(needed(labels, sign * values, sign * target))
    )


def ranks(
    trajectory: xr.Dataset,
    metric: str = "one_minus_spearman",
    over: str = "design",
    level: float = LEVEL,
    method: Method = "bootstrap",
) -> pd.DataFrame:
    """Mean rank by area, 1 is best, over all settings where every label was run.

    Returns
    -------
    DataFrame
        A row for each label, best first: ``rank`` with ``rank_low`` and ``rank_high``, an interval over settings (each
        the mean of its seeds) where there are at least four, else over seeds (each the mean of its settings);
        ``settings``, ``seeds``, ``wins`` (settings in which it is first on average).
    """
    areas = area_under_curve(trajectory, metric) * (1 if _lower_is_better(metric) else -1)
    settings = [name for name in areas.dims if name not in (over, "seed")]
    blocks = areas.stack(setting=settings) if settings else areas.expand_dims("setting")
    blocks = blocks.transpose("setting", "seed", over)
    complete = blocks.notnull().all(over)
    kept = blocks.isel(setting=complete.any("seed").values)
    if kept.sizes["setting"] == 0:
        raise InvalidInputError(
            f"expected a setting in which every {over} was run, found none: nothing can be ranked"
        )
    values = np.where(kept.notnull().all(over).values[..., None], kept.values, np.nan)
    ranked = np.where(np.isnan(values), np.nan, rankdata(np.nan_to_num(values), axis=2))
    by_setting = np.nanmean(ranked, axis=1)
    seeds = ~np.isnan(ranked).all(axis=(0, 2))
    units = by_setting if len(by_setting) >= 4 else np.nanmean(ranked[:, seeds], axis=0)
    rows = []
    for i, label in enumerate(areas[over].values):
        interval = mean_interval(units[:, i], level, method)
        row = {over: label, **_columns("rank", interval), "settings": len(by_setting), "seeds": int(seeds.sum())}
        rows.append(row | {"wins": int((by_setting.argmin(1) == i).sum())})
    return pd.DataFrame(rows).sort_values("rank", ignore_index=True)


def markdown(table: pd.DataFrame, digits: int = 3) -> str:
    """A table in Markdown; non-integers are rounded to a number of digits."""

    def cell(value: object) -> str:
        if isinstance(value, float | np.floating):
            return (
                "–" if np.isnan(value) else f"{value:.0f}" if float(value).is_integer() else f"{value:.{digits}f}"
            )
        return str(value).replace("|", "\\|")

    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    lines = [list(map(str, table.columns)), ["---:" if number else "---" for number in numeric]]
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _lower_is_better(metric: str) -> bool:
    return METRIC_NAMES.get(metric, ("", "lower"))[1] == "lower"


def _require_label(trajectory: xr.Dataset, metric: str, over: str, baseline: object) -> None:
    if metric not in trajectory:
        there = ", ".join(map(str, trajectory.data_vars))
        raise InvalidInputError(f"there is no metric {metric} in these results: there are {there}")
    if over not in trajectory.dims or baseline not in trajectory[over].values:
        there = ", ".join(map(str, trajectory[over].values)) if over in trajectory.dims else "no such dimension"
        raise InvalidInputError(f"expected {baseline!r} among the labels of {over}, got {there}")


def _places(trajectory: xr.Dataset, metric: str, over: str) -> list[dict[str, Any]]:
    """The settings: all combinations of the other dimensions."""
    names = [str(name) for name in trajectory[metric].dims if name not in (*_INNER, over)]
    return [
        dict(zip(names, labels, strict=True)) for labels in product(*(trajectory[name].values for name in names))
    ]


@dataclass(frozen=True)
class _Runs:
    """Curves with the seeds they are of."""

    seeds: Sequence[int]
    curves: Curves


def _curves(trajectory: xr.Dataset, metric: str, place: Mapping[str, Any]) -> _Runs:
    """The curves of a place, lower made better, at the rounds that all its seeds have come to."""
    by_prompt = f"{metric}_by_prompt"
    values = trajectory[by_prompt if by_prompt in trajectory else metric].sel(place)
    if "n" in values.dims:
        values = values.isel(n=_largest_n(values))
    values = values.transpose("seed", "round", ...)
    array = values.values.astype(np.float64)
    if np.isnan(array).all():
        return _Runs([], Curves(np.empty(0), array[:0, :0]))
    if array.ndim == 3:
        # Prompts whose golden rewards are all equal have no rank correlation, in no run.
        array = array[:, :, ~np.isnan(array).all(axis=(0, 1))]
    missing: np.ndarray = np.asarray(np.isnan(array.reshape(*array.shape[:2], -1)).any(axis=2))
    started = ~np.asarray(missing.all(axis=1))
    rounds = ~np.asarray(missing[started].any(axis=0))
    labels = values["labels"].values[rounds].astype(np.float64)
    sign = 1 if _lower_is_better(metric) else -1
    return _Runs(values["seed"].values[started].tolist(), Curves(labels, sign * array[np.ix_(started, rounds)]))


def _largest_n(values: xr.DataArray) -> int:
    there = values.notnull().any([name for name in values.dims if name != "n"]).values
    return int(np.flatnonzero(there)[-1]) if there.any() else 0


def _paired(one: _Runs, other: _Runs) -> tuple[Curves, Curves] | None:
    """The curves of the seeds that both have."""
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    if not seeds or not len(one.curves.labels) or not len(other.curves.labels):
        return None
    picked = [
        Curves(runs.curves.labels, runs.curves.values[[runs.seeds.index(seed) for seed in seeds]])
        for runs in (one, other)
    ]
    return picked[0], picked[1]


def _of_each_run(
    trajectory: xr.Dataset, metric: str, figure: Callable[[np.ndarray, np.ndarray], float]
) -> xr.DataArray:
    """A figure of every complete curve."""
    values = trajectory[metric]
    if "n" in values.dims:
        values = values.isel(n=_largest_n(values))
    values = values.transpose(..., "round")
    labels = np.broadcast_to(
        trajectory["labels"].broadcast_like(values).transpose(*values.dims).values, values.shape
    ).astype(np.float64)
    result = np.full(values.shape[:-1], np.nan)
    for place in np.ndindex(*result.shape):
        curve = values.values[place]
        there = ~np.isnan(curve)
        # Rounds that are missing at the end are of a run with fewer; a gap is not a curve.
        if there.any() and there[: there.sum()].all():
            result[place] = figure(labels[place][there], curve[there])
    return values.isel(round=0, drop=True).copy(data=result)
