"""The command-line application that every command registers with, and where it prints."""

from __future__ import annotations

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
