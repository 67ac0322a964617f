"""Bars: of work that somebody else does, looked at now and then."""

from __future__ import annotations

import io
import re
from threading import Event

import pytest
from rich.console import Console

from bayesrm.utils import progress


def test_a_bar_follows_work_that_others_do(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda stderr: console)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LOOKS", 0.01)
    looks, enough = [], Event()

    def done() -> int:
        looks.append(min(len(looks), 4))
        if len(looks) > 40:
            enough.set()
        return looks[-1]

    with progress.following("1 run", 4, done):
        assert enough.wait(timeout=20)
    shares = [int(share) for share in re.findall(r"(\d+)%", screen.getvalue())]
    assert shares[0] == 0
    assert shares[-1] == 100
    assert shares == sorted(shares)


def test_where_no_bar_is_shown_nobody_looks():
    def done() -> int:
        pytest.fail("looked without a terminal")

    with progress.following("1 run", 4, done):
        pass
