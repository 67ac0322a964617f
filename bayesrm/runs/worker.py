"""What a worker process does with a cell. Nothing heavy is imported before it does, as schedulers import this too."""

from __future__ import annotations

import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ONE_CELL = threading.Lock()
"""Pyro draws from a generator that the whole process shares, so a worker of several threads takes turns."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Parameters
    ----------
    name
        Of the cell.
    sentence
        What went wrong; None where nothing did.
    traceback
        Where it went wrong; empty where the sentence says all, as it does of bad input.
    """

    name: str
    sentence: str | None = None
    traceback: str = ""


def carry_out(plain: dict[str, Any]) -> dict[str, Any]:
    """Carry out a cell on one thread, so that results depend on no setting of the machine.

    Takes ``Cell.to_json`` and returns the fields of an :class:`Outcome`. An error ends the cell, not the sweep.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from bayesrm.errors import BayesRMError
    from bayesrm.runs.cell import Cell

    with _ONE_CELL:
        threads = torch.get_num_threads()
        try:
            cell = Cell.from_json(plain)
            with threadpool_limits(1):
                torch.set_num_threads(1)
                # A task whose result was lost with its worker comes again.
                if not cell.is_finished():
                    cell.carry_out()
        except Exception as error:
            name = Path(plain["folder"]).name
            if isinstance(error, BayesRMError):
                return vars(Outcome(name, str(error)))
            return vars(Outcome(name, f"{type(error).__name__}: {error}", traceback.format_exc()))
        finally:
            torch.set_num_threads(threads)
    return vars(Outcome(cell.name))
