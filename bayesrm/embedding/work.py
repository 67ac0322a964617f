"""The folder of an embedding that is under way: what was planned, what is computed, and how much of it is safe.

``plan.json`` says what everything depends on, ``vectors.bin`` has the vectors in the order of the batches, and
``done.json`` how many batches of it are on disk for certain: it is written after they were synced. A kill at any
moment costs the batches since then.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from bayesrm.data.directory import WORK
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import read_json, write_json

PLAN, DONE, VECTORS, LOCK = "plan.json", "done.json", "vectors.bin", "lock"
VERSION = 2
CHECKPOINT_SECONDS = 2.0
"""Vectors are synced to disk after so long, and with the last batch."""

_FREE = {"model", "revision"}
"""Settings that may differ: the digest of the weights says whether the model is the same."""


class Work:
    """Vectors of one run, appended batch by batch; opened again, it goes on behind the last one that is safe.

    Parameters
    ----------
    folder
        The folder of the pool that is made.
    plan
        What the vectors depend on.
    ends
        (batch,) vectors of this run up to and with each of its batches.
    dim
        Numbers a vector.
    dtype
        In which they are kept.
    """

    def __init__(
        self, folder: Path, plan: Mapping[str, Any], ends: Int64[np.ndarray, "batch"], dim: int, dtype: str
    ) -> None:
        self.folder = folder / WORK
        self.dtype = np.dtype(dtype)
        self._ends = ends
        self._marked = time.monotonic()
        with explaining_full_disk(folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder / LOCK)
            try:
                self.batches = self._begin(folder, plan)
                self._file = self._open(int(ends[self.batches - 1]) if self.batches else 0, dim)
            except BaseException:
                os.close(self._lock)
                raise

    def _begin(self, folder: Path, plan: Mapping[str, Any]) -> int:
        """The plan is the one that the folder was begun with; how many batches are safe."""
        path = self.folder / PLAN
        if path.exists():
            require_same_plan(read_json(path), plan, folder)
        else:
            write_json(path, plan)
        done = self.folder / DONE
        return int(read_json(done)["batches"]) if done.exists() else 0

    def _open(self, rows: int, dim: int) -> BufferedWriter:
        """The file of vectors, behind the last that is safe."""
        path, size = self.folder / VECTORS, rows * dim * self.dtype.itemsize
        there = path.stat().st_size if path.exists() else 0
        if there < size:
            raise InvalidInputError(
                f"{path} should have {size} bytes and has {there}: remove {self.folder} to begin anew"
            )
        file = open(path, "ab")  # noqa: SIM115 - closed in __exit__
        file.truncate(size)
        return file

    def append(self, vectors: Float[np.ndarray, "vector embedding"]) -> None:
        """Keep the next batch.

        Raises
        ------
        InvalidInputError
            Where a number does not fit the dtype, or the disk is full.
        """
        with np.errstate(over="ignore"):
            kept = vectors.astype(self.dtype)
        if not np.isfinite(kept).all():
            raise InvalidInputError(
                f"expected embeddings within the range of {self.dtype}, got up to {np.abs(vectors).max():g}: "
                "store them as float32"
            )
        with explaining_full_disk(self.folder.parent):
            self._file.write(kept.tobytes())
            self.batches += 1
            last = self.batches == len(self._ends)
            if last or time.monotonic() - self._marked >= CHECKPOINT_SECONDS:
                self._mark()

    def _mark(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        write_json(self.folder / DONE, {"batches": self.batches})
        self._marked = time.monotonic()

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with explaining_full_disk(self.folder.parent):
            try:
                if kind is not None and issubclass(kind, KeyboardInterrupt):
                    self._mark()  # stopped by hand: nothing is lost
            finally:
                try:
                    self._file.close()
                finally:
                    os.close(self._lock)


def read_vectors(
    folder: Path, shape: tuple[int, int], dtype: str, batches: int
) -> Float[np.ndarray, "vector embedding"]:
    """The vectors of a finished run, memory-mapped.

    Raises
    ------
    InvalidInputError
        Where it is not finished.
    """
    done = read_json(folder / WORK / DONE)["batches"] if (folder / WORK / DONE).exists() else 0
    if done < batches:
        raise InvalidInputError(
            f"expected all {batches} batches in {folder}, and {done} are done: run its command again to continue"
        )
    if shape[0] == 0:  # a shard of fewer batches than shards; nothing can be mapped
        return np.empty(shape, dtype)
    return np.memmap(folder / WORK / VECTORS, dtype=dtype, mode="r", shape=shape)


def require_same_plan(there: Mapping[str, Any], here: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with other texts, another model or other settings than the folder was begun with."""
    plain = json.loads(json.dumps(here))
    if there.get("version") != plain["version"]:
        raise InvalidInputError(f"{folder} was begun by another version of bayesrm: choose another folder")
    settings = {**there["settings"], **plain["settings"]}
    differing = [
        (name.replace("_", " "), there["settings"].get(name), plain["settings"].get(name))
        for name in settings
        if name not in _FREE and there["settings"].get(name) != plain["settings"].get(name)
    ]
    for key, words in (
        ("source", "texts"), ("covariates", "covariates"), ("weights", "weights of the model"), ("store", "store"),
        ("shard", "shard"), ("tokens", "tokens of the same texts"),
    ):  # fmt: skip
        if there.get(key) != plain.get(key):
            differing.append((words, there.get(key), plain.get(key)))
    if differing:
        name, before, now = differing[0]
        long = any(isinstance(value, str) and len(value) == 64 for value in (before, now))
        what = f"other {name}" if long else f"another {name} ({before} there, {now} here)"
        raise InvalidInputError(
            f"{folder} was begun with {what}: give the same to continue, choose another folder, or remove {folder}"
        )


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what cannot fit."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InvalidInputError(
            f"the embeddings need {needed / 2**20:,.1f} MiB in {folder}, and {free / 2**20:,.1f} MiB are free: "
            "make room or choose another folder"
        )


@contextmanager
def explaining_full_disk(folder: Path) -> Iterator[None]:
    """A full disk in one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InvalidInputError(
            f"the disk of {folder} is full: make room and run the same command again, which goes on from where it was"
        ) from error


def _lock(path: Path) -> int:
    """A lock that ends with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        import fcntl
    except ImportError:  # Windows
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InvalidInputError(
            f"another process is embedding into {path.parent.parent}: wait for it, or choose another folder"
        ) from error
    return descriptor
