"""Which format a path is in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayesrm.data.directory import load_directory, load_directory_golden
from bayesrm.data.npz import load_npz, load_npz_golden
from bayesrm.data.paper import load_npy, load_npy_golden
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked

_LOADERS = {
    "directory": (load_directory, load_directory_golden),
    ".npz": (load_npz, load_npz_golden),
    ".npy": (load_npy, load_npy_golden),
}


@checked
def load_pool(path: str | os.PathLike[str]) -> ResponsePool:
    """Open a pool. Nothing is unpickled; but for .npz, embeddings are memory-mapped and read when used.

    Parameters
    ----------
    path : str or path
        A pool directory (see ``save_pool``); a ``.npz`` with arrays ``embeddings`` (response, embedding),
        ``prompt`` (response,) and optionally ``texts``, blocks and covariates, see :mod:`bayesrm.data.npz`; or a
        ``.npy`` of shape (prompts, responses, embedding), such as the paper's ``embd_*.npy``.

    Raises
    ------
    InvalidInputError
        Where the file is missing, corrupt or a pickle, or what is in it does not make a pool.

    See Also
    --------
    save_pool : Writes a pool directory.
    load_golden : The golden rewards of a pool.

    Examples
    --------
    >>> brm.load_pool("data/quickstart/pool")
    ResponsePool(3,580 responses of dimension 384 to 300 prompts)
    """
    path = Path(path)
    return _LOADERS[_format(path)][0](path)


@checked
def load_golden(path: str | os.PathLike[str]) -> Float[np.ndarray, "response"]:
    """Read the golden rewards that belong to a pool, as (response,) float64.

    Parameters
    ----------
    path : str or path
        What ``load_pool`` takes: of a directory its ``golden.npy`` is read, of a ``.npz`` its array ``golden``,
        of the paper's ``embd_*.npy`` the ``reward_*.npy`` beside it. Any other ``.npy`` is itself the rewards, of
        shape (response,), (prompts, responses) or (prompts, responses, 1).

    Raises
    ------
    InvalidInputError
        Where there are none, they are not one finite number a response, or the file cannot be used.

    See Also
    --------
    load_pool : The pool that they belong to.
    evaluate : Holds a posterior against them.

    Examples
    --------
    >>> len(brm.load_golden("data/quickstart/pool"))
    3580
    """
    path = Path(path)
    return _LOADERS[_format(path)][1](path)


def _format(path: Path) -> str:
    if path.is_dir():
        return "directory"
    if path.suffix in _LOADERS:
        return path.suffix
    state = "" if path.exists() else ", which does not exist"
    raise InvalidInputError(f"expected a pool directory, a .npz or a .npy file, got {path}{state}")
