"""What a study runs: ``NAME.toml`` beside ``NAME.py``, read and checked before anything runs.

``[settings]`` are those of every cell, fields of :class:`~bayesrm.runs.config.RunConfig`. Each key of ``[grid]`` is a
dimension of the results: a list of values of the setting by that name, or a table whose labels stand for several
settings each; its key ``shared`` lists labels of ``axes/<dimension>.toml``, which several studies have in common.
``[[leave_out]]`` names cells that make no sense, ``[tiny]`` what ``--tiny`` changes, ``[paper]`` what
``--paper-data`` does.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayesrm.errors import InvalidInputError, UnknownNameError
from bayesrm.runs.cell import Cell
from bayesrm.runs.combine import Label, axis_label
from bayesrm.runs.config import RunConfig
from bayesrm.runs.sweep import RUNS
from bayesrm.utils.checkout import STUDIES
from bayesrm.utils.settings import SettingError, first_complaint
from bayesrm.utils.wording import counted

Pools = Mapping[str, tuple[Path, Path | None]]
"""Label → pool and test pool."""
DRAWS = 100
"""Posterior draws that each cell of a study keeps, where it does not say."""
AXES, SHARED = "axes", "shared"
_LONGEST_NAME = 200
MOST_SEEDS = 10_000
"""More runs of each cell are a number of something else."""
_UNSAFE = re.compile(r"[^\w.+-]+")
_PLACE_OF_POOLS = ("pool", "test")


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: dict[str, Any] = {}
    grid: dict[str, Any] = {}


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    settings: dict[str, Any] = {}
    grid: dict[str, Any] = {}
    leave_out: list[dict[str, Any]] = []
    tiny: _Change = _Change()
    paper: _Change = _Change()


@dataclass(frozen=True)
class Study:
    """A declared study.

    Parameters
    ----------
    name, title, question
        What it is called and what it asks.
    settings
        Of every cell.
    grid
        Dimension → label → settings that the label stands for.
    leave_out
        Cells that are not run: all of dimension → labels match.
    path
        The TOML file.
    tiny
        Whether this is the tiny setting.
    """

    name: str
    title: str
    question: str
    settings: Mapping[str, Any]
    grid: Mapping[str, Mapping[Label, Mapping[str, Any]]]
    leave_out: Sequence[Mapping[str, Sequence[Label]]]
    path: Path
    tiny: bool = False

    @property
    def script(self) -> Path:
        """The Python file beside the TOML."""
        return self.path.with_suffix(".py")

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions of its results before ``round``."""
        return ("pool", *(name for name in self.grid if name != "seed"), "seed")

    def cells(self, out: Path, pools: Pools) -> list[Cell]:
        """Every run of the study on these pools, in folders below ``out``.

        Raises
        ------
        InvalidInputError
            About the first setting that is wrong, by its key in the file.
        """
        names = [name for name in self.dims if name != "pool"]
        axes = [list(self.grid[name].items()) if name in self.grid else [(0, {"seed": 0})] for name in names]
        cells = []
        # Seeds outermost: what was cut off is a smaller study, not half of the designs.
        for (seed, seeded), (label, (pool, test)), *rest in product(axes[-1], pools.items(), *axes[:-1]):
            place: dict[str, Label] = {"pool": label}
            chosen: dict[str, Any] = {"draws": DRAWS, **self.settings, **seeded}
            for name, (value, settings) in zip(names, rest, strict=False):
                place[name] = value
                chosen |= settings
            place["seed"] = seed
            if any(all(place[name] in values for name, values in rule.items()) for rule in self.leave_out):
                continue
            folder = (out / RUNS / _folder_name(place)).absolute()
            cells.append(
                Cell(place, self._config(place, chosen | {"pool": pool, "test": test}), folder, self.script)
            )
        if not cells:
            raise InvalidInputError(f"{self.path}: leave_out leaves no cell at all")
        return cells

    def _config(self, place: Mapping[str, Label], settings: Mapping[str, Any]) -> RunConfig:
        try:
            return RunConfig(**settings).absolute()
        except SettingError as error:
            raise InvalidInputError(f"{self.path}: {self._origin(place, error.key)}: {error.reason}") from error

    def _origin(self, place: Mapping[str, Label], key: str) -> str:
        """Where in the file a setting comes from."""
        setting = key.split(".")[0]
        for name, labels in self.grid.items():
            if setting in labels[place[name]]:
                return f"grid.{name}" if name == setting else f"grid.{name}.{place[name]}.{key}"
        return f"settings.{key}"


