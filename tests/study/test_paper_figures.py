"""The paper's layouts, from synthetic trajectories whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayesrm.evaluation.intervals import mean_interval, paired_interval
from bayesrm.study import load_study, studies
from bayesrm.study.declaration import differences
from bayesrm.study.paper_figures import (
    display,
    efficiency,
    factor,
    factor_effects,
    says_factor,
    says_who_wins,
    standings,
    tasks,
)

SEEDS, ROUNDS = 5, 4
APPROACHES = ["paper random", "paper dopt", "ours random", "ours bald"]


def _trajectory(
    pools=("quickstart",), extra=("scope", ("within-prompt", "cross-prompt")), effect=0.0
) -> xr.Dataset:
    """D-opt halves the distance to 0.4 faster than random, BALD loses; ``effect`` is of the second extra value."""
    rng = np.random.default_rng(0)
    name, values = extra
    shape = (len(pools), len(values), len(APPROACHES), SEEDS, ROUNDS)
    labels = 50 * np.arange(1, ROUNDS + 1)
    speed = np.array([1.0, 2.0, 1.0, 0.5])[None, None, :, None, None]
    value = 0.4 + 0.6 * np.exp(-speed * labels / 100) + 0.002 * rng.normal(size=shape)
    value[:, 1] += effect
    best = np.stack([1 - value, 2 - value], axis=-1)
    dims = ("pool", name, "approach", "seed", "round")
    return xr.Dataset(
        {"one_minus_spearman": (dims, value), "best_of_n": ((*dims, "n"), best)},
        {
            "pool": list(pools),
            name: list(values),
            "approach": APPROACHES,
            "seed": range(SEEDS),
            "round": range(ROUNDS),
            "n": [2, 40],
            "labels": ("round", labels),
        },
    )


def test_a_figure_a_scope_with_a_column_for_the_papers_and_one_for_ours():
    figures = efficiency(_trajectory())
    assert list(figures) == ["within_prompt", "cross_prompt"]
    axes = np.array(figures["within_prompt"].axes).reshape(2, 2)
    assert [axis.get_title() for axis in axes[0]] == ["quickstart, as the paper computes it", "quickstart, ours"]
    legend = [text.get_text() for text in figures["within_prompt"].legends[0].get_texts()]
    assert legend == ["D-opt", "Random", "BALD"]


def test_tasks_of_the_papers_pools_get_figures_of_their_own():
    pools = ("gemma2b harmless", "gemma2b helpful", "gemma7b harmless", "gemma7b helpful")
    trajectory = _trajectory(pools)
    assert tasks(trajectory) == {"harmless": [pools[0], pools[2]], "helpful": [pools[1], pools[3]]}
    figures = efficiency(trajectory)
    assert list(figures) == [
        "within_prompt_harmless", "within_prompt_helpful", "cross_prompt_harmless", "cross_prompt_helpful",
    ]  # fmt: skip
    assert len(figures["cross_prompt_helpful"].axes) == 2 * 4


def test_standings_are_against_random_of_the_same_computation():
    table = standings(_trajectory()).set_index(["approach", "scope"])
    assert table.loc[("paper dopt", "within-prompt"), "area_difference_high"] < 0
    assert table.loc[("ours bald", "cross-prompt"), "area_difference_low"] > 0
    assert 0.3 < table.loc[("paper dopt", "within-prompt"), "ratio"] < 0.7
    said = says_who_wins(_trajectory()).splitlines()
    assert said[0].startswith("As the paper computes them, 2 of 2 comparisons")
    assert "D-opt" in said[0]
    assert "0 of 2 comparisons of a design with random pairs are clearly better and 2 clearly worse" in said[1]


def test_a_factor_has_a_column_an_approach_and_a_line_a_value():
    trajectory = _trajectory(extra=("hidden", ("64", "128")), effect=0.05)
    (figure,) = factor(trajectory, "hidden", "hidden units").values()
    axes = np.array(figure.axes).reshape(2, len(APPROACHES))
    assert [axis.get_title() for axis in axes[0]] == [display(name) for name in APPROACHES]
    assert len(axes[0, 0].lines) == 2
    effects = factor_effects(trajectory, "hidden").query("hidden == '128'")
    assert effects["area_difference"].to_numpy() == pytest.approx(0.05, abs=0.006)
    assert (effects["area_difference_low"] > 0).all()
    assert "clearly worse for 4" in says_factor(trajectory, "hidden", "hidden units")


def test_batches_of_different_size_are_compared_after_as_many_labels():
    trajectory = _trajectory(extra=("batch", ("50", "100")), effect=0.0)
    small, large = trajectory.sel(batch="50"), trajectory.sel(batch="100")
    thinned = large.isel(round=[1, 3]).assign_coords(round=[0, 1]).drop_vars("labels").reindex(round=range(ROUNDS))
    labels = xr.DataArray(
        [[50, 100, 150, 200], [100, 200, 300, 400]], dims=("batch", "round"), coords={"batch": ["50", "100"]}
    )
    both = xr.concat([small.drop_vars("labels"), thinned], "batch").assign_coords(labels=labels)
    effects = factor_effects(both, "batch").query("batch == '100'")
    expected = large.isel(round=3)["one_minus_spearman"] - small.isel(round=3)["one_minus_spearman"]
    np.testing.assert_allclose(effects["difference"], expected.mean("seed").values[0])


def test_seeds_that_lack_either_side_are_left_out_of_paired_intervals():
    values, baseline = np.array([1.0, 2.0, np.nan, 4.0, 5.5]), np.array([0.5, np.nan, 1.0, 2.0, 5.0])
    assert paired_interval(values, baseline) == mean_interval(np.array([0.5, 2.0, 0.5]))


def test_the_worst_is_not_called_the_best():
    """Where no design beats random, that is what is said; our BALD is worse in this world."""
    ours = _trajectory()
    ours = ours.sel(
        approach=[name for name in ours["approach"].values if str(name) in ("ours random", "ours bald")]
    )
    said = says_who_wins(ours)
    assert "the best is" not in said
    assert "BALD is no better than random on average" in said
    assert "the best is" in says_who_wins(_trajectory()).splitlines()[0]


@pytest.mark.parametrize("name", studies())
def test_a_tiny_study_says_in_what_it_differs(name):
    full, tiny = load_study(name), load_study(name, tiny=True)
    assert differences(full) == ""
    said = differences(tiny)
    for key, value in tiny.settings.items():
        if value != full.settings.get(key):
            assert f"{key.replace('_', ' ')} {value} instead of " in said
    assert (f"{len(tiny.grid['seed'])} seed" in said) == (len(tiny.grid["seed"]) != len(full.grid["seed"]))
