"""What commands print: whole paths, whole names, the default marked, and what to do after Ctrl-C."""

from __future__ import annotations

import csv
import io
import os
import re
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import bayesrm as brm
from bayesrm import cli
from bayesrm.cli import runs
from bayesrm.design import RECOMMENDED_DESIGN
from bayesrm.inference import RECOMMENDED_INFERENCE
from bayesrm.models.likelihoods import RECOMMENDED_LIKELIHOOD

app = import_module("bayesrm.cli.app")  # its application has the same name
LONG = Path("/" + "/".join(["a-folder-with-a-name"] * 7)) / "report.html"


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of some width, and what stands on it."""

    def make(width: int) -> io.StringIO:
        screen = io.StringIO()
        monkeypatch.setattr(
            app, "console", Console(file=screen, force_terminal=True, width=width, color_system=None)
        )
        return screen

    return make


def test_sentences_are_not_broken_where_there_is_no_terminal(capsys):
    app.say(f"The report is {LONG}, and these are some more words after it.")
    assert capsys.readouterr().out == f"The report is {LONG}, and these are some more words after it.\n"


def test_on_a_terminal_they_are_broken_between_words_and_paths_are_whole(terminal):
    screen = terminal(40)
    app.say(f"The report is {LONG}, and these are some more words, enough for another line.\n  with an indent")
    lines = screen.getvalue().split("\n")
    assert f"{LONG}," in lines
    assert all(len(line) <= 40 for line in lines if str(LONG) not in line)
    assert "  with an indent" in lines


def test_brackets_are_text_and_no_markup(capsys):
    app.say("a folder named [bold] or [/x]", bold=True)
    assert capsys.readouterr().out == "a folder named [bold] or [/x]\n"


HOSTILE = "[red]a[/x]\x1b[2J\u202eb\ud800"
HARMLESS = "[red]a[/x]\\x1b[2J\\u202eb\\ud800"


def test_sentences_do_not_steer_the_terminal(terminal, capsys):
    app.say(HOSTILE)
    assert capsys.readouterr().out == f"{HARMLESS}\n"
    screen = terminal(100)
    app.say(HOSTILE, bold=True)
    assert screen.getvalue() == f"{HARMLESS}\n"


def test_nor_do_titles_and_cells_of_tables(capsys):
    table = app.View(f"a campaign in {HOSTILE}")
    table.add_column("design")
    table.add_row(HOSTILE, style="bold")
    app.show(table)
    printed = capsys.readouterr().out
    assert f"a campaign in {HARMLESS}" in printed
    assert printed.count(HARMLESS) == 2


@pytest.mark.parametrize(
    "arguments", [("report", HOSTILE[:-1]), (HOSTILE,), ("run", f"--{HOSTILE}"), ("study", HOSTILE[:-1])]
)
def test_nor_do_errors(command, arguments):
    status, printed, complaint = command(*arguments)
    assert (status, printed) == (2, "")
    assert "\\x1b[2J\\u202eb" in complaint
    assert complaint.rstrip("\n").isprintable()


def test_answers_that_people_gave_do_not_steer_the_terminal(command, tmp_path, pool, monkeypatch):
    """From a file of answers to what status prints of it."""
    texts = [f"an answer, number {i}" for i in range(len(pool))]
    brm.save_pool(tmp_path / "pool", brm.ResponsePool(pool.embeddings, pool.prompt, texts))
    folder = tmp_path / "labels [red]"
    assert command("campaign", "init", folder, "--pool", tmp_path / "pool")[0] == 0
    assert command("campaign", "ask", folder, "--size", 4)[0] == 0
    with open(folder / "batches/batch-001.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, answer in zip(rows, ("left", "right", "\x1b[2J", "no\u202e"), strict=True):
        row |= {"answer": answer, "annotator": "an \x1b]0;name\x07[/x]"}
    with open(tmp_path / "back.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    said = [
        command("campaign", "tell", folder, tmp_path / "back.csv"),
        command("campaign", "status", folder, "--aside", "--no-fit"),
    ]
    for status, printed, complaint in said:
        assert status == 0, complaint
        assert all(line.isprintable() for line in printed.split("\n"))
    assert r"\x1b[2J" in said[1][1]


def test_a_terminal_that_lacks_a_character_gets_its_number(monkeypatch, capsys):
    """As in the C locale, and on Windows."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.argv", ["bayesrm", "checks"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    stream.flush()
    assert b"\\u" in stream.buffer.getvalue()
    assert capsys.readouterr().err == ""


def test_output_that_nobody_reads_is_no_error(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr("sys.argv", ["bayesrm", "designs"])
    with open(writer, "w", encoding="utf-8") as stream:  # closing it is what happens at exit
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert (stop.value.code, capsys.readouterr().err) == (1, "")


def test_a_table_is_as_wide_as_it_wants_to_be_where_there_is_no_terminal(capsys):
    table = app.View(f"Campaign {LONG}")
    for name in ("design", "why"):
        table.add_column(name)
    table.add_row("within-first", "words " * 30)
    app.show(table)
    printed = capsys.readouterr().out
    assert f"Campaign {LONG}" in printed
    assert ("words " * 30).strip() in printed


def test_nothing_prints_past_these_two():
    """So that no command breaks a path again."""
    printing = re.compile(r"console\.print|\bprint\(|typer\.echo|rich\.table")
    for file in Path(cli.__file__).parent.glob("**/*.py"):
        # The desk of a terminal draws panels, and its own test holds that no text steers the terminal.
        if file.name not in ("app.py", "terminal.py"):
            assert not printing.search(file.read_text()), (
                f"{file}: use say, show, View or complain of bayesrm.cli.app"
            )


def final_table() -> pd.DataFrame:
    metrics = ("one_minus_spearman", "difference", "best_of_n", "log_loss")
    figures = dict.fromkeys(metrics, 0.5) | {f"{name}_se": 0.1 for name in metrics}
    places = {"scope": "within-prompt", "inference": "laplace", "seeds": 2, "labels": 10, "n": 4}
    return pd.DataFrame(
        [{**places, "design": design, **figures} for design in ("within-first", "batchbald-gaussian")]
    )[["scope", "inference", "design", "seeds", "labels", "n", *figures]]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_names_of_designs_are_whole_on_every_terminal(terminal, width):
    screen = terminal(width)
    runs._print_table(final_table())
    printed = screen.getvalue()
    assert "within-first" in printed
    assert "batchbald-gaussian" in printed
    assert "…" not in printed
    assert "1−Spearman" in printed
    said = re.search(r"A wider terminal shows (.*) too", printed.replace("\n", " "))
    assert (said is None) == (width == 200)
    # Each metric is in the table or named below it.
    for header in ("vs random", "best of 4", "log loss"):
        assert printed.count(header) == 1, header


@pytest.mark.parametrize(
    ("listing", "default"),
    [
        ("designs", RECOMMENDED_DESIGN),
        ("inferences", RECOMMENDED_INFERENCE),
        ("likelihoods", RECOMMENDED_LIKELIHOOD),
    ],
)
def test_listings_mark_the_default_and_nothing_else(command, listing, default):
    _, printed, _ = command(listing)
    marked = [line.split()[0] for line in printed.splitlines() if "(default)" in line]
    assert marked == [default]


def test_the_default_likelihood_is_that_of_a_model():
    assert brm.RewardModel(2).likelihood.name == RECOMMENDED_LIKELIHOOD


def test_version(command):
    status, printed, _ = command("--version")
    assert status == 0
    assert re.match(r"bayesrm \S+\ntorch \d", printed)


@pytest.mark.parametrize("finished", [True, False])
def test_ctrl_c_says_how_to_go_on(command, monkeypatch, tmp_path, finished):
    out = tmp_path / "a run"

    def stopped(*arguments, **settings):
        if finished:
            out.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesrm.runs.sweep.sweep", stopped)
    pool = tmp_path / "pool.npz"
    pool.touch()
    status, _, complaint = command("run", pool, "--out", out)
    assert status == 130
    assert "run the same command again" in complaint
    assert (f"kept in {out}" in complaint) == finished


def test_ctrl_c_of_a_command_that_keeps_nothing(command, monkeypatch):
    monkeypatch.setattr(app, "_kept", None)
    monkeypatch.setattr(
        "bayesrm.registry.Registry.lines", lambda registry: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    status, _, complaint = command("designs")
    assert status == 130
    assert complaint == "bayesrm: stopped before it was done.\n"
