"""From a declaration to results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bayesrm.errors import InvalidInputError
from bayesrm.runs.cell import load_script
from bayesrm.runs.results import RESULTS_FILE, keep_results
from bayesrm.runs.sweep import combined, stage_seconds, sweep
from bayesrm.study.declaration import Pools, Study
from bayesrm.study.pools import require_pools, study_pools
from bayesrm.study.results import StudyResults
from bayesrm.utils.files import read_json, write_json
from bayesrm.utils.versions import versions

STUDY_FILE = "study.json"
POOLS = "pools"


def run_study(
    study: Study,
    out: Path,
    pools: Pools | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> StudyResults:
    """Carry out what is not finished of a study, and put its results together.

    Parameters
    ----------
    study
        See ``load_study``.
    out
        Its folder; what is finished in it is kept.
    pools
        Label → pool and test pool; None: those that the script makes, else the quickstart's.
    workers, scheduler
        See :func:`bayesrm.runs.sweep.sweep`.

    Raises
    ------
    InvalidInputError
        For settings or pools that cannot work, and where ``out`` holds a study of other settings.
    """
    start = time.perf_counter()
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"expected --out to be a folder, and {out} is a file")
    cells = study.cells(out, _pools(study, out, pools))
    _require_same(study, out)
    described: dict[str, Any] = {
        "name": study.name,
        "title": study.title,
        "question": study.question,
        "tiny": study.tiny,
        "settings": dict(study.settings),
        "grid": {
            name: {str(label): dict(each) for label, each in axis.items()} for name, axis in study.grid.items()
        },
        "pools": {str(cell.place["pool"]): [str(cell.config.pool), str(cell.config.test)] for cell in cells},
        "versions": versions(),
    }
    write_json(out / STUDY_FILE, described)
    failures = sweep(cells, out, workers, scheduler, study.name)
    finished = [cell for cell in cells if cell.name not in failures]
    tree = combined(finished)
    tree.attrs.update(study=study.name, title=study.title, tiny=int(study.tiny))
    keep_results(tree, out)
    seconds = {"wall": time.perf_counter() - start, **stage_seconds(finished)}
    write_json(out / STUDY_FILE, described | {"failures": failures, "seconds": seconds})
    return StudyResults(study, out, finished, failures, seconds)


def open_study(study: Study, out: Path, pools: Pools | None = None) -> StudyResults:
    """The results of a study that was run, without running anything."""
    if not (out / RESULTS_FILE).exists():
        raise InvalidInputError(f"there are no results of {study.name} in {out}: run the study first")
    cells = study.cells(out, _pools(study, out, pools))
    described = read_json(out / STUDY_FILE)
    return StudyResults(
        study,
        out,
        [cell for cell in cells if cell.is_finished()],
        described.get("failures", {}),
        described.get("seconds", {}),
    )


def _pools(study: Study, out: Path, pools: Pools | None) -> Pools:
    """The pools that were asked for; a study whose script makes its own takes no others."""
    make = getattr(load_script(study.script), "pools", None)
    if make is None:
        return study_pools() if pools is None else pools
    if pools is not None:
        raise InvalidInputError(f"the study {study.name} makes pools of its own, and cannot run on others")
    folder = out / POOLS
    folder.mkdir(parents=True, exist_ok=True)
    made: Pools = make(folder)
    require_pools(made)
    return made


def _require_same(study: Study, out: Path) -> None:
    """A folder is of one study in one setting; more rounds, and more of the grid, are no difference."""
    if not (out / STUDY_FILE).exists():
        return
    there = read_json(out / STUDY_FILE)
    if (there["name"], there["tiny"]) != (study.name, study.tiny):
        raise InvalidInputError(
            f"{out} holds the study {there['name']}{' --tiny' if there['tiny'] else ''}: choose another --out"
        )
    keys = (there["settings"].keys() | study.settings.keys()) - {"rounds"}
    for key in sorted(keys):
        if there["settings"].get(key) != study.settings.get(key):
            raise InvalidInputError(
                f"{out} holds this study with {key} = {there['settings'].get(key)!r}, and it is "
                f"{study.settings.get(key)!r} now: choose another --out"
            )
