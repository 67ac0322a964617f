"""The page of a diagnosis: a verdict in words, then figures, then numbers; one HTML file with nothing beside it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined

from bayesrm.diagnostics.checks import CHECKS
from bayesrm.diagnostics.diagnosis import MARKS, Diagnosis
from bayesrm.diagnostics.finding import Finding
from bayesrm.plots.diagnosis import draw
from bayesrm.plots.runs import svg
from bayesrm.utils.files import replacing

MAX_ROWS = 100
CURVES = ("draw", "point")
"""Dimensions that are for figures, too long for tables."""


@dataclass(frozen=True)
class Table:
    """Numbers by row, as text."""

    columns: list[str]
    rows: list[list[str]]
    left_out: int


@dataclass(frozen=True)
class Section:
    """What the page says of one check."""

    title: str
    caption: str
    status: str
    mark: str
    sentence: str
    figure: str
    wide: bool
    scalars: dict[str, str]
    tables: list[Table]


def write_page(diagnosis: Diagnosis, path: Path, title: str, settings: dict[str, Any]) -> None:
    """Write the page; whole or not at all.

    Parameters
    ----------
    diagnosis
        What ``diagnose`` returns.
    path
        Of the HTML file.
    title
        Its heading.
    settings
        What was diagnosed and how, shown as they are.
    """
    template = Environment(
        loader=PackageLoader("bayesrm.reports", "templates"), autoescape=True, undefined=StrictUndefined
    ).get_template("diagnosis.html.j2")
    page = template.render(
        title=title,
        name=diagnosis.name,
        headline=diagnosis.headline,
        against=any(finding.status == "bad" for finding in diagnosis.findings),
        checks=[_section(finding) for finding in diagnosis.findings],
        settings={key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()},
        versions=json.loads(diagnosis.tree.attrs["versions"]),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(finding: Finding) -> Section:
    part = CHECKS[finding.check]
    figure = None if finding.data is None else draw(finding.check, finding.data)
    data = xr.Dataset() if finding.data is None else finding.data
    return Section(
        title=part.title,
        caption=part.caption,
        status=finding.status,
        mark=MARKS[finding.status],
        sentence=finding.sentence,
        figure="" if figure is None else svg(figure),
        wide=figure is not None and bool(figure.get_figwidth() > 8),
        scalars={str(name): _number(value) for name, value in data.data_vars.items() if value.ndim == 0},
        tables=[_table(data, str(dimension)) for dimension in data.sizes if dimension not in CURVES],
    )


def _table(data: xr.Dataset, dimension: str) -> Table:
    """All variables along one dimension."""
    columns = {str(name): value for name, value in data.data_vars.items() if value.dims == (dimension,)}
    length = data.sizes[dimension]
    labels = data[dimension].values
    rows = [
        [_text(labels[row]), *(_number(value[row]) for value in columns.values())]
        for row in range(min(length, MAX_ROWS))
    ]
    return Table([dimension, *columns], rows, max(0, length - MAX_ROWS))


def _number(value: xr.DataArray) -> str:
    return _text(value.values[()])


def _text(value: Any) -> str:
    """NaN is what there was nothing to compute from, as the mean of an empty bin."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)
