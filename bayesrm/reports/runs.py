"""The report of one or several runs: a single HTML file that needs nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined

from bayesrm.design import CRITERIA
from bayesrm.design.chance import chance_sentence
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.names import METRIC_NAMES
from bayesrm.evaluation.summary import (
    cell,
    final_table,
    headroom_verdict,
    length_verdict,
    rankings_without_labels,
    setting,
    setting_columns,
    verdict,
)
from bayesrm.plots.runs import learning_curves, svg
from bayesrm.runs.checksums import changed_files
from bayesrm.runs.combine import combine, run_folders
from bayesrm.runs.replay import findings
from bayesrm.utils.files import replacing
from bayesrm.utils.wording import counted

REPORT_FILE = "report.html"
_HEADERS = {
    "one_minus_spearman": METRIC_NAMES["one_minus_spearman"][0],
    "difference": "1 − Spearman less that of random",
    **{name: full for name, (full, _) in METRIC_NAMES.items() if name != "one_minus_spearman"},
}


def write_report(directory: Path) -> Path:
    """Report on all runs at or below a folder, finished or running; returns the path of the page.

    Raises
    ------
    InvalidInputError
        Where there is no such folder, or no run in it.
    """
    if not directory.is_dir():
        raise InvalidInputError(f"there is no folder {directory}")
    folders = run_folders(directory)
    if not folders:
        raise InvalidInputError(f"expected runs in {directory}, and there are none: make some with `bayesrm run`")
    page = render(
        combine(folders),
        title=directory.resolve().name,
        changed=changed_files(directory),
    )
    path = directory / REPORT_FILE
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(results: xr.DataTree, title: str, changed: Sequence[str] = ()) -> str:
    """The page for combined results, with sentences about files that changed since."""
    trajectory = results["trajectory"].to_dataset()
    configurations: list[dict[str, Any]] = json.loads(results.attrs["configurations"])
    evaluated = "one_minus_spearman" in trajectory
    replayed = findings(results) if "ceiling" in results.attrs else []
    votes = tuple(name for name in ("vote_log_loss", "vote_accuracy") if name in trajectory)
    drawn = (*votes, "one_minus_spearman", *(() if votes else ("best_of_n",)))
    qualities = tuple(name for name in ("log_loss", "ece") if name in trajectory)
    table = final_table(trajectory) if evaluated else None
    template = Environment(
        loader=PackageLoader("bayesrm.reports", "templates"), autoescape=True, undefined=StrictUndefined
    ).get_template("report.html.j2")
    return template.render(
        title=title,
        changed=changed,
        verdict=_verdict(table, replayed),
        columns=[] if table is None else _metric_headers(table),
        rows=[] if table is None else [_row(row, table) for _, row in table.iterrows()],
        common="" if table is None else _common(table),
        designs=_designs(trajectory),
        chance=chance_sentence(_names(trajectory)),
        length=length_verdict(trajectory) if evaluated else "",
        headroom=headroom_verdict(trajectory),
        alone={
            name.replace("_", " "): f"{value:.3f}" for name, value in rankings_without_labels(trajectory).items()
        },
        curves=svg(learning_curves(trajectory, drawn)) if evaluated or votes else "",
        quality=svg(learning_curves(trajectory, qualities)) if qualities else "",
        progress=_progress(trajectory, configurations),
        settings=_shared_settings(configurations),
        versions=json.loads(results.attrs["versions"]),
    )


def _verdict(table: pd.DataFrame | None, replayed: Sequence[str]) -> str:
    """Which design is ahead; of recorded votes what each would have saved."""
    if replayed:
        return " ".join(replayed)
    return verdict(table) if table is not None else "These runs had no test set, so nothing was measured."


def _metric_headers(table: pd.DataFrame) -> list[str]:
    return [_HEADERS[name] for name in _HEADERS if name in table]


def _row(row: pd.Series[Any], table: pd.DataFrame) -> dict[str, Any]:
    """A row of the page: the design, what else distinguishes it from other rows, and its metrics."""
    varying = [name for name in ("seeds", "labels") if table[name].nunique() > 1]
    parts = [setting(row, table), *(counted(row[name], name.removesuffix("s")) for name in varying)]
    return {
        "design": row["design"],
        "setting": ", ".join(filter(None, parts)),
        "cells": [cell(row, name) for name in _HEADERS if name in row.index],
    }


def _common(table: pd.DataFrame) -> str:
    """What all rows have in common, and so no row says."""
    same = [name for name in (*setting_columns(table), "seeds", "labels") if table[name].nunique() == 1]
    first = table.iloc[0]
    told = [
        counted(first[name], name.removesuffix("s"))
        if name in ("seeds", "labels")
        else f"{name.replace('_', ' ')} {first[name]}"
        for name in same
        if name != "inference"
    ]
    text = ", ".join(told)
    return text[:1].upper() + text[1:]


def _designs(trajectory: xr.Dataset) -> dict[str, str]:
    """What each design does, in a line; a design of a plugin may be unknown here."""
    lines = CRITERIA.lines()
    return {name: lines[name] for name in _names(trajectory) if name in lines}


def _names(trajectory: xr.Dataset) -> list[str]:
    return [str(name) for name in np.atleast_1d(trajectory["design"].values)]


def _progress(trajectory: xr.Dataset, configurations: list[dict[str, Any]]) -> str:
    measured = next(name for name in ("one_minus_spearman", "vote_log_loss", "gain") if name in trajectory)
    rounds = trajectory[measured]
    done = int((~rounds.isnull()).sum())
    labels = int(trajectory["labels"].max())
    runs, evaluated = counted(len(configurations), "run"), counted(done, "round")
    return f"{runs}, {evaluated} evaluated, up to {counted(labels, 'label')} each."


def _shared_settings(configurations: list[dict[str, Any]]) -> dict[str, str]:
    """Each setting with its value, or its values where runs differ."""
    settings = {}
    for key in configurations[0]:
        values = list(dict.fromkeys(json.dumps(each.get(key), sort_keys=True) for each in configurations))
        settings[key] = (
            values[0] if len(values) == 1 else " | ".join(values[:6]) + (" | …" if len(values) > 6 else "")
        )
    return settings
