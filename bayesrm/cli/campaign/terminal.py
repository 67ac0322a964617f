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
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted

if TYPE_CHECKING:
    from bayesrm.campaign.handoff.base import Sheet
    from bayesrm.campaign.page.desk import Desk, Progress

KEYS = {"l": "left", "r": "right"}
ANSWERS = ("left", "right", "tie", "skip", "ranked")
SHOWN = 6_000
"""Characters of a text that are shown before the key a is pressed."""
BESIDE = 100
"""Columns from which on the two answers stand beside each other."""
ARROWS = {"\x1b[D": "l", "\x1b[C": "r"}
COMMANDS = {"t": "tie", "s": "skip", "u": "undo", "q": "quit", "": "quit"}
"""What a line means that answers no list; the letters of answers are others."""


def answer_in_terminal(desk: Desk, who: str) -> int:
    """Ask one question after another until none is left, or somebody quits; how many answers were given."""
    from bayesrm.campaign.page.texts import harmless

    given = 0
    while (question := desk.next(who)) is not None:
        sheet, progress, whole = desk.campaign.sheet(question), desk.progress(who), False
        begun = time.monotonic()
        _show(sheet, progress, whole)
        while True:
            did, order, points = read_order() if sheet.responses else read_side(sheet.grades)
            if did in ANSWERS:
                key = f"{who}:{secrets.token_hex(16)}"
                try:
                    desk.answer(who, question.id, did, key, time.monotonic() - begun, order, points)
                except InvalidInputError as error:
                    say(f"{error}.")
                    continue
                given += 1
                break
            if did == "undo" and progress.last is not None:
                desk.undo(who, progress.last)
                say("Taken back. Here it is again.")
                given -= 1
                break
            if did == "all" and not whole:
                whole = True
                _show(sheet, progress, whole)
            if did == "quit":
                desk.pause(who)
                say(f"{counted(max(0, given), 'answer')} given by {harmless(who)}. All are kept.")
                return given
    say(f"Nothing is left to answer now. {counted(max(0, given), 'answer')} given by {harmless(who)}.")
    return given


def read_side(grades: int = 0) -> tuple[str, None, int | None]:
    """The answer of a key to a pair, or a grade where the campaign has a scale."""
    from bayesrm.campaign.grades import scale

    key = read_key()
    if grades and key.isdecimal() and 1 <= int(key) <= grades:
        _, side, points = scale(grades)[int(key) - 1]
        return side, None, points
    return {**({} if grades else KEYS), **COMMANDS, "a": "all"}.get(key, ""), None, None


def read_order() -> tuple[str, str | None, None]:
    """The ranking or the command that a line is."""
    line = sys.stdin.readline()
    words = line.strip().lower() if line else "quit"
    if line and not words:
        return "", None, None
    did = COMMANDS.get(words, words)
    return ("ranked", words, None) if did not in ("tie", "skip", "undo", "quit", "all") else (did, None, None)


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
    from bayesrm.campaign.grades import scale

    total = progress.answered + progress.left + progress.elsewhere
    left = "" if progress.seconds is None else f", about {max(1, round(progress.seconds / 60))} min left"
    console.rule(f"{progress.answered + 1} of {total}{left}")
    console.print(Panel(_rendered(sheet.prompt, whole), title="Prompt", title_align="left"))
    titled = sheet.lettered or {"Left": sheet.left, "Right": sheet.right}
    answers = [Panel(_rendered(text, whole), title=title, title_align="left") for title, text in titled.items()]
    wide = console.width >= BESIDE and not sheet.responses
    console.print(_beside(answers) if wide else Group(*answers))
    keys = "l left   r right   t tie   s skip   u undo   a show all   q quit"
    if sheet.grades:
        words = "   ".join(f"{at} {words}" for at, (words, _, _) in enumerate(scale(sheet.grades), start=1))
        keys = f"{words}   s skip   u undo   a show all   q quit"
    if sheet.responses:
        keys = (
            "best first, such as B > A = D, or B alone; then Enter   t all equal   s skip   u undo   all   q quit"
        )
    console.print(Text(keys, style="bold"), soft_wrap=True)


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
