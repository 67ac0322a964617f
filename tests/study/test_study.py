"""Studies: what is declared is what runs, what is wrong is said by its key, and what is finished stays."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.runs.cell import CELL_FILE
from bayesrm.study import load_study, open_study, run_study, studies, study_pools
from bayesrm.utils.files import read_json, write_json

DECLARATION = """
title = "A look"
question = "Which?"

[settings]
encoder = "linear"
inference = "laplace"
batch_size = 4
rounds = 2
prompts = 8
candidates = 0
by_prompt = true

[grid]
design = ["random", "dopt"]
hidden = [8, 16]
seed = 2

[grid.noise]
none = {}
crowd = {flip = 0.2, annotators = 3, annotator_spread = 0.5}

[[leave_out]]
noise = "crowd"
hidden = [16]

[tiny]
settings = {rounds = 1}
grid = {noise = ["none"], hidden = [8], seed = 1}
"""

SCRIPT = '''
"""What it is about."""

import pandas as pd

def measure(cell):
    return {"spread": float(cell.posterior().reward(cell.pool())[1].mean()), "number": [1.0] * cell.config.rounds}

def answer(results):
    return f"{len(results.cells)} cells."

def tables(results):
    return {"one": pd.DataFrame({"a|b": [0.5, 2.0], "c": ["x|y", "z"]})}
'''


@pytest.fixture
def folder(tmp_path):
    """A folder ``studies`` with a study, and ``data`` with a pool and a test pool of 12 × 4 responses."""
    random = np.random.default_rng(0)
    weights = random.standard_normal(5)
    for name in ("pool", "test"):
        embeddings = random.standard_normal((48, 5)).astype(np.float32)
        brm.save_pool(
            tmp_path / "data" / name,
            brm.ResponsePool(embeddings, np.repeat(np.arange(12), 4)),
            embeddings @ weights,
        )
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "look.toml").write_text(DECLARATION)
    (tmp_path / "studies" / "look.py").write_text(SCRIPT)
    (tmp_path / "studies" / "alone.py").write_text("")
    return tmp_path


def run(folder: Path, tiny: bool = False, name: str = "look", workers: int = 1):
    study = load_study(name, tiny, folder / "studies")
    return run_study(study, folder / "out", study_pools([folder / "data"]), workers)


def test_studies_are_listed_by_name(folder):
    assert studies(folder / "studies") == {"look": "A look"}


def test_a_study_from_its_declaration_to_its_results(folder):
    results = run(folder)
    assert not results.failures
    trajectory = results.trajectory
    assert dict(trajectory["one_minus_spearman"].sizes) == {
        "pool": 1, "design": 2, "hidden": 2, "noise": 2, "seed": 2, "round": 2
    }  # fmt: skip
    assert trajectory["labels"].dims == ("round",)
    assert trajectory["labels"].values.tolist() == [4, 8]
    values = trajectory["one_minus_spearman"].isel(pool=0)
    assert np.isnan(values.sel(hidden=16, noise="crowd")).all()
    assert not np.isnan(values.sel(hidden=8)).any()
    by_prompt = trajectory["one_minus_spearman_by_prompt"]
    xr.testing.assert_allclose(by_prompt.mean("test_prompt"), trajectory["one_minus_spearman"])
    assert (trajectory["number"].isel(pool=0).sel(hidden=8) == 1).all()
    assert (trajectory["spread"].isel(pool=0).sel(hidden=8) > 0).all()
    assert "round" not in trajectory["spread"].dims
    frame = trajectory["one_minus_spearman"].to_dataframe().reset_index().dropna()
    assert {"design", "noise", "seed", "labels", "one_minus_spearman"} <= set(frame)
    assert len(frame) == 2 * 3 * 2 * 2
    assert {"fit", "evaluate", "wall"} <= set(results.seconds)

    cell = results.cell(design="dopt", hidden=8, noise="crowd", seed=1)
    assert len(cell.labels()) == 8
    assert len(cell.labels(0)) == 4
    assert set(cell.labels().annotator) <= {"0", "1", "2"}
    test_pool, golden = cell.test()
    again = brm.evaluate(cell.posterior(), test_pool, golden)["one_minus_spearman"]
    place = {"design": "dopt", "hidden": 8, "noise": "crowd", "seed": 1, "round": 1}
    assert float(values.sel(place)) == pytest.approx(again, abs=1e-12)
    with pytest.raises(InvalidInputError, match="say which design, hidden"):
        results.cell(noise="none", seed=0)
    with pytest.raises(InvalidInputError, match="no finished cell has"):
        results.cell(hidden=16, noise="crowd")
    with pytest.raises(InvalidInputError, match="no dimension colour"):
        results.cell(colour="red")


def test_what_is_finished_is_not_run_again(folder):
    tree = run(folder, tiny=True).tree
    before = {path: path.stat().st_mtime_ns for path in (folder / "out/runs").rglob("*") if path.is_file()}
    again = run(folder, tiny=True)
    xr.testing.assert_identical(tree["trajectory"].to_dataset(), again.trajectory)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert len(open_study(again.study, again.out, study_pools([folder / "data"])).cells) == 2
    # More of the grid keeps what is there.
    text = (folder / "studies/look.toml").read_text().replace("seed = 1}", "seed = 2}")
    (folder / "studies/look.toml").write_text(text)
    assert len(run(folder, tiny=True).cells) == 4
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_what_is_measured_otherwise_is_measured_again_and_not_run_again(folder):
    def rounds():
        return {path: path.stat().st_mtime_ns for path in (folder / "out/runs").glob("*/rounds/*")}

    def numbers():
        return run(folder, tiny=True).trajectory["number"].values.tolist()

    first = numbers()
    kept, seconds = rounds(), run(folder, tiny=True).seconds
    script = folder / "studies/look.py"
    script.write_text(SCRIPT.replace("[1.0]", "[7.0]"))
    second = numbers()
    assert second != first
    assert np.unique(second).tolist() == [7.0]
    assert rounds() == kept
    again = run(folder, tiny=True).seconds
    assert {name: value for name, value in again.items() if name != "wall"} == {
        name: value for name, value in seconds.items() if name != "wall"
    }
    script.write_text(SCRIPT.replace("def measure", "def other"))
    assert "number" not in run(folder, tiny=True).trajectory
    script.write_text(SCRIPT)
    assert numbers() == first


def test_what_an_older_version_measured_is_measured_again(folder):
    cells = run(folder, tiny=True).cells
    path = cells[0].folder / CELL_FILE
    there = read_json(path)
    there.pop("script", None)
    write_json(path, there | {"measured": there["measured"] | {"number": [5.0]}})
    assert [cell.is_finished() for cell in cells] == [False, True]
    assert 5.0 not in run(folder, tiny=True).trajectory["number"]


def test_another_pool_in_the_same_place_is_no_reason_to_trust_old_results(folder):
    run(folder, tiny=True)
    golden = np.load(folder / "data/pool/golden.npy")
    np.save(folder / "data/pool/golden.npy", golden[::-1])
    with pytest.raises(brm.errors.BayesRMError, match="holds a run of another configuration: annotator"):
        run(folder, tiny=True)


def test_a_failing_cell_is_reported_and_the_rest_goes_on(folder, capsys):
    script = SCRIPT.replace(
        "    return {", '    if cell.place["design"] == "dopt":\n        1 / 0\n    return {', 1
    )
    (folder / "studies/look.py").write_text(script)
    results = run(folder, tiny=True)
    assert len(results.cells) == 1
    ((name, sentence),) = results.failures.items()
    assert "dopt" in name
    assert sentence == "ZeroDivisionError: division by zero"
    assert "1 / 0" in (folder / f"out/failures/{name}.txt").read_text()
    assert f"{name} failed: ZeroDivisionError" in capsys.readouterr().err
    assert results.trajectory["design"].values.tolist() == ["random"]
    # Once mended, it goes on from where it was, and the traceback goes.
    (folder / "studies/look.py").write_text(SCRIPT)
    assert not run(folder, tiny=True).failures
    assert not list((folder / "out/failures").iterdir())


def test_studies_share_the_labels_of_an_axis(folder):
    """``shared`` names labels of the axis's own file, which come first; a study may have others beside them."""
    path = folder / "studies/look.toml"

    def axis() -> dict:
        return load_study("look", folder=folder / "studies").grid["noise"]

    declared = axis()
    text = path.read_text()
    crowd = next(line for line in text.splitlines() if line.startswith("crowd = "))
    path.write_text(text.replace(crowd, 'shared = ["crowd"]'))
    with pytest.raises(InvalidInputError, match=r"grid.noise.shared: there is no .*noise.toml"):
        axis()
    (folder / "studies/axes").mkdir()
    (folder / "studies/axes/noise.toml").write_text(f"another = {{flip = 0.3}}\n{crowd}\n")
    assert axis() == declared
    assert list(axis()) == ["crowd", "none"]
    path.write_text(text.replace(crowd, 'shared = ["strange"]'))
    with pytest.raises(InvalidInputError, match=r"grid.noise.shared: expected a list of another, crowd, got"):
        axis()


