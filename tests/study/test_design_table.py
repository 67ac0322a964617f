"""The study of every design against random: its arithmetic, and its tiny setting end to end."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

import bayesrm as brm
from bayesrm.evaluation.intervals import mean_interval

STUDY = Path(__file__).resolve().parents[2] / "studies" / "design_table.py"


@pytest.fixture(scope="module")
def study():
    return runpy.run_path(str(STUDY))


def _line(pool, design, seed, by_prompt, asked="within"):
    found = {"by_prompt": by_prompt, "log_loss": [0.6], "best_of_n": [1.0], "seconds": 1.0}
    return {"pool": pool, "asked": asked, "design": design, "seed": seed, "found": found}


def _lines(gains: dict[str, float], pool="a", seeds=4, prompts=30, asked="within"):
    """Designs whose difference to random is a gain and a little chance."""
    draw = np.random.default_rng(0)
    base = draw.uniform(0.4, 0.6, (seeds, prompts))
    cells = [_line(pool, "random", seed, [base[seed].tolist()] * 2, asked) for seed in range(seeds)]
    for design, gain in gains.items():
        own = base + gain + draw.normal(0, 0.01, base.shape)
        cells += [_line(pool, design, seed, [own[seed].tolist()] * 2, asked) for seed in range(seeds)]
    return cells


def test_differences_are_paired_by_seed_and_prompt_and_averaged_over_batches(study):
    cells = [
        _line("a", "random", 0, [[0.5, 0.4, None], [0.3, 0.2, None]]),
        _line("a", "random", 1, [[0.5, 0.5, None], [0.5, 0.5, None]]),
        _line("a", "epig", 1, [[0.4, 0.6, None], [0.2, 0.6, None]]),
        _line("a", "epig", 2, [[0.0, 0.0, None], [0.0, 0.0, None]]),
        {**_line("a", "moments", 0, []), "found": None},
    ]
    found = study["differences"](cells)
    assert list(found) == [("a", "within", "epig")]
    np.testing.assert_allclose(found["a", "within", "epig"], [[-0.2, 0.1]])


def test_an_interval_is_no_narrower_than_that_over_seeds_alone(study):
    cube = np.random.default_rng(0).normal(size=(4, 1)) + np.random.default_rng(1).normal(0, 0.1, size=(4, 20))
    found, seeds = study["interval"](cube), ttest_1samp(cube.mean(axis=1), 0).confidence_interval(0.95)
    assert found.low <= seeds.low + 1e-12
    assert found.high >= seeds.high - 1e-12
    assert found.high - found.low >= np.ptp([*_ends(mean_interval(cube, method="student"))]) - 1e-12
    assert np.isnan(study["interval"](cube[:1]).low)


def _ends(found):
    return found.low, found.high


def test_the_p_value_is_that_of_the_t_test_where_prompts_say_nothing(study):
    cube = np.random.default_rng(2).normal(0.5, 1.0, size=(6, 1))
    assert study["p_value"](cube) == pytest.approx(ttest_1samp(cube[:, 0], 0).pvalue, rel=1e-6)
    assert study["p_value"](cube[:1]) == 1.0


def test_holm_adjusts_for_all(study):
    adjusted = study["holm"](
        {("a", "b", name): p for name, p in zip("xyzw", (0.01, 0.04, 0.03, 0.9), strict=True)}
    )
    assert [round(adjusted["a", "b", name], 9) for name in "xyzw"] == [0.04, 0.09, 0.09, 0.9]


def test_the_total_is_over_pools_and_a_default_is_nowhere_worse(study):
    gains = {"good": -0.05, "worse": 0.05, "even": 0.0, "mixed": -0.05}
    cells = _lines(gains) + _lines(gains, asked="across") + _lines(gains | {"mixed": 0.04}, pool="b")
    found = study["differences"](cells)
    share = {"good": -0.05, "worse": 0.05, "even": 0.0, "mixed": -0.05 * 2 / 3 + 0.04 / 3}
    for design, expected in share.items():
        assert study["total"](found, design).estimate == pytest.approx(expected, abs=0.005)
    text = study["table"](cells)
    assert text.endswith("better in total: good.\n")
    pairs_only = cells + [{**line, "design": "pairs only"} for line in cells if line["design"] == "good"][:-4]
    assert study["table"](pairs_only).endswith("better in total: good.\n"), "a default is known everywhere"
    good = next(line for line in text.splitlines() if line.startswith("| good"))
    assert good.count(" *") == 3
    assert "| even | " in text
    assert " *" not in next(line for line in text.splitlines() if line.startswith("| even"))


def test_every_design_is_in_the_plan(study):
    assert sorted(study["ordered"](brm.designs())) == sorted(brm.designs())
    assert set(study["FIRST"]) <= set(brm.designs())


def test_it_runs_in_its_tiny_setting_and_goes_on_where_it_was(study, tmp_path, monkeypatch, capsys):
    out = tmp_path / "designs.jsonl"
    small = (
        study["Setting"]("within", "within-prompt", 2, (5, 5)),
        study["Setting"]("lists", "within-prompt", 3, (4,)),
    )
    monkeypatch.setitem(study["collect"].__globals__, "SETTINGS", small)
    monkeypatch.setitem(
        study["collect"].__globals__, "linear_world", lambda: study["linear_world"](prompts=8, responses=5, dim=4)
    )
    monkeypatch.setattr("sys.argv", [str(STUDY), "--tiny", "--out", str(out)])
    study["main"]()
    first = capsys.readouterr().out
    cells = [json.loads(line) for line in out.read_text().splitlines()]
    assert [cell["seed"] for cell in cells] == [0] * 4 + [1] * 4, "seeds are outermost"
    whole = out.read_text()
    out.write_text(whole[: len(whole) * 3 // 4])
    study["main"]()
    assert capsys.readouterr().out == first
    again = [
        {**json.loads(line)["found"], "seconds": 0} for line in out.read_text().splitlines() if line[-1:] == "}"
    ]
    assert again == [{**cell["found"], "seconds": 0} for cell in cells]
    monkeypatch.setattr("sys.argv", [str(STUDY), "--table", "--out", str(out)])
    study["main"]()
    assert capsys.readouterr().out == first
    assert "| within-first | " in first


def test_a_design_of_pairs_has_no_curve_of_lists(study):
    world = study["linear_world"](prompts=8, responses=5, dim=4)
    setting = study["Setting"]("lists", "within-prompt", 3, (4,))
    assert study["measure"](world, setting, "r-idea", 0, "linear") is None
    assert study["measure"](world, setting, "near-ties", 0, "linear") is not None
