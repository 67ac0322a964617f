"""A pool in one ``.npz`` file: arrays ``embeddings``, ``prompt`` (or ``prompt_id``), ``texts``, ``golden``.

Blocks of the embedding are ``block_names`` (block,) and ``block_widths`` (block,), in the order of its columns;
covariates are ``covariates`` (response, covariate) and ``covariate_names`` (covariate,). All four are optional.

Unlike the other formats it is read as a whole, for pools that fit in memory many times over.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayesrm.data.arrays import first_bytes, naming, pickled
from bayesrm.data.golden import as_golden
from bayesrm.data.unpacking import most_unpacked, too_large
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool

_BLOCKS = ("block_names", "block_widths")
_COVARIATES = ("covariates", "covariate_names")
_CORRUPT = (
    ValueError, OSError, EOFError, RuntimeError, SyntaxError, MemoryError, OverflowError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


def load_npz(path: Path) -> ResponsePool:
    """The pool of an archive."""
    arrays = _read(path, "embeddings", "prompt|prompt_id", optional=("texts", *_BLOCKS, *_COVARIATES))
    embeddings, texts = arrays["embeddings"], arrays.get("texts")
    if embeddings.ndim != 2:
        raise InvalidInputError(
            f"expected embeddings of shape (response, embedding) in {path}, got {embeddings.shape}: "
            "one row a response"
        )
    if texts is not None and (texts.dtype.kind != "U" or texts.ndim != 1):
        raise InvalidInputError(
            f"expected texts as a one-dimensional array of unicode strings in {path}, "
            f"got {texts.dtype} of shape {texts.shape}"
        )
    with naming(path):
        return ResponsePool(
            embeddings,
            arrays["prompt|prompt_id"],
            None if texts is None else texts.tolist(),
            _blocks(arrays),
            _covariates(arrays),
        )


def load_npz_golden(path: Path) -> Float[np.ndarray, "response"]:
    """The golden rewards of an archive, one for each of its embeddings."""
    arrays = _read(path, "golden", optional=("embeddings",))
    with naming(path):
        embeddings = arrays.get("embeddings")
        return as_golden(arrays["golden"], None if embeddings is None else math.prod(embeddings.shape[:1]))


def _blocks(arrays: dict[str, np.ndarray]) -> dict[str, slice]:
    names, widths = _together(arrays, *_BLOCKS)
    if names is None or widths is None:
        return {}
    if widths.dtype.kind not in "iu" or widths.shape != names.shape:
        raise InvalidInputError(
            f"expected one whole number for each of the {len(names)} block_names in block_widths, got "
            f"{widths.dtype} of shape {widths.shape}"
        )
    ends = np.cumsum(widths).tolist()
    starts = [0, *ends[:-1]]
    return {name: slice(start, end) for name, start, end in zip(names.tolist(), starts, ends, strict=True)}


def _covariates(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    values, names = _together(arrays, *_COVARIATES)
    if values is None or names is None:
        return {}
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InvalidInputError(
            f"expected covariates of shape (response, {len(names)}), a column for each of covariate_names, got "
            f"{values.shape}"
        )
    return dict(zip(names.tolist(), values.T, strict=True))


def _together(arrays: dict[str, np.ndarray], *names: str) -> list[np.ndarray | None]:
    """Arrays of which none makes sense alone; those that name things must be unicode strings."""
    found = [arrays.get(name) for name in names]
    for name, array, other in zip(names, found, reversed(names), strict=True):
        if array is None and other in arrays:
            raise InvalidInputError(f"expected an array {name} beside {other}, and there is none")
        if array is not None and name.endswith("names") and (array.dtype.kind != "U" or array.ndim != 1):
            raise InvalidInputError(
                f"expected {name} as a one-dimensional array of unicode strings, got {array.dtype}"
            )
    return found


def _read(path: Path, *required: str, optional: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of an archive by name; of alternatives ``a|b`` the first that is there."""
    if first_bytes(path, 1) == b"\x80":
        raise pickled(path)
    if not zipfile.is_zipfile(path):
        raise InvalidInputError(
            f"expected a .npz archive, but {path} is truncated or is none: write it with numpy.savez"
        )
    found: dict[str, np.ndarray] = {}
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            if sum(member.file_size for member in archive.zip.infolist()) > most_unpacked(path):
                raise too_large(path)
            for wanted in (*required, *optional):
                present = [name for name in wanted.split("|") if name in names]
                if present:
                    found[wanted] = archive[present[0]]
    except InvalidInputError:
        raise
    except _CORRUPT as error:
        if "allow_pickle" in str(error):
            raise pickled(path) from error
        raise InvalidInputError(
            f"expected a whole .npz archive, but {path} is corrupt ({error}): copy or write it again"
        ) from error
    for wanted in required:
        if wanted not in found:
            raise InvalidInputError(
                f"expected an array {wanted.replace('|', ' or ')} in {path}, got {', '.join(names) or 'no arrays'}"
            )
    return found
