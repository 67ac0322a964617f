"""The pool of a campaign: where it lies, whether it is still the same, and the texts that annotators read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bayesrm.campaign.records import SeenPool
from bayesrm.campaign.store import Store
from bayesrm.data import load_pool
from bayesrm.data.directory import CARD, COVARIATES, EMBEDDINGS, RESPONSES
from bayesrm.data.fingerprint import Fingerprint, content_digest
from bayesrm.data.table import ParquetTexts
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool


def paths_of(pool: Path, directory: Path) -> dict[str, str]:
    """How a campaign finds its pool again: from the root, and from where the campaign lies."""
    return {"pool": str(pool.resolve()), "pool_from_here": os.path.relpath(pool.resolve(), directory.resolve())}


def find_pool(
    store: Store, directory: Path, given: Path | None = None, verify: bool = False
) -> tuple[Path, ResponsePool]:
    """The pool that a campaign was made for.

    Its files are those that were looked at before, by size and time of change, or else all of it is read and compared.

    Parameters
    ----------
    store, directory
        Of the campaign.
    given
        Where the pool is, if it was moved.
    verify
        Whether to read and compare all of it in any case.

    Raises
    ------
    InvalidInputError
        Where it is no longer there, or another pool is.
    """
    settings = store.settings()
    places = [given] if given is not None else [directory / settings["pool_from_here"], Path(settings["pool"])]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise InvalidInputError(
            f"expected the pool of the campaign {directory} at {places[-1]}, and it is not there: put it back, or say "
            "where it is with --pool"
        )
    pool = load_pool(path)
    seen, files = store.pools(), files_of(path)
    same = Fingerprint.of(pool).digest() == settings["fingerprint"]
    if same and (verify or files not in [entry.files for entry in seen]):
        content = content_digest(pool, prompt_texts(path, pool))
        same = not seen or seen[0].content == content
        if same and not store.read_only:
            with store.telling() as telling:
                telling.see_pool(SeenPool(str(path.resolve()), files, content))
    if not same:
        raise InvalidInputError(
            f"the pool {path} is not the one that the campaign {directory} was made for, or was changed since, so its "
            "labels would belong to other responses: put the old one back, or begin a new campaign"
        )
    return path, pool


def seen_pool(path: Path, pool: ResponsePool) -> SeenPool:
    """What a pool is, after all of it was read."""
    return SeenPool(str(path.resolve()), files_of(path), content_digest(pool, prompt_texts(path, pool)))


def files_of(path: Path) -> dict[str, list[int]]:
    """Size and time of change, in nanoseconds, of each file of a pool that says what its responses are."""
    names = (EMBEDDINGS, RESPONSES, COVARIATES, CARD) if path.is_dir() else ("",)
    found = {name: (path / name).stat() for name in names if (path / name).exists()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}


def prompt_texts(path: Path, pool: ResponsePool) -> Sequence[str]:
    """The text of each response's prompt; its label where the pool has no texts of prompts."""
    table = path / RESPONSES
    if table.is_file() and "prompt" in pq.read_schema(table).names:
        return ParquetTexts(table, "prompt", len(pool))
    return [str(label) for label in pool.prompt]


def prompt_messages(path: Path, count: int) -> Sequence[tuple[dict[str, str], ...]] | None:
    """The messages of each response's prompt where the pool has dialogues; else None."""
    table = path / RESPONSES
    if not table.is_file() or "messages" not in pq.read_schema(table).names:
        return None
    return [tuple(json.loads(text)) for text in ParquetTexts(table, "messages", count)]


def read_targets(file: Path, pool: ResponsePool) -> list[str]:
    """Labels of prompts from a file with one a line, which the pool has.

    Raises
    ------
    InvalidInputError
        Where there is no such file, or a label that the pool does not have.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the file of target prompts {file} cannot be read ({error})") from error
    asked = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    there = {str(label) for label in pool.prompts}
    unknown = [label for label in asked if label not in there]
    if unknown or not asked:
        which = f"{len(unknown)} that it has not, such as {unknown[0][:60]!r}" if unknown else "none"
        raise InvalidInputError(
            f"expected {file} to have the prompt_id of prompts of the pool, one a line, and it has {which}"
        )
    return asked


def only_prompts(pool: ResponsePool, labels: Sequence[str]) -> ResponsePool:
    """The responses to some prompts."""
    wanted = np.isin(pool.prompt.astype(str), np.array(labels, dtype=str))
    rows = np.flatnonzero(wanted)
    covariates = {name: column[rows] for name, column in pool.covariates.items()}
    return ResponsePool(pool.rows(rows), pool.prompt[rows], blocks=pool.blocks, covariates=covariates)
