"""What counts as far outside of a column's usual range."""

from __future__ import annotations

import numpy as np
import pytest

from bayesrm.models.robust import FAR, FEWEST, USUAL, usual_range


@pytest.mark.parametrize(("share", "kept"), [(0.02, True), (0.002, False)])
def test_a_rare_value_is_kept_from_half_a_percent_on(share, kept):
    values = (np.arange(1000) < share * 1000).astype(float)[:, None]
    low, high = usual_range(values)
    assert (values.clip(low, high).max() == 1) == kept


def test_what_is_far_is_clipped_to_five_standard_deviations():
    values = np.random.default_rng(0).standard_normal((4000, 2))
    values[7, 1] = 1000.0
    low, high = usual_range(values)
    assert (low[0], high[0]) == (-np.inf, np.inf)
    assert high[1] == pytest.approx(USUAL, rel=0.1)
    assert low[1] == pytest.approx(-USUAL, rel=0.1)
    values[7, 1] = 0.9 * FAR
    assert np.isinf(usual_range(values)[1]).all()


def test_a_few_values_have_no_usual_range():
    values = np.append(np.zeros(FEWEST - 2), 1000.0)[:, None]
    assert np.isinf(usual_range(values)).all()
