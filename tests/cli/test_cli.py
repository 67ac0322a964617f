"""The command line as a user meets it: what works prints and writes, what does not says so in one sentence."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesrm as brm
from bayesrm.cli.lists import KINDS, registry_of

QUICK = ["--encoder", "linear", "--batch-size", "5", "--rounds", "2", "--prompts", "10", "--candidates", "50"]


@pytest.fixture
def files(tmp_path):
    """A folder with the pools ``pool`` and ``test``, of 12 × 5 responses each."""
    random = np.random.default_rng(0)
    weights = random.standard_normal(6)
    for name in ("pool", "test"):
        embeddings = random.standard_normal((60, 6)).astype(np.float32)
        brm.save_pool(
            tmp_path / name, brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5)), embeddings @ weights
        )
    return tmp_path


def test_run_compares_designs_and_report_shows_them(command, files):
    out = files / "out"
    status, printed, _ = command(
        "run", files / "pool", "--test", files / "test", "--out", out, *QUICK,
        "--design", "random", "--design", "pa-dopt", "--inference", "laplace", "--seeds", "2",
    )  # fmt: skip
    assert status == 0
    assert "After 10 labels" in printed
    assert "pa-dopt" in printed
    assert (out / "learning_curves.png").stat().st_size > 10_000
    trajectory = brm.open_results(out)["trajectory"]
    assert dict(trajectory.sizes) == {"scope": 1, "inference": 1, "design": 2, "seed": 2, "round": 2, "n": 4}
    assert not trajectory["one_minus_spearman"].isnull().any()
    tree = brm.open_results(out)
    assert tree.attrs["posterior_of"] == "within-prompt-laplace-pa-dopt-seed0"
    assert dict(tree["posterior"].sizes) == {"chain": 4, "draw": 256, "feature": 6}

    (out / "report.html").unlink()
    status, printed, _ = command("report", out)
    page = (out / "report.html").read_text()
    assert status == 0
    assert "report.html" in printed
    assert "<svg" in page
    assert "pa-dopt" in page
    assert not re.search(r"""(src|href)=["']https?:""", page), "the page needs nothing beside it"


def test_results_do_not_depend_on_the_number_of_workers(command, files):
    asked = ["run", files / "pool", "--test", files / "test", *QUICK, "--seeds", "2"]
    for workers in ("1", "2"):
        status, printed, complaints = command(*asked, "--out", files / workers, "--workers", workers)
        assert status == 0, f"with {workers} workers: {printed}\n{complaints}"
    one, two = (sorted((files / workers).glob("runs/*/results.nc")) for workers in ("1", "2"))
    assert len(one) == len(two) == 2
    for alone, together in zip(one, two, strict=True):
        if alone.read_bytes() != together.read_bytes():
            # Which values they are says more than that some byte is another one.
            xr.testing.assert_identical(brm.open_results(alone).load(), brm.open_results(together).load())
            a, b = (np.frombuffer(path.read_bytes(), np.uint8) for path in (alone, together))
            at = int(np.argmax(a[: len(b)] != b[: len(a)]))
            raise AssertionError(
                f"{alone.parent.name}: equal values in files of {len(a)} and {len(b)} bytes, which differ from byte "
                f"{at} on: {a[max(at - 60, 0) : at + 60].tobytes()!r} and {b[max(at - 60, 0) : at + 60].tobytes()!r}"
            )


def test_run_without_a_test_pool(command, files):
    status, printed, _ = command("run", files / "pool", "--out", files / "out", *QUICK)
    assert status == 0
    assert "report.html" in printed


@pytest.mark.parametrize("listing", list(KINDS))
def test_listings_have_a_line_for_each(command, listing):
    status, printed, _ = command(listing)
    assert status == 0
    shown = [line.split()[0] for line in printed.splitlines() if line and not line.startswith(" ")]
    assert set(registry_of(listing)) <= set(shown)


