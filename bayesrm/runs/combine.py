"""Several runs in one ``trajectory``, with a dimension for each setting that differs between them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesrm.design import CRITERIA
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.datatree import dataset, provenance
from bayesrm.runs.config import RunConfig
from bayesrm.runs.journal import CONTENTS, RUN_FILE, read_configuration, read_records
from bayesrm.runs.results import RESULTS_FILE, open_results, read_trajectory, trajectory_of
from bayesrm.utils.settings import declared

SETTINGS = ("scope", "inference", "design", "seed")
"""What is a dimension of combined results whether it differs or not."""

_NO_SETTING = {
    *(name for name, field in RunConfig.model_fields.items() if not declared(field).compared),
    "golden_sha256",
    CONTENTS,
    "annotator",
}
"""Settings that are ignored when runs are distinguished, and what the pools imply."""

Label = str | int | float


@dataclass(frozen=True)
class Part:
    """A run that is to be combined with others.

    Parameters
    ----------
    folder
        Of the run; it may be unfinished.
    place
        Where it belongs: dimension → label. Parts that are combined have the same dimensions.
    extra
        Variables beside those of the run: a number, or one for each round.
    """

    folder: Path
    place: Mapping[str, Label]
    extra: Mapping[str, float | Sequence[float]] = field(default_factory=dict)


def run_folders(directory: Path) -> list[Path]:
    """Folders of runs at or below a directory, sorted."""
    return sorted(path.parent for path in directory.glob(f"**/{RUN_FILE}"))


def combine(folders: Sequence[Path], posterior: bool = False) -> xr.DataTree:
    """One tree from the folders of several runs, see :func:`combine_parts`.

    Its dimensions are ``SETTINGS`` and every other setting in which the runs differ. A design with another selector
    than its own has it in its name, as in "dopt (gradient)".
    """
    # By their names, so that a table, a figure and a report made later have the same order.
    started = sorted(folder for folder in folders if (folder / RUN_FILE).exists())
    places = _places([read_configuration(folder) for folder in started])
    return combine_parts([Part(folder, place) for folder, place in zip(started, places, strict=True)], posterior)


def combine_parts(parts: Sequence[Part], posterior: bool = False) -> xr.DataTree:
    """One tree whose ``trajectory`` has the dimensions of the parts' places, then ``round``.

    Runs may be finished or still running: combinations that were not run, and rounds that a run has not come
    to, are NaN. The coordinate ``labels`` runs along ``round``, and along the dimensions that it depends on.

    Parameters
    ----------
    parts
        The runs.
    posterior
        Whether to add ArviZ's groups of one run, so that the file opens in ArviZ: of the first finished run whose
        posterior has draws. The attribute ``posterior_of`` says which.

    Raises
    ------
    InvalidInputError
        Where no run has finished a round, or two have the same place.
    """
    found: dict[tuple[Label, ...], tuple[Part, xr.Dataset]] = {}
    for part in parts:
        trajectory = _trajectory(part)
        if trajectory is None:
            continue
        key = tuple(part.place.values())
        if key in found:
            names = ", ".join(part.place)
            raise InvalidInputError(
                f"two runs below {part.folder.parent} have the same {names} ({', '.join(map(str, key))}): "
                "keep them in folders of their own"
            )
        found[key] = part, trajectory
    if not found:
        raise InvalidInputError("no run has finished a round yet: there is nothing to combine")
    axes = _axes([part.place for part, _ in found.values()])
    groups = {"trajectory": _assemble(axes, found)}
    used = [part.folder for part, _ in found.values()]
    attributes = provenance() | {
        "configurations": json.dumps([read_configuration(folder) for folder in used], sort_keys=True)
    }
    chosen = _with_draws(used) if posterior else None
    if chosen is not None:
        with open_results(chosen) as tree:
            groups |= {
                name: node.to_dataset().load() for name, node in tree.children.items() if name != "trajectory"
            }
        attributes["posterior_of"] = chosen.name
    combined = xr.DataTree.from_dict(groups)
    combined.attrs.update(attributes)
    return combined


def axis_label(value: object) -> Label:
    """A setting's value as a coordinate: numbers and strings as they are, layers as "64×64"."""
    if isinstance(value, bool) or value is None:
        return {None: "default", True: "yes", False: "no"}[value]
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return "×".join(map(str, value))
    return json.dumps(value, sort_keys=True, default=str)


def _places(configurations: Sequence[dict[str, Any]]) -> list[dict[str, Label]]:
    """The dimensions that tell runs apart, and each run's place along them."""
    flat = [_flat(configuration) for configuration in configurations]
    keys = list(dict.fromkeys(key for each in flat for key in each))
    varying = [key for key in keys if len({repr(each.get(key)) for each in flat}) > 1 and key not in SETTINGS]
    return [{name: axis_label(each.get(name)) for name in (*varying, *SETTINGS)} for each in flat]


