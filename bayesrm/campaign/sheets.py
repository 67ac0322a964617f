"""Writing the files of a batch so that none in which somebody wrote is lost: it stays, and the new one goes beside it.

A file that is there as it would be written again is left alone. One that differs was filled in or changed, so the new
files get a number, and nothing is overwritten, whoever writes at the same moment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bayesrm.campaign.handoff.base import HandOff, Sheet
from bayesrm.utils.files import explaining_failed_write


def write_sheets(handoff: HandOff, sheets: Sequence[Sheet], folder: Path, stem: str) -> list[Path]:
    """Write the files of some questions, and say which they are, main file first.

    Parameters
    ----------
    handoff
        Their format.
    sheets
        The questions.
    folder
        Where they go.
    stem
        How their names begin; followed by a number where other files are there.

    Raises
    ------
    InvalidInputError
        Where they cannot be written; none is left then.
    """
    with explaining_failed_write(folder, f"the files of {stem}"):
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
                made = handoff.write(sheets, Path(temporary) / name)
                placed = _place(made, folder)
            if placed is not None:
                return placed
            number += 1


def _place(made: Sequence[Path], folder: Path) -> list[Path] | None:
    """Move files into a folder, all of them or none; None where one of another content is there."""
    targets = [folder / path.name for path in made]
    placed: list[Path] = []
    for path, target in zip(made, targets, strict=True):
        if target.exists() and target.read_bytes() == path.read_bytes():
            continue
        try:
            _move_if_absent(path, target)
        except FileExistsError:
            for each in placed:
                each.unlink()
            return None
        placed.append(target)
    return targets


def _move_if_absent(path: Path, target: Path) -> None:
    """Move a file; FileExistsError where another one is there."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with open(path, "rb") as source, open(target, "xb") as file:
            shutil.copyfileobj(source, file)
            os.fsync(file.fileno())