def studies(folder: Path = STUDIES) -> dict[str, str]:
    """The studies of a folder: name → title."""
    named = {path.stem: path for path in sorted(folder.glob("*.toml")) if path.with_suffix(".py").exists()}
    return {name: _read(path).title for name, path in named.items()}


def load_study(name: str, tiny: bool = False, folder: Path = STUDIES, paper: bool = False) -> Study:
    """Read and check a study by its name.

    Parameters
    ----------
    name
        Of its files.
    tiny, paper
        Whether to change it as it says for a quick look, and for the paper's pools, which are larger.
    folder
        Where its files are.

    Raises
    ------
    InvalidInputError
        Where there is no such study, or its file is wrong: one sentence that names the key.
    """
    path = folder / f"{name}.toml"
    if not path.exists() or not path.with_suffix(".py").exists():
        there = ", ".join(studies(folder)) or f"none in {folder}"
        raise UnknownNameError(f"unknown study {name!r}: there are {there}")
    declared = _read(path)
    grid = {axis: _axis(path, f"grid.{axis}", axis, values) for axis, values in declared.grid.items()}
    leave_out = [_rule(path, grid, rule) for rule in declared.leave_out]
    settings, named = declared.settings, {**grid}
    for key, asked, change in (("paper", paper, declared.paper), ("tiny", tiny, declared.tiny)):
        # Both are checked whether they are asked for or not.
        changed = settings | change.settings, {**grid}
        for axis, values in change.grid.items():
            if axis not in grid:
                raise InvalidInputError(f"{path}: {key}.grid.{axis}: grid has no such dimension")
            labels = {**named[axis], **grid[axis]}
            changed[1][axis] = _changed(path, f"{key}.grid.{axis}", axis, labels, declared.grid[axis], values)
        if asked:
            settings, grid = changed
    _require_one_origin(path, settings, grid)
    return Study(name, declared.title, declared.question, settings, grid, leave_out, path, tiny)


def differences(study: Study) -> str:
    """In which settings and labels a tiny study differs from the full one, as a sentence says it; else empty."""
    if not study.tiny:
        return ""
    full = load_study(study.name, folder=study.path.parent)
    parts = [
        f"{name.replace('_', ' ')} {axis_label(value)} instead of {axis_label(full.settings.get(name))}"
        for name, value in study.settings.items()
        if value != full.settings.get(name)
    ]
    for name, axis in study.grid.items():
        there = full.grid[name]
        if list(axis) == list(there):
            parts += [
                f"{setting.replace('_', ' ')} {axis_label(value)} instead of {axis_label(there[label].get(setting))} "
                f"for {label}"
                for label, settings in axis.items()
                for setting, value in settings.items()
                if value != there[label].get(setting)
            ]
        elif name == "seed":
            parts.append(f"{counted(len(axis), 'seed')} instead of {len(there)}")
        else:
            only = "only " if set(axis) <= set(there) else ""
            parts.append(f"{name.replace('_', ' ')} {only}{', '.join(map(str, axis))}")
    return "; ".join(parts)


def _read(path: Path) -> _Declaration:
    try:
        return _Declaration.model_validate(_parse(path))
    except ValidationError as error:
        key, message = first_complaint(error)
        raise InvalidInputError(f"{path}: {key}: {message}") from error


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no valid TOML: {error}") from error


