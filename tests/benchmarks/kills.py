"""Kill every command that writes, at its file operations and at random moments, and count what becomes of labels.

    python tests/benchmarks/kills.py --kills 1000 [--seed 0] [--only tell,run]

One campaign is led through its life: begun, asked, told in parts, twice and as a data set, taken back, renamed,
released, closed, fitted, exported. Each command is carried out once, and then killed from the state before it, again
and again. After each kill the store must be as before the command or as after it, and as after it once the command said
so; status must say which; and the command, given again, must end in the very same rows and files, to the byte. Every
third kill falls on what the one before has left. A run is killed in the same way, and must end in the same files.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import hashlib
import io
import json
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from killing import Ended, command, in_child

import bayesrm as brm
from bayesrm.campaign import records
from bayesrm.campaign.records import Question
from bayesrm.campaign.store import STORE_FILE, Store
from bayesrm.data.preferences import save_preferences
from bayesrm.export import save

PROMPTS, EACH, DIM = 30, 4, 3
MODEL = ("--encoder", "linear", "--prior-scale", "1", "--likelihood", "bradley-terry")
BEGAN = datetime(2026, 3, 1, 12).timestamp()
DIFFERS = ("cell.json", "checksums.json")
"""Files of a run that have seconds in them, or digests of such files."""
Row = tuple[object, ...]


def make_pool(folder: Path, seed: int = 0) -> Path:
    """A pool with texts, golden rewards, and some labels that came with it."""
    random = np.random.default_rng(seed)
    embeddings = random.standard_normal((PROMPTS * EACH, DIM)).astype(np.float32)
    texts = [f"response {number}" for number in range(PROMPTS * EACH)]
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH), texts)
    golden = 2 * embeddings @ random.standard_normal(DIM)
    brm.save_pool(folder, pool, golden)
    first = EACH * np.arange(10)
    labels = brm.Preferences(first, first + 1, (golden[first] > golden[first + 1]).astype(float))
    save_preferences(folder / "preferences.parquet", labels)
    return folder


@dataclass
class Place:
    """Where a campaign or a run lives, and what it is about."""

    life: Path
    pool: Path
    scratch: Path
    is_run: bool = False
    golden: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.golden = brm.load_golden(self.pool)
        for folder in (self.life, self.scratch):
            folder.mkdir(exist_ok=True)

    @property
    def folder(self) -> Path:
        return self.life / "labels"

    def asked(self, batch: int) -> list[Question]:
        return [question for question in Store(self.folder).questions() if question.batch == batch]

    def side(self, question: Question) -> str:
        return "left" if self.golden[question.left] > self.golden[question.right] else "right"

    def answers(self, name: str, questions: Sequence[Question], annotator: str | None = None) -> None:
        """A file of answers, with a column of who answered where somebody is named."""
        with open(self.life / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["question", "answer", *(["annotator"] if annotator else [])])
            for question in questions:
                writer.writerow([question.id, self.side(question), *([annotator] if annotator else [])])


@dataclass(frozen=True)
class Step:
    """A command of a life.

    Parameters
    ----------
    name
        The command.
    arguments
        What it is given.
    prepare
        What happens before it: files come back from people.
    again
        What is given where it is found done after a kill; default the same.
    """

    name: str
    arguments: Callable[[Place], Sequence[object]]
    prepare: Callable[[Place], object] = lambda place: None
    again: Callable[[Place], Sequence[object]] | None = None


def _campaign(name: str, *rest: object, pool: bool = False) -> Callable[[Place], Sequence[object]]:
    return lambda place: (
        "campaign",
        name,
        place.folder,
        *(("--pool", place.pool) if pool else ()),
        *(place.life / each[1:] if isinstance(each, str) and each.startswith("@") else each for each in rest),
    )


def _ask(batch: int, size: int, to: str = "csv") -> Step:
    return Step(
        "ask",
        _campaign("ask", "--size", size, "--to", to),
        again=_campaign("ask", "--batch", batch, "--to", to),
    )


EXPORT = Step("export", lambda place: ("export", place.folder, "--to", place.life / "model", "--name", "mine"))


def _tell(file: str, *rest: object, prepare: Callable[[Place], object] = lambda place: None) -> Step:
    return Step("tell", _campaign("tell", f"@{file}", *rest), prepare)


def _label_studio(place: Place) -> None:
    """An export of what was handed out, each task twice."""
    sides = {question.id: place.side(question) for question in place.asked(2)}
    tasks = json.loads(next((place.folder / "batches").glob("batch-002*.json")).read_text())
    for task in tasks:
        value = {"type": "pairwise", "value": {"selected": sides[task["data"]["question"]]}}
        task["annotations"] = [{"completed_by": {"email": "dot"}, "result": [value]}]
    (place.life / "export.json").write_text(json.dumps(tasks + tasks))


def _data_set(place: Place) -> None:
    """Pairs that nobody asked about, in TRL's form."""
    prompts = pd.read_parquet(place.pool / "responses.parquet")
    lines = []
    for prompt in range(20, 28):
        first, second = prompt * EACH + 2, prompt * EACH + 3
        chosen, rejected = (first, second) if place.golden[first] > place.golden[second] else (second, first)
        row = {"chosen": f"response {chosen}", "rejected": f"response {rejected}"}
        lines.append(json.dumps({"prompt": str(prompts["prompt_id"].iloc[first]), **row}))
    (place.life / "owned.jsonl").write_text("\n".join(lines))


