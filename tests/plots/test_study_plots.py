"""Figures of studies, from synthetic datasets: what is drawn is what the data say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrm.plots.runs import svg
from bayesrm.plots.studies import (
    Panel,
    curve_grid,
    design_line,
    factor_lines,
    forest,
    reward_maps,
    scatter_lines,
    shades,
)


@pytest.fixture
def trajectory() -> xr.Dataset:
    """Two designs, three seeds, four rounds, of which one run has not come to the last."""
    rng = np.random.default_rng(0)
    value = 1 - 0.1 * np.arange(4) + 0.01 * rng.normal(size=(2, 3, 4))
    value[1, 2, 3] = np.nan
    best = rng.normal(size=(2, 3, 4, 2))
    return xr.Dataset(
        {
            "one_minus_spearman": (("design", "seed", "round"), value),
            "best_of_n": (("design", "seed", "round", "n"), best),
        },
        {
            "design": ["random", "pa-dopt"],
            "seed": [0, 1, 2],
            "round": range(4),
            "n": [2, 16],
            "labels": ("round", [10, 20, 30, 40]),
        },
    )


def test_a_grid_has_a_row_a_metric_and_a_column_a_panel(trajectory):
    lines = [design_line(design, design, trajectory.sel(design=design)) for design in ("pa-dopt", "random")]
    figure = curve_grid([Panel("left", lines), Panel("right", lines[:1])], legend="design")
    axes = np.array(figure.axes).reshape(2, 2)
    assert [axis.get_title() for axis in axes[0]] == ["left", "right"]
    assert "best of 16" in axes[1, 0].get_ylabel()
    assert len(axes[0, 0].lines) == 2
    assert len(axes[0, 1].lines) == 1
    curve = axes[0, 0].lines[0]
    expected = np.nanmean(trajectory["one_minus_spearman"].sel(design="pa-dopt").values, axis=0)
    np.testing.assert_allclose(curve.get_ydata(), expected)
    np.testing.assert_array_equal(curve.get_xdata(), [10, 20, 30, 40])
    np.testing.assert_allclose(
        axes[1, 0].lines[1].get_ydata(), trajectory["best_of_n"].sel(design="random", n=16).mean("seed")
    )
    assert axes[0, 0].lines[1].get_linestyle() == "--"
    assert svg(figure).startswith("<svg")


def test_rounds_that_nobody_came_to_are_left_out(trajectory):
    short = trajectory.where(trajectory["round"] < 2)
    figure = curve_grid([Panel("", factor_lines({"125": short.isel(design=0)}))], ("one_minus_spearman",))
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [10, 20])


def test_a_forest_shows_open_intervals_as_arrows_and_says_what_was_not_reached():
    table = pd.DataFrame(
        {
            "name": ["a", "b", "c"],
            "kind": ["x", "y", "y"],
            "estimate": [0.5, 2.0, np.nan],
            "low": [0.4, 0.0, np.nan],
            "high": [0.6, np.inf, np.nan],
        }
    )
    axis = forest(table, "name", "kind", "labels").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text().strip() for text in axis.texts] == ["not reached"]
    assert {">", "<"} <= {line.get_marker() for line in axis.lines}
    assert axis.get_xlim()[0] < 0.4
    assert axis.get_xlim()[1] > 2.0


def test_shades_write_the_numbers_and_leave_what_is_missing_white():
    table = pd.DataFrame([[0.5, np.nan], [0.7, 0.6]], index=["svi", "nuts"], columns=["plugin", "laplace"])
    figure = shades({"dopt": table, "bald": table + 0.1}, "1 − Spearman")
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["0.500", "0.700", "0.600"]
    assert figure.axes[0].images[0].get_clim() == figure.axes[1].images[0].get_clim()


def test_shades_of_equal_numbers_need_no_range():
    assert shades({"one": pd.DataFrame([[0.5, 0.5]])}, "x").axes


def test_maps_have_a_row_a_design_and_grey_candidates_in_the_first_column():
    rng = np.random.default_rng(0)
    grid = np.linspace(-1, 1, 5)
    maps = xr.Dataset(
        {
            "reward": (("design", "round", "y", "x"), rng.normal(size=(2, 3, 5, 5))),
            "pair": (("design", "round", "comparison", "end", "axis"), rng.normal(size=(2, 3, 7, 2, 2))),
            "candidate": (("design", "point", "axis"), rng.normal(size=(2, 20, 2))),
            "truth": (("y", "x"), rng.normal(size=(5, 5))),
        },
        {"design": ["Random", "D-opt"], "round": range(3), "x": grid, "y": grid},
    )
    axes = np.array(reward_maps(maps).axes).reshape(2, 3)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["Random", "D-opt"]
    assert [len(axis.lines) for axis in axes[0]] == [2, 1, 1]
    np.testing.assert_allclose(axes[1, 0].lines[0].get_xydata(), maps["candidate"].values[1])
    np.testing.assert_allclose(axes[1, 2].lines[0].get_xydata(), maps["pair"].values[1, 2].reshape(-1, 2))


def test_lines_over_any_dimension_with_one_seed_have_no_bars():
    values = xr.DataArray([[1.0, 2.0]], dims=("seed", "labels_asked"), coords={"labels_asked": [30, 60]})
    axis = scatter_lines({"laplace": {"width 4": values}}, "labels_asked", "labels", "k̂", line=0.7).axes[0]
    np.testing.assert_array_equal(axis.lines[0].get_xdata(), [30, 60])
