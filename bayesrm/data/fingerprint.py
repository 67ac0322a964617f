"""Enough of a pool to tell it from another, without reading all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesrm.types import ResponsePool

SAMPLED = 64
"""Responses, evenly spaced, whose embeddings are looked at."""
ROWS_AT_ONCE = 4096
"""Embeddings that are read at once where all are looked at."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a pool by whoever must find out later whether another one is the same.

    Parameters
    ----------
    responses, dimension
        Their number, and that of their embeddings.
    prompts, embeddings
        The prompt of each response, and the embeddings of some, as bytes.
    """

    responses: int
    dimension: int
    prompts: bytes
    embeddings: bytes

    @classmethod
    def of(cls, pool: ResponsePool) -> Fingerprint:
        """The fingerprint of a pool."""
        sample = np.linspace(0, len(pool) - 1, min(len(pool), SAMPLED)).round().astype(np.int64)
        return cls(
            len(pool),
            pool.dim,
            np.ascontiguousarray(pool.group).tobytes(),
            np.ascontiguousarray(pool.rows(sample)).tobytes(),
        )

    def as_json(self) -> dict[str, Any]:
        """By its parts, so that a difference can be named."""
        return {
            "responses": self.responses,
            "dimension": self.dimension,
            "prompts": hashlib.sha256(self.prompts).hexdigest(),
            "embeddings": hashlib.sha256(self.embeddings).hexdigest(),
        }

    def digest(self) -> str:
        """All of it in one digest."""
        return hashlib.sha256(
            f"{self.responses} {self.dimension}".encode() + self.prompts + self.embeddings
        ).hexdigest()


def content_digest(pool: ResponsePool, prompts: Sequence[str] | None = None) -> str:
    """All of a pool in one digest: embeddings, labels of prompts, texts, blocks and covariates.

    Parameters
    ----------
    pool
        The pool.
    prompts
        The text of each response's prompt, where there are some.
    """
    digest = hashlib.sha256(f"{len(pool)} {pool.dim} {pool.embeddings.dtype}".encode())
    for start in range(0, len(pool), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(pool)))
        digest.update(np.ascontiguousarray(pool.rows(rows)).data)
    for name, block in pool.blocks.items():
        digest.update(f"{name} {block.start} {block.stop}".encode(errors="backslashreplace"))
    for name, column in pool.covariates.items():
        digest.update(name.encode(errors="backslashreplace"))
        digest.update(np.ascontiguousarray(column).data)
    for texts in (pool.prompt, pool.texts, prompts):
        for text in () if texts is None else texts:
            written = str(text).encode(errors="backslashreplace")
            digest.update(f"{len(written)} ".encode() + written)
    return digest.hexdigest()
