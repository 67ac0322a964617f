"""Pools on disk: every format there and back, and every bad input with its sentence."""

from __future__ import annotations

import hashlib
import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.data import directory
from bayesrm.data.table import ParquetTexts
from bayesrm.errors import InvalidInputError

EMBEDDINGS = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
PROMPT = np.array([4, 4, 4, 9, 9, 2])
GOLDEN = np.array([0.5, -1.0, 2.0, 0.0, 1.5, 3.0])
TEXTS = ["a", "b", "", "ü", "e\nf", "g"]


@pytest.fixture
def pool() -> brm.ResponsePool:
    return brm.ResponsePool(EMBEDDINGS, PROMPT, TEXTS)


@pytest.fixture
def saved(pool: brm.ResponsePool, tmp_path: Path) -> Path:
    brm.save_pool(tmp_path / "pool", pool, GOLDEN)
    return tmp_path / "pool"


def write_directory(path: Path, embeddings: np.ndarray = EMBEDDINGS, **columns: object) -> Path:
    path.mkdir()
    np.save(path / "embeddings.npy", embeddings)
    pd.DataFrame(columns or {"prompt_id": PROMPT}).to_parquet(path / "responses.parquet")
    return path


# --- there and back -------------------------------------------------------------------------------------


def test_directory_round_trip(saved: Path, pool: brm.ResponsePool) -> None:
    loaded = brm.load_pool(saved)
    assert loaded == pool
    assert isinstance(loaded.embeddings, np.memmap)
    assert loaded.texts is not None
    assert list(loaded.texts) == TEXTS
    assert loaded.texts[1:5:2] == ["b", "ü"]
    assert loaded.texts[-1] == "g"
    golden = brm.load_golden(saved)
    assert golden.dtype == np.float64
    np.testing.assert_array_equal(golden, GOLDEN)


def test_accepts_paths_as_strings(saved: Path, pool: brm.ResponsePool) -> None:
    assert brm.load_pool(str(saved)) == pool


@pytest.mark.parametrize(
    ("given", "stored"), [(np.float16, np.float16), (np.float32, np.float32), (np.float64, np.float32)]
)
def test_embeddings_keep_half_precision_and_are_single_otherwise(
    tmp_path: Path, given: type, stored: type
) -> None:
    brm.save_pool(tmp_path / "pool", brm.ResponsePool(EMBEDDINGS.astype(given), PROMPT))
    embeddings = brm.load_pool(tmp_path / "pool").embeddings
    assert embeddings.dtype == stored
    np.testing.assert_array_equal(embeddings, EMBEDDINGS.astype(stored))


@pytest.mark.parametrize(
    "labels", [PROMPT.astype(np.int32), PROMPT.astype(str), PROMPT.astype(str).astype(object)]
)
def test_prompt_labels_are_integers_or_strings(tmp_path: Path, labels: np.ndarray) -> None:
    brm.save_pool(tmp_path / "pool", brm.ResponsePool(EMBEDDINGS, labels))
    loaded = brm.load_pool(tmp_path / "pool")
    assert loaded.prompt.tolist() == labels.tolist()
    assert loaded.texts is None
    np.testing.assert_array_equal(loaded.group, [1, 1, 1, 2, 2, 0])


def test_categorical_prompt_labels(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "pool", prompt_id=pd.Categorical(list("aabbcc")))
    assert brm.load_pool(path).prompt.tolist() == list("aabbcc")


def test_written_in_blocks_and_saved_again_from_disk(
    saved: Path, pool: brm.ResponsePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "BYTES_AT_ONCE", 24)
    monkeypatch.setattr("bayesrm.data.table.ROWS_AT_ONCE", 4)
    again = saved.with_name("again")
    brm.save_pool(again, brm.load_pool(saved))
    assert brm.load_pool(again) == pool
    assert list(brm.load_pool(again).texts or []) == TEXTS
    assert (again / "embeddings.npy").read_bytes() == (saved / "embeddings.npy").read_bytes()


