"""A pool directory: ``embeddings.npy``, ``responses.parquet``, optional ``golden.npy`` and ``card.json``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from bayesrm.data.arrays import naming, open_npy
from bayesrm.data.golden import as_golden
from bayesrm.data.table import read_table, write_table
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool
from bayesrm.utils.files import replacing_directory, sha256
from bayesrm.utils.versions import versions

EMBEDDINGS, RESPONSES, GOLDEN, CARD = "embeddings.npy", "responses.parquet", "golden.npy", "card.json"
BYTES_AT_ONCE = 64 * 2**20
"""Embeddings that are held in memory while a pool is written."""


def load_directory(path: Path) -> ResponsePool:
    """The pool of a directory: embeddings memory-mapped, texts read when first used."""
    embeddings = open_npy(_require(path, EMBEDDINGS))
    prompt, texts = read_table(path / RESPONSES)
    if embeddings.ndim == 2 and len(prompt) != len(embeddings):
        raise InvalidInputError(
            f"expected as many rows in {RESPONSES} as in {EMBEDDINGS}, got {len(prompt)} and {len(embeddings)} "
            f"in {path}: both must have one row a response"
        )
    with naming(path / EMBEDDINGS):
        return ResponsePool(embeddings, prompt, texts)


def load_directory_golden(path: Path) -> Float[np.ndarray, "response"]:
    """The golden rewards of a directory, one for each of its embeddings."""
    embeddings = open_npy(_require(path, EMBEDDINGS))
    golden = open_npy(_require(path, GOLDEN))
    with naming(path / GOLDEN):
        return as_golden(golden, math.prod(embeddings.shape[:1]))


def save_pool(path: str | os.PathLike[str], pool: ResponsePool, golden: ArrayLike | None = None) -> None:
    """Write a pool directory, whole or not at all.

    Parameters
    ----------
    path
        The directory to make; it must not exist, or be empty.
    pool
        The responses. Embeddings are written as float16 if they are, else as float32, block by block; prompt
        labels must be integers or strings. Of other columns the pool knows nothing, and none are written.
    golden
        (response,) golden rewards, written as float32, optional.

    Raises
    ------
    InvalidInputError
        Where the directory is not empty, or something cannot be written as it should be read.
    """
    path = Path(path)
    rewards = None if golden is None else as_golden(golden, len(pool))
    with replacing_directory(path, "the pool") as directory:
        _write_embeddings(directory / EMBEDDINGS, pool)
        write_table(directory / RESPONSES, pool.prompt, pool.texts)
        if rewards is not None:
            _write_golden(directory / GOLDEN, rewards)
        card = _card(path.resolve().name, pool, directory)
        (directory / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _require(path: Path, name: str) -> Path:
    if not (path / name).exists():
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise InvalidInputError(f"expected {name} in the pool directory {path}, found {found}")
    return path / name


def _write_embeddings(path: Path, pool: ResponsePool) -> None:
    dtype = np.dtype(np.float16 if pool.embeddings.dtype.itemsize == 2 else np.float32)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (len(pool), pool.dim),
    }
    rows = max(1, BYTES_AT_ONCE // (4 * pool.dim))
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(pool), rows):
            block = np.arange(start, min(start + rows, len(pool)))
            file.write(np.ascontiguousarray(pool.rows(block), dtype=dtype).data)


def _write_golden(path: Path, golden: Float[np.ndarray, "response"]) -> None:
    with np.errstate(over="ignore"):
        stored = golden.astype(np.float32)
    if not np.isfinite(stored).all():
        raise InvalidInputError(
            f"expected golden rewards within the range of float32, got up to {np.abs(golden).max():g}"
        )
    np.save(path, stored, allow_pickle=False)


def _card(name: str, pool: ResponsePool, directory: Path) -> dict[str, object]:
    return {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_by": f"bayesrm {versions()['bayesrm']}",
        "responses": len(pool),
        "prompts": pool.n_prompts,
        "dimension": pool.dim,
    } | file_sums(sorted(directory.iterdir()))


def file_sums(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Sizes and checksums of files, for the card of a pool."""
    return {
        "bytes": {file.name: file.stat().st_size for file in files},
        "checksums": {file.name: f"sha256:{sha256(file)}" for file in files},
    }
