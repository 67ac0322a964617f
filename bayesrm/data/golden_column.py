"""Golden rewards from scores that a data set has: a column of its source, or a covariate that the pool kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm.data.conversation import as_text
from bayesrm.data.directory import CARD, GOLDEN, file_sums, load_directory
from bayesrm.data.golden import as_golden
from bayesrm.data.source_columns import row_numbers
from bayesrm.data.sources import read_rows
from bayesrm.data.texts import Texts, load_pool_texts, read_texts
from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import read_json, replacing, write_json


def golden_from_column(
    pool: Path, column: str, source: str | None = None, mapping: Mapping[str, str] | None = None
) -> tuple[Path, int]:
    """Keep a column of scores as the golden rewards of a pool directory; the file and how many.

    Parameters
    ----------
    pool
        A pool directory, with texts where there is a source.
    column
        The name of a column of the source, or of a key of the answers that a row of it lists, such as
        ``overall_score``; without a source that of a covariate.
    source
        What the pool was embedded from: its answers are found by the texts of prompt and response.
    mapping
        What the source calls ``prompt`` and ``response``, where its columns have other names.

    Raises
    ------
    InvalidInputError
        Where there is no such column, a response of the pool has no number in it, or there are golden rewards already.
    """
    require_none(pool)
    if source is None:
        covariates = load_directory(pool).covariates
        if column not in covariates:
            there = ", ".join(covariates) or "none"
            raise InvalidInputError(
                f"expected a covariate {column} in the pool {pool}, which has {there}: say where the column is with "
                "--source, the file or data set that the pool was embedded from"
            )
        scores = np.asarray(covariates[column], dtype=np.float64)
        described: dict[str, Any] = {"column": column}
    else:
        scores = _matched(pool, column, source, mapping or {})
        described = {"column": column, "source": source}
    return keep_golden(pool, scores, described), len(scores)


def require_none(pool: Path) -> None:
    """InvalidInputError where a pool directory has golden rewards."""
    path = pool / GOLDEN
    if path.exists():
        raise InvalidInputError(f"{path} exists already: remove it to have the pool scored again")


def keep_golden(pool: Path, scores: Float[np.ndarray, "response"], described: dict[str, Any]) -> Path:
    """Write the golden rewards of a pool directory, and onto its card where they come from."""
    path = pool / GOLDEN
    golden = as_golden(scores, len(scores))
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, golden.astype(np.float32), allow_pickle=False)
    if (pool / CARD).exists():
        card = read_json(pool / CARD) | {"golden": described}
        for name, of_file in file_sums([path]).items():
            card[name] = card.get(name, {}) | of_file
        write_json(pool / CARD, card)
    return path


def _matched(pool: Path, column: str, source: str, mapping: Mapping[str, str]) -> Float[np.ndarray, "response"]:
    """The score of each response of the pool, by the texts of the source."""
    texts = read_texts(source, mapping)
    scores = _scores(source, texts, column)
    known = {
        (as_text(prompt), response): score
        for prompt, response, score in zip(texts.prompts, texts.responses, scores.tolist(), strict=True)
    }
    prompts, responses = load_pool_texts(pool)
    found = [known.get((as_text(prompt), response)) for prompt, response in zip(prompts, responses, strict=True)]
    missing = [number for number, score in enumerate(found) if score is None]
    if missing:
        raise InvalidInputError(
            f"expected all {len(found)} responses of the pool {pool} in {source}, and {len(missing)} are not there "
            f"(the first is response {missing[0]}): is this what the pool was embedded from?"
        )
    return np.array(found, dtype=np.float64)


def _scores(source: str, texts: Texts, column: str) -> Float[np.ndarray, "response"]:
    responses: dict[int, list[int]] = defaultdict(list)
    for response, row in enumerate(texts.row.tolist()):
        responses[row].append(response)
    scores = np.full(len(texts), np.nan)
    for number, row in read_rows(source):
        own = responses.get(number)
        if own is not None and not isinstance(row, InvalidInputError):
            scores[own] = row_numbers(_flat(row, column), column, len(own), number)
    return scores


def _flat(row: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    """A row with the column beside the list of answers that has it as a key."""
    if column in row:
        return row
    for value in row.values():
        if isinstance(value, list) and value and all(isinstance(one, dict) and column in one for one in value):
            return {**row, column: [one[column] for one in value]}
    return row
