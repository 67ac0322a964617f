"""``bayesrm campaign label`` as a user meets it: in the terminal, and what it refuses to serve."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from bayesrm.campaign.page.links import LINKS_FILE
from bayesrm.campaign.page.live import REFIT_AFTER
from bayesrm.campaign.rankings import in_words
from bayesrm.cli.campaign import terminal


@pytest.fixture
def typed(command, monkeypatch):
    """``typed(directory, keys, *options)``: run it in a terminal in which these keys are pressed."""

    def run(directory, keys: str, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{key}\n" for key in keys)))
        return command("campaign", "label", directory, "--terminal", *options)

    return run


def test_the_terminal_answers_undoes_and_ends(asked, typed):
    campaign = asked(5)
    status, printed, _ = typed(campaign.directory, "lrux ts")
    assert status == 0
    assert "Taken back." in printed
    assert "1 of 5" in printed
    assert "4 of 5" in printed
    rows = campaign.store.answers()
    questions = campaign.store.questions()
    assert [row.question for row in rows] == [q.id for q in questions[:3]]
    assert [row.verdict for row in rows] == [questions[0].verdict("left"), "tie", "skip"]
    assert {row.annotator for row in rows} == {"owner"}
    assert [row.place for row in rows] == ["terminal"] * 3
    assert [why.reason for _, why in campaign.store.retracted()] == ["undo on the terminal"]
    status, printed, _ = typed(campaign.directory, "rrr", "--annotator", "ana")
    assert status == 0
    assert "Nothing is left to answer now. 2 answers given by ana." in printed
    assert not (campaign.directory / LINKS_FILE).exists()


def test_lists_are_ranked_in_a_line_of_the_terminal(asked, command, monkeypatch):
    campaign = asked(4, list_size=4)
    lines = ["B > A = D > C", "c", "e > a", "undo", "c > a", "t", "", "q"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    status, printed, complaint = command("campaign", "label", campaign.directory, "--terminal")
    assert status == 0, complaint
    assert "expected A to D" in printed
    questions = campaign.store.questions()
    rows = campaign.store.answers()
    assert [row.question for row in rows] == [question.id for question in questions[:3]]
    said = [
        in_words(row.ranked(question), question.members) for row, question in zip(rows, questions, strict=False)
    ]
    assert said == ["B > A = D > C", "C > A", "A = B = C = D"]
    assert "3 answers given by owner" in printed


def test_grades_are_keys_of_the_terminal(asked, typed):
    campaign = asked(4, grades=5)
    status, printed, complaint = typed(campaign.directory, "l135q")
    assert status == 0, complaint
    assert "1 left much better" in printed
    questions = campaign.store.questions()
    rows = campaign.store.answers()
    assert [row.margin for row in rows] == [2, 0, 2]
    assert [row.verdict for row in rows] == [
        questions[0].verdict("left"), "tie", questions[2].verdict("right"),
    ]  # fmt: skip


def test_no_text_steers_the_terminal(asked, typed):
    hostile = (
        "a\x1b]8;;https://elsewhere.example\x07b\x1b[2J\x9b31m\u202ec [x](https://e.example) \x1b]0;title\x07"
    )
    campaign = asked(2, texts=[f"{hostile} {k}" for k in range(60)])
    _, printed, _ = typed(campaign.directory, "alq", "--annotator", "a\x1b[31mna")
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x00"} & set(printed)
    assert "b[2J" in printed


def test_a_text_of_a_megabyte_is_shown_when_it_is_asked_for(asked, typed):
    campaign = asked(1, texts=[f"{k:04} " * 200_000 for k in range(60)])
    _, printed, _ = typed(campaign.directory, "q")
    assert len(printed) < 40_000
    assert "1,000,000 characters: a shows all" in printed
    _, printed, _ = typed(campaign.directory, "aq")
    assert len(printed) > 1_900_000


def test_live_in_the_terminal_needs_no_batch(asked, typed):
    campaign = asked(0)
    status, _, complaint = typed(campaign.directory, "l")
    assert (status, "nothing was asked yet" in complaint) == (2, True)
    status, printed, complaint = typed(campaign.directory, "lrt", "--live", "--size", "3", "--candidates", "0")
    assert status == 0, complaint
    assert "3 of 3" in printed
    assert len(campaign.store.answers()) == len(campaign.store.questions()) == 3


def test_what_cannot_be_served_is_one_sentence(asked, command):
    campaign = asked(3, annotators={"ana": None, "bo": None})
    cases = {
        "add --expose": ["--host", "0.0.0.0"],
        "cannot be served on 192.0.2.1": ["--host", "192.0.2.1", "--expose"],
        "expected an annotator's name": ["--annotator", " "],
        "one annotator in a terminal, and there are ana, bo": ["--terminal"],
        "without caps": ["--live", "--per-prompt", "1"],
    }
    for message, options in cases.items():
        status, _, complaint = command("campaign", "label", campaign.directory, *options)
        assert (status, message in complaint) == (2, True), (message, complaint)
        assert complaint.count("\n") == 1


@pytest.mark.parametrize(("pressed", "key"), [(b"l", "l"), (b"\x1b[D", "l"), (b"\x1b[C", "r"), (b"Q", "q")])
def test_keys_of_a_real_terminal_need_no_enter(pressed, key, monkeypatch):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        # What was typed before the question is shown is not meant for it and is dropped, so this comes later.
        typing = threading.Timer(0.3, os.write, (ours, pressed))
        typing.start()
        assert terminal.read_key() == key
        typing.join()
    os.close(ours)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Ctrl-C of a terminal goes to a process group")
def test_ctrl_c_ends_a_live_page_with_a_sentence_while_a_fit_goes_on(asked):
    campaign = asked(0)
    command = ["campaign", "label", campaign.directory, "--live", "--candidates", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "bayesrm.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "400"},
        start_new_session=True,
    ) as page:
        printed = ""
        while "Ctrl-C ends it" not in printed:
            came = page.stdout.readline()
            assert came, page.stderr.read()
            printed += came
        port, secret = re.search(r"owner: http://127.0.0.1:(\d+)/#(\S+)", printed).groups()
        line = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        headers = {
            "authorization": f"Bearer {secret}",
            "content-type": "application/json",
            "origin": f"http://127.0.0.1:{port}",
        }

        def call(name: str, **body: object) -> dict:
            line.request("POST", f"/api/{name}", json.dumps(body), headers)
            return json.loads(line.getresponse().read())

        state = call("next")
        for number in range(REFIT_AFTER):
            state = call(
                "answer", question=state["question"]["id"], side="left", key=f"answer {number}", seconds=1.0
            )
        line.close()
        os.killpg(page.pid, signal.SIGINT)
        rest, complaint = page.communicate(timeout=60)
    assert page.returncode == 0, complaint
    assert f"Ended. {REFIT_AFTER} answers came in" in rest
    assert complaint == ""
    assert len(campaign.store.answers()) == REFIT_AFTER
