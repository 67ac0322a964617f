"""How large a packed file may get: a few kilobytes of somebody else's can hold terabytes of zeros.

Up to ``ALWAYS`` bytes every file is unpacked; beyond that, as long as it is at most ``TIMES`` times as large as it is
packed. Texts shrink to a fifth or so, and embeddings hardly at all.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bayesrm.errors import InvalidInputError

ALWAYS = 2**28
TIMES = 200


def most_unpacked(path: Path) -> int:
    """Bytes that a packed file may have when it is unpacked."""
    return max(ALWAYS, TIMES * path.stat().st_size)


def too_large(path: Path) -> InvalidInputError:
    """The refusal of a file that has more in it."""
    return InvalidInputError(
        f"expected at most {most_unpacked(path) / 2**20:,.0f} MiB in {path}, {TIMES} times its size, got more: a file "
        "that grows so much is not unpacked; if you trust it, unpack it yourself and give what is in it"
    )


def require_parquet(path: Path, columns: Sequence[str] | None = None) -> None:
    """InvalidInputError where columns of a Parquet file, all if None, are larger in memory than may be unpacked.

    By what the file says of itself: the bytes of its pages when they are unpacked, and the number of its values, of
    which a page may have any number that are the same. Texts that stand once in a page for many rows are counted.
    """
    most = most_unpacked(path)
    with pq.ParquetFile(path, memory_map=True) as file:
        groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
        chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
        chunks = [one for one in chunks if columns is None or one.path_in_schema.split(".")[0] in columns]
        pages = sum(one.total_uncompressed_size for one in chunks)
        if max(pages, sum(8 * one.num_values for one in chunks)) > most:
            raise too_large(path)
        repeated = {
            one.path_in_schema
            for one in chunks
            if any("DICTIONARY" in name for name in one.encodings)
            and one.physical_type == "BYTE_ARRAY"
            and one.num_values * one.total_uncompressed_size > most
        }
    if not repeated:
        return
    names = sorted(repeated)
    with pq.ParquetFile(path, memory_map=True, read_dictionary=names) as file:
        found = 0
        for batch in file.iter_batches(columns=names):
            found += sum(_written_out(leaf) for column in batch.columns for leaf in _leaves(column))
            if found > most:
                raise too_large(path)


def _leaves(column: pa.Array) -> list[pa.Array]:
    """What a column of lists or records is made of, in the end."""
    if isinstance(column, pa.StructArray):
        return [leaf for part in column.flatten() for leaf in _leaves(part)]
    if isinstance(column, pa.MapArray):
        return [*_leaves(column.keys), *_leaves(column.items)]
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _leaves(column.flatten())
    return [column]


def _written_out(column: pa.Array) -> int:
    """Bytes of a column of texts when each row has its own."""
    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def require_netcdf(path: Path, group: str = "/") -> None:
    """InvalidInputError where the arrays of a netCDF file, or of a group, are larger than may be unpacked."""
    with h5py.File(path) as file:
        sizes: list[int] = []

        def look(_: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                sizes.append(int(node.size or 0) * node.dtype.itemsize)

        file[group].visititems(look)
    if sum(sizes) > most_unpacked(path):
        raise too_large(path)


class Unpacked(io.RawIOBase):
    """What a ``.gz`` file has in it, up to the size that it may have.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, most_unpacked(path)
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed in close

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some; InvalidInputError where there is too much."""
        view = memoryview(buffer).cast("B")
        found = self._file.read(len(view))
        view[: len(found)] = found
        self._left -= len(found)
        if self._left < 0:
            raise too_large(self._path)
        return len(found)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