def test_fortran_ordered_embeddings_are_saved_row_by_row(tmp_path: Path) -> None:
    brm.save_pool(tmp_path / "pool", brm.ResponsePool(np.asfortranarray(EMBEDDINGS), PROMPT))
    np.testing.assert_array_equal(brm.load_pool(tmp_path / "pool").embeddings, EMBEDDINGS)


def test_card_has_checksums_of_every_file(saved: Path) -> None:
    card = json.loads((saved / "card.json").read_text())
    assert (card["name"], card["responses"], card["prompts"], card["dimension"]) == ("pool", 6, 3, 3)
    assert card["created_by"].startswith("bayesrm")
    assert set(card["checksums"]) == {"embeddings.npy", "responses.parquet", "golden.npy"}
    for name, checksum in card["checksums"].items():
        content = (saved / name).read_bytes()
        assert checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert card["bytes"][name] == len(content)


def test_npz_round_trip(tmp_path: Path, pool: brm.ResponsePool) -> None:
    for label in ("prompt", "prompt_id"):
        path = tmp_path / f"{label}.npz"
        arrays = {"embeddings": EMBEDDINGS, label: PROMPT, "golden": GOLDEN.astype(np.float16), "texts": TEXTS}
        np.savez_compressed(path, **{name: np.asarray(value) for name, value in arrays.items()})
        assert brm.load_pool(path) == pool
        assert brm.load_pool(path).texts == TEXTS
        np.testing.assert_array_equal(brm.load_golden(path), GOLDEN)


@pytest.mark.parametrize("name", ["embd_gemma2b_gemma2b_hh_test.npy", "any.npy"])
def test_array_of_prompts_by_responses(tmp_path: Path, name: str) -> None:
    array = EMBEDDINGS.reshape(2, 3, 3).astype(np.float16)
    np.save(tmp_path / name, array)
    pool = brm.load_pool(tmp_path / name)
    np.testing.assert_array_equal(pool.embeddings, array.reshape(6, 3))
    np.testing.assert_array_equal(pool.prompt, [0, 0, 0, 1, 1, 1])


def test_reward_file_lies_beside_the_papers_embeddings(tmp_path: Path) -> None:
    embeddings = tmp_path / "embd_gemma2b_gemma2b_hh_test.npy"
    reward = tmp_path / "reward_gemma2b_gemma2b_hh_test.npy"
    np.save(embeddings, EMBEDDINGS.reshape(2, 3, 3))
    np.save(reward, GOLDEN.reshape(2, 3, 1).astype(np.float16))
    np.testing.assert_array_equal(brm.load_golden(embeddings), GOLDEN)
    np.testing.assert_array_equal(brm.load_golden(reward), GOLDEN)


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 1)])
def test_golden_of_a_plain_array(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "golden.npy", GOLDEN.reshape(shape))
    np.testing.assert_array_equal(brm.load_golden(tmp_path / "golden.npy"), GOLDEN)


# --- what is not used is not read -----------------------------------------------------------------------


def test_large_file_is_opened_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "embd_a_b_c_train.npy"
    shape = (1000, 300, 1024)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape).flush()
    tracemalloc.start()
    try:
        pool = brm.load_pool(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 600e6
    assert peak < 16e6
    assert isinstance(pool.embeddings, np.memmap)
    assert len(pool) == 300_000
    np.testing.assert_array_equal(pool.rows(np.array([0, 299_999])), np.zeros((2, 1024)))


def test_texts_are_not_read_before_they_are_used(saved: Path) -> None:
    assert isinstance(brm.load_pool(saved).texts, ParquetTexts)
    # Made here, since beartype looks at an item of every sequence that passes a checked signature.
    texts = ParquetTexts(saved / "responses.parquet", "response", 6)
    assert len(texts) == 6
    assert list(texts) == TEXTS
    assert "_column" not in vars(texts), "who goes through them once does not keep them"
    assert texts[3] == "ü"
    assert "_column" in vars(texts)
    assert list(texts) == TEXTS


# --- saving is refused, or leaves nothing behind --------------------------------------------------------


def test_existing_pool_is_not_overwritten(saved: Path, pool: brm.ResponsePool) -> None:
    with pytest.raises(InvalidInputError, match="is not empty: remove it or choose another name"):
        brm.save_pool(saved, pool)
    assert brm.load_pool(saved) == pool


def test_empty_directory_and_missing_parents_are_taken(tmp_path: Path, pool: brm.ResponsePool) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "new" / "deep"):
        brm.save_pool(path, pool)
        assert brm.load_pool(path) == pool


