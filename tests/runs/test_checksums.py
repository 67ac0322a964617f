"""A byte of a result that changed after it was written is said by report and diagnose, wherever it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.runs.checksums import CHECKSUMS_FILE, changed_files
from bayesrm.runs.results import RESULTS_FILE

SETTINGS = (
    "--design", "random", "--design", "dopt", "--inference", "laplace", "--encoder", "linear", "--batch-size", "4",
    "--rounds", "2", "--draws", "8",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two runs with their combined results."""
    home = tmp_path_factory.mktemp("checksums")
    random = np.random.default_rng(0)
    weights = random.standard_normal(4)
    for name in ("pool", "test"):
        embeddings = random.standard_normal((40, 4)).astype(np.float32)
        brm.save_pool(home / name, brm.ResponsePool(embeddings, np.repeat(np.arange(10), 4)), embeddings @ weights)
    return home


@pytest.fixture
def out(made, tmp_path, command) -> Path:
    if not (made / "out").exists():
        status, _, complaint = command(
            "run", made / "pool", "--test", made / "test", "--out", made / "out", *SETTINGS
        )
        assert (status, complaint) == (0, "")
    shutil.copytree(made / "out", tmp_path / "out")
    return tmp_path / "out"


def flip(path: Path) -> None:
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_file_that_results_come_from_is_watched(out):
    watched = sorted(out.glob(f"**/{CHECKSUMS_FILE}"))
    assert len(watched) == 3
    assert changed_files(out) == []
    for manifest in watched:
        names = json.loads(manifest.read_text())
        rounds = [
            f"rounds/{t:04d}.{what}"
            for t in range(2)
            for what in ("labels.parquet", "metrics.json", "selection.parquet")
        ]
        assert sorted(names) == (
            [RESULTS_FILE] if manifest.parent == out else sorted([RESULTS_FILE, "run.json", *rounds])
        )
        for name in names:
            file = manifest.parent / name
            whole = file.read_bytes()
            flip(file)
            (sentence,) = changed_files(out)
            assert sentence.startswith(f"{name} in {manifest.parent} is not as written")
            file.write_bytes(whole)
    assert changed_files(out) == []


def test_a_file_that_is_gone(out):
    (out / RESULTS_FILE).unlink()
    (sentence,) = changed_files(out)
    assert RESULTS_FILE in sentence


@pytest.mark.parametrize("name", ["results.nc", "rounds/0000.labels.parquet", "rounds/0001.metrics.json"])
@pytest.mark.parametrize("what", ["report", "diagnose"])
def test_report_and_diagnose_say_it(out, command, what, name):
    run = sorted((out / "runs").iterdir())[0]
    file = run / name
    flip(file)
    status, _, complaint = command(what, out if what == "report" else run)
    assert complaint.startswith(f"bayesrm: {name} in {run} is not as written (the SHA-256 differs)")
    assert "Traceback" not in complaint
    if status == 0:
        page = out / "report.html" if what == "report" else run / "diagnosis.html"
        assert "is not as written" in page.read_text()
    else:
        assert status == 2


def test_nothing_is_said_of_what_is_whole(out, command):
    for arguments in (("report", out), ("diagnose", sorted((out / "runs").iterdir())[0])):
        status, _, complaint = command(*arguments)
        assert (status, complaint) == (0, "")
    assert "is not as written" not in (out / "report.html").read_text()


def test_more_rounds_are_watched_as_well(out, made, command):
    more = [*SETTINGS[:-4], "--rounds", "3", "--draws", "8"]
    assert command("run", made / "pool", "--test", made / "test", "--out", out, *more)[0] == 0
    assert changed_files(out) == []
    assert all("rounds/0002.labels.parquet" in path.read_text() for path in out.glob(f"runs/*/{CHECKSUMS_FILE}"))


def test_a_run_that_was_killed_before_it_kept_them_keeps_them_when_it_is_asked_for_again(tmp_path, world):
    def run():
        return brm.run(
            world.pool, brm.GoldenAnnotator(world.golden), model=brm.RewardModel(world.pool.dim, "linear"),
            design="random", batch_size=4, rounds=1, draws=4, out=tmp_path / "run", progress=False,
        ).close()  # fmt: skip

    run()
    kept = (tmp_path / "run" / CHECKSUMS_FILE).read_bytes()
    (tmp_path / "run" / CHECKSUMS_FILE).unlink()
    assert changed_files(tmp_path) == []
    run()
    assert (tmp_path / "run" / CHECKSUMS_FILE).read_bytes() == kept


@pytest.mark.parametrize("text", ["[]", "null", '{"results.nc": 3}', "{", '"x"'])
def test_a_damaged_list_of_checksums_is_named(out, text):
    (out / CHECKSUMS_FILE).write_text(text)
    with pytest.raises(InvalidInputError, match=CHECKSUMS_FILE):
        changed_files(out)
