"""A cell of a sweep: one run in a folder of its own, carried out once and then only read."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesrm import rng
from bayesrm.annotators import ANNOTATORS
from bayesrm.annotators.base import Annotator
from bayesrm.data import load_golden, load_pool
from bayesrm.errors import InvalidInputError
from bayesrm.inference import fit
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.combine import Label, Part
from bayesrm.runs.config import RunConfig
from bayesrm.runs.journal import RoundRecord, read_records
from bayesrm.runs.loop import run_loop
from bayesrm.runs.results import RESULTS_FILE, open_results
from bayesrm.runs.script_digest import measure_digest
from bayesrm.runs.settings import AnnotatorSettings, ModelSettings
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.files import read_json, write_json
from bayesrm.utils.timing import stopwatch

CELL_FILE = "cell.json"
"""Written into the folder of a run when all that belongs to the cell is done."""

_DEFAULTS = RunConfig(pool=Path()).plain()
Measured = Mapping[str, float | list[float]]


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Parameters
    ----------
    place
        Where it belongs in the results: dimension → label.
    config
        Its settings.
    folder
        Of the run.
    script
        A study's script; its ``measure(cell)``, where it has one, is called after the run and its numbers are kept
        until it changes.
    """

    place: Mapping[str, Label]
    config: RunConfig
    folder: Path
    script: Path | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def pool(self) -> ResponsePool:
        """The pool, opened once a process and read where used."""
        return _pool(str(self.config.pool), _signature(self.config.pool))

    def golden(self) -> Float[np.ndarray, "response"]:
        """The golden rewards of the pool."""
        return _golden(str(self.config.pool), _signature(self.config.pool))

    def test(self) -> tuple[ResponsePool, Float[np.ndarray, "response"]] | None:
        """The test pool with its golden rewards, where there is one."""
        path = self.config.test
        if path is None:
            return None
        return _pool(str(path), _signature(path)), _golden(str(path), _signature(path))

    def annotator(self) -> Annotator:
        """Who answers.

        Raises
        ------
        InvalidInputError
            Where a setting is asked for that the annotator does not take, or it needs what a simulated run has not.
        """
        config = self.config
        settings = config.part(AnnotatorSettings)
        settings["spread"] = settings.pop("annotator_spread")
        asked = {"spread" if each == "annotator_spread" else each for each in config.record(AnnotatorSettings)}
        name = settings.pop("annotator") or ("golden" if asked <= {"temperature"} else "crowd")
        part = ANNOTATORS[name]
        ignored = sorted(asked - {"annotator"} - set(signature(part).parameters))
        if ignored:
            raise InvalidInputError(f"the annotator {name!r} takes no {' and no '.join(ignored)}: leave it out")
        return part.made_of(settings | {"golden": self.golden(), "seed": config.seed})

    def model(self) -> RewardModel:
        """The model, not fitted."""
        return RewardModel(self.pool(), **self.config.part(ModelSettings))

    def tree(self) -> xr.DataTree:
        """The results of the run, opened lazily."""
        return open_results(self.folder)

    def records(self) -> list[RoundRecord]:
        """Its rounds: what was asked, answered and measured."""
        return read_records(self.folder)

    def labels(self, round_index: int | None = None) -> Preferences:
        """What was answered up to and including a round, counted from 0; None: all."""
        labels = Preferences.none()
        for record in self.records()[: None if round_index is None else round_index + 1]:
            labels = labels.append(record.labels)
        return labels

    def posterior(self, round_index: int | None = None, inference: str | None = None) -> RewardPosterior:
        """The posterior after a round, fitted again as the run fitted it, or by another inference."""
        return fit(
            self.model(),
            self.pool(),
            self.labels(round_index),
            self.config.inference if inference is None else inference,
            seed=rng.child(self.config.seed, "fit"),
            device=self.config.device,
        )

    def seconds(self) -> dict[str, float]:
        """What each stage took, and "total", when the cell was carried out; empty before."""
        return dict(self._record().get("seconds", {}))

    def part(self) -> Part:
        """What it contributes to combined results."""
        return Part(self.folder, self.place, self._record().get("measured") or {})

    def is_finished(self) -> bool:
        """Whether all is there: the run, of these settings and files, and what the script measures now."""
        return self._has_run() and self._is_measured()

    def carry_out(self) -> None:
        """Run, or continue, and note what was measured and how long it took; a run that is there is only measured."""
        record = self._record() if self._has_run() else {}
        start = time.perf_counter()
        with stopwatch() as seconds:
            if not record:
                execute(self)
            # Before it measures, in case that the script is edited meanwhile.
            measure, digest = self._measure(), self._digest()
            measured = None if measure is None else _checked(measure(self))
        seconds["total"] = time.perf_counter() - start
        write_json(
            self.folder / CELL_FILE,
            {
                "config": self.config.plain(),
                "files": self._files(),
                "measured": measured,
                "script": digest,
                "seconds": record.get("seconds", seconds),
                "worker": f"{socket.gethostname()}:{os.getpid()}",
            },
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values, to be sent to another process."""
        return {
            "place": dict(self.place),
            "config": self.config.plain(),
            "folder": str(self.folder),
            "script": None if self.script is None else str(self.script),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Cell:
        """The inverse of :meth:`to_json`."""
        script = plain["script"]
        return cls(
            plain["place"],
            RunConfig(**plain["config"]),
            Path(plain["folder"]),
            None if script is None else Path(script),
        )

    def _has_run(self) -> bool:
        """Whether the run is there, of these settings and files."""
        record = self._record()
        return bool(
            record
            and (self.folder / RESULTS_FILE).exists()
            # A setting that a record lacks is younger than it, and had what is its default now.
            and _DEFAULTS | record["config"] == self.config.plain()
            and record["files"] == self._files()
        )

    def _is_measured(self) -> bool:
        """Whether what was measured is what the script measures now; older records do not say how it was."""
        record, digest = self._record(), self._digest()
        return record["measured"] is None if digest is None else record.get("script") == digest

    def _digest(self) -> str | None:
        measure = self._measure()
        return None if measure is None or self.script is None else measure_digest(self.script, measure)

    def _record(self) -> dict[str, Any]:
        path = self.folder / CELL_FILE
        return read_json(path) if path.exists() else {}

    def _files(self) -> list[list[list[str | int]]]:
        """Names, sizes and times of its files: a change means that the run has to look at them again."""
        return [[list(file) for file in _signature(path)] for path in self.config.files().values()]

    def _measure(self) -> Callable[[Cell], Measured] | None:
        return None if self.script is None else getattr(load_script(self.script), "measure", None)


def execute(cell: Cell) -> None:
    """The run of a cell in its folder."""
    tree = run_loop(cell.config, cell.pool(), cell.annotator(), cell.test(), cell.model(), cell.folder)
    tree.close()


def load_script(path: Path) -> ModuleType:
    """A study's script as a module, read again when it has changed."""
    return _script(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _script(path: str, changed: int) -> ModuleType:
    name = f"bayesrm_study_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses of a module look it up by its name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _signature(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Of each file of a pool, and of the rewards beside one: name, size, time of the last change."""
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.is_file())
    else:
        files = [
            file for file in (path, path.with_name(path.name.replace("embd_", "reward_", 1))) if file.exists()
        ]
    return tuple((file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in dict.fromkeys(files))


@lru_cache(maxsize=4)
def _pool(path: str, files: tuple[tuple[str, int, int], ...]) -> ResponsePool:
    return load_pool(path)


@lru_cache(maxsize=4)
def _golden(path: str, files: tuple[tuple[str, int, int], ...]) -> Float[np.ndarray, "response"]:
    return load_golden(path)


def _checked(measured: object) -> dict[str, float | list[float]]:
    """What a script measured, as plain numbers."""
    if not isinstance(measured, Mapping):
        raise InvalidInputError(
            f"expected measure(cell) to return a mapping from names to numbers, got {type(measured).__name__}"
        )
    return {str(name): np.asarray(value, dtype=np.float64).tolist() for name, value in measured.items()}