def campaign_life() -> list[Step]:
    """The commands of a campaign."""
    return [
        Step("init", _campaign("init", *MODEL, pool=True)),
        _ask(1, 24),
        _tell("part.csv", prepare=lambda p: p.answers("part.csv", p.asked(1)[:7], "ana")),
        _tell("whole.csv", prepare=lambda p: p.answers("whole.csv", p.asked(1)[:16], "ana")),
        _tell("whole.csv"),
        _tell("bo.csv", prepare=lambda p: p.answers("bo.csv", p.asked(1)[10:22], "bo")),
        Step("fit", _campaign("fit")),
        _ask(2, 10, "label-studio"),
        _tell("export.json", prepare=_label_studio),
        Step("untell", _campaign("untell", "--annotator", "bo", "--reason", "the wrong column")),
        _tell("bo.csv"),
        Step("rename", _campaign("rename", "bo", "bob")),
        _ask(3, 12),
        _tell("nameless.csv", prepare=lambda p: p.answers("nameless.csv", p.asked(3)[:8])),
        Step("rename", _campaign("rename", "--unnamed", "cem", "--batch", 3)),
        Step("release", _campaign("release", "--batch", 1)),
        Step("close", _campaign("close", "--batch", 3)),
        _tell("owned.jsonl", prepare=_data_set),
        Step("untell", _campaign("untell", "@export.json")),
        Step("labels", _campaign("labels", "--to", "trl")),
        Step("labels", _campaign("labels", "--to", "argilla")),
        Step("fit", _campaign("fit")),
        EXPORT,
    ]


def short_life() -> list[Step]:
    """Each of these commands but fit, with what it needs."""
    return [
        Step("init", _campaign("init", *MODEL, pool=True)),
        _ask(1, 16),
        _tell("part.csv", prepare=lambda p: p.answers("part.csv", p.asked(1)[:7], "ana")),
        _tell("whole.csv", prepare=lambda p: p.answers("whole.csv", p.asked(1)[:12], "ana")),
        Step("rename", _campaign("rename", "ana", "anna")),
        Step("untell", _campaign("untell", "@part.csv")),
        _ask(2, 10, "label-studio"),
        _tell("export.json", prepare=_label_studio),
        Step("release", _campaign("release", "--batch", 1)),
        Step("close", _campaign("close", "--batch", 2)),
        _tell("owned.jsonl", prepare=_data_set),
        Step("labels", _campaign("labels", "--to", "argilla")),
        EXPORT,
    ]


def run_life(rounds: int = 3) -> list[Step]:
    """A run of the loop."""
    settings = ("--design", "pa-dopt", "--inference", "laplace", "--encoder", "linear", "--rounds", rounds)
    small = ("--batch-size", 8, "--prompts", 20, "--candidates", 60, "--draws", 16)
    return [Step("run", lambda place: ("run", place.pool, *settings, *small, "--out", place.life / "runs"))]


