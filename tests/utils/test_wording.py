"""One of a thing is never several."""

from __future__ import annotations

import pytest

from bayesrm.utils.wording import counted, one_or_many


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 questions"), (1, "1 question"), (2, "2 questions"), (12345, "12,345 questions")],
)
def test_a_number_and_what_it_counts(number, expected):
    assert counted(number, "question") == expected


def test_plurals_that_are_not_an_s_more():
    assert [counted(number, "reply", "replies") for number in (1, 2)] == ["1 reply", "2 replies"]


def test_a_verb_that_agrees():
    assert [one_or_many(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]
