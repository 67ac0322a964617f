"""Results as ``xarray.DataTree`` in ArviZ's schema, and as netCDF on disk.

A run has the groups of its final posterior, ``trajectory`` and ``selection``. How several runs combine is told in
:mod:`bayesrm.runs.combine`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from bayesrm.data.unpacking import require_netcdf
from bayesrm.design.lists.selection import ListSelection
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.datatree import dataset, provenance
from bayesrm.runs.checksums import forget_checksum, keep_checksums
from bayesrm.runs.journal import RUN_FILE, RoundRecord, require_settings
from bayesrm.utils.checked import checked
from bayesrm.utils.files import explaining_failed_write, replacing

RESULTS_FILE = "results.nc"
BY_PROMPT = "one_minus_spearman_by_prompt"
"""The metric whose values for each test prompt can be kept."""


def run_tree(
    records: Sequence[RoundRecord],
    posterior: xr.DataTree,
    configuration: dict[str, Any],
    at_the_end: Mapping[str, float] | None = None,
) -> xr.DataTree:
    """The result of a run: the final posterior's groups with ``trajectory`` and ``selection``.

    What was measured once, ``at_the_end``, are variables of the trajectory without a dimension.
    """
    groups = {name: node.to_dataset() for name, node in posterior.children.items()}
    groups["trajectory"] = trajectory_of(records).assign(at_the_end or {})
    groups["selection"] = _selection(records)
    for name in ("trajectory", "selection"):
        groups[name].attrs.update(provenance())
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(posterior.attrs | {"configuration": json.dumps(configuration, sort_keys=True)})
    return tree


def write_results(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write netCDF; whole or not at all.

    It is made in memory first: on a full disk the HDF5 library ends the process where Python raises an error.

    Raises
    ------
    InvalidInputError
        Where the disk is full, or cannot be written to.
    """
    import dask

    # xarray asks dask for a lock; in a worker it would be one of the cluster, which knows of files only.
    with dask.config.set(scheduler="threads"):
        content = tree.to_netcdf(engine="h5netcdf")
    with explaining_failed_write(Path(path), "results"), replacing(Path(path)) as temporary:
        temporary.write_bytes(content)


def keep_results(tree: xr.DataTree, folder: Path, beside: Iterable[Path] = ()) -> None:
    """Write the results of a folder, and what its files are: of ``beside``, which were written before, too."""
    path = folder / RESULTS_FILE
    forget_checksum(folder, path)
    write_results(tree, path)
    keep_checksums(folder, [path, *beside])


