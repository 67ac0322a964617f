"""Intervals cover what they say, savings that are known are found, and nothing is claimed of what was not reached."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import t as student
from sklearn.isotonic import IsotonicRegression

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.comparison import (
    area_under_curve,
    compare,
    early_sentence,
    labels_to_target,
    markdown,
    ranks,
    saving_sentence,
)
from bayesrm.evaluation.intervals import mean_interval
from bayesrm.evaluation.learning_curves import Curves, area, falling, needed, saving

LABELS = np.arange(100.0, 1100.0, 100.0)
REPETITIONS = 500
COVERED = (0.93, 0.97)
"""What the 95% interval has to cover of 500 repetitions; the Monte Carlo standard error is one percent."""


def level(labels: np.ndarray) -> np.ndarray:
    """A learning curve: 0.75 at 100 labels, 0.63 at 1,000."""
    return 0.5 + labels**-0.3


def curves(
    random: np.random.Generator, ratio: float, seeds: int, noise: float, memory: float
) -> tuple[Curves, Curves]:
    """A design that needs ``ratio`` of the labels, and its baseline; seeds have a level in common, rounds a memory."""
    common = 0.02 * random.standard_normal((seeds, 1))

    def noisy() -> np.ndarray:
        walk = random.standard_normal((seeds, len(LABELS)))
        for t in range(1, len(LABELS)):
            walk[:, t] = memory * walk[:, t - 1] + np.sqrt(1 - memory**2) * walk[:, t]
        return common + noise * walk

    return Curves(LABELS, level(LABELS / ratio) + noisy()), Curves(LABELS, level(LABELS) + noisy())


@pytest.mark.parametrize(
    ("ratio", "target", "seeds", "noise", "memory"),
    [
        (0.42, 0.66, 5, 0.010, 0.5),
        (0.42, 0.66, 5, 0.015, 0.8),
        (0.70, 0.66, 5, 0.010, 0.5),
        (1.00, 0.67, 5, 0.010, 0.3),
        (0.42, 0.66, 12, 0.020, 0.5),
    ],
)
def test_the_interval_of_a_known_saving_covers_it(ratio, target, seeds, noise, memory):
    random = np.random.default_rng(1)
    found = [saving(*curves(random, ratio, seeds, noise, memory), target) for _ in range(REPETITIONS)]
    covered = np.mean([interval.low <= ratio <= interval.high for interval in found])
    assert COVERED[0] <= covered <= COVERED[1]
    assert np.median([interval.estimate for interval in found]) == pytest.approx(ratio, rel=0.06)


@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_the_bootstrap_over_five_seeds_covers_a_mean(draw):
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(REPETITIONS):
        values = random.standard_normal(5) if draw == "normal" else random.gamma(4, size=5) - 4
        interval = mean_interval(values, resamples=499)
        covered += interval.low <= 0 <= interval.high
    assert COVERED[0] <= covered / REPETITIONS <= COVERED[1]


@pytest.mark.parametrize("method", ["bootstrap", "student"])
@pytest.mark.parametrize("spread", [(1.0, 1.0, 3.0), (0.1, 2.0, 1.0), (1.0, 0.3, 1.0)])
def test_an_interval_over_seeds_and_prompts_covers_the_mean_over_both(method, spread):
    """Seeds, prompts and what remains have these standard deviations; there are five and thirty of them."""
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(REPETITIONS):
        of_seed, of_prompt, rest = (
            sd * random.standard_normal(size) for sd, size in zip(spread, ((5, 1), (1, 30), (5, 30)), strict=True)
        )
        interval = mean_interval(of_seed + of_prompt / 2 + rest, method=method, resamples=299)
        covered += interval.low <= 0 <= interval.high
    assert COVERED[0] - 0.005 <= covered / REPETITIONS <= 0.985


def test_student_by_hand():
    values = np.array([0.1, 0.3, 0.2])
    interval = mean_interval(values)  # too few for a bootstrap
    assert interval.estimate == pytest.approx(0.2)
    assert interval.high - 0.2 == pytest.approx(4.302653 * 0.1 / np.sqrt(3))
    assert 0.2 - interval.low == pytest.approx(interval.high - 0.2)


def _components(table: np.ndarray) -> tuple[float, float, float]:
    """Variances of seeds' means, of prompts' means and of what is left, summed cell by cell."""
    n, prompts = table.shape
    mean = sum(table[s, p] for s in range(n) for p in range(prompts)) / (n * prompts)
    row, column = table.mean(axis=1), table.mean(axis=0)
    left = sum((table[s, p] - row[s] - column[p] + mean) ** 2 for s in range(n) for p in range(prompts))
    of_seeds = sum((row[s] - mean) ** 2 for s in range(n)) / (n - 1)
    of_prompts = sum((column[p] - mean) ** 2 for p in range(prompts)) / (prompts - 1)
    return of_seeds, of_prompts, left / ((n - 1) * (prompts - 1))


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["the rest alone", "seeds and prompts"])
def test_student_over_seeds_and_prompts_by_hand(share):
    """V = s²_seed/n + s²_prompt/P − s²_rest/(nP), not below either part, with Satterthwaite's degrees of freedom."""
    random = np.random.default_rng(6)
    table = share * (random.standard_normal((3, 1)) + random.standard_normal((1, 7))) + random.standard_normal(
        (3, 7)
    )
    of_seeds, of_prompts, rest = _components(table)
    a, b = of_seeds / 3, of_prompts / 7
    variance = max(a + b - rest / 21, a, b)
    assert (variance > max(a, b)) == bool(share), "one case for either bound"
    freedom = (a + b) ** 2 / (a**2 / 2 + b**2 / 6)
    interval = mean_interval(table, level=0.9, method="student")
    assert interval.estimate == pytest.approx(table.mean())
    assert interval.high - table.mean() == pytest.approx(student.ppf(0.95, freedom) * np.sqrt(variance))
    assert table.mean() - interval.low == pytest.approx(student.ppf(0.95, freedom) * np.sqrt(variance))