def test_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    embeddings = np.zeros((6, 3), np.float32)
    pool = brm.ResponsePool(embeddings, PROMPT)
    embeddings[4] = np.nan
    with pytest.raises(InvalidInputError, match="expected finite embeddings"):
        brm.save_pool(tmp_path / "pool", pool)
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_a_file_as_target(tmp_path: Path, pool: brm.ResponsePool) -> None:
    (tmp_path / "pool").write_text("")
    with pytest.raises(InvalidInputError, match="expected a directory to write the pool to, got the file"):
        brm.save_pool(tmp_path / "pool", pool)


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (GOLDEN[:5], "each of the 6 responses, got 5"),
        (np.where(GOLDEN == 0, np.nan, GOLDEN), r"NaN or infinity for 1 of 6 .* \(the first is response 3\)"),
        (GOLDEN * 1e300, "within the range of float32"),
    ],
)
def test_save_refuses_bad_golden(tmp_path: Path, pool: brm.ResponsePool, golden: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        brm.save_pool(tmp_path / "pool", pool, golden)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (PROMPT + 0.5, "integers or strings, got float64"),
        (np.array([1, "a", 2, 3, 4, 5], dtype=object), "text or a whole number as the prompt .* got 'a'"),
    ],
)
def test_save_refuses_other_prompt_labels(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        brm.save_pool(tmp_path / "pool", brm.ResponsePool(EMBEDDINGS, labels))
    assert list(tmp_path.iterdir()) == []


# --- bad files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pool", "pool.npy", "pool.npz", "pool.pkl"])
@pytest.mark.parametrize("load", [brm.load_pool, brm.load_golden])
def test_missing_path(tmp_path: Path, name: str, load: object) -> None:
    with pytest.raises(InvalidInputError, match=r"does not exist|which does not exist"):
        load(tmp_path / name)  # type: ignore[operator]


def test_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("a,b\n")
    with pytest.raises(InvalidInputError, match=r"a pool directory, a \.npz or a \.npy file, got .*pool\.csv$"):
        brm.load_pool(tmp_path / "pool.csv")


@pytest.mark.parametrize("name", ["pool.npy", "pool.npz"])
@pytest.mark.parametrize("load", [brm.load_pool, brm.load_golden])
def test_pickles_are_never_opened(tmp_path: Path, name: str, load: object) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"embeddings": [1]}))
    with pytest.raises(InvalidInputError, match=r"got a pickle of Python objects in .* never opened"):
        load(path)  # type: ignore[operator]


def test_object_arrays_are_pickles(tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInputError, match="got a pickle of Python objects"):
        brm.load_pool(tmp_path / "pool.npy")
    arrays = {"embeddings": EMBEDDINGS, "prompt": PROMPT, "texts": np.array(TEXTS, dtype=object)}
    np.savez(tmp_path / "pool.npz", **arrays)
    with pytest.raises(InvalidInputError, match="got a pickle of Python objects"):
        brm.load_pool(tmp_path / "pool.npz")


@pytest.mark.parametrize("keep", [8, 60, 140])
def test_truncated_npy(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "pool.npy"
    np.save(path, EMBEDDINGS.reshape(2, 3, 3))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInputError, match=r"expected a whole \.npy file, but .* truncated or corrupt"):
        brm.load_pool(path)


@pytest.mark.parametrize("content", [b"", b"hello world"])
def test_file_that_is_no_array(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pool.npy").write_bytes(content)
    with pytest.raises(InvalidInputError, match="does not start like one"):
        brm.load_pool(tmp_path / "pool.npy")
    (tmp_path / "pool.npz").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"expected a \.npz archive"):
        brm.load_pool(tmp_path / "pool.npz")


