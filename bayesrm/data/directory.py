"""A pool directory.

- ``embeddings.npy``: (response, embedding) float16 or float32.
- ``responses.parquet``: ``prompt_id`` and optionally ``prompt``, ``response``, ``generator``, ``source``.
- ``covariates.parquet``, optional: one row a response, one column of numbers a covariate. It is a file of its own, so
  that no other column of a user's table is taken for something that a model should learn from.
- ``golden.npy``, optional.
- ``card.json``, optional: where embeddings have blocks, ``blocks`` says name → [start, stop] of each.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from bayesrm.data.arrays import naming, open_npy
from bayesrm.data.golden import as_golden
from bayesrm.data.table import read_columns, read_table, write_columns, write_table
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked
from bayesrm.utils.columns import ONE_BLOCK, as_blocks, as_covariates
from bayesrm.utils.files import read_json, replacing_directory, sha256
from bayesrm.utils.versions import versions

EMBEDDINGS, RESPONSES, GOLDEN, CARD = "embeddings.npy", "responses.parquet", "golden.npy", "card.json"
COVARIATES = "covariates.parquet"
WORK = ".embedding"
"""The folder in that of a pool with what :mod:`bayesrm.embedding.work` keeps while texts are embedded."""
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
    covariates = read_columns(path / COVARIATES) if (path / COVARIATES).exists() else {}
    blocks: dict[str, Any] = _read_blocks(path / CARD)
    if embeddings.ndim == 2:
        with naming(path / COVARIATES):
            covariates = as_covariates(covariates, len(embeddings))
        with naming(path / CARD):
            blocks = as_blocks(blocks, embeddings.shape[1])
    with naming(path / EMBEDDINGS):
        return ResponsePool(embeddings, prompt, texts, blocks, covariates)


def load_directory_golden(path: Path) -> Float[np.ndarray, "response"]:
    """The golden rewards of a directory, one for each of its embeddings."""
    embeddings = open_npy(_require(path, EMBEDDINGS))
    golden = open_npy(_require(path, GOLDEN))
    with naming(path / GOLDEN):
        return as_golden(golden, math.prod(embeddings.shape[:1]))


@checked
def save_pool(path: str | os.PathLike[str], pool: ResponsePool, golden: ArrayLike | None = None) -> None:
    """Write a pool directory, whole or not at all.

    Parameters
    ----------
    path : str or path
        The directory to make; it must not exist, or be empty.
    pool : ResponsePool
        The responses. Embeddings are written as float16 if they are, else as float32, block by block; prompt
        labels must be integers or strings. Of other columns the pool knows nothing, and none are written. Blocks go to
        the card, covariates to ``covariates.parquet``.
    golden : array_like, optional
        (response,) golden rewards, written as float32, optional.

    Raises
    ------
    InvalidInputError
        Where the directory is not empty, or something cannot be written as it should be read.

    See Also
    --------
    load_pool : Reads it.

    Examples
    --------
    >>> small = brm.ResponsePool(np.eye(3), prompt=["a", "a", "b"], texts=["yes", "no", "maybe"])
    >>> brm.save_pool("small", small, golden=[1.0, 0.0, 0.5])
    >>> brm.load_pool("small") == small
    True
    """
    path = Path(path)
    rewards = None if golden is None else as_golden(golden, len(pool))
    with replacing_directory(path, "the pool") as directory:
        _write_embeddings(directory / EMBEDDINGS, pool)
        write_table(directory / RESPONSES, pool.prompt, pool.texts)
        if pool.covariates:
            write_columns(directory / COVARIATES, pool.covariates)
        if rewards is not None:
            _write_golden(directory / GOLDEN, rewards)
        card = _card(path.resolve().name, pool, directory)
        (directory / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _require(path: Path, name: str) -> Path:
    if not (path / name).exists():
        if name == EMBEDDINGS and (path / WORK).is_dir():
            raise InvalidInputError(
                f"the pool {path} is unfinished: run the same `bayesrm embed` again, which goes on where it was, or of "
                "shards `bayesrm merge-shards`"
            )
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
        **described_columns(pool.blocks, pool.covariates),
    } | file_sums(sorted(directory.iterdir()))


def described_columns(blocks: Mapping[str, slice], covariates: Iterable[str]) -> dict[str, Any]:
    """What a card says of blocks and covariates; nothing where there is one block and no covariate."""
    described: dict[str, Any] = {}
    if list(blocks) != [ONE_BLOCK]:
        described["blocks"] = {name: [at.start, at.stop] for name, at in blocks.items()}
    if names := list(covariates):
        described["covariates"] = names
    return described


def _read_blocks(card: Path) -> dict[str, Any]:
    """The blocks that a card names, none where there is no card or it names none."""
    described = read_json(card) if card.is_file() else {}
    blocks = described.get("blocks", {}) if isinstance(described, dict) else {}
    if not isinstance(blocks, dict):
        raise InvalidInputError(f"expected blocks as name → [start, stop] in {card}, got {blocks!r:.80}")
    return blocks


def file_sums(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Sizes and checksums of files, for the card of a pool."""
    return {
        "bytes": {file.name: file.stat().st_size for file in files},
        "checksums": {file.name: f"sha256:{sha256(file)}" for file in files},
    }
