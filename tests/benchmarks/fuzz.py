"""How many wrong inputs are refused in a sentence, and whether any is taken that should not be.

    python tests/benchmarks/fuzz.py [files|calls|commands] [CASES]

``files``: every hand-off and every published form of data sets, each with so many damaged files (default 500): how many
were read, how many were refused, how many raised anything else, and of answers how many were taken that are others than
were given without a word about it.

``calls``: every argument of every public function, class and method with every value of ``tests/wrong_calls.py``: how
many were refused in a sentence, raised anything else, worked as they may, or worked although the value makes no sense.

``commands``: so many command lines with a wrong value of one option, and as many with a file of ours damaged.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "campaign"))
from mutations import changed, damaged
from published_cards import CARDS
from test_answers_fuzz import SUFFIX, as_file, filled_in, last, new_campaign, told, wrong
from wrong_calls import World, outcome, shown
from wrong_commands import Desk, inside, run

from bayesrm.data.texts import read_texts
from bayesrm.errors import InvalidInputError

KINDS = ("jsonl", "json", "csv", "parquet")


def answers(cases: int, folder: Path, random: Random) -> dict[str, Counter[str]]:
    """By hand-off, what became of so many files."""
    campaign = new_campaign(folder)
    said, files = filled_in(campaign)
    counts: dict[str, Counter[str]] = {}
    for form in SUFFIX:
        counts[form] = Counter()
        for number in range(cases):
            whole = files[form]
            data = damaged(as_file(form, whole), random) if number % 2 else as_file(form, changed(whole, random))
            before = last(campaign)
            try:
                report = told(campaign, data, f"file{SUFFIX[form]}")
            except Exception:
                traceback.print_exc()
                counts[form]["other exceptions"] += 1
                continue
            counts[form]["refused" if isinstance(report, str) else "read"] += 1
            if number % 2 and wrong(campaign, said, before):
                counts[form][
                    "other answers, said" if report.aside or report.notes else "other answers, silent"
                ] += 1
    return counts


def sources(cases: int, folder: Path, random: Random) -> dict[str, Counter[str]]:
    """By form of data set, what became of so many files."""
    counts: dict[str, Counter[str]] = {}
    for card, rows in CARDS.items():
        counts[card] = Counter()
        for number in range(cases):
            path = folder / f"rows.{random.choice(KINDS)}"
            write(path, rows if number % 2 else changed(rows, random))
            if number % 2:
                path.write_bytes(damaged(path.read_bytes(), random))
            try:
                read_texts(str(path))
            except InvalidInputError:
                counts[card]["refused"] += 1
            except Exception:
                traceback.print_exc()
                counts[card]["other exceptions"] += 1
            else:
                counts[card]["read"] += 1
    return counts


def write(path: Path, rows: object) -> None:
    """Rows as a file of the kind that its name says; what no Parquet file can have goes into it as JSON."""
    good = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if path.suffix == ".parquet" and good:
        try:
            pq.write_table(pa.Table.from_pylist(good), path)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
            path.write_text(json.dumps(rows))
    elif path.suffix == ".csv" and good:
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(map(str, good[0]))
        writer.writerows([str(row.get(name, "")) for name in good[0]] for row in good)
        path.write_bytes(out.getvalue().encode(errors="surrogatepass"))
    elif path.suffix == ".jsonl" and isinstance(rows, list):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows))


def calls(folder: Path) -> None:
    """Print what became of every value of every argument, by what was called."""
    os.chdir(folder)
    warnings.simplefilter("ignore")
    world = World(folder)
    counts: dict[str, Counter[str]] = {}
    for call in world.calls():
        counts[call.name] = Counter()
        for parameter in call.parameters:
            for value in world.wrong:
                found = outcome(call, parameter, value)
                counts[call.name][found.kind] += 1
                if found.kind in ("bare", "silent"):
                    print(f"{call.name}({parameter}={shown(value)}): {found.kind} {found.said}", file=sys.stderr)
    table(counts, ("sentence", "works", "silent", "bare"), "call")


def command_lines(cases: int, folder: Path) -> None:
    """Print how commands ended with a wrong value, and with a damaged file."""
    warnings.simplefilter("ignore")
    desk, random = Desk(folder), Random(0)
    counts: dict[str, Counter[str]] = {}
    for name, drawn in (("wrong value", desk.wrong), ("damaged file", desk.damaged)):
        counts[name] = Counter()
        with inside(folder):
            for _ in range(cases):
                arguments = drawn(random)
                ended = run(*arguments)
                counts[name][f"status {ended.status}" if ended.fine else "anything else"] += 1
                if not ended.fine:
                    print(arguments, ended.said, file=sys.stderr)
    table(counts, ("status 0", "status 1", "status 2", "anything else"), "command lines")


def table(counts: dict[str, Counter[str]], columns: tuple[str, ...], of: str) -> None:
    """Print counts, with their sum in the last row."""
    print(f"| {of} | tried | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * (len(columns) + 1))
    for name, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(f"| {name} | {count.total():,} | " + " | ".join(f"{count[each]:,}" for each in columns) + " |")


def main(what: str = "files", cases: str = "500") -> None:
    """Count, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        if what == "files":
            files(int(cases))
        elif what == "calls":
            calls(Path(name))
        else:
            command_lines(int(cases), Path(name))
        os.chdir("/")


def files(cases: int) -> None:
    """Print what became of damaged files, by their form."""
    random = Random(0)
    with tempfile.TemporaryDirectory() as name:
        counts = answers(cases, Path(name), random) | sources(cases, Path(name), random)
    columns = ("read", "refused", "other exceptions", "other answers, said", "other answers, silent")
    print("| form | files | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * (len(columns) + 1))
    total = sum(counts.values(), Counter())
    for form, count in [*counts.items(), ("all", total)]:
        tried = sum(count[name] for name in columns[:3])
        print(f"| {form} | {tried:,} | " + " | ".join(f"{count[name]:,}" for name in columns) + " |")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(*sys.argv[1:])