@pytest.mark.parametrize("name", ["demo", "run", "report", "diagnose", *KINDS])
def test_help_has_an_example(command, name):
    status, printed, _ = command(name, "--help")
    assert status == 0
    assert f"bayesrm {name}" in printed


def refused(command, message: str, *arguments: str | Path) -> None:
    """The command ends with status 2 and one sentence on stderr that has the message."""
    status, _, complaint = command(*arguments)
    assert status == 2, complaint
    assert re.search(message, complaint), complaint
    assert complaint.startswith("bayesrm: ")
    assert complaint.count("\n") == 1
    assert "Traceback" not in complaint


def test_bad_input_is_one_sentence(command, files, tmp_path):
    pool, out = files / "pool", files / "out"

    def rewritten(name: str, change) -> Path:
        folder = tmp_path / name
        embeddings, prompt = np.load(pool / "embeddings.npy"), np.repeat(np.arange(12), 5)
        golden = np.load(pool / "golden.npy")
        embeddings, prompt, golden = change(embeddings, prompt, golden)
        folder.mkdir()
        np.savez(folder / "pool.npz", embeddings=embeddings, prompt=prompt, golden=golden)
        return folder / "pool.npz"

    def no_nan(embeddings, prompt, golden):
        embeddings[3, 1] = np.nan
        return embeddings, prompt, golden

    narrow = rewritten("narrow", lambda e, p, g: (e[:, :4], p, g))
    cases = {
        "there is no pool": ["run", tmp_path / "nowhere"],
        "test pool of embedding dimension 6": ["run", pool, "--test", narrow],
        "NaN or infinity in 1 of 60": ["run", rewritten("nan", no_nan)],
        "two responses to compare": ["run", rewritten("single", lambda e, p, g: (e, np.arange(60), g))],
        "with responses, got": ["run", rewritten("empty", lambda e, p, g: (e[:0], p[:0], g[:0]))],
        "batch of between 1 and 50 pairs": ["run", pool, *QUICK, "--batch-size", "51"],
        "unknown design 'best': there are": ["run", pool, "--design", "best"],
        "unknown selector 'best': there are": ["run", pool, "--design", "dopt", "--selector", "best"],
        "unknown inference 'exact': there are": ["run", pool, "--inference", "exact"],
        "unknown encoder 'deep'": ["run", pool, "--encoder", "deep"],
        "scope: expected .within-prompt. or": ["run", pool, "--scope", "everywhere"],
        "--rounds: expected a number greater than 0, got 0": ["run", pool, "--rounds", "0"],
        "--seeds': .* is not in the range|--seeds.*greater than or equal to 1": ["run", pool, "--seeds", "0"],
        "'--rounds': .* integer": ["run", pool, "--rounds", "many"],
        "No such option": ["run", pool, "--colour", "red"],
    }  # fmt: skip
    for message, arguments in cases.items():
        refused(command, message, *arguments, "--out", out / re.sub(r"\W", "", message)[:20])

    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled/embeddings.npy").write_bytes(pickle.dumps([1, 2, 3]))
    refused(command, "pickle", "run", tmp_path / "pickled", "--out", out / "pickled")
    refused(command, "there is no folder", "report", tmp_path / "nowhere")
    refused(command, "expected runs in", "report", pool)
    refused(
        command, r"expected a pool \(--pool\) only with a campaign", "report", pool, "--pool", tmp_path / "nowhere"
    )
    refused(command, "Missing option '--out'", "run", pool)
    refused(command, "Missing argument", "report")
    refused(command, "No such command", "reprot")


def test_a_folder_of_another_configuration_is_refused(command, files):
    assert command("run", files / "pool", "--out", files / "out", *QUICK)[0] == 0
    refused(
        command,
        "holds a run of another configuration: candidates is 50 there and 60 here",
        "run", files / "pool", "--out", files / "out", *QUICK, "--candidates", "60",
    )  # fmt: skip