@pytest.mark.parametrize("prompts", [1, 6])
def test_the_bootstrap_by_brute_force(prompts):
    """t = (mean* − mean) / √V* of resamples that are written out; skewed values tell one end from the other."""
    random = np.random.default_rng(7)
    table = random.gamma(1.0, size=(5, prompts)) + 2 * random.gamma(1.0, size=(5, 1))
    draw = rng.stream(3, "bootstrap")
    times = draw.multinomial(5, np.full(5, 0.2), size=400)
    prompt_times = draw.multinomial(prompts, np.full(prompts, 1 / prompts), size=400)

    def error(values: np.ndarray) -> float:
        if prompts == 1:
            return float(np.sqrt(values.var(ddof=1) / 5))
        of_seeds, of_prompts, rest = _components(values)
        a, b = of_seeds / 5, of_prompts / prompts
        return float(np.sqrt(max(a + b - max(rest, 0.0) / (5 * prompts), a, b)))

    t = []
    for of_seed, of_prompt in zip(times, prompt_times, strict=True):
        again = table[np.repeat(np.arange(5), of_seed)][:, np.repeat(np.arange(prompts), of_prompt)]
        t.append((again.mean() - table.mean()) / error(again))
    low, high = np.quantile(t, [0.05, 0.95], method="nearest")
    interval = mean_interval(table, level=0.9, resamples=400, seed=3)
    assert interval.low == pytest.approx(table.mean() - high * error(table))
    assert interval.high == pytest.approx(table.mean() - low * error(table))
    assert abs(high + low) > 0.02, "or nothing tells one end from the other"


def test_one_seed_says_nothing_and_equal_seeds_leave_no_doubt():
    alone = mean_interval(np.array([0.4]))
    assert (alone.estimate, np.isnan(alone.low)) == (0.4, True)
    equal = mean_interval(np.full(5, 0.25))
    assert (equal.low, equal.high) == (0.25, 0.25)


