"""What every command says where its folder cannot be written to: on a full disk, a read-only one, another user's.

    python tests/benchmarks/disks.py [--only run,tell]

Prints a table in Markdown. Each command runs in a child on a small disk of its own with a campaign, runs, a model and a
pool; it has to end in one sentence with status 2, or do what it can without writing (status 0), and what was paid for
has to be there afterwards. Takes the rights to mount a disk and to become another user.
"""

from __future__ import annotations

import argparse
import contextlib
import email.policy  # noqa: F401 - late imports of others: a child may be a user who cannot read Python's own files
import importlib.readers  # noqa: F401
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib  # noqa: F401
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from killing import FAILED, command, in_child
from tiny_models import bert

import bayesrm as brm

STATES = ("full", "read-only", "other user's")
NOBODY = 65534
LINEAR = ("--encoder", "linear", "--prior-scale", 1)
SMALL = ("--candidates", 60, "--draws", 16, "--batch-size", 8)


@dataclass(frozen=True)
class Desk:
    """A disk with all that commands work on, and a folder elsewhere with what they read."""

    disk: Path
    elsewhere: Path

    def of(self, words: str) -> str:
        """A path: ``@name`` is on the disk, ``%name`` elsewhere."""
        places = {"@": self.disk, "%": self.elsewhere}
        return str(places[words[0]] / words[1:]) if words[:1] in places else words


