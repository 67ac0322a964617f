"""The command-line application that every command registers with, its own options, and how it prints.

What is printed comes from files and from names that people gave: all of it goes through here, where it is text and
nothing else, neither markup nor what steers a terminal.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bayesrm.utils.terminal import printable


class Commands(typer.Typer):
    """Commands whose help is their docstring, broken where the terminal ends and not where lines of code do."""

    def command(  # type: ignore[override]
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a function as :meth:`typer.Typer.command` does."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(function) or "")
            return super(Commands, self).command(name, **{"help": text} | settings)(function)

        return register


app = Commands(
    name="bayesrm",
    help="Bayesian active reward modeling: which pairs to ask about, what was learned, how far to trust it.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
console = Console()
_kept: Path | None = None

_NO_LIMIT = 10_000
"""Columns of a table that goes to a file or to another program."""


def say(text: str = "", bold: bool = False) -> None:
    """Print sentences: broken between words on a terminal, and nowhere else, so that a path is always whole."""
    text = printable(text)
    if console.is_terminal:
        lines = [
            textwrap.fill(line, console.width, break_long_words=False, break_on_hyphens=False)
            for line in text.split("\n")
        ]
        text = "\n".join(lines)
    console.print(text, style="bold" if bold else None, highlight=False, markup=False, soft_wrap=True)


def complain(sentence: str) -> None:
    """One line on stderr."""
    print(f"bayesrm: {printable(' '.join(sentence.split()))}", file=sys.stderr)


class View(Table):
    """A table of texts, which are shown as they are."""

    def __init__(self, title: str | None = None, *, header: bool = True) -> None:
        shown = None if title is None else Text(printable(title), style="table.title")
        form, padding = (box.SIMPLE_HEAD, (0, 1)) if header else (None, (0, 2, 0, 0))
        super().__init__(title=shown, title_justify="left", show_header=header, box=form, padding=padding)

    def add_row(self, *cells: str, style: str | None = None) -> None:  # type: ignore[override]
        """A row of plain texts."""
        super().add_row(*(Text(printable(cell)) for cell in cells), style=style)


def show(table: View) -> None:
    """Print a table: within the width of a terminal, and as wide as it wants to be where there is none."""
    there = console
    if not console.is_terminal:
        there = Console(file=console.file, width=full_width(table))
        if isinstance(table.title, Text):
            table.title.no_wrap, table.title.overflow = True, "ignore"
    there.print(table)


def fits(table: View) -> bool:
    """Whether a table is shown without breaking or cutting anything in it."""
    return not console.is_terminal or full_width(table) <= console.width


def full_width(table: View) -> int:
    """Columns that a table takes where there is room, its title included."""
    options = console.options.update(max_width=_NO_LIMIT)
    title = 0 if table.title is None else console.measure(table.title, options=options).maximum
    return max(Measurement.get(console, options, table).maximum, title)


def keeps(folder: Path) -> None:
    """Remember the folder in which the command keeps its finished work, for the message after Ctrl-C."""
    global _kept
    _kept = folder


def how_to_go_on() -> str:
    """The message after Ctrl-C: what is kept, and how to go on."""
    if _kept is None:
        return "stopped before it was done."
    if not _kept.exists():
        return "stopped before anything was finished: run the same command again."
    return f"stopped. What is finished is kept in {_kept}: run the same command again, and it goes on from there."


def _print_version(asked: bool) -> bool:
    if not asked:
        return asked
    from bayesrm.utils.versions import versions

    own, *others = versions().items()
    say(f"{own[0]} {own[1]}")
    say(", ".join(f"{package} {number}" for package, number in others))
    raise typer.Exit


@app.callback()
def options(
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE|FILE.py",
            help="Parts of your own: an importable module, or a file; before the command, several for several.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version, and of what it stands on.",
        ),
    ] = False,
) -> None:
    """Bayesian active reward modeling: which pairs to ask about, what was learned, how far to trust it."""
    from bayesrm.utils import plugins

    if plugin:
        plugins.ask_for(plugin)
