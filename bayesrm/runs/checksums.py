"""What the files of a folder were when they were written, so that a byte that changed since is noticed.

``checksums.json`` in the folder of a run, of several, or of a study has the SHA-256 of each file that belongs to its
results. It is written after them: where a process was killed between the two, the next one that finds the results whole
writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import read_json, sha256, write_json
from bayesrm.utils.wording import one_or_many

CHECKSUMS_FILE = "checksums.json"
_SHOWN = 5


def keep_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Remember what files below a folder are now, beside those that are remembered already."""
    now = {file.relative_to(folder).as_posix(): sha256(file) for file in files}
    write_json(folder / CHECKSUMS_FILE, _kept(folder) | now)


def forget_checksum(folder: Path, file: Path) -> None:
    """Forget what a file was that is about to be written anew."""
    kept = _kept(folder)
    if kept.pop(file.relative_to(folder).as_posix(), None) is not None:
        write_json(folder / CHECKSUMS_FILE, kept)


def changed_files(folder: Path) -> list[str]:
    """A sentence for each folder, this one or one below it, with files that are not as they were written."""
    sentences = []
    for found in sorted(folder.glob(f"**/{CHECKSUMS_FILE}")):
        directory = found.parent
        changed = [
            name
            for name, expected in _kept(directory).items()
            if not (directory / name).is_file() or sha256(directory / name) != expected
        ]
        if changed:
            more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            sentences.append(
                f"{', '.join(changed[:_SHOWN])}{more} in {directory} {one_or_many(len(changed), 'is', 'are')} not as "
                "written (the SHA-256 differs): what follows from there may be wrong; put back a copy, or run it again"
            )
    return sentences


def _kept(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS_FILE
    kept = read_json(path) if path.exists() else {}
    if not isinstance(kept, dict) or not all(isinstance(digest, str) for digest in kept.values()):
        raise InvalidInputError(
            f"expected names of files with their checksums in {path}: delete it if you trust them"
        )
    return kept
