"""The command-line application that every command registers with, its own options, and where it prints."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    name="bayesrm",
    help="Bayesian active reward modeling: which pairs to ask about, what was learned, how far to trust it.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
console = Console()


@app.callback()
def options(
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE|FILE.py",
            help="Parts of your own: an importable module, or a file; before the command, several for several.",
        ),
    ] = None,
) -> None:
    """Bayesian active reward modeling: which pairs to ask about, what was learned, how far to trust it."""
    from bayesrm.utils import plugins

    if plugin:
        plugins.ask_for(plugin)
