"""Scores that were computed once, kept by what the model read: in memory, and line by line in a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int32

from bayesrm.errors import InvalidInputError


class ScoreCache:
    """Key → score; what is added is on disk when ``add`` returns.

    Parameters
    ----------
    folder
        Where to keep it; None keeps it in memory.
    model
        What tells one model's scores from another's.
    """

    def __init__(self, folder: Path | None, model: str) -> None:
        self._scores: dict[str, float] = {}
        self._path: Path | None = None
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"expected a folder for scores, and {folder} is a file: choose another")
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"scores-{hashlib.sha256(model.encode()).hexdigest()[:16]}.jsonl"
        if not self._path.exists():
            return
        with open(self._path, "rb+") as file:
            whole = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    key, score = json.loads(line)
                except ValueError:
                    break
                self._scores[str(key)] = float(score)
                whole += len(line)
            file.truncate(whole)  # a line that a kill cut off is computed again

    @staticmethod
    def key(ids: Int32[np.ndarray, "token"], split: int) -> str:
        """Of the tokens that the model reads."""
        return hashlib.sha256(f"{split} ".encode() + ids.tobytes()).hexdigest()

    def __contains__(self, key: str) -> bool:
        return key in self._scores

    def __getitem__(self, key: str) -> float:
        return self._scores[key]

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, keys: Sequence[str], scores: Float[np.ndarray, "text"]) -> None:
        """Keep scores."""
        found = dict(zip(keys, scores.tolist(), strict=True))
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8") as file:
                file.writelines(json.dumps([key, score]) + "\n" for key, score in found.items())
                file.flush()
                os.fsync(file.fileno())
        self._scores |= found
