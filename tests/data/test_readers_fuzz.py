"""Whatever a file has in it, a reader reads it or says in a sentence why it does not.

Rows of every published form with values replaced at any depth, and files of any bytes: no other exception comes out,
and what was read can be written.
"""

from __future__ import annotations

import gzip
import json
import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import WHOLE, damaged
from published_cards import CARDS

from bayesrm.data.sources import read_rows
from bayesrm.data.texts import read_texts, write_texts
from bayesrm.errors import InvalidInputError

FUZZ = settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JUNK = [
    None, "", " ", "nan", math.nan, math.inf, 0, -1, 10**400, 1.5, True, [], {}, [None], [[]], [{}], ["a", 1], "[",
    "{'a'", "[1, 2]", "{'a': 1}", '[{"role": "user", "content": "x"}]', '[{"role"', "\ud800", "x" * 3000, "[[/bold]]",
    "\x1b[31m", "[" * 3000, "array([1, 2])", "1.0", "1_0", ["\ud800"], "\n\nHuman: x\n\nAssistant:", {"role": "user"},
    [{"role": "user", "content": None}], [{"role": 7, "content": {}}], [{"from": 3, "value": 4}], {"full_text": ["x"]},
    [{"role": "assistant", "tool_calls": "x"}], [{"role": "\ud800", "content": [{"type": 3, "text": 4}]}],
    [{"role": "assistant", "content": None, "tool_calls": [3, None, {"function": None}]}], {"content": [[["x"]]]},
]  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(0, 40), min_size=1, max_size=4), st.sampled_from(JUNK)),
    min_size=1,
    max_size=3,
)
ROLES = ("prompt", "response", "chosen", "rejected", "winner", "prompt_id", "generator")
MAPPINGS = st.none() | st.dictionaries(st.sampled_from(ROLES), st.integers(0, 40), max_size=3)


def _changed(value, path, junk):
    """A copy in which what lies at a path is replaced; positions count around."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return junk
    copy = value.copy()
    key = list(value)[path[0] % len(value)] if isinstance(value, dict) else path[0] % len(value)
    copy[key] = _changed(value[key], path[1:], junk)
    return copy


@FUZZ
@given(st.sampled_from(list(CARDS)), CHANGES, MAPPINGS, st.booleans())
def test_a_row_with_anything_in_it(tmp_path, card, changes, mapping, implicit):
    rows = list(CARDS[card])
    for row, path, junk in changes:
        rows[row % len(rows)] = _changed(rows[row % len(rows)], path, junk)
    columns = list(rows[0])
    named = None if mapping is None else {role: columns[at % len(columns)] for role, at in mapping.items()}
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        texts = read_texts(str(path), named, implicit_prompt=implicit)
    except InvalidInputError:
        return
    write_texts(tmp_path / "responses.parquet", texts)
    assert all(text.strip() for text in texts.responses)


@FUZZ
@given(
    st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet", "csv.gz"]),
    st.binary(max_size=80) | st.text('prompt,response;"\n\t[]{}:é\ufeff', max_size=60).map(str.encode),
)
def test_a_file_of_any_bytes(tmp_path, kind, data):
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(data)
    try:
        rows = [row for _, row in read_rows(str(path), notes=[])]
    except InvalidInputError:
        return
    assert all(isinstance(row, (dict, InvalidInputError)) for row in rows)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """A file of every form in every kind, whole."""
    folder, files = tmp_path_factory.mktemp("whole"), []
    for number, rows in enumerate(CARDS.values()):
        for kind in ("jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz"):
            path = folder / f"{number}.{kind}"
            if kind == "parquet":
                pq.write_table(pa.Table.from_pylist(rows), path)
            elif kind in ("csv", "tsv"):
                cells = [
                    {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()}
                    for row in rows
                ]
                pd.DataFrame(cells).to_csv(path, index=False, sep="," if kind == "csv" else "\t")
            else:
                text = json.dumps(rows) if kind == "json" else "".join(json.dumps(row) + "\n" for row in rows)
                path.write_bytes(gzip.compress(text.encode()) if kind == "jsonl.gz" else text.encode())
            files.append((kind, path.read_bytes()))
    return files


@settings(FUZZ, max_examples=200)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_a_damaged_file_of_any_form(tmp_path, whole_files, which, random):
    kind, data = whole_files[which % len(whole_files)]
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(damaged(data, random))
    try:
        texts = read_texts(str(path))
    except InvalidInputError:
        return
    write_texts(tmp_path / "responses.parquet", texts)


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz"])
@pytest.mark.parametrize("which", range(len(WHOLE)))
def test_a_file_without_texts_is_refused_in_a_sentence(tmp_path, kind, which):
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(WHOLE[which])
    with pytest.raises(InvalidInputError) as caught:
        read_texts(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [None, 3, "text", [], [[1]]])
def test_a_row_that_is_no_object_is_listed(tmp_path, value):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(value) + '\n{"prompt": "p", "response": "r"}\n')
    texts = read_texts(str(path))
    assert [broken.row for broken in texts.broken] == [1]
