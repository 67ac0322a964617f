"""Wrong command lines, from the commands and options that there are; and damage to every file that we wrote ourselves.

What a command has to do then is to end with status 0 where the value makes sense after all, 1 where runs failed, or 2
and one line on stderr that says why.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import typer

import bayesrm as brm
from bayesrm import cli
from bayesrm.campaign.asking import Request

VALUES = [
    "", " ", "x", "-1", "0", "1.5", "nan", "inf", "1e400", "10" * 20, "٣", "1,2,,", "=", "a=b", "a=nan", "{}", "null",
    "[" * 3000, "[red]bold[/red]", "[[/]", "\x1b[31m", "\u202e", "line\nline", "\udc80", "a" * 300, "p/" * 2500,
    "/", ".", "/dev/null", "--help", "😀",
]  # fmt: skip
"""What an option may be given and most are not for; a half of a character is how Python has a byte that is no text."""
DAMAGE = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b'"x"',
    b"[" * 100_000,
    b'{"a": "\\ud800"}',
    b"\x00" * 64,
    b"\x93NUMPY",
    b"PK\x03\x04",
]
"""What a file of ours may have become, beside half of itself and itself with some bytes changed."""


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``fine`` as it may."""

    fine: bool
    status: int | None
    said: str


def run(*arguments: object) -> Ended:
    """The command in this process, as the entry point runs it."""
    before, out, complaints = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["bayesrm", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
            cli.main()
    except SystemExit as end:
        # What was noticed of a damaged file may stand above the sentence that the command ends with.
        last = complaints.getvalue().splitlines()[-1:]
        one = all(line.startswith("bayesrm: ") and len(line) < 2000 for line in last) and len(last) == 1
        status = end.code if isinstance(end.code, int) else None
        return Ended(status in (0, 1) or (status == 2 and one), status, complaints.getvalue()[-2000:])
    except BaseException as error:
        at = [place for place in traceback.extract_tb(error.__traceback__) if "/bayesrm/" in place.filename][-1:]
        where = f" at {Path(at[0].filename).name}:{at[0].lineno}" if at else ""
        return Ended(False, None, f"{type(error).__name__}: {str(error)[:150]!r}{where}")
    finally:
        sys.argv = before
    raise AssertionError("main ends by SystemExit")


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of the tree with its full name."""

    def walk(group: Any, path: str) -> Iterator[tuple[str, Any]]:
        for name, command in getattr(group, "commands", {}).items():
            full = f"{path} {name}".strip()
            yield from walk(command, full) if hasattr(command, "commands") else [(full, command)]

    yield from walk(typer.main.get_command(cli.app), "")


class Desk:
    """A folder with small files of every kind, and for each command a call that is quick whatever becomes of it."""

    def __init__(self, folder: Path) -> None:
        random = np.random.default_rng(0)
        self.folder, self._made = folder, 0
        texts = [f"response {k}" for k in range(12)]
        pool = brm.ResponsePool(
            random.standard_normal((12, 3)).astype(np.float32), np.repeat(np.arange(4), 3), texts
        )
        golden = random.standard_normal(12)
        brm.save_pool(folder / "pool", pool, golden)
        model = brm.RewardModel(pool, "linear", prior_scale=1.0)
        brm.run(
            pool, brm.GoldenAnnotator(golden), (pool, golden), model, batch_size=2, rounds=1, draws=8,
            out=folder / "run", progress=False,
        )  # fmt: skip
        pairs = brm.candidates(pool)
        posterior = brm.fit(model, pool, brm.GoldenAnnotator(golden).label(pairs))
        brm.save_reward_model(folder / "model", posterior)
        campaign = brm.Campaign.create(folder / "campaign", folder / "pool", encoder="linear", prior_scale=1.0)
        campaign.ask(Request(size=4, design="random"))
        sheet = pd.read_csv(campaign.hand_out("csv")[0], dtype=str, keep_default_na=False)
        sheet.head(2).assign(answer="left").to_csv(folder / "answers.csv", index=False)
        campaign.tell(folder / "answers.csv", annotator="anna")
        rows = [{"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "d", "chosen": "e", "rejected": "f"}]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "votes.csv").write_text("first,second,outcome\n0,1,1\n3,4,0\n6,7,1\n9,10,1\n1,2,0\n4,5,1\n")
        self.kept = sorted(path for path in folder.iterdir())

    def new(self) -> Path:
        """A path at which nothing is."""
        self._made += 1
        return self.folder / f"new-{self._made}"

    def calls(self) -> dict[str, list[object]]:
        """Arguments of each command: positional ones first, in a list of their own where there are several."""
        f = self.folder
        small = ["--encoder", "linear", "--batch-size", 2, "--rounds", 1, "--draws", 4]
        return {
            "embed": [f / "rows.jsonl", "--model", f / "nowhere", "--out", self.new()],
            "merge-shards": [f / "nowhere", "--out", self.new()],
            "golden": [f / "pool", "--from-column", "nothing"],
            "fit": [
                f / "pool",
                "--labels",
                f / "votes.csv",
                "--out",
                self.new(),
                "--encoder",
                "linear",
                "--draws",
                4,
            ],
            "demo": ["--data", f / "nowhere", "--out", self.new()],
            "run": [f / "pool", "--out", self.new(), *small],
            "report": [f / "run"],
            "replay": [
                f / "pool",
                "--votes",
                f / "votes.csv",
                "--seeds",
                1,
                "--designs",
                "random",
                "--batch-size",
                2,
            ],
            "study": ["nothing", "--studies", f, "--out", self.new()],
            "explain": [f / "run"],
            "diagnose": [f / "run"],
            "compare": [f / "run", f / "campaign"],
            "export": [f / "run", "--to", self.new()],
            "score": [f / "model", f / "rows.jsonl"],
            "campaign init": [self.new(), "--pool", f / "pool"],
            "campaign ask": [self._copied(), "--to", "csv", "--size", 1, "--design", "random"],
            "campaign label": [f / "nowhere"],  # a page that opens does not end
            "campaign tell": [self._copied(), f / "answers.csv"],
            "campaign fit": [self._copied()],
            "campaign status": [f / "campaign"],
            "campaign untell": [self._copied(), "--annotator", "anna"],
            "campaign rename": [self._copied(), "anna", "bert"],
            "campaign release": [self._copied(), "--batch", 1],
            "campaign close": [self._copied(), "--batch", 1],
            "campaign labels": [f / "campaign", "--out", self.new()],
        }

    def _copied(self) -> Path:
        return Path(shutil.copytree(self.folder / "campaign", self.new()))

    def wrong(self, random: Random) -> list[str]:
        """A command line with one wrong value, drawn."""
        tree = dict(commands())
        calls = self.calls()
        name = random.choice([name for name in tree if name in calls])
        value = random.choice([*VALUES, *map(str, self.kept)])
        arguments = [str(each) for each in calls[name]]
        own = [each for each in tree[name].params if each.name != "help"]
        parameter = random.choice(own)
        option = next((each for each in parameter.opts if each.startswith("--")), None)
        if option is None:
            places = [place for place, each in enumerate(arguments) if not each.startswith("--")]
            arguments[places[0] if places else 0 : 1] = [value]
        elif getattr(parameter, "is_flag", False):
            arguments = [*arguments, option]
        else:
            arguments = [*arguments, option, value]
        return [*name.split(), *arguments]

    def damaged(self, random: Random) -> list[str]:
        """One file of a folder of ours damaged in a copy, and a command that reads it."""
        readers: dict[str, list[list[str]]] = {
            "pool": [
                ["fit", "{}", "--labels", "votes.csv", "--encoder", "linear"],
                ["campaign", "init", "{out}", "--pool", "{}"],
            ],
            "run": [["report", "{}"], ["explain", "{}"], ["diagnose", "{}"], ["export", "{}", "--to", "{out}"]],
            "model": [["score", "{}", "rows.jsonl"]],
            "campaign": [
                ["campaign", "status", "{}"], ["campaign", "ask", "{}", "--size", "1"], ["campaign", "fit", "{}"],
                ["campaign", "tell", "{}", "answers.csv"], ["campaign", "labels", "{}"], ["report", "{}"],
            ],
        }  # fmt: skip
        kind = random.choice(list(readers))
        copy = Path(shutil.copytree(self.folder / kind, self.new()))
        file = random.choice(sorted(each for each in copy.rglob("*") if each.is_file()))
        whole = bytearray(file.read_bytes())
        how = random.randrange(4)
        if how == 0 and whole:
            file.write_bytes(whole[: random.randrange(len(whole))])
        elif how == 1 and whole:
            for _ in range(random.randint(1, 20)):
                whole[random.randrange(len(whole))] = random.randrange(256)
            file.write_bytes(whole)
        elif how == 2:
            file.unlink()
            file.mkdir()
        else:
            file.write_bytes(random.choice(DAMAGE))
        filled = {"{}": str(copy), "{out}": str(self.new())}
        known = {each.name: str(each) for each in self.kept}
        return [filled.get(each, known.get(each, each)) for each in random.choice(readers[kind])]


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Relative paths lead into a folder of one's own."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
