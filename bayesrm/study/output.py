"""What a study's script makes of its results, written into the study's folder."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.comparison import markdown
from bayesrm.plots.runs import save
from bayesrm.runs.cell import load_script
from bayesrm.study import Study, StudyResults
from bayesrm.utils.csv_cells import csv_of
from bayesrm.utils.files import replacing

FIGURES, TABLES = "figures", "tables"


@dataclass(frozen=True)
class Findings:
    """What a script says of its results.

    Parameters
    ----------
    answer
        To the study's question.
    figures, tables
        By the names that their files get.
    description
        What the study is about: the docstring of its script.
    """

    answer: str
    figures: Mapping[str, Figure]
    tables: Mapping[str, pd.DataFrame]
    description: str


def require_answer(study: Study) -> None:
    """Raise InvalidInputError where a study's script has no ``answer``, which would be found out after all runs."""
    if not callable(getattr(load_script(study.script), "answer", None)):
        raise InvalidInputError(f"expected a function answer(results) in {study.script}, found none")


def findings(results: StudyResults) -> Findings:
    """Ask a study's script for its ``answer``, ``figures`` and ``tables``.

    Raises
    ------
    InvalidInputError
        Where the script has no ``answer``.
    """
    require_answer(results.study)
    script = load_script(results.study.script)
    return Findings(
        answer=script.answer(results),
        figures=script.figures(results) if hasattr(script, "figures") else {},
        tables=script.tables(results) if hasattr(script, "tables") else {},
        description=inspect.cleandoc(script.__doc__ or ""),
    )


def write_findings(results: StudyResults, found: Findings) -> list[Path]:
    """Write figures as PNG, and tables as CSV and Markdown; returns the paths."""
    written = []
    for name, figure in found.figures.items():
        path = results.out / FIGURES / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(figure, path)
        written.append(path)
    for name, table in found.tables.items():
        for suffix, text in (("csv", csv_of(table)), ("md", markdown(table))):
            path = results.out / TABLES / f"{name}.{suffix}"
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(path)
    return written