TRIALS: Mapping[str, Sequence[object]] = {
    "embed": ("embed", "%texts.jsonl", "--model", "%bert", "--out", "@embedded"),
    "golden": ("golden", "@unscored", "--model", "%judge"),
    "fit": ("fit", "@pool", "--labels", "%labels.jsonl", *LINEAR),
    "run": ("run", "@pool", *LINEAR, *SMALL, "--rounds", 3, "--out", "@runs"),
    "replay": ("replay", "@pool", "--votes", "@labels", "--out", "@replayed", "--seeds", 1, "--workers", 1),
    "study": ("study", "annotation_efficiency", "--tiny", "--out", "@study"),
    "demo": ("demo", "--out", "@demo", "--seeds", 1, "--rounds", 1, "--workers", 1),
    "report": ("report", "@runs"),
    "diagnose": ("diagnose", "@labels"),
    "compare": ("compare", "@labels", "--encoder", "linear", "--encoder", "auto", "--draws", 100),
    "explain": ("explain", "@labels"),
    "export": ("export", "@labels", "--to", "@exported"),
    "score": ("score", "@model", "%texts.jsonl", "--out", "@scored.jsonl"),
    "campaign init": ("campaign", "init", "@new", "--pool", "@pool"),
    "campaign ask": ("campaign", "ask", "@labels", "--size", 4),
    "campaign label": ("campaign", "label", "@labels", "--terminal"),
    "campaign tell": ("campaign", "tell", "@labels", "%later.csv"),
    "campaign fit": ("campaign", "fit", "@labels"),
    "campaign status": ("campaign", "status", "@labels"),
    "campaign untell": ("campaign", "untell", "@labels", "told.csv"),
    "campaign rename": ("campaign", "rename", "@labels", "--unnamed", "ana"),
    "campaign release": ("campaign", "release", "@labels", "--batch", 1),
    "campaign close": ("campaign", "close", "@labels", "--batch", 1),
    "campaign labels": ("campaign", "labels", "@labels"),
    "campaign labels --out elsewhere": ("campaign", "labels", "@labels", "--out", "%labels.out.jsonl"),
}
"""Name → arguments."""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A file system of its own in a folder, or False where this user may not mount one."""
    folder.mkdir(parents=True)
    asked = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)]
    mounted = not subprocess.run(asked, capture_output=True).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    """Leave no byte free."""
    with open(folder / "filler", "ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def _here(*arguments: object) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as complained:
        assert command(*arguments)() == 0, complained.getvalue()


def lay(desk: Desk) -> None:
    """A pool that was embedded, a campaign with answers and a fit, a run that is not finished, and a model."""
    random = np.random.default_rng(0)
    words = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay"]
    texts, rows = {}, []
    for prompt in range(12):
        texts[prompt] = [" ".join(random.choice(words, 6)) + f" {prompt} {number}" for number in range(3)]
        rows += [{"prompt": f"what is {prompt}", "response": text} for text in texts[prompt]]
    _lines(desk.elsewhere / "texts.jsonl", rows)
    pairs = [{"prompt": f"what is {p}", "chosen": own[0], "rejected": own[1]} for p, own in texts.items()]
    _lines(desk.elsewhere / "labels.jsonl", pairs)
    bert(desk.elsewhere / "bert")
    bert(desk.elsewhere / "judge", head=True)
    at = desk.of
    _here("embed", at("%texts.jsonl"), "--model", at("%bert"), "--out", at("@pool"))
    shutil.copytree(desk.disk / "pool", desk.disk / "unscored")
    pool = brm.load_pool(desk.disk / "pool")
    np.save(desk.disk / "pool" / "golden.npy", pool.rows(np.arange(len(pool))) @ random.standard_normal(pool.dim))
    _here("campaign", "init", at("@labels"), "--pool", at("@pool"), *LINEAR)
    campaign = brm.Campaign.open(desk.disk / "labels")
    questions = campaign.ask(14)
    for name, some in (("told.csv", questions[:9]), ("later.csv", questions[9:12])):
        lines = ["question,answer", *(f"{question.id},{random.choice(['left', 'right'])}" for question in some)]
        (desk.elsewhere / name).write_text("\n".join(lines))
    _here("campaign", "tell", at("@labels"), at("%told.csv"))
    _here("campaign", "fit", at("@labels"))
    _here("export", at("@labels"), "--to", at("@model"))
    arguments = [at(words) if isinstance(words, str) else words for words in TRIALS["run"]]
    arguments[arguments.index("--rounds") + 1] = 1
    _here(*arguments)
    subprocess.run(["chmod", "-R", "a+rwX", desk.elsewhere], check=True)


def _lines(path: Path, rows: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def paid_for(desk: Desk) -> object:
    """Answers of the campaign that count, and labels of the runs."""
    labels = brm.Campaign.open(desk.disk / "labels").preferences()
    runs = {file.name: file.read_bytes() for file in sorted((desk.disk / "runs").rglob("*.labels.parquet"))}
    return labels.first.tolist(), labels.outcome.tolist(), runs


def try_all(folder: Path, state: str, names: Sequence[str]) -> dict[str, str]:
    """Each command → what it says on such a disk."""
    desk = Desk(folder / "disk", folder / "elsewhere")
    desk.elsewhere.mkdir()
    said: dict[str, str] = {}
    with small_disk(desk.disk, "48m") as mounted:
        if not mounted:
            return {}
        lay(desk)
        before = paid_for(desk)
        if state == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", desk.disk], check=True)
        for name in names:
            if state == "full":
                fill(desk.disk)
            arguments = [desk.of(words) if isinstance(words, str) else words for words in TRIALS[name]]
            ended = in_child(_as(state, arguments), desk.disk, folder)
            said[name] = _cell(ended.status, ended.said, ended.complained).replace(str(desk.disk), "DISK")
            if paid_for(desk) != before:
                said[name] += " — WHAT WAS PAID FOR CHANGED"
    shutil.rmtree(desk.elsewhere)
    return said


def _as(state: str, arguments: Sequence[object]) -> Callable[[], int]:
    def work() -> int:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if state == "other user's":
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return command(*arguments)()

    return work


def _cell(status: int | None, said: str, complained: str) -> str:
    lines = [line for line in complained.splitlines() if line.strip()]
    if status == 0:
        found = [line for line in said.splitlines() if re.search(r"[a-z]", line)]
        return f"works: {found[-1].strip()[:120]}" if found else "works"
    if status == 2 and len(lines) == 1:
        return lines[0].removeprefix("bayesrm: ")
    how = "A TRACEBACK" if status == FAILED else f"STATUS {status}"
    return f"{how}: {lines[-1] if lines else ''}"


def main() -> None:
    """Try, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", type=lambda words: words.split(","), default=list(TRIALS))
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork")
    found = {}
    for state in STATES:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o777)
            os.environ["HOME"] = os.environ["MPLCONFIGDIR"] = folder
            found[state] = try_all(Path(folder), state, given.only)
    print(f"| command | {' | '.join(STATES)} |\n|---|---|---|---|")
    for name in given.only:
        print(f"| {name} | {' | '.join(found[state].get(name, 'no rights to try') for state in STATES)} |")


if __name__ == "__main__":
    main()
