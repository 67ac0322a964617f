"""Answering in a terminal: the same desk as the page's, one key an answer.

Texts are shown without a character that could steer the terminal: they are cleaned before they are rendered, and links
are no escape sequences.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bayesrm.cli.app import console, say
from bayesrm.utils.wording import counted

if TYPE_CHECKING:
    from bayesrm.campaign.handoff.base import Sheet
    from bayesrm.campaign.page.desk import Desk, Progress

KEYS = {"l": "left", "r": "right", "t": "tie", "s": "skip"}
SHOWN = 6_000
"""Characters of a text that are shown before the key a is pressed."""
BESIDE = 100
"""Columns from which on the two answers stand beside each other."""
ARROWS = {"\x1b[D": "l", "\x1b[C": "r"}


def answer_in_terminal(desk: Desk, who: str) -> int:
    """Ask one question after another until none is left, or somebody quits; how many answers were given."""
    from bayesrm.campaign.page.texts import harmless

    given = 0
    while (question := desk.next(who)) is not None:
        sheet, progress, whole = desk.campaign.sheet(question), desk.progress(who), False
        begun = time.monotonic()
        _show(sheet, progress, whole)
        while True:
            key = read_key()
            if key in KEYS:
                desk.answer(
                    who, question.id, KEYS[key], f"{who}:{secrets.token_hex(16)}", time.monotonic() - begun
                )
                given += 1
                break
            if key == "u" and progress.last is not None:
                desk.undo(who, progress.last)
                say("Taken back. Here it is again.")
                given -= 1
                break
            if key == "a" and not whole:
                whole = True
                _show(sheet, progress, whole)
            if key in ("q", ""):
                desk.pause(who)
                say(f"{counted(max(0, given), 'answer')} given by {harmless(who)}. All are kept.")
                return given
    say(f"Nothing is left to answer now. {counted(max(0, given), 'answer')} given by {harmless(who)}.")
    return given


def read_key() -> str:
    """A key without Enter on a terminal, else a line; "q" or "" to end."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.strip().lower()[:1] or ("?" if line else "")
    try:
        import termios
        import tty
    except ImportError:
        import msvcrt  # Windows

        return str(msvcrt.getwch()).lower()  # type: ignore[attr-defined, unused-ignore]
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle)
        pressed = os.read(handle, 8).decode("utf-8", "replace")
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
    return ARROWS.get(pressed, pressed[:1].lower())


def _show(sheet: Sheet, progress: Progress, whole: bool) -> None:
    """A question, as wide as the terminal."""
    total = progress.answered + progress.left + progress.elsewhere
    left = "" if progress.seconds is None else f", about {max(1, round(progress.seconds / 60))} min left"
    console.rule(f"{progress.answered + 1} of {total}{left}")
    console.print(Panel(_rendered(sheet.prompt, whole), title="Prompt", title_align="left"))
    answers = [
        Panel(_rendered(text, whole), title=title, title_align="left")
        for title, text in (("Left", sheet.left), ("Right", sheet.right))
    ]
    console.print(_beside(answers) if console.width >= BESIDE else Group(*answers))
    console.print(
        Text("l left   r right   t tie   s skip   u undo   a show all   q quit", style="bold"), soft_wrap=True
    )


def _beside(panels: list[Panel]) -> RenderableType:
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return grid


def _rendered(text: str, whole: bool) -> RenderableType:
    from bayesrm.campaign.page.texts import harmless

    clean = harmless(text if whole else text[:SHOWN])
    if whole:
        return Text(clean)
    view: list[RenderableType] = [Markdown(clean, hyperlinks=False)]
    if len(text) > SHOWN:
        view.append(Text(f"… {len(text):,} characters: a shows all", style="dim"))
    return Group(*view)
