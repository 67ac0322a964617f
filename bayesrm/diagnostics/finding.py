"""What one check says: a verdict in words, and the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import xarray as xr

Status = Literal["bad", "note", "good", "skipped"]
"""Speaks against the posterior; worth knowing; speaks for it; the check does not apply."""

ORDER: tuple[Status, ...] = ("bad", "note", "good", "skipped")
"""In which order verdicts are read."""


@dataclass(frozen=True, eq=False)
class Finding:
    """The outcome of one check.

    Parameters
    ----------
    check
        Its name, which is the name of its group in the tree of results.
    status
        See :data:`Status`.
    sentence
        The verdict in words, with its figures.
    data
        The numbers; None where the check does not apply.
    """

    check: str
    status: Status
    sentence: str
    data: xr.Dataset | None = None
