"""A table of labels as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bayesrm.campaign.labels.base import COLUMNS, LabelFormat, as_record
from bayesrm.campaign.labels.rows import LabelRow
from bayesrm.utils.files import replacing

_TYPES = {"weight": pa.float64(), "vote_share": pa.float64(), "margin": pa.float64(), "importance": pa.float64()}
_TYPES |= {"votes": pa.int64(), "batch": pa.int64()}


class ParquetOfLabels(LabelFormat):
    """Parquet with a row a label, which pandas and Hugging Face's datasets open."""

    name: ClassVar[str] = "parquet"
    suffix: ClassVar[str] = "parquet"
    next_step: ClassVar[str] = "pandas.read_parquet and datasets.Dataset.from_parquet open {file}."

    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """One file, with a column for each of ``COLUMNS``."""
        schema = pa.schema([(name, _TYPES.get(name, pa.large_string())) for name in COLUMNS])
        with replacing(path) as temporary:
            pq.write_table(pa.Table.from_pylist([as_record(row) for row in rows], schema), temporary)
        return [path]
