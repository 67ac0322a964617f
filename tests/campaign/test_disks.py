"""Campaigns on disks that are full or read-only, sheets in which somebody wrote, and an init that was killed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import disks
from disks import fill

import bayesrm as brm
from bayesrm.campaign.opening import open_store
from bayesrm.campaign.store import STORE_FILE
from bayesrm.errors import InvalidInputError
from bayesrm.runs.results import open_results, write_results


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[Path]:
    """A file system of its own in a folder; skips where this user may not mount one."""
    with disks.small_disk(folder, size) as mounted:
        if not mounted:
            pytest.skip("mounting a small disk takes rights that this user does not have")
        yield folder


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def begun(folder: Path, pool: Path) -> brm.Campaign:
    """A campaign of three questions, one of which is answered."""
    campaign = brm.Campaign.create(folder, pool)
    questions = campaign.ask(3)
    path = folder.parent / "told.csv"
    path.write_text(f"question,answer\n{questions[0].id},left\n")
    campaign.tell(path)
    return campaign


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_campaign_that_cannot_be_written_to_can_be_looked_at(command, pool_folder, tmp_path, state):
    with small_disk(tmp_path / "disk") as disk:
        folder = disk / "campaign"
        labels = begun(folder, pool_folder).preferences()
        told = disk / "told.csv"
        fill(disk) if state == "full" else read_only(disk)
        campaign = brm.Campaign.open(folder)
        assert campaign.preferences().outcome.tolist() == labels.outcome.tolist()
        assert [path.name for path in campaign.hand_out("csv", out=tmp_path / "elsewhere")] == ["batch-001.csv"]
        status, printed, _ = command("campaign", "status", folder)
        assert (status, "1 answer is used" in printed) == (0, True)
        refused = ["untell", folder, told], ["rename", folder, "--unnamed", "ana"], ["fit", folder]
        asking = ["ask", folder, "--size", 2], ["ask", folder, "--batch", 1]
        for arguments in (*refused, *asking, ["release", folder, "--batch", 1], ["close", folder, "--batch", 1]):
            status, _, complaint = command("campaign", *arguments)
            assert (status, complaint.count("\n")) == (2, 1), (arguments, complaint)
        assert brm.Campaign.open(folder).preferences().outcome.tolist() == labels.outcome.tolist()


def test_answers_in_the_write_ahead_log_are_read_from_a_disk_that_is_read_only(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "a.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE label (id INTEGER)")
            db.execute("INSERT INTO label VALUES (7)")
            # As a process leaves them that is killed: the log is not yet in the file.
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{disk / 'b.sqlite'}{suffix}")
        read_only(disk)
        opened, only_read = open_store(disk / "b.sqlite")
        with closing(opened) as db:
            assert only_read
            assert db.execute("SELECT id FROM label").fetchall() == [(7,)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                db.execute("INSERT INTO label VALUES (8)")


def test_a_run_on_a_full_disk_keeps_what_was_answered_and_goes_on_to_the_same_bytes(
    command, pool_folder, tmp_path
):
    shutil.copytree(pool_folder, tmp_path / "pool")
    np.save(tmp_path / "pool" / "golden.npy", np.arange(60.0))
    settings = ("--encoder", "linear", "--prior-scale", 1, "--batch-size", 4, "--draws", 8, "--candidates", 40)

    def run(out: Path, rounds: int) -> tuple[int, str, str]:
        return command("run", tmp_path / "pool", *settings, "--rounds", rounds, "--out", out)

    with small_disk(tmp_path / "disk") as disk:
        assert run(disk / "runs", 1)[0] == 0
        (labels,) = (disk / "runs").rglob("0000.labels.parquet")
        kept = labels.read_bytes()
        fill(disk)
        status, _, complaint = run(disk / "runs", 3)
        assert (status, complaint.count("\n")) == (2, 1), complaint
        assert "no room is left on the disk for" in complaint
        assert labels.read_bytes() == kept
        (disk / "filler").unlink()
        assert run(disk / "runs", 3)[0] == 0
        assert run(tmp_path / "whole", 3)[0] == 0
        whole = sorted((tmp_path / "whole").rglob("rounds/*")) + sorted(
            (tmp_path / "whole").rglob("runs/*/results.nc")
        )
        assert len(whole) == 10
        for file in whole:
            assert (disk / "runs" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes(), file


def test_no_other_command_ends_otherwise_than_in_a_sentence_on_a_full_disk(command, pool_folder, tmp_path):
    shutil.copytree(pool_folder, tmp_path / "pool")
    with small_disk(tmp_path / "disk") as disk:
        folder = disk / "campaign"
        labels = begun(folder, tmp_path / "pool").preferences()
        fill(disk)
        tried = {
            "init": ("campaign", "init", disk / "new", "--pool", tmp_path / "pool"),
            "labels": ("campaign", "labels", folder),
            "fit": ("fit", tmp_path / "pool", "--labels", disk / "told.csv", "--out", disk / "fit"),
            "export": ("export", folder, "--to", disk / "model"),
            "explain": ("explain", folder),
        }
        for name, arguments in tried.items():
            status, _, complaint = command(*arguments)
            assert (status, complaint.count("\n")) == (2, 1), (name, complaint)
            fill(disk)
        assert brm.Campaign.open(folder).preferences().outcome.tolist() == labels.outcome.tolist()


def test_results_that_do_not_fit_are_one_sentence_and_leave_nothing(tmp_path):
    tree = xr.DataTree.from_dict({"/": xr.Dataset({"x": ("draw", np.arange(200_000.0))})})
    with small_disk(tmp_path / "disk", "1m") as disk:
        with pytest.raises(InvalidInputError, match=r"cannot write results to .* make room"):
            write_results(tree, disk / "results.nc")
        assert list(disk.iterdir()) == []
    write_results(tree, tmp_path / "results.nc")
    assert open_results(tmp_path / "results.nc")["x"].values[-1] == 199_999


# --- sheets ---------------------------------------------------------------------------------------------------------


def test_a_sheet_in_which_somebody_wrote_is_never_overwritten(command, pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    campaign.ask(3)
    (sheet,) = campaign.hand_out("csv")
    blank = sheet.read_bytes()
    assert campaign.hand_out("csv") == [sheet], "the same again is left as it is"
    filled = blank.replace(b",,", b",left,")
    sheet.write_bytes(filled)
    (beside,) = campaign.hand_out("csv")
    assert (beside.name, beside.read_bytes()) == ("batch-001-2.csv", blank)
    assert sheet.read_bytes() == filled
    beside.write_bytes(filled)
    status, printed, _ = command("campaign", "ask", campaign.directory, "--batch", 1)
    assert (status, "batch-001-3.csv" in printed) == (0, True)
    assert sheet.read_bytes() == beside.read_bytes() == filled
    assert sorted(path.name for path in sheet.parent.iterdir()) == [
        "batch-001-2.csv", "batch-001-3.csv", "batch-001.csv",
    ]  # fmt: skip


def test_files_that_belong_together_get_the_same_number(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    campaign.ask(3)
    first = campaign.hand_out("label-studio")
    assert campaign.hand_out("label-studio") == first
    first[-1].write_text("changed")
    again = campaign.hand_out("label-studio")
    assert [path.name.replace("batch-001-2", "batch-001") for path in again] == [path.name for path in first]
    assert first[-1].read_text() == "changed"


def test_status_says_which_batch_nobody_can_have_seen(command, pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    for _ in range(2):
        campaign.ask(3)

    def unseen() -> list[int]:
        printed = command("campaign", "status", campaign.directory)[1]
        return [number for number in (1, 2) if f"Batch {number} has no answer, and no file of it is in" in printed]

    assert unseen() == [1, 2], "as after an ask that was killed before it wrote files"
    campaign.hand_out("csv", batch=1)
    assert unseen() == [2]
    campaign.close(2)
    assert unseen() == []


# --- init -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_folder_of_an_init_that_was_killed_is_taken_again(pool_folder, tmp_path, monkeypatch):
    folder = tmp_path / "campaign"
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "replace", lambda *paths: os.kill(os.getpid(), 9))
        brm.Campaign.create(folder, pool_folder)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    assert any(path.name.startswith(f".{STORE_FILE}") for path in folder.iterdir()), "it left something"
    brm.Campaign.create(folder, pool_folder)
    assert [path.name for path in folder.iterdir() if ".part" in path.name] == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(InvalidInputError, match="new or empty, and it has files"):
        brm.Campaign.create(tmp_path / "other", pool_folder)