@dataclass(frozen=True)
class State:
    """What a life has on disk: the rows of its store, its answers, and its files by their digests."""

    rows: dict[str, list[Row]]
    answers: Counter[Row]
    files: dict[str, str]

    @classmethod
    def of(cls, place: Place) -> State:
        path = place.folder / STORE_FILE
        rows, answers = {}, Counter()
        if path.exists():
            with closing(sqlite3.connect(path)) as db:
                names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                rows = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(names)}
                answers = Counter(
                    db.execute(
                        "SELECT first, second, answer.annotator, verdict, answer.place, vote, source.name, source.id "
                        "FROM answer JOIN question ON question.id = answer.question JOIN source ON source.id = source"
                    ).fetchall()
                )
        files = {}
        for file in sorted(place.life.rglob("*")):
            name = file.relative_to(place.life).as_posix()
            if file.is_file() and not file.name.startswith(STORE_FILE) and not left_behind(name):
                files[name] = hashlib.sha256(file.read_bytes()).hexdigest()
                if name.endswith(".labels.parquet"):
                    table = pd.read_parquet(file)
                    answers.update((name, *row) for row in table.itertuples(index=False, name=None))
        return cls(rows, answers, files)

    def different(self, other: State) -> list[str]:
        """Names of files that are not the same in both, but for those that have seconds in them."""
        names = self.files.keys() | other.files.keys()
        return sorted(
            name for name in names if self.files.get(name) != other.files.get(name) and not name.endswith(DIFFERS)
        )


def left_behind(name: str) -> bool:
    """Whether a file is one that a killed process was writing."""
    return any(part.startswith(".") and (".part" in part or ".new-" in part) for part in name.split("/"))


@dataclass
class Count:
    """What became of a command's kills."""

    kills: int = 0
    looked_for: int = 0
    lost: int = 0
    doubled: int = 0
    misplaced: int = 0
    problems: list[str] = field(default_factory=list)
    left: int = 0