def test_a_study_that_makes_its_own_pools(folder):
    script = (
        SCRIPT
        + """
def pools(folder):
    import bayesrm as brm, numpy as np
    if not (folder / "made").exists():
        r = np.random.default_rng(0)
        embeddings = r.standard_normal((20, 3)).astype(np.float32)
        brm.save_pool(folder / "made", brm.ResponsePool(embeddings, np.repeat(np.arange(5), 4)), embeddings[:, 0])
    return {"made": (folder / "made", folder / "made")}
"""
    )
    (folder / "studies/look.py").write_text(script)
    study = load_study("look", True, folder / "studies")
    results = run_study(study, folder / "out")
    assert results.trajectory["pool"].values.tolist() == ["made"]
    with pytest.raises(InvalidInputError, match="makes pools of its own"):
        run(folder, tiny=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('question = "Which?"', "", "look.toml: question: it is missing"),
        ("batch_size = 4", "batch = 4", "settings.batch: there is no such setting"),
        ("batch_size = 4", "batch_size = 0", "settings.batch_size: expected a number greater than 0, got 0"),
        ('"dopt"]', '"best"]', "grid.design: unknown design 'best': there are"),
        ("flip = 0.2", "flip = 0.7", "grid.noise.crowd.flip: expected a number less than 0.5"),
        ("hidden = [8, 16]", "colour = [8]", "grid.colour: there is no such setting"),
        ("hidden = [8, 16]", "hidden = 8", "grid.hidden: expected a list"),
        ("hidden = [8, 16]", "hidden = [8, 8]", "grid.hidden: expected different values"),
        ("hidden = [8, 16]", "hidden = [8, 16]\npool = ['a']", "grid.pool: pools are given on the command line"),
        ("hidden = [16]", "hidden = [32]", "leave_out.hidden: 32 is not among 8, 16"),
        ("hidden = [16]", "inference = 'svi'", "leave_out.inference: grid has no such dimension"),
        ('noise = ["none"]', 'noise = ["loud"]', "tiny.grid.noise: expected a list of none, crowd"),
        ("seed = 1}", "seed = 1, colour = [1]}", "tiny.grid.colour: grid has no such dimension"),
        ("flip = 0.2", "flip = 0.2, hidden = 8", "grid.noise: hidden is set by grid.hidden already"),
        ("rounds = 2", "hidden = 8", "settings.hidden: grid.hidden varies it already"),
        ("[grid]", "[grid", "is no valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_its_key(folder, old, new, message):
    assert old in DECLARATION
    (folder / "studies/look.toml").write_text(DECLARATION.replace(old, new, 1))
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        run(folder, tiny="tiny" in message)


def test_the_papers_pools_have_settings_of_their_own(folder):
    path = folder / "studies/look.toml"
    path.write_text(DECLARATION + "\n[paper]\nsettings = {rounds = 9}\n[paper.grid.noise]\nloud = {flip = 0.4}\n")
    declared = load_study("look", folder=folder / "studies", paper=True)
    assert (declared.settings["rounds"], declared.grid["noise"]) == (9, {"loud": {"flip": 0.4}})
    assert load_study("look", folder=folder / "studies").settings["rounds"] == 2
    both = load_study("look", tiny=True, folder=folder / "studies", paper=True)
    assert (both.settings["rounds"], both.grid["noise"]) == (1, {"none": {}})
    path.write_text(path.read_text().replace("[paper.grid.noise]", "[paper.grid.colour]"))
    with pytest.raises(InvalidInputError, match=r"paper\.grid\.colour: grid has no such dimension"):
        load_study("look", folder=folder / "studies")


def test_other_wrong_input(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="unknown study 'alone': there are look"):
        load_study("alone", folder=folder / "studies")
    run(folder, tiny=True)
    with pytest.raises(InvalidInputError, match="holds the study look --tiny: choose another --out"):
        run(folder)
    (folder / "studies/look.toml").write_text(DECLARATION.replace("batch_size = 4", "batch_size = 5"))
    with pytest.raises(InvalidInputError, match="with batch_size = 4, and it is 5 now"):
        run(folder, tiny=True)
    with pytest.raises(InvalidInputError, match="pools named 'pool' and 'test'"):
        study_pools([folder / "data/pool"])
    with pytest.raises(InvalidInputError, match="there is no pool"):
        study_pools([folder / "nowhere"])
    with pytest.raises(InvalidInputError, match="either --paper-data or --pool"):
        study_pools([folder / "data"], paper_data=folder)
    with pytest.raises(InvalidInputError, match="one --pool that --test belongs to"):
        study_pools(test=folder / "data/test")
    assert list(study_pools([folder / "data/pool"], folder / "data/test")) == ["pool"]
    assert list(study_pools()) == ["quickstart"]


def test_the_papers_settings_are_found_by_file_name(tmp_path):
    names = [
        f"{model}_{model}_{task}"
        for model in ("gemma2b", "gemma7b", "llama38b")
        for task in ("harmless", "helpful")
    ]
    with pytest.raises(InvalidInputError, match="expected the paper's files"):
        study_pools(paper_data=tmp_path)
    for name in names:
        for split in ("train", "test"):
            for kind in ("embd", "reward"):
                np.save(tmp_path / f"{kind}_{name}_{split}.npy", np.zeros((2, 3, 4 if kind == "embd" else 1)))
    pools = study_pools(paper_data=tmp_path)
    assert len(pools) == 6
    train, test = pools["gemma2b harmless"]
    assert train.name == "embd_gemma2b_gemma2b_harmless_train.npy"
    assert test.name == "embd_gemma2b_gemma2b_harmless_test.npy"
    assert len(brm.load_golden(test)) == 6
    (tmp_path / "reward_llama38b_llama38b_helpful_test.npy").unlink()
    with pytest.raises(InvalidInputError, match="expected reward_llama38b_llama38b_helpful_test"):
        study_pools(paper_data=tmp_path)


def test_the_command_writes_what_the_script_makes(folder, monkeypatch, capsys):
    from bayesrm import cli

    def call(*arguments: str | Path) -> str:
        monkeypatch.setattr(
            "sys.argv", ["bayesrm", "study", *map(str, arguments), "--studies", str(folder / "studies")]
        )
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert "look" in call()
    printed = call("look", "--tiny", "--out", folder / "out", "--pool", folder / "data")
    assert "2 cells." in printed
    assert "the numbers say nothing" in printed
    assert (folder / "out/tables/one.csv").read_text().splitlines()[0] == "a|b,c"
    assert "| 0.500 | x\\|y |" in (folder / "out/tables/one.md").read_text()


def test_a_script_without_an_answer_is_refused_before_anything_runs(folder, command):
    (folder / "studies/look.py").write_text(SCRIPT.replace("def answer", "def conclusion"))
    status, _, refused = command(
        "study",
        "look",
        "--tiny",
        "--out",
        folder / "out",
        "--pool",
        folder / "data",
        "--studies",
        folder / "studies",
    )
    assert status == 2
    assert "expected a function answer(results) in" in refused
    assert not (folder / "out").exists()