@checked
def open_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """Open the results of a run, lazily: values are read when used.

    Parameters
    ----------
    path : str or path
        A results file, or the folder of a finished run.

    Raises
    ------
    InvalidInputError
        Where there is no such file, or it is not netCDF.

    See Also
    --------
    run : Writes them.

    Examples
    --------
    >>> model = brm.RewardModel(pool.dim, "linear")
    >>> tree = brm.run(pool, annotator, model=model, rounds=1, batch_size=20, draws=8, out="runs/open")
    >>> brm.open_results("runs/open")["trajectory"].sizes["round"]
    1
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
    with _whole(path):
        require_netcdf(path)
        return xr.open_datatree(path, engine="h5netcdf")


def load_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """The results of a run, read at once.

    Raises
    ------
    InvalidInputError
        Where there is no such file, or it is not whole.
    """
    with open_results(path) as opened, _whole(Path(path)):
        return opened.load()


def configuration_of(results: xr.DataTree) -> dict[str, Any]:
    """The settings that a run was made with.

    Raises
    ------
    InvalidInputError
        Where its results do not have them.
    """
    try:
        configuration = json.loads(results.attrs["configuration"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"expected results that say how the run was made, and these do not ({error}): are they of a run?"
        ) from error
    if not isinstance(configuration, dict):
        raise InvalidInputError(f"expected the settings of a run in its results, got {configuration!r:.40}")
    return require_settings(configuration, "results")


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What libraries raise at a damaged file, as a sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInputError(
            f"expected a netCDF results file, and {path} is not one, or is damaged: {reason:.200}"
        ) from error


def read_trajectory(path: str | os.PathLike[str]) -> xr.Dataset:
    """The trajectory of a results file, read at once: xarray takes ten times as long to open so few numbers.

    Raises
    ------
    InvalidInputError
        Where the file cannot be read, or is not of a run.
    """
    with _whole(Path(path)), h5py.File(path) as file:
        require_netcdf(Path(path), "trajectory")
        variables = {name: _variable(name, node) for name, node in file["trajectory"].items()}
        return xr.Dataset(variables).set_coords([name for name in ("labels", "texts") if name in variables])


def trajectory_of(records: Sequence[RoundRecord]) -> xr.Dataset:
    """What was measured, with dimension ``round`` and the coordinates ``labels`` and ``texts``, how many were read."""
    _require_same_metrics(records)
    labels = np.cumsum([record.answers for record in records])
    texts = np.cumsum([record.answers * record.selection.lists.shape[1] for record in records])
    variables: dict[str, Any] = {
        name: (("round",), np.array([record.metrics[name] for record in records], dtype=np.float64))
        for name in records[0].metrics
        if name not in ("best_of_n", BY_PROMPT)
    }
    coordinates: dict[str, Any] = {
        "round": [record.round for record in records],
        "labels": (("round",), labels),
        "texts": (("round",), texts),
    }
    if "best_of_n" in records[0].metrics:
        n = sorted(records[0].metrics["best_of_n"])
        values = [[record.metrics["best_of_n"][size] for size in n] for record in records]
        variables["best_of_n"] = (("round", "n"), np.array(values, dtype=np.float64))
        coordinates["n"] = n
    if BY_PROMPT in records[0].metrics:
        by_prompt = np.array([record.metrics[BY_PROMPT] for record in records], dtype=np.float64)
        variables[BY_PROMPT] = (("round", "test_prompt"), by_prompt)
        coordinates["test_prompt"] = np.arange(by_prompt.shape[1])
    variables["gain"] = (("round",), np.array([record.selection.gain.sum() for record in records]))
    variables["shortfall"] = (
        ("round",),
        np.array([np.nan if (s := record.selection.shortfall) is None else s for record in records]),
    )
    return dataset(variables, coordinates)


def _require_same_metrics(records: Sequence[RoundRecord]) -> None:
    """InvalidInputError where a round lacks what the first one measured: a file of it is damaged, or of another run."""
    first = {name: _form(value) for name, value in records[0].metrics.items()}
    for record in records[1:]:
        for name, form in first.items():
            if name not in record.metrics or _form(record.metrics[name]) != form:
                raise InvalidInputError(
                    f"expected the same metrics in every round, and {name} of round {record.round} is not as in round "
                    f"{records[0].round}: are its files damaged, or of another run?"
                )


def _form(value: Any) -> object:
    """What two rounds have in common in a metric: the sizes of best-of-N, or how many prompts."""
    return sorted(value) if isinstance(value, dict) else np.shape(value)


def _variable(name: str, node: h5py.Dataset) -> tuple[tuple[str, ...], np.ndarray]:
    """Dimensions and values; a dimension is named by the variable that stands for it."""
    dims = tuple(scale[0].name.rsplit("/", 1)[-1] for scale in node.dims if len(scale))
    return dims or ((name,) if node.ndim else ()), node[()]


def _selection(records: Sequence[RoundRecord]) -> xr.Dataset:
    if any(isinstance(record.selection, ListSelection) for record in records):
        return _lists(records)

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
    inclusions = [getattr(record.selection, "inclusion", None) for record in records]
    if any(inclusion is not None for inclusion in inclusions):
        known = [
            np.full(len(record.selection), np.nan) if inclusion is None else inclusion
            for record, inclusion in zip(records, inclusions, strict=True)
        ]
        variables["inclusion"] = (axis, np.concatenate(known))
    return dataset(variables, {"comparison": np.arange(len(rounds))})


def _lists(records: Sequence[RoundRecord]) -> xr.Dataset:
    lists = np.concatenate([record.selection.lists for record in records])
    variables = {
        "lists": (("list", "member"), lists),
        "gain": (("list",), np.concatenate([record.selection.gain for record in records])),
        "asked_in_round": (
            ("list",),
            np.concatenate([np.full(len(record.selection), record.round) for record in records]),
        ),
    }
    return dataset(variables, {"list": np.arange(len(lists)), "member": np.arange(lists.shape[1])})
