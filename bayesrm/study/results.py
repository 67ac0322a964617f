"""The results of a study: one tree, opened lazily, and its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import xarray as xr

from bayesrm.errors import InvalidInputError
from bayesrm.runs.cell import Cell
from bayesrm.runs.combine import Label
from bayesrm.runs.results import open_results
from bayesrm.study.declaration import Study


@dataclass(frozen=True)
class StudyResults:
    """What a study found.

    Parameters
    ----------
    study
        What was run.
    out
        The folder that it is in.
    cells
        Those that are finished.
    failures
        Name of a cell that failed → one sentence; in the trajectory it is NaN.
    seconds
        "wall" of the last command, and what each stage took, summed over cells.
    """

    study: Study
    out: Path
    cells: Sequence[Cell]
    failures: Mapping[str, str]
    seconds: Mapping[str, float]

    @property
    def tiny(self) -> bool:
        """Whether this is the tiny setting, whose numbers say nothing."""
        return self.study.tiny

    @cached_property
    def tree(self) -> xr.DataTree:
        """The results file, opened lazily: ``trajectory``, and ArviZ's groups of one cell."""
        return open_results(self.out)

    @cached_property
    def trajectory(self) -> xr.Dataset:
        """Metrics by pool, the study's dimensions, seed and round; coordinate ``labels``."""
        return self.tree["trajectory"].to_dataset()

    def cell(self, **place: Label) -> Cell:
        """The cell at a place; dimensions of one label may be left out.

        Raises
        ------
        InvalidInputError
            Where that is no cell, not one that has finished, or more than one.
        """
        for name in place:
            if name not in self.study.dims:
                raise InvalidInputError(f"there is no dimension {name}: there are {', '.join(self.study.dims)}")
        found = [cell for cell in self.cells if all(cell.place[name] == label for name, label in place.items())]
        asked = ", ".join(f"{name}={label}" for name, label in place.items()) or "nothing"
        if len(found) > 1:
            open_dims = [n for n in self.study.dims if len({cell.place[n] for cell in found}) > 1]
            raise InvalidInputError(
                f"expected one cell, got {len(found)} for {asked}: say which {', '.join(open_dims)}"
            )
        if not found:
            raise InvalidInputError(f"no finished cell has {asked}")
        return found[0]
