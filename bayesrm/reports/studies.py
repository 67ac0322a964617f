"""The report of a study: one HTML file with question, answer, figures, tables and settings, and nothing beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from bayesrm.evaluation.names import LENGTH_SHARE
from bayesrm.evaluation.summary import headroom_verdict, rankings_without_labels
from bayesrm.plots.runs import svg
from bayesrm.reports.runs import REPORT_FILE
from bayesrm.study import StudyResults
from bayesrm.study.declaration import differences
from bayesrm.study.output import Findings
from bayesrm.utils.files import replacing

MOST_ROWS = 60
"""Rows of a table on the page; the CSV file beside it has all."""


def write_study_report(results: StudyResults, found: Findings) -> Path:
    """Write the page into the study's folder; whole or not at all.

    Parameters
    ----------
    results
        What was run.
    found
        What the study's script makes of it.

    Returns
    -------
    Path
        Of the page.
    """
    page = render(
        title=results.study.title,
        question=results.study.question,
        answer=found.answer,
        description=found.description,
        figures={heading(name): svg(figure) for name, figure in found.figures.items()},
        tables={heading(name): table for name, table in found.tables.items()},
        facts=_facts(results),
        settings=_settings(results),
        versions=json.loads(results.tree.attrs.get("versions", "{}")),
        failures=results.failures,
        tiny=results.tiny,
        differences=differences(results.study),
    )
    path = results.out / REPORT_FILE
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(
    title: str,
    question: str,
    answer: str,
    description: str,
    figures: Mapping[str, str],
    tables: Mapping[str, pd.DataFrame],
    facts: Mapping[str, str],
    settings: Mapping[str, str],
    versions: Mapping[str, str],
    failures: Mapping[str, str],
    tiny: bool,
    differences: str = "",
) -> str:
    """The page, from what is on it."""
    template = Environment(
        loader=PackageLoader("bayesrm.reports", "templates"), autoescape=True, undefined=StrictUndefined
    ).get_template("study.html.j2")
    return template.render(
        title=title,
        question=question,
        answer=answer,
        paragraphs=[" ".join(part.split()) for part in description.split("\n\n") if part.strip()],
        figures=figures,
        tables={name: _cells(table) for name, table in tables.items()},
        facts=facts,
        settings=settings,
        versions=versions,
        failures=failures,
        tiny=tiny,
        differences=differences,
    )


def heading(name: str) -> str:
    """A file's name as a heading."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _cells(table: pd.DataFrame) -> dict[str, Any]:
    """A table as text; columns that say the same in every row are said once, above it."""
    shown = table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
    common = [name for name in shown.columns if len(shown) > 1 and shown[name].map(_text).nunique() == 1]
    common = common if len(common) < len(shown.columns) else []
    rest = shown.drop(columns=common)
    return {
        "common": ", ".join(f"{_column(name)} {_text(shown[name].iloc[0])}" for name in common),
        "columns": [_column(column) for column in rest.columns],
        "numeric": [bool(pd.api.types.is_numeric_dtype(rest[column])) for column in rest.columns],
        "rows": [[_text(value) for value in row] for row in rest.head(MOST_ROWS).itertuples(index=False)],
        "left_out": max(0, len(rest) - MOST_ROWS),
    }


def _column(name: object) -> str:
    return str(name).replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        return "∞" if math.isinf(value) else f"{value:.4g}"
    return str(value)


def _facts(results: StudyResults) -> dict[str, str]:
    """Seeds, number of runs and time, as text."""
    seeds = [int(seed) for seed in results.trajectory["seed"].values]
    finished = len(results.cells)
    facts = {
        "seeds": ", ".join(map(str, seeds)),
        "runs": f"{finished} finished" + (f", {len(results.failures)} failed" if results.failures else ""),
    }
    alone = rankings_without_labels(results.trajectory)
    if alone:
        facts["rankings that need no label"] = "1 − Spearman " + ", ".join(
            f"{value:.3f} ({name.replace('_', ' ')})" for name, value in alone.items()
        )
    if LENGTH_SHARE in results.trajectory and bool(results.trajectory[LENGTH_SHARE].notnull().any()):
        share = float(results.trajectory[LENGTH_SHARE].mean())
        facts["length"] = f"{share:.0%} of what the models know, on average over runs and rounds"
    headroom = headroom_verdict(results.trajectory)
    if headroom:
        facts["headroom"] = headroom.removeprefix("Headroom: ")
    if "wall" in results.seconds:
        facts["time of the last call"] = duration(results.seconds["wall"])
    spent = {name: seconds for name, seconds in results.seconds.items() if name != "wall"}
    if spent:
        facts["time in the runs"] = time_in_the_runs(spent)
    return facts


def time_in_the_runs(seconds: Mapping[str, float]) -> str:
    """The time of all runs together, and what its stages took, the longest first.

    Parameters
    ----------
    seconds
        By stage; "total", where it is there, is the whole that the stages are parts of.
    """
    stages = {name: spent for name, spent in seconds.items() if name != "total"}
    measured = sum(stages.values())
    total = max(seconds.get("total", measured), measured)
    if total > measured:
        stages["other"] = total - measured
    parts = sorted(stages.items(), key=lambda part: (part[0] == "other", -part[1]))
    return f"{duration(total)}: " + ", ".join(f"{name} {duration(spent)}" for name, spent in parts)


def _settings(results: StudyResults) -> dict[str, str]:
    """The declaration: what all runs share, and what the grid's axes stand for."""
    shared = {name: json.dumps(value, default=str) for name, value in dict(results.study.settings).items()}
    axes = {
        f"{name} (axis)": json.dumps(value, default=str, ensure_ascii=False)
        for name, value in dict(results.study.grid).items()
    }
    return shared | axes


def duration(seconds: float) -> str:
    """Seconds as text for people."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
