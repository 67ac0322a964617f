"""NumPy files, opened without reading them and without ever unpickling."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bayesrm.errors import InvalidInputError

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def open_npy(path: Path) -> np.ndarray:
    """Memory-map a .npy file.

    Raises
    ------
    InvalidInputError
        Where the file is missing, a pickle, truncated, or no .npy file at all.
    """
    magic = first_bytes(path, len(_NPY))
    if magic.startswith(_PICKLE):
        raise pickled(path)
    if magic.startswith(_ZIP):
        raise InvalidInputError(f"expected a .npy file, got a zip archive in {path}: name it .npz if it is one")
    if magic != _NPY:
        raise InvalidInputError(
            f"expected a .npy file, but {path} does not start like one: write it with numpy.save"
        )
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, OverflowError, TypeError, SyntaxError, tokenize.TokenError) as error:
        if "Python objects" in str(error):
            raise pickled(path) from error
        raise InvalidInputError(
            f"expected a whole .npy file, but {path} is truncated or corrupt ({error}): copy or write it again"
        ) from error


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file; InvalidInputError where there is no such file or it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except FileNotFoundError as error:
        raise InvalidInputError(f"expected the file {path}, but it does not exist") from error
    except OSError as error:
        raise InvalidInputError(f"expected a file that can be read, got {path} ({error.strerror})") from error


def pickled(path: Path) -> InvalidInputError:
    """The refusal of a pickle."""
    return InvalidInputError(
        f"expected plain numbers or text, got a pickle of Python objects in {path}, which is never opened because "
        "it can run code: convert it and save with numpy.save(..., allow_pickle=False)"
    )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say in every InvalidInputError from inside which file it is about."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