def _flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings by their own names; of the pool its fingerprint."""
    flat: dict[str, Any] = {}
    for name, value in configuration.items():
        if name == "pool":
            flat["pool"] = value["embeddings"][:8]
        elif name in ("model", "annotator"):
            flat |= {key: each for key, each in value.items() if key not in _NO_SETTING}
        elif name not in _NO_SETTING:
            flat[name] = value
    design, selector = str(configuration["design"]), str(configuration["selector"])
    usual = CRITERIA[design].default_selector if design in CRITERIA else selector
    return flat | {
        "design": design if selector == usual else f"{design} ({selector})",
        "seed": configuration["seed"],
    }


def _axes(places: Iterable[Mapping[str, Label]]) -> dict[str, list[Label]]:
    """Labels of each dimension: numbers ascending, names in the order in which they come."""
    axes: dict[str, dict[Label, None]] = {}
    for place in places:
        for name, label in place.items():
            axes.setdefault(name, {})[label] = None
    return {
        name: list(labels) if any(isinstance(label, str) for label in labels) else sorted(labels)
        for name, labels in axes.items()
    }


def _trajectory(part: Part) -> xr.Dataset | None:
    """What a run measured, from its results where they are whole, else from its rounds; None where there is none."""
    path = part.folder / RESULTS_FILE
    trajectory = None
    if path.exists():
        whole = read_trajectory(path)
        if not (part.folder / "rounds" / f"{whole.sizes['round']:04d}.metrics.json").exists():
            trajectory = whole
    if trajectory is None:
        if not (part.folder / RUN_FILE).exists():
            return None
        records = read_records(part.folder)
        if not records:
            return None
        trajectory = trajectory_of(records)
    for name, value in part.extra.items():
        values = np.asarray(value, dtype=np.float64)
        if values.ndim == 0:
            trajectory[name] = values
        elif values.shape == (trajectory.sizes["round"],):
            trajectory[name] = ("round", values)
        else:
            raise InvalidInputError(
                f"expected {name} of {part.folder.name} to be a number or one for each of the "
                f"{trajectory.sizes['round']} rounds, got an array of shape {values.shape}"
            )
    return trajectory


def _assemble(
    axes: Mapping[str, Sequence[Label]], found: Mapping[tuple[Label, ...], tuple[Part, xr.Dataset]]
) -> xr.Dataset:
    """Arrays over all combinations, filled run by run: concatenating datasets takes minutes for a thousand."""
    inner: dict[Hashable, np.ndarray] = {}
    dims: dict[Hashable, tuple[Hashable, ...]] = {}
    for _, trajectory in found.values():
        for name in trajectory.sizes:
            inner[name] = np.union1d(inner.get(name, np.array([], np.int64)), trajectory[name].values)
        dims |= {name: variable.dims for name, variable in trajectory.data_vars.items()}
    outer = tuple(len(labels) for labels in axes.values())
    where = {name: {label: i for i, label in enumerate(labels)} for name, labels in axes.items()}
    arrays = {
        name: np.full((*outer, *(len(inner[axis]) for axis in axis_names)), np.nan)
        for name, axis_names in dims.items()
    }
    labels = np.full((*outer, len(inner["round"])), -1, dtype=np.int64)
    for part, trajectory in found.values():
        at = tuple(where[name][label] for name, label in part.place.items())
        positions = {name: np.searchsorted(inner[name], trajectory[name].values) for name in trajectory.sizes}
        for name, variable in trajectory.data_vars.items():
            if variable.dims:
                arrays[name][at][np.ix_(*(positions[axis] for axis in variable.dims))] = variable.values
            else:
                arrays[name][at] = variable.item()
        labels[at][positions["round"]] = trajectory["labels"].values
    coordinates: dict[str, Any] = {name: np.array(_alike(values)) for name, values in axes.items()}
    coordinates |= {str(name): values for name, values in inner.items()}
    coordinates["labels"] = _labels(labels, tuple(axes))
    variables = {str(name): ((*axes, *dims[name]), array) for name, array in arrays.items()}
    return dataset(variables, coordinates)


def _alike(values: Sequence[Label]) -> list[Label]:
    """All numbers, or all strings."""
    return [str(value) for value in values] if any(isinstance(value, str) for value in values) else [*values]


def _labels(labels: np.ndarray, names: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels along the dimensions that they depend on; where no run came to, as many as a round had on average."""
    kept = [*names, "round"]
    for name in names:
        axis = kept.index(name)
        first = labels.max(axis=axis, keepdims=True)
        if ((labels == first) | (labels < 0)).all():
            labels = first.squeeze(axis)
            kept.remove(name)
    rounds = np.arange(1, labels.shape[-1] + 1)
    a_round = np.where(labels >= 0, labels / rounds, 0).max(axis=-1, keepdims=True)
    return tuple(kept), np.where(labels >= 0, labels, np.round(a_round * rounds)).astype(np.int64)


def _with_draws(folders: Sequence[Path]) -> Path | None:
    """The first finished run whose posterior has more than one draw, else the first finished one."""
    finished = [folder for folder in folders if (folder / RESULTS_FILE).exists()]
    for folder in finished:
        with open_results(folder) as tree:
            if tree["posterior"].sizes["draw"] > 1:
                return folder
    return finished[0] if finished else None
