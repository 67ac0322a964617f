"""``bayesrm campaign untell``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import By, DryRun, Folder, Moved, Reason, campaign_app


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign untell runs/labels batch-001.csv --reason 'the wrong column'[/bold]"
)
def untell(
    directory: Folder,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files that were told, by name or content: all that came with them."),
    ] = None,
    annotator: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Whose answers; '' for those without a name.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(metavar="N", help="To which batch.")] = None,
    answer: Annotated[
        list[str] | None, typer.Option(metavar="QUESTION", help="To which question, by its id.")
    ] = None,
    by: By = "owner",
    reason: Reason = "not said",
    dry_run: DryRun = False,
    pool: Moved = None,
) -> None:
    """Take back the answers that match every option given. Each option can be repeated.

    They no longer count, and stay in the store with who took them back, when and why. The file they came with can be
    told again; in other files, such as a later export of the same tool, answers of an annotator, to a batch or to a
    question that were taken back stay so.
    """
    from bayesrm.campaign import Campaign

    campaign = Campaign.open(directory, pool)
    report = campaign.untell(
        *files or (),
        annotators=annotator or (),
        batches=batch or (),
        questions=answer or (),
        by=by,
        reason=reason,
        dry_run=dry_run,
    )
    say(str(report))
