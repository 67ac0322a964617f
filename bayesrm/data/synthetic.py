r"""A synthetic world of any size in the paper's file format: embeddings of decaying spectrum, golden rewards on top.

Dimension j of an embedding has the standard deviation (1 + j)^{−½}; half of its variance is the prompt's. Golden
rewards are linear in the embedding with a bend,

    g = 1.5 (a + ½ tanh(a b)),   a, b linear in the leading 64 dimensions, of variance 1,

so that a linear model learns most of them and a network more. Files are written block by block, each from a generator
of its own: memory stays small, and the same seed gives the same files to the bit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

from bayesrm import rng
from bayesrm.data.paper import EMBEDDINGS_PREFIX, REWARD_PREFIX
from bayesrm.errors import InvalidInputError

PAPER_TRAIN, PAPER_TEST = (40_000, 10), (2_000, 500)
"""Prompts and responses of the paper's pools."""
PAPER_DIM = 2048
_LEADING = 64
_PROMPTS_AT_ONCE = 20
_SPREAD = 1.5


def write_synthetic(
    directory: Path,
    train: tuple[int, int] = PAPER_TRAIN,
    test: tuple[int, int] = PAPER_TEST,
    dim: int = PAPER_DIM,
    seed: int = 0,
    dtype: DTypeLike = np.float16,
    name: str = "synthetic_synthetic_world",
) -> tuple[Path, Path]:
    """Write a training and a test pool, ``embd_{name}_train.npy`` and so on, with the rewards beside them.

    Parameters
    ----------
    directory
        Where to; files of these names are replaced. The paper's size needs 1.6 GB and 4.1 GB in float16.
    train, test
        Prompts and responses to each.
    dim
        Of an embedding.
    seed
        Root of all random choices; both pools are of the same world.
    dtype
        float16 or float32.
    name
        Generator, embedder and task.

    Returns
    -------
    train, test
        The files of the embeddings, for ``load_pool`` and ``load_golden``.
    """
    if min(*train, *test, dim) < 1:
        raise InvalidInputError(f"expected sizes of at least 1, got {train}, {test} and dimension {dim}")
    if np.dtype(dtype) not in (np.dtype(np.float16), np.dtype(np.float32)):
        raise InvalidInputError(f"expected float16 or float32, got {np.dtype(dtype)}")
    directory.mkdir(parents=True, exist_ok=True)
    scale = ((1 + np.arange(dim)) ** -0.5).astype(np.float32)
    leading = min(dim, _LEADING)
    weights = rng.stream(seed, "world").standard_normal((leading, 2)) / np.linalg.norm(scale[:leading])
    paths = []
    for split, (prompts, responses) in (("train", train), ("test", test)):
        path = directory / f"{EMBEDDINGS_PREFIX}{name}_{split}.npy"
        golden = np.empty((prompts, responses, 1), np.float32)
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": (prompts, responses, dim),
        }
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, prompts, _PROMPTS_AT_ONCE):
                count = min(_PROMPTS_AT_ONCE, prompts - start)
                block = _block(rng.stream(seed, split, start), count, responses, scale)
                golden[start : start + count, :, 0] = _rewards(block[:, :, :leading], weights)
                file.write(np.ascontiguousarray(block, dtype=dtype).data)
        np.save(path.with_name(path.name.replace(EMBEDDINGS_PREFIX, REWARD_PREFIX, 1)), golden, allow_pickle=False)
        paths.append(path)
    return paths[0], paths[1]


def _block(
    draw: np.random.Generator, prompts: int, responses: int, scale: Float[np.ndarray, "embedding"]
) -> Float[np.ndarray, "prompt member embedding"]:
    shared = draw.standard_normal((prompts, 1, len(scale)), dtype=np.float32)
    own = draw.standard_normal((prompts, responses, len(scale)), dtype=np.float32)
    return (shared + own) * (scale * np.float32(0.5**0.5))


def _rewards(
    leading: Float[np.ndarray, "prompt member leading"], weights: Float[np.ndarray, "leading 2"]
) -> Float[np.ndarray, "prompt member"]:
    a, b = np.moveaxis(leading @ weights, -1, 0)
    return np.asarray(_SPREAD * (a + 0.5 * np.tanh(a * b)))
