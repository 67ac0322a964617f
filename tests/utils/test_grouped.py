"""Values less the mean of their group, against a loop."""

from __future__ import annotations

import numpy as np

from bayesrm.utils.grouped import less_group_means


def test_every_group_loses_its_own_mean() -> None:
    random = np.random.default_rng(0)
    group = random.permutation(np.repeat(np.arange(4), [1, 2, 3, 5]))
    values = random.normal(size=(len(group), 3))
    expected = values.copy()
    for which in range(4):
        expected[group == which] -= values[group == which].mean(axis=0)
    np.testing.assert_allclose(less_group_means(values, group), expected, atol=1e-15)