def test_the_nearest_falling_curve_is_isotonic_regression():
    noisy = np.random.default_rng(0).standard_normal((20, 9))
    expected = [IsotonicRegression(increasing=False).fit_transform(np.arange(9), curve) for curve in noisy]
    np.testing.assert_allclose(falling(noisy), expected, atol=1e-12)


def test_labels_needed_are_interpolated_and_infinite_where_never_reached():
    labels = np.array([100.0, 200.0, 400.0])
    curve = np.array([[0.8, 0.7, 0.6], [0.8, 0.7, 0.7], [0.5, 0.4, 0.3], [0.8, 0.6, 0.7]])
    # Halfway in the logarithm; never; from the start; a rise is evened out to 0.65, which the target is not.
    np.testing.assert_allclose(needed(labels, curve, 0.65), [np.sqrt(200 * 400), np.inf, 100, 200])
    np.testing.assert_allclose(needed(labels, curve, 0.6), [400, np.inf, 100, np.inf])


def test_the_area_is_the_mean_over_labels():
    one = Curves(np.array([100.0, 300.0, 400.0]), np.array([[1.0, 0.0, 0.0]]))
    assert area(one)[0] == pytest.approx(100 / 300)
    by_prompt = Curves(one.labels, np.stack([one.values, one.values + 1], axis=-1))
    np.testing.assert_allclose(area(by_prompt), [[100 / 300, 1 + 100 / 300]])


def trajectory(values: dict[str, np.ndarray], metric: str = "one_minus_spearman", **coordinates) -> xr.Dataset:
    """Values of (setting, seed, round) by design."""
    data = np.stack(list(values.values()), axis=1)
    axes = ("pool", "design", "seed", "round")
    rounds = data.shape[-1]
    return xr.Dataset(
        {metric: (axes, data)},
        coords={
            "pool": [f"pool {i}" for i in range(len(data))],
            "design": list(values),
            "seed": np.arange(data.shape[2]),
            "round": np.arange(rounds),
            "labels": ("round", (100 * np.arange(1, rounds + 1))),
            **coordinates,
        },
    )


@pytest.fixture
def designs() -> xr.Dataset:
    """In two pools: a design that needs half the labels, one that stands still, one that was not run everywhere."""
    random = np.random.default_rng(4)
    shape = (2, 6, 10)
    noise = 0.004 * random.standard_normal((3, *shape))
    gaps = level(LABELS) + noise[2]
    gaps[1] = np.nan
    return trajectory(
        {
            "random": level(LABELS) + noise[0],
            "half": level(2 * LABELS) + noise[1],
            "stuck": np.full(shape, 0.75) + noise[2],
            "partly": gaps,
        }
    )


def test_a_comparison_says_what_each_design_is_worth(designs):
    table = compare(designs, target=0.66).set_index(["pool", "design"], drop=False)
    assert len(table) == 7
    half, stuck, random = (table.loc[("pool 0", name)] for name in ("half", "stuck", "random"))
    assert half["seeds"] == 6
    assert half["ratio_low"] < 0.5 < half["ratio_high"] < 0.75
    assert half["difference_low"] < level(2000.0) - level(1000.0) < half["difference_high"] < 0
    assert half["area_difference_high"] < 0
    early = float(half["early_labels"])
    assert early == min(labels for labels in LABELS if labels >= 1000 / 8)
    assert half["early_difference_low"] < level(2 * early) - level(early) < half["early_difference_high"] < 0
    told = rf"after {early:.0f} of 1,000 labels its 1 − Spearman .* less that of random is -0\.\d{{3}}, 95% interval -"
    assert re.match(told, early_sentence(half))
    assert half["labels_to_target"] == pytest.approx(226, rel=0.15)
    assert (half["rank"], table.loc[("pool 1", "half"), "rank"]) == (1, 1)
    assert (random["difference"], random["ratio"]) == (0, 1)
    assert stuck["ratio_low"] > 2
    assert np.isinf([stuck["ratio"], stuck["ratio_high"]]).all()
    told = r"half reaches 0\.66 with 0\.\d\d× the labels of random, 95% interval 0\.\d\d–0\.\d\d"
    assert re.fullmatch(told, saving_sentence(half))
    assert "stuck does not reach 0.66 within 1,000 labels: it needs at least 2" in saving_sentence(stuck)
    final = compare(designs).set_index(["pool", "design"]).loc[("pool 0", "half")]
    assert final["target"] == pytest.approx(level(1000.0), abs=0.01)
    assert 0.8 * final["ratio_low"] < 0.5 < 1.2 * final["ratio_high"]


