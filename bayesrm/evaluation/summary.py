"""What combined results say: a table, and a sentence that claims no more than the error bars allow."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import t

from bayesrm.design.headroom import sentence
from bayesrm.evaluation.baselines import length_sentence
from bayesrm.evaluation.names import BASELINE, HEADROOM, LENGTH_SHARE, METRIC_NAMES, NEEDS_NO_LABEL
from bayesrm.utils.wording import counted

_WITHIN_A_CELL = ("round", "n", "test_prompt")
CONFIDENCE = 0.95
"""A difference counts as clear where its two-sided Student t interval over seeds leaves out zero."""


def final_table(trajectory: xr.Dataset, metric: str = "one_minus_spearman") -> pd.DataFrame:
    """Every metric after the last round that all runs have come to, a row for each setting and design.

    Parameters
    ----------
    trajectory
        Combined ``trajectory``, see :mod:`bayesrm.runs.combine`, with dimensions ``design``, ``seed`` and ``round``.
    metric
        The metric that is compared with random.

    Returns
    -------
    DataFrame
        A column for each dimension but ``seed``, such as ``scope, inference, design``; ``seeds, labels``, and ``n``,
        the N of best-of-N; per metric ``<metric>`` (mean over seeds) and ``<metric>_se`` (its standard error, NaN for
        one seed); ``difference`` and ``difference_se``: the mean paired difference of ``metric`` to random, seed by
        seed.
    """
    last = trajectory.isel(round=_last_common_round(trajectory, metric))
    names = [str(name) for name in last[metric].dims if name not in (*_WITHIN_A_CELL, "seed")]
    rows = []
    for labels in product(*(last[name].values for name in names)):
        place = dict(zip(names, labels, strict=True))
        cell = last.sel(place).dropna("seed", subset=[metric])
        if cell.sizes["seed"] == 0:
            continue
        row = {**place, "seeds": cell.sizes["seed"], "labels": int(cell["labels"])}
        for name in METRIC_NAMES:
            if name in cell:
                if "n" in cell[name].dims:
                    row["n"] = int(cell["n"].max())
                values = cell[name].isel(n=-1) if "n" in cell[name].dims else cell[name]
                row[name], row[f"{name}_se"] = _mean_and_error(values.values)
        if BASELINE in last["design"].values:
            baseline = last[metric].sel(place | {"design": BASELINE})
            paired = (last[metric].sel(place) - baseline).dropna("seed").values
            row["difference"], row["difference_se"] = _mean_and_error(paired)
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(table: pd.DataFrame, metric: str = "one_minus_spearman") -> str:
    """What a :func:`final_table` means, in one or two sentences."""
    full_name, better = METRIC_NAMES[metric]
    best = table.sort_values(metric, ascending=better == "lower").iloc[0]
    where = setting(best, table)
    text = (
        f"After {counted(best['labels'], 'label')}, {best['design']}{f' under {where}' if where else ''} is at the "
        f"front with {full_name} {cell(best, metric)} ({better} is better)."
    )
    if table["seeds"].max() > 1 and "difference" not in table:
        return text + " Random was not run, so there is nothing to hold the designs against."
    if "difference" not in table or table["difference_se"].isna().all():
        return text + " One seed says nothing of the spread: run more seeds before you conclude."
    designs = table[table["design"] != BASELINE]
    sign = 1 if better == "lower" else -1
    half_width = designs["difference_se"] * t.ppf(0.5 + CONFIDENCE / 2, designs["seeds"] - 1)
    wins = designs[sign * designs["difference"] < -half_width]
    losses = designs[sign * designs["difference"] > half_width]
    if not len(wins) and not len(losses):
        return text + f" No {CONFIDENCE:.0%} interval of a difference to random leaves out zero."
    for these, verb in ((wins, "better"), (losses, "worse")):
        if len(these):
            named = ", ".join(
                f"{row['design']}{f' under {place}' if (place := setting(row, table)) else ''} "
                f"({cell(row, 'difference')})"
                for _, row in these.iterrows()
            )
            text += f" Clearly {verb} than random with the same settings: {named}."
    return text


def rankings_without_labels(trajectory: xr.Dataset) -> dict[str, float]:
    """1 − Spearman of rankings that need no label, the best first; the mean where runs have different test pools."""
    found = {
        str(name).removeprefix(NEEDS_NO_LABEL): float(values.mean())
        for name, values in trajectory.data_vars.items()
        if str(name).startswith(NEEDS_NO_LABEL) and bool(values.notnull().any())
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))


def length_verdict(trajectory: xr.Dataset, metric: str = "one_minus_spearman") -> str:
    """How much of the ranking is length, and what length alone does, in two sentences; "" where lengths are unknown.

    Of the runs that are at the front after the last common round, as in :func:`verdict`.
    """
    alone = rankings_without_labels(trajectory)
    if LENGTH_SHARE not in trajectory or not alone:
        return ""
    last = trajectory.isel(round=_last_common_round(trajectory, metric))
    lower = METRIC_NAMES[metric][1] == "lower"
    mean = last[metric].mean("seed")
    at = mean.fillna(np.inf).argmin(...) if lower else mean.fillna(-np.inf).argmax(...)
    share, own = (float(last[name].mean("seed").isel(at)) for name in (LENGTH_SHARE, "one_minus_spearman"))
    found = {name: {"one_minus_spearman": value} for name, value in alone.items()}
    return length_sentence(None if np.isnan(share) else share, found, own)


def headroom_verdict(trajectory: xr.Dataset) -> str:
    """What any design could have saved, in a sentence; "" where it is not known.

    Of the runs at random, whose labels no design has bent, where there are some; the mean over seeds in each setting.
    """
    if HEADROOM not in trajectory:
        return ""
    shares = trajectory[HEADROOM]
    if "design" in shares.dims:
        at_random = shares.sel(design=[name for name in shares["design"].values if name == BASELINE])
        shares = at_random if bool(at_random.notnull().any()) else shares
    means = shares.mean("seed").values
    means = means[~np.isnan(means)]
    if not len(means):
        return ""
    low, high = f"{means.min():.0%}", f"{means.max():.0%}"
    several = low != high
    return sentence(
        f"{low} to {high}, by setting," if several else low,
        "the posteriors after the last round" if trajectory.sizes["seed"] > 1 or several else "the last posterior",
    )


def setting_columns(table: pd.DataFrame) -> list[str]:
    """The dimensions of a :func:`final_table` other than the design."""
    return [name for name in table.columns[: list(table.columns).index("seeds")] if name != "design"]


def setting(row: pd.Series[Any], table: pd.DataFrame) -> str:
    """Where a row of a :func:`final_table` stands: the inference, and what else differs between its rows."""
    names = [n for n in setting_columns(table) if n == "inference" or table[n].nunique() > 1]
    names.sort(key=lambda name: name != "inference")
    return " ".join(
        str(row[name]) if isinstance(row[name], str) else f"{name.replace('_', ' ')} {row[name]}" for name in names
    )


def cell(row: pd.Series[Any], name: str) -> str:
    """A figure of a :func:`final_table` row with its standard error; a dash where there is nothing to say."""
    mean, error = row[name], row[f"{name}_se"]
    if np.isnan(mean) or (name == "difference" and row["design"] == BASELINE):
        return "–"
    sign = "+" if name == "difference" else ""
    return f"{mean:{sign}.3f}" + ("" if np.isnan(error) else f" ± {error:.3f}")


def _last_common_round(trajectory: xr.Dataset, metric: str) -> int:
    """The last round for which every run that has started has a value."""
    values = trajectory[metric].transpose("round", ...).values.reshape(trajectory.sizes["round"], -1)
    started = ~np.isnan(values).all(axis=0)
    complete = ~np.isnan(values[:, started]).any(axis=1)
    return int(np.flatnonzero(complete)[-1])


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    if len(values) == 0:
        return float("nan"), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(values.mean()), float(error)
