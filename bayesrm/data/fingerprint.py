"""Enough of a pool to tell it from another, without reading all of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesrm.types import ResponsePool

SAMPLED = 64
"""Responses, evenly spaced, whose embeddings are looked at."""


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
