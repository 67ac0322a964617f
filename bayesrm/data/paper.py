"""``.npy`` files of shape (prompts, responses, embedding), as published with the paper (Sun et al. 2025).

``embd_{generator}_{embedder}_{task}_{split}.npy`` has ``reward_{same}.npy`` of shape (prompts, responses, 1)
beside it: the golden rewards. Every prompt has the same number of responses, so response i answers prompt
i // responses.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayesrm.data.arrays import naming, open_npy
from bayesrm.data.golden import as_golden
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool

EMBEDDINGS_PREFIX, REWARD_PREFIX = "embd_", "reward_"
_TRAIN, _TEST = "_train.npy", "_test.npy"


def paper_settings(directory: Path) -> dict[str, tuple[Path, Path]]:
    """The settings whose files are in a folder, the paper's six or some of them: label → pool and test pool.

    The label has generator and task, as in "gemma2b harmless", and the embedder where it is another model.

    Raises
    ------
    InvalidInputError
        Where there are none, or a file that belongs to one is missing.
    """
    if not directory.is_dir():
        raise InvalidInputError(f"there is no folder {directory}")
    settings = {}
    for train in sorted(directory.glob(f"{EMBEDDINGS_PREFIX}*{_TRAIN}")):
        parts = train.name.removeprefix(EMBEDDINGS_PREFIX).removesuffix(_TRAIN).split("_")
        if len(parts) != 3:
            raise InvalidInputError(
                f"expected embd_GENERATOR_EMBEDDER_TASK_train.npy, as published with the paper, got {train.name}"
            )
        generator, embedder, task = parts
        test = train.with_name(train.name.removesuffix(_TRAIN) + _TEST)
        for path in (test, *(each.with_name(_rewards_name(each.name)) for each in (train, test))):
            if not path.exists():
                raise InvalidInputError(
                    f"expected {path.name} beside {train.name} in {directory}: it belongs to it"
                )
        settings[f"{generator} {task}" if generator == embedder else f"{generator} by {embedder} {task}"] = (
            train,
            test,
        )
    if not settings:
        raise InvalidInputError(
            f"expected the paper's files in {directory}, such as embd_gemma2b_gemma2b_harmless_train.npy, found none"
        )
    return settings


def load_npy(path: Path) -> ResponsePool:
    """The pool of an array of prompts × responses × embedding, memory-mapped."""
    array = open_npy(path)
    if array.ndim != 3:
        advice = (
            "which response answers which prompt is not in this file: use a pool directory, a .npz, or "
            "brm.ResponsePool(numpy.load(path), prompt)"
        )
        raise InvalidInputError(
            f"expected embeddings of shape (prompts, responses, embedding) in {path}, got {array.shape}: {advice}"
        )
    if not array.flags.c_contiguous:
        raise InvalidInputError(
            f"expected an array in C order in {path}, got Fortran order, whose rows are scattered over the file: "
            "save numpy.ascontiguousarray(array)"
        )
    prompts, responses, dim = array.shape
    with naming(path):
        return ResponsePool(
            array.reshape(prompts * responses, dim), np.repeat(np.arange(prompts, dtype=np.int64), responses)
        )


def load_npy_golden(path: Path) -> Float[np.ndarray, "response"]:
    """Golden rewards of a .npy file: of the reward file beside the paper's embeddings, or of the file itself."""
    responses = None
    if path.name.startswith(EMBEDDINGS_PREFIX):
        responses = math.prod(open_npy(path).shape[:2])
        path = path.with_name(_rewards_name(path.name))
    golden = open_npy(path)
    with naming(path):
        return as_golden(golden, responses)


def _rewards_name(embeddings_name: str) -> str:
    return REWARD_PREFIX + embeddings_name.removeprefix(EMBEDDINGS_PREFIX)
