"""Annotations as checks: what each kind takes and refuses, in which words, and that nothing else changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.types import Pairs
from bayesrm.utils.checked import Count, Seed, checked, kind_of

GOOD_AND_BAD = [
    (int, [0, -3, np.int64(2)], [True, 1.0, "1", None, np.array(1), float("nan")]),
    (float, [0.5, 2, np.float32(1)], [float("nan"), float("inf"), "1", 1j, True, 10**400]),
    (bool, [True, np.bool_(False)], [0, "yes", None]),
    (str, ["", "x"], [b"x", 1, None]),
    (Count, [1, 2**31 - 1], [0, -1, 2**31, 10**30, 1.0]),
    (Seed, [0, 2**100], [-1, 0.5]),
    (int | None, [1, None], ["1"]),
    (Literal["a", "b"], ["a"], ["c", None]),
    (str | PathLike[str], ["nowhere", "."], ["\0", "a" * 5000, "\ud800", 3, b"x"]),
    (Sequence[int], [[1, 2], (1,), range(3), [], np.arange(3)], ["12", {1: 2}, [1.5], {1, 2}, iter([1]), None]),
    (Collection[str], [["a"], {"a", "b"}], ["a", [1]]),
    (tuple[int, ...], [(1, 2), [1]], [("a",), 1]),
    (tuple[int, str], [(1, "a"), [1, "a"]], [(1,), ("a", 1), (1, "a", 2)]),
    (Mapping[str, float], [{}, {"a": 1.0}], [{1: 1.0}, {"a": "b"}, [("a", 1.0)]]),
    (Callable[..., Any], [len, int], ["len", 1]),
    (ArrayLike, [[1], np.eye(2), torch.ones(2, requires_grad=True), "x"], [object(), {}, None, [[1], [1, 2]]]),
    (ArrayLike | None, [None, [1]], [object()]),
    (Pairs, [brm.Comparisons([0], [1])], [[0, 1], brm.Comparisons, object()]),
    (Any, [object()], []),
]


@pytest.mark.parametrize(
    ("hint", "good", "bad"), GOOD_AND_BAD, ids=[str(hint)[:40] for hint, _, _ in GOOD_AND_BAD]
)
def test_kinds(hint, good, bad):
    kind = kind_of(hint)
    assert [value for value in good if not kind.holds(value)] == []
    assert [value for value in bad if kind.holds(value)] == []


@checked
def scale(pool: brm.ResponsePool, size: Count = 3, *, by: float | None = None, where: str = "x") -> int:
    """Of the test."""
    return size


def test_one_sentence_says_what_was_expected_what_came_and_what_to_do(pool):
    assert scale(pool) == 3
    assert scale(pool, size=4, by=0.5) == 4
    with pytest.raises(
        InvalidInputError,
        match=r"^expected pool to be a ResponsePool, got 'x': load one with brm.load_pool\(path\)$",
    ):
        scale("x")
    with pytest.raises(InvalidInputError, match=r"size to be a whole number from 1 to 2,147,483,647, got 0$"):
        scale(pool, 0)
    with pytest.raises(InvalidInputError, match="by to be a finite number or None, got nan"):
        scale(pool, by=float("nan"))


def test_everything_else_stays_as_it_is(pool):
    assert scale.__name__ == "scale"
    assert scale.__doc__ == "Of the test."
    assert str(inspect.signature(scale)).startswith("(pool: 'brm.ResponsePool', size: 'Count' = 3, *, by:")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'pool'"):
        scale()
    with pytest.raises(TypeError, match="unexpected keyword argument 'sise'"):
        scale(pool, sise=3)


def test_of_a_dataclass_the_fields_are_checked():
    @checked
    @dataclass(frozen=True)
    class Cap:
        most: int
        name: str = ""

    assert Cap(3) == Cap(3, name="")
    with pytest.raises(InvalidInputError, match=r"most to be a whole number, got '3'"):
        Cap("3")


def test_a_value_that_cannot_be_shown_is_named_by_its_type(pool):
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(InvalidInputError, match="got Shy"):
        scale(pool, Shy())