def test_what_a_saving_says_where_there_is_little_to_say():
    row = {"design": "dopt", "baseline": "random", "target": 0.6, "labels": 500, "ratio": 0.5}
    row |= {"ratio_low": 0.0, "ratio_high": 0.8}
    assert saving_sentence(row).endswith("95% interval up to 0.80")
    assert saving_sentence(row | {"ratio_high": np.inf}).endswith("open to both sides")
    assert saving_sentence(row | {"ratio_low": 0.3, "ratio_high": np.inf}).endswith("95% interval 0.30 or more")
    assert saving_sentence(row | {"ratio_low": np.nan}).endswith("in a single run")
    assert (
        saving_sentence(row | {"ratio": np.nan}) == "random does not reach 0.60, so there is no saving to speak of"
    )


def test_where_higher_is_better_signs_are_as_the_metric_has_them(designs):
    flipped = trajectory(
        {name: -designs["one_minus_spearman"].sel(design=name).values for name in ("random", "half")}, "best_of_n"
    )
    flipped["best_of_n"] = flipped["best_of_n"].expand_dims(n=[2, 4], axis=-1)
    up = compare(flipped, "best_of_n", target=-0.66).set_index(["pool", "design"]).loc[("pool 0", "half")]
    down = compare(designs, target=0.66).set_index(["pool", "design"]).loc[("pool 0", "half")]
    assert up["final"] == -down["final"]
    assert up["difference"] == pytest.approx(-down["difference"])
    assert up["difference_low"] == pytest.approx(-down["difference_high"])
    assert (up["ratio"], up["ratio_low"]) == (down["ratio"], down["ratio_low"])
    assert up["rank"] == 1


def test_prompts_widen_an_interval(designs):
    random = np.random.default_rng(5)
    base = designs["one_minus_spearman"].sel(design=["random", "half"])
    effect = xr.DataArray(0.1 * random.standard_normal((2, 40)), dims=("design", "test_prompt"))
    effect = effect - effect.mean("test_prompt")
    with_prompts = designs.sel(design=["random", "half"]).assign(one_minus_spearman_by_prompt=base + effect)
    wide, narrow = (
        compare(data, target=0.66).set_index(["pool", "design"]).loc[("pool 0", "half")]
        for data in (with_prompts, designs)
    )
    assert wide["difference"] == pytest.approx(narrow["difference"])
    assert wide["difference_high"] - wide["difference_low"] > 2 * (
        narrow["difference_high"] - narrow["difference_low"]
    )
    assert wide["ratio_low"] < narrow["ratio_low"]


def test_each_run_has_an_area_and_the_labels_it_needed(designs):
    areas = area_under_curve(designs)
    assert areas.dims == ("pool", "design", "seed")
    run = designs["one_minus_spearman"].sel(pool="pool 0", design="half", seed=3).values
    expected = ((run[1:] + run[:-1]) / 2).mean()
    assert float(areas.sel(pool="pool 0", design="half", seed=3)) == pytest.approx(expected)
    assert areas.sel(pool="pool 1", design="partly").isnull().all()
    reached = labels_to_target(designs, "one_minus_spearman", 0.66)
    assert np.isinf(reached.sel(design="stuck")).all()
    assert (reached.sel(design="half") < reached.sel(design="random")).all()


