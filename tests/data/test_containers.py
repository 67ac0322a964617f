"""Lists and dictionaries that became text come back as they were, or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesrm.data.containers import are_messages, as_dictionary, as_list, looks_like_messages, parse_container
from bayesrm.errors import InvalidInputError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
CONTAINERS = st.lists(VALUES, max_size=4) | st.dictionaries(TEXTS, VALUES, max_size=4)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(CONTAINERS)
def test_json_and_python_come_back(value):
    assert parse_container(json.dumps(value)) == value
    assert parse_container(repr(value)) == value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(TEXTS, min_size=1, max_size=4)
    | st.lists(st.dictionaries(TEXTS, TEXTS, min_size=1), min_size=1, max_size=4)
)
def test_what_numpy_prints_comes_back(value):
    array = np.empty(len(value), dtype=object)
    array[:] = value
    assert parse_container(str(array)) == value
    assert parse_container(repr({"inner": array})) == {"inner": value}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("[]{}(),:'\"\\ \n.aray=1dtype", max_size=30))
def test_no_text_is_too_strange(text):
    assert isinstance(parse_container("[" + text), (list, type(None)))
    assert isinstance(parse_container("{" + text), (dict, type(None)))


@pytest.mark.parametrize(
    "text",
    [
        "", "text", "[", "[1, ...]", "['a', ..., 'b']", "{1, 2}", "['a' ... 'b']", "[f(1)]", "[__import__('os')]",
        "[" * 5000 + "]" * 5000, "[b'x']", "['a'", "[1]; [2]",
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_whole_list_is_none(text):
    assert parse_container(text) is None
    with pytest.raises(InvalidInputError, match="expected a list in x"):
        as_list(text, "x")


def test_missing_numbers_are_none():
    assert parse_container("[{'rating': nan}]") == [{"rating": None}]
    assert as_dictionary("{'a': (1, 2)}", "x") == {"a": [1, 2]}
    with pytest.raises(InvalidInputError, match="expected an object in x, got nothing"):
        as_dictionary(None, "x")


def test_messages_are_told_from_other_lists():
    assert are_messages([{"role": "user", "content": "x"}])
    assert are_messages({"from": "gpt", "value": "x"})
    assert not any(map(are_messages, ([], ["x"], [{"content": "x"}], "x", None, [{"role": "user"}, "x"])))
    assert looks_like_messages('[{"role": "us')
    assert not looks_like_messages('["role", "content"]')
