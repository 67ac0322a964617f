"""``bayesrm campaign labels``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import Folder, Moved, campaign_app
from bayesrm.utils.wording import counted


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign labels runs/labels --to trl --out labels.jsonl[/bold]"
)
def labels(
    directory: Folder,
    to: Annotated[
        str, typer.Option(help="trl, csv, parquet, argilla, label-studio, or a format of your own.")
    ] = "trl",
    out: Annotated[
        Path | None, typer.Option(help="The file; default labels.* in the folder of the campaign.")
    ] = None,
    ties: Annotated[
        str | None,
        typer.Option(
            help="keep: as winner tie; half: in both orders with half the weight; drop. Default half for trl, whose "
            "trainers know no ties, else keep."
        ),
    ] = None,
    conflicts: Annotated[
        str, typer.Option(help="all: every answer is a row; majority: one row a question, a draw being a tie.")
    ] = "all",
    pool: Moved = None,
) -> None:
    """Take the labels out: chosen and rejected with their prompt, who said it and when, weights, and a data card.

    Told again into an empty campaign about the same pool, the file gives the same posterior.
    """
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.labels import LABEL_FORMATS
    from bayesrm.campaign.labels.export import export_labels

    campaign = Campaign.open(directory, pool)
    files, found = export_labels(campaign, to, out, ties, conflicts)
    say(f"{counted(len(found.rows), 'row')} from {counted(found.answers, 'answer')}.")
    say(f"Written: {', '.join(map(str, files))}.")
    for reason, count in found.left_out.items():
        say(f"Left out: {count} {reason}.")
    say(LABEL_FORMATS[to].next_step.format(file=files[0]))