class Killer:
    """Leads lives, and ends them."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place, self.random = place, np.random.default_rng(seed)
        self.clock = 0
        """Minutes since the life began, one for each command: the same whether it is killed or not."""

    def live(self, steps: Sequence[Step], kills: dict[str, int]) -> dict[str, Count]:
        """Each command without a kill, then with kills; then go on from where it ended without one."""
        counts: dict[str, Count] = {}
        share = Counter(step.name for step in steps)
        for step in steps:
            self.clock += 1
            step.prepare(self.place)
            quota = kills.get(step.name, 0) // share[step.name]
            share[step.name] -= 1
            count = counts.setdefault(step.name, Count())
            killed_before = count.kills
            self._kill(step, quota, count)
            kills[step.name] = kills.get(step.name, 0) - (count.kills - killed_before)
        return counts

    def _killed(self, arguments: Sequence[object], at: int | None = None, after: float | None = None) -> Ended:
        """What becomes of a command in a child, with a kill where one is said."""
        return in_child(lambda: self._at_this_time(arguments), self.place.life, self.place.scratch, at, after)

    def _carried_out(self, arguments: Sequence[object]) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of a command, in this process."""
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            status = self._at_this_time(arguments)
        return status, said.getvalue(), complained.getvalue()

    def _at_this_time(self, arguments: Sequence[object]) -> int:
        """Carry a command out at the time of its step, whenever it is."""
        now = BEGAN + 60 * self.clock

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return cls.fromtimestamp(now, tz)

        with mock.patch.object(records, "datetime", Clock), mock.patch.object(save, "datetime", Clock):
            return command(*arguments)()

    def _status(self) -> str:
        """What explains the state of this life: what status, or report, says."""
        place = self.place
        asking = (
            ("report", place.life / "runs") if place.is_run else ("campaign", "status", place.folder, "--no-fit")
        )
        status, said, complained = self._carried_out(asking)
        assert status == 0 or (status == 2 and complained.count("\n") == 1), complained
        return said + complained

    def _kill(self, step: Step, quota: int, count: Count) -> None:
        place, already = self.place, count.kills
        saved, done = place.scratch / "before", place.scratch / "after"
        before = State.of(place)
        _copy(place.life, saved)
        status_before = self._status() if quota else ""
        _copy(saved, place.life)
        whole = self._killed(step.arguments(place))
        assert whole.status == 0, f"{step.name}: {whole.complained}"
        after = State.of(place)
        _copy(place.life, done)
        status_after = self._status() if quota else ""
        places = self.random.permutation(whole.operations) + 1
        moments = [*places[: quota - quota // 4].tolist(), *[None] * (4 * quota)]
        fresh = True
        for at in moments:
            if count.kills == already + quota:
                break
            if fresh or self.random.random() > 1 / 3:
                _copy(saved, place.life)
            there = State.of(place)
            moment = float(self.random.uniform(0, whole.seconds)) if at is None else None
            ended = self._killed(self._given(step, before, there, after)(place), at, moment)
            fresh = not ended.killed
            if ended.killed:
                count.kills += 1
                self._look(step, before, after, there, ended, (status_before, status_after), count)
                self._finish(step, before, after, count)
        _copy(done, place.life)

    @staticmethod
    def _given(step: Step, before: State, now: State, after: State) -> Callable[[Place], Sequence[object]]:
        """What somebody gives who reads what status says now."""
        done = now.rows == after.rows != before.rows
        return step.again if done and step.again is not None else step.arguments

    def _look(
        self,
        step: Step,
        before: State,
        after: State,
        there: State,
        ended: Ended,
        texts: tuple[str, str],
        count: Count,
    ) -> None:
        """Count what a kill did to labels that had been acknowledged, and see that status says where it stopped."""
        now = State.of(self.place)
        acknowledged = (after if ended.said and after.rows else before).answers | there.answers
        count.looked_for += acknowledged.total()
        count.lost += (acknowledged - now.answers).total()
        surplus = now.answers - after.answers
        count.doubled += sum(number for row, number in surplus.items() if row in after.answers)
        count.misplaced += sum(number for row, number in surplus.items() if row not in after.answers)
        where = f"{step.name}, operation {ended.operations}"
        if now.rows not in (before.rows, after.rows):
            count.problems.append(f"{where}: the store is neither as before nor as after")
        if ended.said and now.rows != after.rows:
            count.problems.append(f"{where}: it said {ended.said.strip()!r}, and the store does not have it")
        status = self._status()
        if unseen := [line for line in status.splitlines(keepends=True) if "no file of it is in" in line]:
            status = status.replace("".join(unseen), "")
        handed_out = bool((now.files.keys() - before.files.keys()) & after.files.keys())
        if bool(unseen) != (step.name == "ask" and now.rows == after.rows and not handed_out):
            count.problems.append(f"{where}: status says of files that were not written {unseen}")
        if after.rows and status != texts[now.rows == after.rows]:
            count.problems.append(f"{where}: status says {status!r}")

    def _finish(self, step: Step, before: State, after: State, count: Count) -> None:
        """Give the command again, as somebody does who has read what status says."""
        now, kept = State.of(self.place), self.place.scratch / "killed"
        _copy(self.place.life, kept)
        status, _, complained = self._carried_out(self._given(step, before, now, after)(self.place))
        found = now.rows == after.rows and now != before and not now.different(after)
        if status != 0 and not (found and status == 2 and complained.count("\n") == 1):
            count.problems.append(f"{step.name} again: {status} {complained}")
        end = State.of(self.place)
        if end.rows != after.rows:
            count.problems.append(f"{step.name} again: other rows than without a kill")
        if different := end.different(after):
            count.problems.append(f"{step.name} again: other files than without a kill: {', '.join(different)}")
        count.left = max(count.left, sum(left_behind(path.name) for path in self.place.life.rglob("*")))
        _copy(kept, self.place.life)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target)


def warm(steps: Sequence[Step], place: Place) -> None:
    """Lead a life in this process, so that children find imported what commands import when they need it."""
    for step in steps:
        step.prepare(place)
        with contextlib.redirect_stdout(io.StringIO()):
            assert command(*step.arguments(place))() == 0
    gc.freeze()


def kill(
    folder: Path,
    kills: int,
    seed: int,
    only: Sequence[str] = (),
    lives: Mapping[str, Sequence[Step]] | None = None,
) -> dict[str, Count]:
    """Kill commands so often in all, in a folder, and count what became of it."""
    lives = {"campaign": campaign_life(), "run": run_life()} if lives is None else lives
    pool = make_pool(folder / "pool")
    counts: dict[str, Count] = {}
    names = only or list(dict.fromkeys(step.name for steps in lives.values() for step in steps))
    for number, (what, steps) in enumerate(lives.items()):
        quotas = {name: kills // len(names) + (at < kills % len(names)) for at, name in enumerate(names)}
        warm(steps, Place(folder / f"warm {what}", pool, folder, what == "run"))
        place = Place(folder / what, pool, folder / f"scratch of {what}", what == "run")
        counts |= Killer(place, seed + number).live(steps, quotas)
    return {name: count for name, count in counts.items() if name in names}


def main() -> None:
    """Kill, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=lambda words: words.split(","), default=[])
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork")
    with tempfile.TemporaryDirectory() as folder:
        counts = kill(Path(folder), given.kills, given.seed, given.only)
    print("| command | kills | acknowledged labels looked for | lost | doubled | misplaced | problems |")
    print("|---|---|---|---|---|---|---|")
    for name, one in counts.items():
        figures = (one.kills, one.looked_for, one.lost, one.doubled, one.misplaced, len(one.problems))
        print(f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    for one in counts.values():
        print(*one.problems, sep="\n")
    print({name: one.left for name, one in counts.items()})


if __name__ == "__main__":
    main()