def test_archive_named_npy(tmp_path: Path) -> None:
    np.savez(tmp_path / "pool.npz", embeddings=EMBEDDINGS)
    (tmp_path / "pool.npz").rename(tmp_path / "pool.npy")
    with pytest.raises(InvalidInputError, match=r"got a zip archive in .*: name it \.npz"):
        brm.load_pool(tmp_path / "pool.npy")


def test_corrupt_npz(tmp_path: Path) -> None:
    path = tmp_path / "pool.npz"
    np.savez(path, embeddings=EMBEDDINGS, prompt=PROMPT)
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="is corrupt"):
        brm.load_pool(path)
    path.write_bytes(content[:300])
    with pytest.raises(InvalidInputError, match="is truncated or is none"):
        brm.load_pool(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"prompt": PROMPT}, "expected an array embeddings in .*, got prompt"),
        ({"embeddings": EMBEDDINGS, "group": PROMPT}, "prompt or prompt_id in .*, got embeddings, group"),
        (
            {"embeddings": EMBEDDINGS, "prompt": PROMPT[:5]},
            r"pool\.npz: expected one prompt label",
        ),
        ({"embeddings": EMBEDDINGS.reshape(2, 3, 3), "prompt": PROMPT}, r"got \(2, 3, 3\): one row a response"),
        ({"embeddings": EMBEDDINGS, "prompt": PROMPT, "texts": np.array(TEXTS[:2])}, "expected 6 texts"),
        ({"embeddings": EMBEDDINGS, "prompt": PROMPT, "texts": PROMPT}, "unicode strings in .*, got int64"),
        ({"embeddings": EMBEDDINGS.astype(int), "prompt": PROMPT}, "floating-point embeddings, got int64"),
        ({"embeddings": EMBEDDINGS[:0], "prompt": PROMPT[:0]}, "expected a pool with responses"),
        ({"embeddings": EMBEDDINGS * np.float32("nan"), "prompt": PROMPT}, "expected finite embeddings"),
    ],
)
def test_bad_npz_pools(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "pool.npz", **arrays)
    with pytest.raises(InvalidInputError, match=message):
        brm.load_pool(tmp_path / "pool.npz")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            EMBEDDINGS,
            r"embedding\) in .*, got \(6, 3\): which response answers which prompt",
        ),
        (np.float32(1), r"got \(\)"),
        (np.asfortranarray(EMBEDDINGS.reshape(2, 3, 3)), "expected an array in C order"),
        (np.zeros((0, 3, 3), np.float32), "expected a pool with responses"),
        (np.zeros((2, 3, 3), int), "floating-point embeddings, got int64"),
        (np.full((2, 3, 3), np.inf, np.float16), r"pool\.npy: expected finite embeddings"),
    ],
)
def test_bad_npy_pools(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "pool.npy", array)
    with pytest.raises(InvalidInputError, match=message):
        brm.load_pool(tmp_path / "pool.npy")


def test_directory_without_embeddings(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"expected embeddings\.npy in the pool .*, found nothing"):
        brm.load_pool(tmp_path)
    (tmp_path / "embeddings.pt").write_text("")
    with pytest.raises(InvalidInputError, match=r"found embeddings\.pt"):
        brm.load_pool(tmp_path)


