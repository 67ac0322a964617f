"""The loop: repeatable to the bit, resumable after a kill at any moment, results that ArviZ opens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1]))
from killing import Ended, in_child

import bayesrm as brm
from bayesrm.diagnostics.arviz_lines import load_arviz
from bayesrm.errors import InvalidInputError
from bayesrm.inference import BayesianNetwork, Ensemble, MCDropout, Nuts, Svi
from bayesrm.inspection.diagnose import refitted_run
from bayesrm.inspection.explain import explain_run
from bayesrm.runs.combine import combine
from bayesrm.runs.results import open_results, read_trajectory

SETTINGS = {"design": "pa-dopt", "batch_size": 10, "rounds": 4, "prompts": 20, "candidates": 200, "draws": 20}


@pytest.fixture(scope="module")
def world():
    random = np.random.default_rng(3)
    embeddings = random.standard_normal((240, 8)).astype(np.float32)
    golden = embeddings @ random.standard_normal(8)
    pool = brm.ResponsePool(embeddings[:160], np.repeat(np.arange(20), 8))
    test = brm.ResponsePool(embeddings[160:], np.repeat(np.arange(10), 8))
    return pool, golden[:160], (test, golden[160:])


def run(world, **changes):
    pool, golden, test = world
    settings = {"model": brm.RewardModel(8, "linear"), **SETTINGS, **changes}
    return brm.run(pool, brm.GoldenAnnotator(golden, seed=1), settings.pop("test", test), **settings)


def test_a_run_learns_and_reports_its_trajectory(world):
    tree = run(world, inference="laplace", rounds=8)
    trajectory = tree["trajectory"]
    np.testing.assert_array_equal(trajectory["labels"], 10 * np.arange(1, 9))
    one_minus_spearman = trajectory["one_minus_spearman"].values
    assert one_minus_spearman[-1] < 0.3 < one_minus_spearman[0] + 0.3
    assert set(trajectory["n"].values) == {1, 2, 4, 8}
    assert {"log_loss", "brier", "ece", "pairwise_accuracy", "entropy", "gain"} <= set(trajectory.data_vars)
    asked = tree["selection"]
    assert asked.sizes["comparison"] == 80
    pairs = {frozenset(pair) for pair in zip(asked["first"].values, asked["second"].values, strict=True)}
    assert len(pairs) == 80, "no pair is asked twice"
    np.testing.assert_array_equal(tree["constant_data"]["first"], asked["first"])


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("inference", ["plugin", "laplace"])
def test_the_same_seed_gives_the_same_result_to_the_bit(world, inference):
    model = brm.RewardModel(8, "mlp", hidden=(4,))
    one, two = (run(world, inference=inference, model=model, rounds=2) for _ in range(2))
    other = run(world, inference=inference, model=model, rounds=2, seed=1)
    xr.testing.assert_identical(one, two)
    assert not np.array_equal(one["selection"]["first"], other["selection"]["first"])


def test_on_disk_and_in_memory_agree_and_a_finished_run_is_opened(world, tmp_path):
    in_memory = run(world)
    on_disk = run(world, out=tmp_path / "run")
    for group in ("posterior", "trajectory", "selection", "observed_data"):
        xr.testing.assert_identical(in_memory[group].to_dataset(), on_disk[group].to_dataset())
    quick = read_trajectory(tmp_path / "run/results.nc")
    xr.testing.assert_equal(quick, on_disk["trajectory"].to_dataset().load())
    before = (tmp_path / "run/results.nc").stat().st_mtime_ns
    again = run(world, out=tmp_path / "run")
    assert (tmp_path / "run/results.nc").stat().st_mtime_ns == before
    xr.testing.assert_identical(again["trajectory"].to_dataset().load(), on_disk["trajectory"].to_dataset())
    again.close()


def test_more_rounds_continue_a_finished_run(world, tmp_path):
    run(world, out=tmp_path / "run", rounds=2)
    longer = run(world, out=tmp_path / "run", rounds=4)
    xr.testing.assert_identical(longer["selection"].to_dataset(), run(world)["selection"].to_dataset())


def test_a_folder_of_another_configuration_is_refused(world, tmp_path):
    run(world, out=tmp_path / "run", rounds=1)
    with pytest.raises(InvalidInputError, match="another configuration: batch_size is 10 there and 11 here"):
        run(world, out=tmp_path / "run", rounds=1, batch_size=11)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="to be empty or the folder of a run"):
        run(world, out=tmp_path / "other")


@pytest.mark.parametrize(
    ("usual", "other", "said"),
    [
        (Ensemble(), Ensemble(members=2), '{"members": 2}'),
        (MCDropout(), MCDropout(0.2, draws=60), '{"draws": 60, "rate": 0.2}'),
        (BayesianNetwork(), BayesianNetwork(draws=9), '{"draws": 9}'),
        (Nuts(), Nuts(chains=2, workers=2), '{"chains": 2}'),
        (Svi(), Svi(joint=True, particles=3), '{"joint": true, "particles": 3}'),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_a_folder_of_other_settings_of_an_inference_is_refused(world, tmp_path, monkeypatch, usual, other, said):
    """Those of which all are the usual ones are as in folders of a time when none were recorded."""
    known = brm.fit(brm.RewardModel(8, "linear"), world[0], brm.Preferences.none(), "laplace")
    monkeypatch.setattr(type(usual), "fit", lambda *_, **__: known)
    out = tmp_path / "run"
    run(world, out=out, rounds=1, inference=usual)
    kept = json.loads((out / "run.json").read_text())
    assert kept.pop("inference_settings", None) is None
    (out / "run.json").write_text(json.dumps(kept))
    run(world, out=out, rounds=1, inference=usual)
    with pytest.raises(InvalidInputError) as caught:
        run(world, out=out, rounds=1, inference=other)
    assert f"inference_settings is null there and {said} here" in str(caught.value)


def test_a_run_with_settings_of_its_inference_is_opened_with_these(world, tmp_path):
    run(world, out=tmp_path / "run", rounds=1, inference=Ensemble(members=4), design="bald")
    again = refitted_run(tmp_path / "run", world[0])
    assert len(again.beta) == 4


@pytest.mark.parametrize("which", ["pool", "test"])
def test_a_pool_that_was_changed_anywhere_since_is_refused(world, tmp_path, which):
    pool, golden, (test, test_golden) = world
    run(world, out=tmp_path / "run", rounds=1)
    changed = {"pool": pool, "test": test}[which].embeddings.copy()
    sampled = np.linspace(0, len(changed) - 1, 64).round().astype(int)
    changed[np.setdiff1d(np.arange(len(changed)), sampled)[0], 2] += 1e-3  # where no sample looks
    other = brm.ResponsePool(changed, np.repeat(np.arange(len(changed) // 8), 8))
    there = (other, golden, world[2]) if which == "pool" else (pool, golden, (other, test_golden))
    with pytest.raises(InvalidInputError, match=f"the {which} of the run in .* was changed since it began"):
        run(there, out=tmp_path / "run", rounds=2)


def test_a_folder_that_is_older_than_digests_of_whole_pools_goes_on_and_says_what_is_not_known(world, tmp_path):
    run(world, out=tmp_path / "run", rounds=1)
    path = tmp_path / "run" / "run.json"
    kept = json.loads(path.read_text())
    assert set(kept.pop("contents")) == {"pool", "test"}
    path.write_text(json.dumps(kept))
    with pytest.warns(UserWarning, match="looked at 64 embeddings of a pool"):
        longer = run(world, out=tmp_path / "run", rounds=2)
    xr.testing.assert_identical(longer["selection"].to_dataset(), run(world, rounds=2)["selection"].to_dataset())


@pytest.mark.usefixtures("short_training")
def test_an_annotator_needs_nothing_but_label(world):
    pool, golden, _ = world

    class Oracle:
        def label(self, pairs):
            return brm.Preferences(pairs.first, pairs.second, golden[pairs.first] > golden[pairs.second])

    tree = brm.run(pool, Oracle(), **SETTINGS)
    assert "one_minus_spearman" not in tree["trajectory"]
    assert tree["observed_data"]["outcome"].mean() not in (0, 1)


def test_settings_that_cannot_work_are_refused(world):
    with pytest.raises(InvalidInputError, match="rounds: expected a number greater than 0, got 0"):
        run(world, rounds=0)
    with pytest.raises(InvalidInputError, match="batch of between 1 and 200"):
        run(world, batch_size=201)
    narrow = brm.ResponsePool(np.zeros((2, 3), np.float32) + np.arange(3, dtype=np.float32), np.zeros(2, int))
    with pytest.raises(InvalidInputError, match="test pool of embedding dimension 8"):
        run(world, test=(narrow, np.zeros(2)))


def test_settings_that_are_refused_leave_the_folder_free(world, tmp_path):
    test = world[2]
    out = tmp_path / "run"
    refused = [
        ({"batch_size": 201}, "batch of between 1 and 200"),
        ({"inference": "exact"}, "unknown inference"),
        ({"scope": "everywhere"}, "scope: expected .within-prompt. or"),
        ({"model": brm.RewardModel(5, "linear")}, "dimension 5, as the model was made for, got 8"),
        ({"seed": -1}, "seed: expected a number greater than or equal to 0"),
        ({"test": (test[0], test[1][:5])}, "golden"),
        ({"test": (test[0], np.zeros(80))}, "nothing to rank"),
        ({"device": "nowhere"}, "the device nowhere cannot be used here"),
    ]
    for changes, message in refused:
        with pytest.raises(InvalidInputError, match=message):
            run(world, out=out, **changes)
    with pytest.raises(brm.errors.CapabilityError, match="'bald' needs a posterior with spread"):
        run(world, out=out, inference="plugin", design="bald")
    assert run(world, out=out)["trajectory"].sizes["round"] == 4


def test_numpy_numbers_serve_as_settings(world):
    whole = run(world, seed=2)
    same = run(world, seed=np.int64(2), batch_size=np.int32(10), rounds=np.uint8(4), draws=np.int64(20))
    xr.testing.assert_identical(whole, same)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda pairs: np.ones(len(pairs)), "to return Preferences, got ndarray"),
        (lambda pairs: brm.Preferences([159], [158], [1.0]), r"one to the pair \(159, 158\)"),
    ],
)
def test_answers_to_other_questions_are_not_kept(world, tmp_path, answer, message):
    class Confused:
        def label(self, pairs):
            return answer(pairs)

    with pytest.raises(InvalidInputError, match=message):
        brm.run(world[0], Confused(), out=tmp_path / "run", **SETTINGS)
    assert not list(tmp_path.glob("run/rounds/*.labels.parquet"))


def test_fewer_rounds_do_not_cut_a_run_short(world, tmp_path):
    run(world, out=tmp_path / "run")
    before = (tmp_path / "run/results.nc").read_bytes()
    assert run(world, out=tmp_path / "run", rounds=2)["trajectory"].sizes["round"] == 2
    assert (tmp_path / "run/results.nc").read_bytes() == before


def test_damaged_files_are_named(world, tmp_path):
    out = tmp_path / "run"
    whole = run(world, out=out)
    (out / "results.nc").write_bytes(b"\x89HDF")
    xr.testing.assert_identical(whole["trajectory"].to_dataset(), run(world, out=out)["trajectory"].to_dataset())
    for name in ("rounds/0001.labels.parquet", "rounds/0001.metrics.json", "run.json"):
        (out / "results.nc").unlink(missing_ok=True)
        intact = (out / name).read_bytes()
        (out / name).write_bytes(intact[: len(intact) // 2])
        with pytest.raises(InvalidInputError, match=f"{name.split('/')[-1]} is damaged"):
            run(world, out=out)
        (out / name).write_bytes(intact)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InvalidInputError, match="file is a file: choose another"):
        run(world, out=file / "run")


def test_results_serve_arviz(world, tmp_path):
    az = load_arviz()
    run(world, out=tmp_path / "run", log_likelihood=True, draws=200)
    tree = open_results(tmp_path / "run")
    data = tree if int(az.__version__.split(".")[0]) >= 1 else az.InferenceData.from_datatree(tree)
    summary = az.summary(data, var_names=["beta"], kind="stats", round_to="none")
    draws = tree["posterior"]["beta"]
    assert dict(draws.sizes) | {"feature": 0} == {"chain": 4, "draw": 50, "feature": 0}
    np.testing.assert_allclose(summary["mean"], draws.mean(("chain", "draw")), rtol=1e-6)
    with warnings.catch_warnings():
        # 40 labels on 8 features: single labels are influential, and ArviZ says so.
        warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto distribution", UserWarning)
        loo = az.loo(data)
    elpd = float(loo["elpd_loo"]) if "elpd_loo" in loo else float(loo.elpd)
    assert -40 * np.log(2) - 5 < elpd < 0
    tree.close()


# --- kills ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_killed_at_ten_random_moments_a_run_ends_with_the_very_same_file(world, tmp_path, short_training):
    def carry_out(name: str, **kill) -> Ended:
        model = brm.RewardModel(8, "mlp", hidden=(16, 16), training="paper", prior_scale=1.0)
        settings = {"model": model, "batch_size": 20, "rounds": 6, "draws": 50}
        return in_child(lambda: run(world, out=tmp_path / name, **settings), tmp_path / name, tmp_path, **kill)

    whole = carry_out("whole")
    assert whole.status == 0, whole.complained
    random = np.random.default_rng(int.from_bytes(os.urandom(4), "big"))
    interrupted, kills, labels = tmp_path / "interrupted", 0, []
    while kills < 10:
        # At a moment, or between two of its operations on files: a round has some thirteen.
        at_file = {"at": int(random.integers(1, 14))}
        ended = carry_out(
            "interrupted", **(at_file if kills % 2 else {"after": random.uniform(0, whole.seconds / 6)})
        )
        if not ended.killed:
            assert ended.status == 0, ended.complained
            break
        kills += 1
        labels.append(len(list(interrupted.glob("rounds/*.labels.parquet"))))
    assert kills >= 3, "the run must be long enough to be killed"
    assert labels == sorted(labels), "what was answered stays"
    assert carry_out("interrupted").status == 0
    assert (interrupted / "results.nc").read_bytes() == (tmp_path / "whole/results.nc").read_bytes()
    for path in sorted((tmp_path / "whole/rounds").iterdir()):
        assert (interrupted / "rounds" / path.name).read_bytes() == path.read_bytes()


def test_a_run_killed_between_answer_and_refit_does_not_ask_again(world, tmp_path):
    whole = run(world, out=tmp_path / "whole")
    run(world, out=tmp_path / "cut")
    for name in ("results.nc", "rounds/0003.metrics.json", "rounds/0002.metrics.json"):
        (tmp_path / "cut" / name).unlink()
    (tmp_path / "cut/rounds/0003.labels.parquet").unlink()
    pool, golden, test = world

    class Counting(brm.GoldenAnnotator):
        asked = 0

        def label(self, pairs):
            Counting.asked += len(pairs)
            return super().label(pairs)

        def at_round(self, round_index):
            annotator = Counting(self.golden, self.temperature, self.seed)
            annotator._round = round_index
            return annotator

        def describe(self):
            return brm.GoldenAnnotator(self.golden, self.temperature, self.seed).describe()

    settings = {"model": brm.RewardModel(8, "linear"), **SETTINGS}
    resumed = brm.run(pool, Counting(golden, seed=1), test, out=tmp_path / "cut", **settings)
    assert Counting.asked == 10, "only the round whose answers were lost is asked"
    xr.testing.assert_identical(whole["trajectory"].to_dataset(), resumed["trajectory"].to_dataset())
    assert json.loads(resumed.attrs["configuration"])["design"] == "pa-dopt"


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A run and its pool in folders."""
    folder = tmp_path_factory.mktemp("finished")
    pool, golden, _ = world
    brm.save_pool(folder / "pool", pool, golden)
    run(world, out=folder / "run", rounds=2)
    return folder


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("run.json", {}), ("run.json", {"design": None}), ("run.json", {"pool": {"embeddings": 3}}),
        ("run.json", {"model": {"likelihood": "bradley-terry"}}), ("run.json", {"contents": "x"}),
        ("rounds/0001.metrics.json", {"best_of_n": 3}), ("rounds/0001.metrics.json", {"entropy": "x"}),
        ("rounds/0001.metrics.json", {}),
    ],
)  # fmt: skip
def test_files_of_a_run_with_something_else_in_them_are_refused_in_a_sentence(finished, tmp_path, file, change):
    """Whole as JSON, and not what a run keeps there: as another program's, or one mended by hand."""
    shutil.copytree(finished / "run", tmp_path / "run")
    path = tmp_path / "run" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change if change else {}))
    (tmp_path / "run/results.nc").unlink()
    refused = []
    for read in (lambda: explain_run(tmp_path / "run", finished / "pool"), lambda: combine([tmp_path / "run"])):
        with contextlib.suppress(InvalidInputError):
            read()
            continue
        refused.append(read)
    assert refused, "one of the two needs what is missing"
