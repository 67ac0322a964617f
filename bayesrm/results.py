"""Results as ``xarray.DataTree`` in ArviZ's schema, and as netCDF on disk.

A run has the groups of its final posterior, ``trajectory`` and ``selection``. Several runs combine into one
``trajectory`` with a dimension for each setting that differs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesrm.design import CRITERIA
from bayesrm.errors import InvalidInputError
from bayesrm.journal import RUN_FILE, RoundRecord, read_records
from bayesrm.posteriors.datatree import dataset, provenance
from bayesrm.storage import read_json, replacing

RESULTS_FILE = "results.nc"
SETTINGS = ("scope", "inference", "design", "seed")
"""What can become a dimension of combined results, outermost first."""

BASELINE = "random"
"""The design that others are held against."""

METRIC_NAMES = {
    "one_minus_spearman": ("1 − Spearman within prompts", "lower"),
    "best_of_n": ("golden reward of the best of N", "higher"),
    "pairwise_accuracy": ("pairwise accuracy", "higher"),
    "log_loss": ("log loss, nats", "lower"),
    "brier": ("Brier score", "lower"),
    "ece": ("expected calibration error", "lower"),
}
"""Metric → its name in full and which direction is better."""


def run_tree(records: Sequence[RoundRecord], posterior: xr.DataTree, configuration: dict[str, Any]) -> xr.DataTree:
    """The result of a run: the final posterior's groups with ``trajectory`` and ``selection``."""
    groups = {name: node.to_dataset() for name, node in posterior.children.items()}
    groups["trajectory"] = _trajectory(records)
    groups["selection"] = _selection(records)
    for name in ("trajectory", "selection"):
        groups[name].attrs.update(provenance())
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(posterior.attrs | {"configuration": json.dumps(configuration, sort_keys=True)})
    return tree


def write_results(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write netCDF; whole or not at all."""
    with replacing(Path(path)) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")


def open_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """Open the results of a run, lazily: values are read when used.

    Parameters
    ----------
    path
        A results file, or the folder of a finished run.

    Raises
    ------
    InvalidInputError
        Where there is no such file, or it is not netCDF.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / RESULTS_FILE).exists():
            running = (path / RUN_FILE).exists()
            unfinished = " (the run in it is not finished: run it again to continue)" if running else ""
            raise InvalidInputError(f"expected {RESULTS_FILE} in {path}, and there is none{unfinished}")
        path = path / RESULTS_FILE
    if not path.exists():
        raise InvalidInputError(f"there is no results file {path}")
    try:
        return xr.open_datatree(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"expected a netCDF results file, and {path} is not one: {error}") from error


def combine(folders: Sequence[Path], posterior: bool = False) -> xr.DataTree:
    """One tree whose ``trajectory`` has a dimension for each of ``SETTINGS``, from the folders of several runs.

    Runs may be finished or still running: combinations that were not run, and rounds that a run has not come
    to, are NaN. A design with another selector than its own is told apart by name, as in "dopt (gradient)".

    Parameters
    ----------
    folders
        Of the runs.
    posterior
        Whether to add ArviZ's groups of one run, so that the file opens in ArviZ: of the first finished run whose
        posterior has draws. The attribute ``posterior_of`` says which.

    Raises
    ------
    InvalidInputError
        Where no run has finished a round, or two runs differ in other settings only.
    """
    parts, configurations = {}, []
    for folder in folders:
        configuration = read_json(folder / RUN_FILE)
        records = read_records(folder)
        if not records:
            continue
        place = {**configuration, "design": _design_label(configuration)}
        key = tuple(place[name] for name in SETTINGS)
        if key in parts:
            raise InvalidInputError(
                f"two runs below {folder.parent} have the same {', '.join(SETTINGS)} ({', '.join(map(str, key))}) "
                "and differ in other settings: keep them in folders of their own"
            )
        parts[key] = _trajectory(records).expand_dims({name: [place[name]] for name in SETTINGS})
        configurations.append(configuration)
    if not parts:
        raise InvalidInputError("no run has finished a round yet: there is nothing to combine")
    labels = max((part["labels"] for part in parts.values()), key=lambda values: values.size)
    combined = xr.combine_by_coords(
        [part.drop_vars("labels") for part in parts.values()], combine_attrs="override"
    )
    assert isinstance(combined, xr.Dataset)
    groups = {"trajectory": combined.assign_coords(labels=labels)}
    attributes = provenance() | {"configurations": json.dumps(configurations, sort_keys=True)}
    chosen = _with_draws(folders) if posterior else None
    if chosen is not None:
        with open_results(chosen) as tree:
            groups |= {
                name: node.to_dataset().load() for name, node in tree.children.items() if name != "trajectory"
            }
        attributes["posterior_of"] = chosen.name
    combined_tree = xr.DataTree.from_dict(groups)
    combined_tree.attrs.update(attributes)
    return combined_tree


def _with_draws(folders: Sequence[Path]) -> Path | None:
    """The first finished run whose posterior has more than one draw, else the first finished one."""
    finished = [folder for folder in folders if (folder / RESULTS_FILE).exists()]
    for folder in finished:
        with open_results(folder) as tree:
            if tree["posterior"].sizes["draw"] > 1:
                return folder
    return finished[0] if finished else None


def run_folders(directory: Path) -> list[Path]:
    """Folders of runs at or below a directory, sorted."""
    return sorted(path.parent for path in directory.glob(f"**/{RUN_FILE}"))


def _design_label(configuration: dict[str, Any]) -> str:
    design, selector = str(configuration["design"]), str(configuration["selector"])
    usual = CRITERIA[design].default_selector if design in CRITERIA else selector
    return design if selector == usual else f"{design} ({selector})"


def _trajectory(records: Sequence[RoundRecord]) -> xr.Dataset:
    labels = np.cumsum([len(record.labels) for record in records])
    variables: dict[str, Any] = {
        name: (("round",), np.array([record.metrics[name] for record in records], dtype=np.float64))
        for name in records[0].metrics
        if name != "best_of_n"
    }
    coordinates: dict[str, Any] = {
        "round": [record.round for record in records],
        "labels": (("round",), labels),
    }
    if "best_of_n" in records[0].metrics:
        n = sorted(records[0].metrics["best_of_n"])
        values = [[record.metrics["best_of_n"][size] for size in n] for record in records]
        variables["best_of_n"] = (("round", "n"), np.array(values, dtype=np.float64))
        coordinates["n"] = n
    variables["gain"] = (("round",), np.array([record.selection.gain.sum() for record in records]))
    variables["shortfall"] = (
        ("round",),
        np.array([np.nan if (s := record.selection.shortfall) is None else s for record in records]),
    )
    return dataset(variables, coordinates)


def _selection(records: Sequence[RoundRecord]) -> xr.Dataset:
    def joined(column: str) -> np.ndarray:
        return np.concatenate([getattr(record.selection, column) for record in records])

    rounds = np.concatenate([np.full(len(record.selection), record.round) for record in records])
    axis = ("comparison",)
    variables = {
        "first": (axis, joined("first")),
        "second": (axis, joined("second")),
        "gain": (axis, joined("gain")),
        "asked_in_round": (axis, rounds),
    }
    inclusions = [record.selection.inclusion for record in records]
    if any(inclusion is not None for inclusion in inclusions):
        known = [
            np.full(len(record.selection), np.nan) if inclusion is None else inclusion
            for record, inclusion in zip(records, inclusions, strict=True)
        ]
        variables["inclusion"] = (axis, np.concatenate(known))
    return dataset(variables, {"comparison": np.arange(len(rounds))})
