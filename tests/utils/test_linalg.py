"""Cholesky factors of matrices that rounding, or their making, has left without full rank."""

from __future__ import annotations

import pytest
import torch

from bayesrm.utils.linalg import cholesky_factor, weighted_gram


def test_a_matrix_of_low_rank_gets_the_least_jitter_that_helps():
    root = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor = cholesky_factor(root @ root.T)
    torch.testing.assert_close(factor @ factor.T, root @ root.T, atol=1e-9, rtol=0)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_matrix_that_no_jitter_helps_is_refused_and_not_tried_for_ever(value):
    with pytest.raises(ArithmeticError, match="not positive definite"):
        cholesky_factor(value * torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("features", [1, 192, 193, 500])
def test_a_weighted_gram_is_the_product_whatever_the_number_of_blocks(features):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(37, features, dtype=torch.float64, generator=generator)
    weight = torch.randn(37, dtype=torch.float64, generator=generator)
    gram = weighted_gram(rows, weight)
    torch.testing.assert_close(gram, torch.einsum("kd,k,ke->de", rows, weight, rows), atol=1e-12, rtol=0)
    torch.testing.assert_close(gram, gram.T, atol=1e-12, rtol=0)


def test_a_weighted_gram_can_be_differentiated():
    rows = torch.randn(5, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.ones(5, dtype=torch.float64, requires_grad=True)
    weighted_gram(rows, weight).sum().backward()
    torch.testing.assert_close(weight.grad, rows.sum(dim=1).square())
