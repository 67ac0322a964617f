"""The table and the sentence claim no more than the seeds allow."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from bayesrm.evaluation.summary import final_table, verdict


def trajectory(values: dict[str, list[float]]) -> xr.Dataset:
    """One scope and inference, one round, the metric of each seed by design."""
    data = np.array(list(values.values()))[None, None, :, :, None]
    axes = ("scope", "inference", "design", "seed", "round")
    return xr.Dataset(
        {"one_minus_spearman": (axes, data)},
        coords={
            "scope": ["within-prompt"],
            "inference": ["laplace"],
            "design": list(values),
            "seed": np.arange(data.shape[3]),
            "round": [0],
            "labels": ("round", [100]),
        },
    )


def test_mean_error_and_paired_difference():
    table = final_table(trajectory({"random": [0.5, 0.7, 0.6], "dopt": [0.4, 0.5, 0.6]})).set_index("design")
    assert table.loc["dopt", "one_minus_spearman"] == pytest.approx(0.5)
    assert table.loc["dopt", "one_minus_spearman_se"] == pytest.approx(0.1 / np.sqrt(3))
    assert table.loc["dopt", "difference"] == pytest.approx(-0.1)
    assert table.loc["dopt", "difference_se"] == pytest.approx(0.1 / np.sqrt(3))
    assert (table["seeds"] == 3).all()
    assert (table["labels"] == 100).all()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        # −0.010 ± 0.004 over two seeds: 2.5 standard errors, and Student's t asks for 12.7.
        (
            {"random": [0.6, 0.6], "dopt": [0.586, 0.594]},
            "No 95% interval .* leaves out zero",
        ),
        # Differences of mean −0.025 and standard error 0.01: 2.5 of them, where Student's t of four degrees asks 2.78
        # for 95%, and 2.13 for 90%.
        (
            {
                "random": [0.6] * 5,
                "dopt": [0.575 + 0.01 * 5**0.5 * z for z in (-1.2649, -0.6325, 0, 0.6325, 1.2649)],
            },
            "No 95% interval .* leaves out zero",
        ),
        ({"random": [0.6] * 5, "dopt": [0.5, 0.51, 0.49, 0.5, 0.52]}, "Clearly better than random .*: dopt"),
        ({"random": [0.6] * 5, "dopt": [0.7, 0.71, 0.69, 0.7, 0.72]}, "Clearly worse than random .*: dopt"),
        ({"xtx": [0.6, 0.7], "dopt": [0.1, 0.2]}, "Random was not run"),
        ({"random": [0.6], "dopt": [0.1]}, "One seed says nothing of the spread"),
    ],
)
def test_verdict(values, sentence):
    assert re.search(sentence, verdict(final_table(trajectory(values))))


def test_rounds_that_not_all_runs_have_come_to_are_left_out():
    both = xr.concat([trajectory({"random": [0.5, 0.7]}), trajectory({"random": [0.1, np.nan]})], "round")
    both = both.assign_coords(round=[0, 1], labels=("round", [100, 200]))
    assert final_table(both)["labels"].tolist() == [100]
