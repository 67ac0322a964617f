"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from bayesrm.errors import InvalidInputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; on success it is synced to disk and takes its place.

    What the system refuses bears the name of the file, which it leaves out where a disk is full.
    """
    if path.is_dir():
        raise InvalidInputError(f"expected a file to write, and {path} is a folder: give the name of a file in it")
    if path.exists() and not path.is_file():
        # Another file in the place of /dev/null, which root could put there, would harm every process.
        raise InvalidInputError(
            f"expected a file to write, and {path} is a device or a pipe: give the name of a file"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the process's number, which two machines that share the folder may have in common.
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: Path, what: str) -> Iterator[Path]:
    """A new directory beside ``path`` that takes its place when it is complete, or is removed.

    Raises
    ------
    InvalidInputError
        Where there is something already; ``what`` names what was to be written.
    """
    if path.exists() and not path.is_dir():
        raise InvalidInputError(f"expected a directory to write {what} to, got the file {path}")
    if path.exists() and any(path.iterdir()):
        raise InvalidInputError(
            f"expected a new or empty directory, but {path} is not empty: remove it or choose another name"
        )
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def explaining_failed_write(path: Path, what: str, *errors: type[Exception]) -> Iterator[None]:
    """A full disk, or one that cannot be written to, as one sentence; ``errors`` are what libraries make of OSError."""
    try:
        yield
    except (OSError, *errors) as error:  # type: ignore[misc]
        raise InvalidInputError(
            f"cannot write {what} to {path} ({error}), and nothing was left there: make room, or choose another place"
        ) from error


def sha256(path: Path) -> str:
    """The digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON, readable and in a fixed order; numbers round-trip to the bit."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of ours, an object in JSON; InvalidInputError where it is damaged or has something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is damaged and cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError(
            f"expected an object in {path}, and it has {type(value).__name__} {value!r:.40}: put back the file, or "
            "make it again"
        )
    return value


def _sync_directory(path: Path) -> None:
    """Make a rename durable, where the system lets a directory be opened for that."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
