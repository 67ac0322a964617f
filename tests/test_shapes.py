"""The check of shapes that the tests rely on: it is there, in each test anew, and lets long loops through."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from shapes import CALLS

from bayesrm.evaluation.metrics import spearman_by_prompt

ROW, GROUP = np.arange(4.0), np.zeros(4, np.int64)


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