def test_directory_without_responses(saved: Path) -> None:
    (saved / "responses.parquet").unlink()
    with pytest.raises(InvalidInputError, match=r"responses\.parquet with the prompt of each response"):
        brm.load_pool(saved)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": list("aabbcc"), "model": PROMPT}, "a column prompt_id in .*, got prompt, model"),
        ({"prompt_id": PROMPT[:4]}, r"as many rows in responses\.parquet as in embeddings\.npy, got 4 and 6"),
        ({"prompt_id": PROMPT / 2}, "integers or strings as prompt_id in .*, got double"),
        ({"prompt_id": ["a", None, "b", "b", "b", None]}, "but 2 rows have none"),
        ({"prompt_id": PROMPT, "response": PROMPT}, "expected texts in the column response of .*, got int64"),
    ],
)
def test_bad_responses(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    path = write_directory(tmp_path / "pool", **columns)
    with pytest.raises(InvalidInputError, match=message):
        brm.load_pool(path)


def test_corrupt_parquet(saved: Path) -> None:
    path = saved / "responses.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInputError, match="expected a whole Parquet file"):
        brm.load_pool(saved)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (EMBEDDINGS.astype(np.int8), r"embeddings\.npy: expected floating-point embeddings, got int8"),
        (EMBEDDINGS.reshape(6, 3, 1), r"embeddings of shape \(response, embedding\), got \(6, 3, 1\)"),
        (EMBEDDINGS[:0], "as many rows"),
        (EMBEDDINGS[:, :0], r"expected a pool with responses, got embeddings of shape \(6, 0\)"),
        (np.where(EMBEDDINGS > 1, np.nan, EMBEDDINGS), "expected finite embeddings"),
    ],
)
def test_bad_embeddings_in_a_directory(tmp_path: Path, embeddings: np.ndarray, message: str) -> None:
    path = write_directory(tmp_path / "pool", embeddings)
    with pytest.raises(InvalidInputError, match=message):
        brm.load_pool(path)


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (GOLDEN[:4], r"golden\.npy: expected one golden reward for each of the 6 responses, got 4"),
        (np.full(6, np.nan), "expected finite golden rewards, got NaN or infinity for 6 of 6"),
        (np.array(list("abcdef")), "golden rewards that are numbers, got <U1"),
        (np.zeros((6, 1, 2)), r"golden rewards of shape .*, got \(6, 1, 2\)"),
        (np.zeros(0), "each of the 6 responses, got 0"),
    ],
)
def test_bad_golden_in_a_directory(saved: Path, golden: np.ndarray, message: str) -> None:
    np.save(saved / "golden.npy", golden)
    with pytest.raises(InvalidInputError, match=message):
        brm.load_golden(saved)


def test_golden_that_is_not_there(saved: Path, tmp_path: Path) -> None:
    (saved / "golden.npy").unlink()
    with pytest.raises(InvalidInputError, match=r"expected golden\.npy in the pool directory"):
        brm.load_golden(saved)
    np.savez(tmp_path / "pool.npz", embeddings=EMBEDDINGS, prompt=PROMPT)
    with pytest.raises(InvalidInputError, match=r"expected an array golden in .*, got embeddings, prompt"):
        brm.load_golden(tmp_path / "pool.npz")
    np.save(tmp_path / "embd_a_b_c_d.npy", EMBEDDINGS.reshape(2, 3, 3))
    with pytest.raises(InvalidInputError, match=r"reward_a_b_c_d\.npy, but it does not exist"):
        brm.load_golden(tmp_path / "embd_a_b_c_d.npy")


def test_golden_of_other_length_than_the_pool(tmp_path: Path) -> None:
    np.savez(tmp_path / "pool.npz", embeddings=EMBEDDINGS, golden=GOLDEN[:2])
    with pytest.raises(InvalidInputError, match=r"pool\.npz: expected one golden .* 6 responses, got 2"):
        brm.load_golden(tmp_path / "pool.npz")
    np.save(tmp_path / "embd_a_b_c_d.npy", EMBEDDINGS.reshape(2, 3, 3))
    np.save(tmp_path / "reward_a_b_c_d.npy", np.zeros((2, 2, 1)))
    with pytest.raises(InvalidInputError, match=r"reward_a_b_c_d\.npy: .* 6 responses, got 4"):
        brm.load_golden(tmp_path / "embd_a_b_c_d.npy")
    np.save(tmp_path / "any.npy", np.zeros(0))
    with pytest.raises(InvalidInputError, match=r"expected golden rewards, got an array of shape \(0,\)"):
        brm.load_golden(tmp_path / "any.npy")


def test_votes_name_people_alike_where_one_name_is_missing(tmp_path):
    """pandas makes 7.0 of 7 beside an empty cell, in CSV as in Parquet."""
    table = pd.DataFrame(
        {"first": [0, 1, 2], "second": [1, 2, 3], "outcome": [1, 0, 1], "annotator": [7, None, 8]}
    )
    table.to_csv(tmp_path / "votes.csv", index=False)
    table.to_parquet(tmp_path / "votes.parquet")
    for name in ("votes.csv", "votes.parquet"):
        assert list(brm.load_votes(tmp_path / name).annotator) == ["7", "", "8"]