def _axis(path: Path, key: str, name: str, values: Any) -> dict[Label, Mapping[str, Any]]:
    """Labels and what they stand for."""
    if name in _PLACE_OF_POOLS:
        raise InvalidInputError(
            f"{path}: {key}: pools are given on the command line, or made by the script's pools()"
        )
    if name == "seed" and isinstance(values, int) and not isinstance(values, bool) and 0 < values <= MOST_SEEDS:
        values = list(range(values))
    if isinstance(values, Mapping) and values:
        values = _with_shared(path, key, name, values)
        for label, settings in values.items():
            if not isinstance(settings, Mapping):
                raise InvalidInputError(f"{path}: {key}.{label}: expected a table of settings, got {settings!r}")
        return dict(values)
    if not isinstance(values, list) or not values:
        raise InvalidInputError(
            f"{path}: {key}: expected a list of values or a table of named settings, got {values!r}"
        )
    if name not in RunConfig.model_fields:
        raise InvalidInputError(
            f"{path}: {key}: there is no such setting; a dimension of your own is a table of named settings"
        )
    axis: dict[Label, Mapping[str, Any]] = {axis_label(value): {name: value} for value in values}
    if len(axis) < len(values):
        raise InvalidInputError(f"{path}: {key}: expected different values, got {values!r}")
    return axis


def _with_shared(path: Path, key: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The labels that ``shared`` names, as the axis's own file declares them for all studies, then the table's own."""
    if SHARED not in values:
        return dict(values)
    file, asked = path.parent / AXES / f"{name}.toml", values[SHARED]
    if not file.exists():
        raise InvalidInputError(f"{path}: {key}.{SHARED}: there is no {file}")
    there = _parse(file)
    strange = [label for label in asked if label not in [*there]] if isinstance(asked, list) else [asked]
    if strange or not asked:
        raise InvalidInputError(f"{path}: {key}.{SHARED}: expected a list of {', '.join(there)}, got {asked!r}")
    own = {label: settings for label, settings in values.items() if label != SHARED}
    return {label: there[label] for label in asked} | own


def _changed(
    path: Path, key: str, name: str, full: Mapping[Label, Mapping[str, Any]], declared: Any, values: Any
) -> dict[Label, Mapping[str, Any]]:
    """An axis in another setting: labels of a table, another table, or other values."""
    if not isinstance(declared, Mapping) or isinstance(values, Mapping):
        return _axis(path, key, name, values)
    strange = [label for label in values if label not in [*full]] if isinstance(values, list) else [values]
    if strange or not values:
        raise InvalidInputError(f"{path}: {key}: expected a list of {', '.join(map(str, full))}, got {values!r}")
    return {label: full[label] for label in values}


def _rule(path: Path, grid: Mapping[str, Mapping[Label, Any]], rule: Mapping[str, Any]) -> dict[str, list[Label]]:
    """One of ``leave_out``: dimension → labels."""
    found = {}
    for name, values in rule.items():
        if name not in grid:
            raise InvalidInputError(f"{path}: leave_out.{name}: grid has no such dimension")
        found[name] = [axis_label(value) for value in (values if isinstance(values, list) else [values])]
        strange = [label for label in found[name] if label not in grid[name]]
        if strange:
            raise InvalidInputError(
                f"{path}: leave_out.{name}: {strange[0]!r} is not among {', '.join(map(str, grid[name]))}"
            )
    return found


def _require_one_origin(path: Path, settings: Mapping[str, Any], grid: Mapping[str, Mapping[Label, Any]]) -> None:
    """No setting may be varied along two dimensions, or be given and varied."""
    origin: dict[str, str] = {}
    for name, labels in grid.items():
        for key in dict.fromkeys(key for each in labels.values() for key in each):
            if key in origin:
                raise InvalidInputError(f"{path}: grid.{name}: {key} is set by grid.{origin[key]} already")
            origin[key] = name
    for key in settings:
        if key in _PLACE_OF_POOLS:
            raise InvalidInputError(
                f"{path}: settings.{key}: pools are given on the command line, or made by the script's pools()"
            )
        if any(key in each for each in grid.get(origin.get(key, ""), {}).values()) and key == origin[key]:
            raise InvalidInputError(f"{path}: settings.{key}: grid.{key} varies it already")


def _folder_name(place: Mapping[str, Label]) -> str:
    """A cell's place as the name of its folder; it does not change when labels are added to the grid."""
    parts = [f"{axis}-{_UNSAFE.sub('-', str(label)).strip('-')}" for axis, label in place.items()]
    name = "_".join(parts)
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"{name[:100]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
