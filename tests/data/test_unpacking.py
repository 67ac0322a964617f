"""A small file of somebody else's does not fill memory or disk."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

import bayesrm as brm
from bayesrm.data import unpacking
from bayesrm.data.preferences import load_preferences
from bayesrm.data.sources import read_rows
from bayesrm.errors import InvalidInputError

ROW = b'{"prompt": "a", "response": "b"}\n'


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A megabyte is always unpacked."""
    monkeypatch.setattr(unpacking, "ALWAYS", 2**20)


def bomb(path: Path, beginning: bytes, filling: bytes, size: int) -> Path:
    with gzip.open(path, "wb") as file:
        file.write(beginning)
        for _ in range(size // 2**16):
            file.write(filling * (2**16 // len(filling)))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_a_packed_file_of_zeros_is_not_unpacked(tmp_path, suffix, monkeypatch):
    """It is 64 MiB of what packs to a thousandth, without an end of a line."""
    beginning = b"[" if suffix == ".json" else ROW if suffix == ".jsonl" else b"prompt,response\n"
    path = bomb(tmp_path / f"texts{suffix}.gz", beginning, b"0", 2**26)
    assert path.stat().st_size < 2**17
    read = []
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda file, size, own=gzip.GzipFile.read: read.append(size) or own(file, size)
    )
    with pytest.raises(InvalidInputError, match=r"expected at most \d+ MiB in .*, 200 times its size"):
        list(read_rows(str(path)))
    assert 2**20 < sum(read) < 200 * path.stat().st_size + 2**22


def test_what_packs_as_texts_do_is_unpacked(tmp_path):
    random = np.random.default_rng(0)
    rows = [f'{{"prompt": "{random.integers(1e9)}", "response": "b"}}\n'.encode() for _ in range(40_000)]
    with gzip.open(tmp_path / "texts.jsonl.gz", "wb") as file:
        file.writelines(rows)
    assert sum(map(len, rows)) > 2**20
    assert sum(1 for _ in read_rows(str(tmp_path / "texts.jsonl.gz"))) == len(rows)


def test_a_small_file_may_pack_as_well_as_it_likes(tmp_path):
    path = bomb(tmp_path / "texts.jsonl.gz", ROW * 30_000, ROW, 0)
    assert path.stat().st_size < 2**20 / 200
    assert sum(1 for _ in read_rows(str(path))) == 30_000


def test_a_packed_pool_of_zeros_is_not_unpacked(tmp_path):
    path = tmp_path / "pool.npz"
    np.savez_compressed(path, embeddings=np.zeros((2000, 4000), dtype=np.float32), prompt=np.arange(2000))
    with pytest.raises(InvalidInputError, match=r"expected at most \d+ MiB in .*pool.npz, 200 times its size"):
        brm.load_pool(path)
    np.savez(path, embeddings=np.zeros((2000, 400), dtype=np.float32), prompt=np.arange(2000))
    assert brm.load_pool(path).dim == 400


def test_an_array_that_says_to_be_larger_than_memory(tmp_path):
    path = tmp_path / "pool.npz"
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("embeddings.npy", array.getvalue() + b"\0" * 64)
    with pytest.raises(InvalidInputError, match=r"expected a whole \.npz archive, but .* is corrupt"):
        brm.load_pool(path)


TEXT = "long " * 20_000


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(2_000_000),
        [TEXT] * 500,
        [[7] * 1000] * 2000,
        [TEXT[:-1] + letter for letter in "ab"] * 250,
        [[TEXT] * 10] * 50,
        [[{"role": "user", "content": TEXT}]] * 500,
    ],
    ids=["numbers", "one text", "lists", "two texts", "lists of texts", "messages"],
)
def test_a_small_parquet_file_of_large_columns_is_refused_before_it_is_read(tmp_path, column, monkeypatch):
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"prompt": column}), path, compression="zstd")
    assert path.stat().st_size < 2**18
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    with pytest.raises(InvalidInputError, match=r"expected at most \d+ MiB in .*, 200 times its size"):
        list(read_rows(str(path)))
    with pytest.raises(InvalidInputError, match="200 times its size"):
        load_preferences(path)


def test_parquet_files_as_they_are_written_are_read(tmp_path):
    random = np.random.default_rng(0)
    texts = [f"{random.integers(1e9)} and some words more" for _ in range(30_000)]
    path = tmp_path / "texts.parquet"
    messages = [[{"role": "user", "content": text}] for text in texts]
    columns = {"prompt": texts, "response": texts[::-1], "kind": ["chat"] * len(texts), "messages": messages}
    pq.write_table(pa.table(columns), path)
    unpacking.require_parquet(path)
    assert pq.read_table(path).nbytes > 2**20


def test_a_small_netcdf_file_of_large_arrays_is_refused_before_it_is_opened(tmp_path):
    path = tmp_path / "results.nc"
    xr.Dataset({"x": (("draw", "pair"), np.zeros((4000, 1000)))}).to_netcdf(
        path, engine="h5netcdf", encoding={"x": {"zlib": True, "complevel": 9}}
    )
    assert 200 * path.stat().st_size < 32_000_000
    with pytest.raises(InvalidInputError, match=r"expected at most \d+ MiB in .*results.nc, 200 times its size"):
        brm.open_results(path)
    xr.Dataset({"x": ("draw", np.random.default_rng(0).random(200_000))}).to_netcdf(path, engine="h5netcdf")
    assert brm.open_results(path)["x"].size == 200_000
