"""A table of texts → a pool directory, in one run or in shards, resumed wherever it was killed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from bayesrm.data.conversation import to_json
from bayesrm.data.directory import CARD, COVARIATES, EMBEDDINGS, RESPONSES, WORK, described_columns, file_sums
from bayesrm.data.preferences import PREFERENCES, save_preferences
from bayesrm.data.table import write_columns
from bayesrm.data.texts import Texts, write_texts
from bayesrm.embedding.batches import BatchPlan, plan_batches
from bayesrm.embedding.embedder import Embedder
from bayesrm.embedding.tokens import Tokens
from bayesrm.embedding.work import (
    PLAN,
    VERSION,
    Work,
    explaining_full_disk,
    read_vectors,
    require_same_plan,
    require_space,
)
from bayesrm.errors import InvalidInputError
from bayesrm.utils.columns import as_covariates
from bayesrm.utils.files import read_json, replacing, write_json
from bayesrm.utils.progress import advancing
from bayesrm.utils.versions import versions

STORES = ("float16", "float32")
ROWS_AT_ONCE = 8192
_MADE_FROM = ("source", "tokens", "weights", "store", "covariates")
_PLACE, _STARTS = "place.npy", "starts.npy"


@dataclass(frozen=True)
class EmbeddedPool:
    """What was made.

    Parameters
    ----------
    path
        The pool, or the shard of one.
    responses, prompts, dim
        Its size.
    unique
        How many different texts there were to embed.
    cut_prompts, cut_responses
        Texts longer than the window: how many lost a part of the prompt, and how many also of the response.
    preferences
        Labels that the source had.
    computed, resumed
        Batches that were computed now, and that an earlier run had computed.
    complete
        Whether it is a pool, and not a shard of one.
    blocks, covariates
        How many blocks an embedding has, and the names of covariates.
    """

    path: Path
    responses: int
    prompts: int
    dim: int
    unique: int
    cut_prompts: int
    cut_responses: int
    preferences: int
    computed: int
    resumed: int
    complete: bool
    blocks: int
    covariates: tuple[str, ...]


def embed_texts(
    texts: Texts,
    embedder: Embedder,
    out: Path,
    shard: tuple[int, int] = (1, 1),
    store: str = "float16",
    show_progress: bool = True,
    covariates: Mapping[str, Float[np.ndarray, "response"]] | None = None,
    judge: Mapping[str, Any] | None = None,
) -> EmbeddedPool:
    """Embed every response with its prompt into a pool directory.

    Run again after a kill, it goes on where it was and gives the same file to the bit.

    Parameters
    ----------
    texts
        See ``read_texts``.
    embedder
        The model and what is done with it.
    out
        The directory to make.
    shard
        (i, n): compute the i-th of n parts only; ``merge_shards`` makes the pool.
    store
        float16 or float32.
    show_progress
        Whether to show a bar with the time left, on a terminal.
    covariates
        Further covariates of the responses, beside those of the embedder's settings.
    judge
        What the covariate "judge" is the score of, so that new texts are scored alike.

    Raises
    ------
    InvalidInputError
        Where the directory has something else in it, was begun with something else, or its disk is full.
    """
    number, shards = shard
    if not 1 <= number <= shards:
        raise InvalidInputError(f"expected a shard i/n with i from 1 to n, got {number}/{shards}")
    if store not in STORES:
        raise InvalidInputError(f"expected store to be float16 or float32, got {store!r}")
    _require_free(out)
    tokens = embedder.tokens(texts.prompts, texts.responses)
    batches = plan_batches(tokens, embedder.batch_tokens)
    columns = as_covariates(
        embedder.covariates(texts.prompts, texts.responses) | dict(covariates or {}), len(texts)
    )
    plan = _plan(texts, embedder, tokens, batches, shard, store, columns)
    if judge is not None:
        plan["settings"] |= {"judge": dict(judge)}
    if (out / EMBEDDINGS).exists() and not (out / WORK / PLAN).exists():
        return _already(out, plan)
    own = range(number - 1, len(batches), shards)
    sizes = np.diff(batches.starts)[own.start :: shards]
    width = embedder.dim * np.dtype(store).itemsize
    work_space = int(sizes.sum()) * width - _size(out / WORK / "vectors.bin")
    require_space(out, work_space + (len(texts) * width if shards == 1 else 0))
    with Work(out, plan, np.cumsum(sizes), embedder.dim, store) as work:
        resumed = work.batches
        if not (out / WORK / _STARTS).exists():
            with explaining_full_disk(out):
                _write_tables(out / WORK, texts, batches, columns)
        lengths: list[float] = [float(tokens.lengths[batches.batch(batch)].sum()) for batch in own]
        with advancing("embedding", sum(lengths, 0.0), show_progress, sum(lengths[:resumed], 0.0)) as advance:
            for at in range(resumed, len(own)):
                work.append(embedder.embed_batch(tokens, batches.batch(own[at])))
                advance(lengths[at])
    if shards == 1:
        _finish([out], out)
    return _made(out, plan, len(own) - resumed, resumed)


def merge_shards(shards: Sequence[Path], out: Path) -> EmbeddedPool:
    """Make the pool of which each of the folders has a part.

    Parameters
    ----------
    shards
        The folders, in any order: all parts of one pool.
    out
        The directory to make.

    Raises
    ------
    InvalidInputError
        Where one is missing or unfinished, or they are not parts of one pool.
    """
    _require_free(out)
    plans: dict[int, tuple[Path, dict[str, Any]]] = {}
    for folder in shards:
        if not (folder / WORK / PLAN).exists():
            raise InvalidInputError(f"expected a shard that bayesrm embed --shard wrote, got {folder}")
        plan = read_json(folder / WORK / PLAN)
        plans[plan["shard"][0]] = (folder, plan)
    if not plans:
        raise InvalidInputError("expected shards, got none")
    _, first = next(iter(plans.values()))
    for folder, plan in plans.values():
        require_same_plan({**plan, "shard": first["shard"]}, first, folder)
    count = first["shard"][1]
    missing = [str(number) for number in range(1, count + 1) if number not in plans]
    if missing or any(plan["shard"][1] != count for _, plan in plans.values()):
        raise InvalidInputError(f"expected all {count} shards, and shard {', '.join(missing) or '1'} is not there")
    width = first["dim"] * np.dtype(first["store"]).itemsize
    require_space(out, first["responses"] * width)
    out.mkdir(parents=True, exist_ok=True)
    _finish([plans[number][0] for number in range(1, count + 1)], out)
    return _made(out, {**first, "shard": [1, 1]}, 0, first["batches"])


def _require_free(out: Path) -> None:
    """The folder is new, empty, or one of ours."""
    nearest = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        raise InvalidInputError(f"expected a folder for the pool, and {nearest} is a file: choose another")
    ours = (out / WORK / PLAN).exists() or (out / EMBEDDINGS).exists()
    if out.exists() and not ours and any(entry.name != WORK for entry in out.iterdir()):
        raise InvalidInputError(f"expected a new or empty directory, but {out} is not empty: choose another name")


def size_of(texts: int, embedder: Embedder, store: str = "float16") -> int:
    """Bytes that the embeddings of some texts take; while they are made, twice as many."""
    return texts * embedder.dim * np.dtype(store).itemsize


def _plan(
    texts: Texts,
    embedder: Embedder,
    tokens: Tokens,
    batches: BatchPlan,
    shard: tuple[int, int],
    store: str,
    covariates: Mapping[str, Float[np.ndarray, "response"]],
) -> dict[str, Any]:
    """All that the vectors depend on."""
    source = hashlib.sha256()
    for prompt_id, prompt, response in zip(texts.prompt_id.tolist(), texts.prompts, texts.responses, strict=True):
        source.update(f"{prompt_id}\0{to_json(prompt)}\0{response}\0".encode())
    return {
        "version": VERSION,
        "source": source.hexdigest(),
        "tokens": tokens.digest(),
        "weights": embedder.digest(),
        "settings": embedder.settings.to_dict(),
        "store": store,
        "shard": list(shard),
        "dim": embedder.dim,
        "covariates": {
            name: hashlib.sha256(np.ascontiguousarray(column).tobytes()).hexdigest()
            for name, column in covariates.items()
        },
        "columns": described_columns(embedder.blocks, covariates),
        "responses": len(texts),
        "prompts": len(set(texts.prompt_id.tolist())),
        "unique": len(batches.order),
        "batches": len(batches),
        "texts": {
            "format": texts.format,
            "rows": texts.rows,
            "rows_left_out": len(texts.broken),
            "cut_prompts": tokens.cut_prompts,
            "cut_responses": tokens.cut_responses,
            "preferences": 0 if texts.preferences is None else len(texts.preferences),
        },
    }


def _write_tables(
    work: Path, texts: Texts, batches: BatchPlan, covariates: Mapping[str, Float[np.ndarray, "response"]]
) -> None:
    """What ``_finish`` needs besides the vectors; shards carry it with them."""
    with replacing(work / RESPONSES) as temporary:
        write_texts(temporary, texts)
    if texts.preferences is not None:
        save_preferences(work / PREFERENCES, texts.preferences, texts.margins, texts.grades)
    if covariates:
        with replacing(work / COVARIATES) as temporary:
            write_columns(temporary, covariates)
    for name, array in ((_PLACE, batches.place), (_STARTS, batches.starts)):  # the last tells that all are there
        with replacing(work / name) as temporary, open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)


def _finish(shards: Sequence[Path], out: Path) -> None:
    """Put the parts together in the order of the responses; the work folder goes last, so a kill loses nothing."""
    first = shards[0] / WORK
    plan = read_json(first / PLAN)
    place, starts = (np.load(first / name, allow_pickle=False) for name in (_PLACE, _STARTS))
    with explaining_full_disk(out):
        parts = []
        for number, folder in enumerate(shards):
            own = np.diff(starts)[number :: len(shards)]
            parts.append(read_vectors(folder, (int(own.sum()), plan["dim"]), plan["store"], len(own)))
        names = [RESPONSES, *(name for name in (PREFERENCES, COVARIATES) if (first / name).exists())]
        for name in names:
            with replacing(out / name) as temporary:
                shutil.copyfile(first / name, temporary)
        _write_embeddings(out / EMBEDDINGS, parts, place, starts, plan)
        card = {
            "name": out.resolve().name,
            "embedder": plan["settings"]["model"],
            "pooling": plan["settings"]["pooling"],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "created_by": f"bayesrm {versions()['bayesrm']}",
            "responses": plan["responses"],
            "prompts": plan["prompts"],
            "dimension": plan["dim"],
            **plan["columns"],
            "embedding": plan["settings"],
            "texts": plan["texts"] | {"unique": plan["unique"]},
            "made_from": {key: plan[key] for key in _MADE_FROM},
        }
        write_json(out / CARD, card | file_sums([out / name for name in (EMBEDDINGS, *names)]))
    if out / WORK == first:
        shutil.rmtree(first)


def _write_embeddings(
    path: Path,
    parts: Sequence[Float[np.ndarray, "_ embedding"]],
    place: Int64[np.ndarray, "response"],
    starts: Int64[np.ndarray, "batch_and_end"],
    plan: dict[str, Any],
) -> None:
    """Rows in the order of the responses, block by block."""
    sizes = np.diff(starts)
    batch = np.repeat(np.arange(len(sizes)), sizes)
    part = batch % len(parts)
    row = np.empty(len(batch), dtype=np.int64)
    for number in range(len(parts)):
        row[part == number] = np.arange(int((part == number).sum()))
    dtype = np.dtype(plan["store"])
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (plan["responses"], plan["dim"]),
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(place), ROWS_AT_ONCE):
            wanted = place[start : start + ROWS_AT_ONCE]
            block = np.empty((len(wanted), plan["dim"]), dtype)
            for number, vectors in enumerate(parts):
                here = part[wanted] == number
                block[here] = vectors[row[wanted[here]]]
            file.write(block.tobytes())


def _already(out: Path, plan: dict[str, Any]) -> EmbeddedPool:
    """The pool is there, made of the same; else it is left alone."""
    card = read_json(out / CARD) if (out / CARD).exists() else {}
    made_from = {key: plan[key] for key in _MADE_FROM}
    asked = {key: value for key, value in plan["settings"].items() if key not in ("model", "revision")}
    made = {key: value for key, value in card.get("embedding", {}).items() if key not in ("model", "revision")}
    if card.get("made_from") != made_from or made != asked:
        raise InvalidInputError(
            f"expected a new or empty directory, but {out} has another pool: remove it or choose another name"
        )
    return _made(out, plan, 0, plan["batches"])


def _made(out: Path, plan: dict[str, Any], computed: int, resumed: int) -> EmbeddedPool:
    return EmbeddedPool(
        path=out,
        responses=plan["responses"],
        prompts=plan["prompts"],
        dim=plan["dim"],
        unique=plan["unique"],
        cut_prompts=plan["texts"]["cut_prompts"],
        cut_responses=plan["texts"]["cut_responses"],
        preferences=plan["texts"]["preferences"],
        computed=computed,
        resumed=resumed,
        complete=plan["shard"][1] == 1,
        blocks=max(1, len(plan["columns"].get("blocks", {}))),
        covariates=tuple(plan["columns"].get("covariates", ())),
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