def test_batches_of_different_size_are_compared_where_both_have_labels():
    """Labels along (batch_size, round): the larger batch has fewer rounds."""
    values = np.full((2, 2, 3, 4), np.nan)
    labels = np.array([[50, 100, 150, 200], [100, 200, 300, 400]])
    for i in range(2):
        kept = 4 if i == 0 else 2
        values[i, :, :, :kept] = level(labels[i, :kept])
    values[:, 1] -= 0.05
    data = xr.Dataset(
        {"one_minus_spearman": (("batch_size", "design", "seed", "round"), values)},
        coords={
            "batch_size": [50, 100], "design": ["random", "dopt"], "seed": range(3), "round": range(4),
            "labels": (("batch_size", "round"), labels),
        },
    )  # fmt: skip
    table = compare(data)
    assert table["labels"].tolist() == [200] * 4
    assert table.loc[table["design"] == "dopt", "difference"].tolist() == pytest.approx([-0.05, -0.05])
    across = compare(data.sel(design="dopt", drop=True), over="batch_size", baseline=50)
    assert across["difference"].tolist() == pytest.approx([0, 0])
    # Areas are over the labels that both have: 50 to 200 of the baseline with itself, and 100 to 200.
    small, large = level(np.array([50.0, 100.0, 150.0, 200.0])) - 0.05, level(np.array([100.0, 200.0])) - 0.05
    expected = [(small[0] / 2 + small[1] + small[2] + small[3] / 2) / 3, large.mean()]
    assert across["area"].tolist() == pytest.approx(expected)


def test_ranks_over_settings(designs):
    table = ranks(designs.sel(design=["random", "half", "stuck"])).set_index("design")
    assert list(table.index) == ["half", "random", "stuck"]
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["wins"].tolist() == [2, 0, 0]
    assert (table["settings"] == 2).all()
    assert (table["seeds"] == 6).all()
    partly = ranks(designs).set_index("design")
    assert (partly["settings"] == 1).all()
    with pytest.raises(InvalidInputError, match="nothing can be ranked"):
        ranks(designs.sel(pool=["pool 1"]))


def test_an_interval_of_a_rank_is_over_settings_where_there_are_four_else_over_seeds():
    random = np.random.default_rng(8)
    values = random.standard_normal((4, 3, 6, 1)) + np.array([0.0, 0.4, 0.8])[:, None, None]
    whole = trajectory(dict(zip("abc", values.transpose(1, 0, 2, 3), strict=True)))
    rank = 1 + (values[..., 0][:, :, None] > values[..., 0][:, None]).sum(axis=2)  # (setting, design, seed)
    for settings, averaged in ((4, 1), (2, 0)):
        table = ranks(whole.isel(pool=slice(settings))).set_index("design")
        for i, design in enumerate("abc"):
            expected = mean_interval(rank[:settings, i].mean(axis=averaged))
            row = table.loc[design, ["rank", "rank_low", "rank_high"]].tolist()
            assert row == pytest.approx([expected.estimate, expected.low, expected.high])
    upside_down = trajectory(dict(zip("abc", -values.transpose(1, 0, 2, 3), strict=True)), "pairwise_accuracy")
    pd.testing.assert_frame_equal(ranks(upside_down, "pairwise_accuracy"), ranks(whole))


def test_what_is_not_there_is_said(designs):
    with pytest.raises(InvalidInputError, match=r"no metric accuracy .* there are one_minus_spearman"):
        compare(designs, "accuracy")
    with pytest.raises(InvalidInputError, match="expected 'dopt' among the labels of design, got random, half"):
        compare(designs, baseline="dopt")
    with pytest.raises(InvalidInputError, match="level between 0 and 1"):
        mean_interval(np.arange(3.0), level=95.0)


def test_a_table_in_markdown():
    table = pd.DataFrame({"name": ["a|b", "c"], "value": [0.12345, np.nan], "count": [3, 4]})
    assert markdown(table).splitlines() == [
        "| name | value | count |",
        "| --- | ---: | ---: |",
        "| a\\|b | 0.123 | 3 |",
        "| c | – | 4 |",
    ]
