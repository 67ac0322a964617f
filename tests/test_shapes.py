"""The check of shapes that the tests rely on: it is there, in each test anew, and lets long loops through."""

from __future__ import annotations

from collections.abc import Iterator

import beartype
import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError
from shapes import CALLS

from bayesrm.evaluation.metrics import spearman_by_prompt

ROW, GROUP = np.arange(4.0), np.zeros(4, np.int64)
checks = jaxtyping.jaxtyped(typechecker=beartype.beartype)
"""As the tests' import hook puts it onto a function."""


@pytest.mark.parametrize("again", range(2))
def test_a_wrong_shape_fails_in_every_test(again):
    with pytest.raises(TypeCheckError):
        spearman_by_prompt(ROW, ROW[:3], GROUP)


def test_the_first_calls_are_checked():
    for _ in range(CALLS - 1):
        spearman_by_prompt(ROW, ROW, GROUP)
    with pytest.raises(TypeCheckError):
        spearman_by_prompt(ROW, ROW[:, None], GROUP)
    assert spearman_by_prompt(ROW.astype(np.float32), ROW, GROUP) == pytest.approx([1.0])


def test_a_wrong_type_of_number_fails():
    with pytest.raises(TypeCheckError):
        spearman_by_prompt(ROW, ROW, GROUP.astype(float))


def test_what_is_returned_is_held_against_the_arguments():
    @checks
    def halves(row: Float[np.ndarray, " item"], keep: int) -> Float[np.ndarray, " item"]:
        return row[:keep]

    assert len(halves(ROW, keep=4)) == 4
    with pytest.raises(TypeCheckError, match="halves"):
        halves(ROW, 2)
    assert len(halves(ROW[:2], 2)) == 2  # an axis has another size in another call


def test_an_axis_has_a_size_of_its_own_within_a_call():
    @checks
    def inner(row: Float[np.ndarray, " item"]) -> Float[np.ndarray, " item"]:
        return 2 * row

    @checks
    def outer(row: Float[np.ndarray, " item"]) -> Float[np.ndarray, " item"]:
        return row * inner(row[1:]).sum()

    assert len(outer(ROW)) == 4


def test_annotations_that_only_type_checkers_read_are_no_hindrance():
    @checks
    def first(rows: Float[np.ndarray, "row column"], of: Nowhere) -> Float[np.ndarray, " column"]:
        return rows[0]

    assert first(np.eye(3), None).tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(TypeCheckError):
        first(ROW, None)


def test_rows_are_yielded_unchecked_and_arguments_are_checked():
    @checks
    def rows(of: Float[np.ndarray, "row column"]) -> Iterator[Float[np.ndarray, " row"]]:
        yield from of

    assert len(list(rows(np.ones((2, 3))))) == 2
    with pytest.raises(TypeCheckError):
        rows(ROW)
