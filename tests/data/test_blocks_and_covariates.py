"""Blocks of an embedding and covariates beside it: what a pool checks, and every format there and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError

EMBEDDINGS = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float16)
PROMPT = np.array([1, 1, 2, 2, 2])
BLOCKS = {"layer-0": slice(0, 3), "layer-1": slice(3, 7)}
COVARIATES = {"log_characters": np.array([0.5, 1.0, 2.0, 0.0, 3.25]), "überall score": np.arange(5.0) / 3}


@pytest.fixture
def pool() -> brm.ResponsePool:
    return brm.ResponsePool(EMBEDDINGS, PROMPT, blocks=BLOCKS, covariates=COVARIATES)


# --- what a pool says -----------------------------------------------------------------------------------


def test_a_pool_without_blocks_has_one(pool: brm.ResponsePool) -> None:
    plain = brm.ResponsePool(EMBEDDINGS, PROMPT)
    assert plain.blocks == {"embedding": slice(0, 7)}
    assert plain.covariates == {}
    assert "block" not in repr(plain)
    assert "covariates" not in repr(plain)
    assert "2 blocks" in repr(pool)
    assert "log_characters" in repr(pool)


def test_blocks_come_in_the_order_of_their_columns() -> None:
    given = {"b": (3, 7), "a": slice(0, 3)}
    assert list(brm.ResponsePool(EMBEDDINGS, PROMPT, blocks=given).blocks.items()) == [
        ("a", slice(0, 3)),
        ("b", slice(3, 7)),
    ]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"a": slice(0, 3)}, "tile the 7 columns .* end at column 3"),
        ({"a": slice(0, 3), "b": slice(4, 7)}, "'b' at 4:7 where column 3 is next"),
        ({"a": slice(0, 4), "b": slice(3, 7)}, "'b' at 3:7 where column 4 is next"),
        ({"a": slice(0, 9)}, "end at column 9"),
        ({"a": slice(0, 0), "b": slice(0, 7)}, "'a' at 0:0"),
        ({"a": slice(0, 7, 2)}, r"slice\(start, stop\)"),
        ({"a": slice(None, 7)}, r"slice\(start, stop\)"),
        ({"a": 7}, r"slice\(start, stop\)"),
        ({"a": (0, 3.5), "b": (3, 7)}, r"slice\(start, stop\)"),
        ({"a,b": slice(0, 7)}, "without commas"),
        ({"": slice(0, 7)}, "name of a block"),
        ({"linear": slice(0, 7)}, "none of .*linear"),
    ],
)
def test_blocks_must_tile(blocks: dict, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        brm.ResponsePool(EMBEDDINGS, PROMPT, blocks=blocks)


@pytest.mark.parametrize(
    ("covariates", "words"),
    [
        ({"length": [1.0, 2.0]}, r"each of the 5 responses in the covariate 'length', got shape \(2,\)"),
        ({"length": np.zeros((5, 1))}, r"shape \(5, 1\)"),
        ({"length": [1.0, 2.0, np.nan, 3.0, np.inf]}, r"NaN or infinity for 2 of 5 .* response 2"),
        ({"length": list("abcde")}, "expected the covariate 'length' to be numbers"),
        ({"covariates": np.zeros(5)}, "name of a covariate"),
        ({"a/b": np.zeros(5)}, "without commas and slashes"),
        ({" a": np.zeros(5)}, "name of a covariate"),
        ({3: np.zeros(5)}, "name of a covariate"),
        ({"embedding": np.zeros(5)}, "different names for blocks and covariates, got 'embedding'"),
    ],
)
def test_covariates_are_one_finite_number_a_response(covariates: dict, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        brm.ResponsePool(EMBEDDINGS, PROMPT, covariates=covariates)


def test_covariates_are_copied_as_float64(pool: brm.ResponsePool) -> None:
    mine = np.arange(5, dtype=np.int32)
    made = pool.with_covariates({"count": mine, "tensor": torch.arange(5), "log_characters": np.ones(5)})
    mine[0] = 99
    assert made.covariates["count"].tolist() == [0, 1, 2, 3, 4]
    assert made.covariates["tensor"].dtype == np.float64
    assert made.covariates["log_characters"].tolist() == [1] * 5
    assert pool.covariates["log_characters"].tolist() == COVARIATES["log_characters"].tolist()
    assert made.blocks == pool.blocks


def test_rows_of_covariates(pool: brm.ResponsePool) -> None:
    rows = pool.covariate_rows(["überall score", "log_characters"], np.array([4, 0]))
    assert rows.tolist() == [[4 / 3, 3.25], [0.0, 0.5]]
    assert pool.covariate_rows([], np.array([1, 2])).shape == (2, 0)
    with pytest.raises(
        InvalidInputError, match=r"lacks lines .it has log_characters, überall score.: embed its texts"
    ):
        pool.covariate_rows(["lines", "log_characters"], np.arange(5))


def test_pools_differ_in_blocks_and_covariates(pool: brm.ResponsePool) -> None:
    same = brm.ResponsePool(EMBEDDINGS, PROMPT, blocks=BLOCKS, covariates=COVARIATES)
    assert same == pool
    assert brm.ResponsePool(EMBEDDINGS, PROMPT, covariates=COVARIATES) != pool
    assert brm.ResponsePool(EMBEDDINGS, PROMPT, blocks=BLOCKS) != pool
    assert pool.with_covariates({"log_characters": np.zeros(5)}) != pool


# --- there and back -------------------------------------------------------------------------------------


def test_directory_round_trip(pool: brm.ResponsePool, tmp_path: Path) -> None:
    brm.save_pool(tmp_path / "pool", pool)
    loaded = brm.load_pool(tmp_path / "pool")
    assert loaded == pool
    assert list(loaded.covariates) == list(pool.covariates)
    card = json.loads((tmp_path / "pool" / "card.json").read_text())
    assert card["blocks"] == {"layer-0": [0, 3], "layer-1": [3, 7]}
    assert card["covariates"] == ["log_characters", "überall score"]
    assert "covariates.parquet" in card["checksums"]


def test_old_pools_open_and_plain_pools_are_written_as_ever(tmp_path: Path) -> None:
    brm.save_pool(tmp_path / "plain", brm.ResponsePool(EMBEDDINGS, PROMPT))
    names = {file.name for file in (tmp_path / "plain").iterdir()}
    assert names == {"embeddings.npy", "responses.parquet", "card.json"}
    assert not {"blocks", "covariates"} & set(json.loads((tmp_path / "plain" / "card.json").read_text()))
    (tmp_path / "plain" / "card.json").unlink()
    assert brm.load_pool(tmp_path / "plain").blocks == {"embedding": slice(0, 7)}


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"a": [0, 3]}, r"card\.json: .*end at column 3"),
        ({"a": "all"}, r"slice\(start, stop\)"),
        ([["a", 7]], "name → .start, stop."),
    ],
)
def test_a_card_with_wrong_blocks(pool: brm.ResponsePool, tmp_path: Path, blocks: object, words: str) -> None:
    brm.save_pool(tmp_path / "pool", pool)
    (tmp_path / "pool" / "card.json").write_text(json.dumps({"blocks": blocks}))
    with pytest.raises(InvalidInputError, match=words):
        brm.load_pool(tmp_path / "pool")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            pd.DataFrame({"length": [1.0, 2.0]}),
            r"covariates\.parquet: .*each of the 5 responses .* got shape \(2,\)",
        ),
        (pd.DataFrame({"length": list("abcde")}), "numbers in the column length"),
        (pd.DataFrame({"length": [1.0, None, 3.0, 4.0, 5.0]}), "NaN or infinity for 1 of 5"),
    ],
)
def test_covariates_that_cannot_be_used(
    pool: brm.ResponsePool, tmp_path: Path, table: pd.DataFrame, words: str
) -> None:
    brm.save_pool(tmp_path / "pool", pool)
    table.to_parquet(tmp_path / "pool" / "covariates.parquet")
    with pytest.raises(InvalidInputError, match=words):
        brm.load_pool(tmp_path / "pool")


def test_covariates_of_whole_numbers_and_flags_are_read(pool: brm.ResponsePool, tmp_path: Path) -> None:
    brm.save_pool(tmp_path / "pool", pool)
    table = pd.DataFrame({"count": [1, 2, 3, 4, 5], "flag": [True, False, True, True, False]})
    table.to_parquet(tmp_path / "pool" / "covariates.parquet")
    covariates = brm.load_pool(tmp_path / "pool").covariates
    assert covariates["count"].tolist() == [1, 2, 3, 4, 5]
    assert covariates["flag"].tolist() == [1, 0, 1, 1, 0]


def _archive(path: Path, **arrays: object) -> Path:
    np.savez(path, embeddings=EMBEDDINGS, prompt=PROMPT, **arrays)
    return path


def test_npz_round_trip(pool: brm.ResponsePool, tmp_path: Path) -> None:
    path = _archive(
        tmp_path / "pool.npz",
        block_names=np.array(["layer-0", "layer-1"]),
        block_widths=np.array([3, 4]),
        covariates=np.stack(list(COVARIATES.values()), axis=1),
        covariate_names=np.array(list(COVARIATES)),
    )
    assert brm.load_pool(path) == pool


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"block_names": np.array(["a"])}, "an array block_widths beside block_names"),
        ({"block_widths": np.array([7])}, "an array block_names beside block_widths"),
        ({"block_names": np.array(["a"]), "block_widths": np.array([7.0])}, "one whole number"),
        ({"block_names": np.array(["a"]), "block_widths": np.array([3])}, "end at column 3"),
        ({"block_names": np.array([1]), "block_widths": np.array([7])}, "unicode strings"),
        ({"covariates": np.zeros((5, 1))}, "an array covariate_names beside covariates"),
        ({"covariates": np.zeros((5, 2)), "covariate_names": np.array(["a"])}, r"shape \(response, 1\)"),
        ({"covariates": np.zeros((4, 1)), "covariate_names": np.array(["a"])}, r"got shape \(4,\)"),
    ],
)
def test_archives_that_cannot_be_used(tmp_path: Path, arrays: dict, words: str) -> None:
    path = _archive(tmp_path / "pool.npz", **arrays)
    with pytest.raises(InvalidInputError, match=words):
        brm.load_pool(path)
