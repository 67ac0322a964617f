"""Designs look the same in all figures of a run, and no panel is flat because of another one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bayesrm.design import CRITERIA
from bayesrm.evaluation.names import BASELINE
from bayesrm.plots.runs import learning_curves
from bayesrm.plots.style import BASELINE_COLOUR, colours_of, in_order, share_scales

DESIGNS = ("within-first", "pa-dopt", "dopt (gradient)", "rank", "random")


def trajectory(designs, scale=(1.0, 1.0)) -> xr.Dataset:
    shape = (2, len(designs), 2, 3)
    value = np.linspace(0.5, 0.6, np.prod(shape)).reshape(shape) * np.array(scale)[:, None, None, None]
    return xr.Dataset(
        {"log_loss": (("inference", "design", "seed", "round"), value)},
        {
            "inference": ["laplace", "plugin"],
            "design": list(designs),
            "seed": [0, 1],
            "round": range(3),
            "labels": ("round", [10, 20, 30]),
        },
    )


def drawn(figure: Figure) -> dict[str, str]:
    return {line.get_label(): line.get_color() for line in figure.axes[0].lines}


def test_colours_and_legend_do_not_depend_on_the_order_of_the_runs():
    """The command has them as they were asked for, the report by the names of their folders."""
    first, again = (
        drawn(learning_curves(trajectory(designs), ("log_loss",))) for designs in (DESIGNS, sorted(DESIGNS))
    )
    assert list(first.items()) == list(again.items())
    assert len(set(first.values())) == len(DESIGNS)
    assert first["random"] == BASELINE_COLOUR
    assert list(first)[-1] == BASELINE


def test_no_two_designs_of_a_usual_comparison_look_the_same():
    usual = [name for name in CRITERIA if not name.startswith("paper-")][:12]
    assert len(set(colours_of(usual).values())) == len(usual)


def test_random_comes_last():
    assert in_order(["random", "xtx", "dopt"]) == ["dopt", "xtx", "random"]


@pytest.mark.parametrize(("scale", "shared"), [((1.0, 1.1), True), ((1.0, 20.0), False)])
def test_panels_share_a_scale_unless_one_would_be_flat(scale, shared):
    figure = learning_curves(trajectory(DESIGNS, scale), ("log_loss",))
    left, right = figure.axes
    assert (left.get_ylim() == right.get_ylim()) == shared
    assert ("each panel has its own scale" in left.get_ylabel()) == (not shared)
    for axis, line in ((left, left.lines[0]), (right, right.lines[0])):
        low, high = axis.get_ylim()
        assert low <= line.get_ydata().min()
        assert line.get_ydata().max() <= high
    # No curve takes less than a fifth of its panel.
    if not shared:
        for axis in figure.axes:
            values = np.concatenate([line.get_ydata() for line in axis.lines])
            assert np.ptp(values) > 0.2 * np.ptp(axis.get_ylim())


def test_empty_panels_do_not_count():
    figure = Figure()
    axes = figure.subplots(1, 3, squeeze=False)
    axes[0, 1].plot([0, 1], [100.0, 101.0])
    axes[0, 2].plot([0, 1], [100.0, 102.0])
    assert share_scales(axes) == [True]
    assert axes[0, 1].get_ylim() == axes[0, 2].get_ylim()
