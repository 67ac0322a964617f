"""Cholesky factors of matrices that rounding, or their making, has left without full rank."""

from __future__ import annotations

import pytest
import torch

from bayesrm.utils.linalg import cholesky_factor


def test_a_matrix_of_low_rank_gets_the_least_jitter_that_helps():
    root = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor = cholesky_factor(root @ root.T)
    torch.testing.assert_close(factor @ factor.T, root @ root.T, atol=1e-9, rtol=0)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_matrix_that_no_jitter_helps_is_refused_and_not_tried_for_ever(value):
    with pytest.raises(ArithmeticError, match="not positive definite"):
        cholesky_factor(value * torch.eye(3, dtype=torch.float64))
