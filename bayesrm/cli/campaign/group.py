"""The group of commands ``bayesrm campaign``, and what several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import Commands, app

campaign_app = Commands(
    help="A labelling campaign: ask people which of two responses is better, take their answers, fit, and again.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    epilog="Example:  [bold]bayesrm campaign init runs/labels --pool data/quickstart/pool && bayesrm campaign ask "
    "runs/labels --size 20 --to csv[/bold]",
)
app.add_typer(campaign_app, name="campaign")

Folder = Annotated[Path, typer.Argument(help="Folder of the campaign.")]
Moved = Annotated[Path | None, typer.Option(help="Where the pool is, if it was moved.")]
Batch = Annotated[int, typer.Option(metavar="N", help="Number of the batch.")]
By = Annotated[str, typer.Option(metavar="NAME", help="Who decides this; it is kept.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say only what would happen, and write nothing.")]
