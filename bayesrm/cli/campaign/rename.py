"""``bayesrm campaign rename``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import By, DryRun, Folder, Moved, Reason, campaign_app
from bayesrm.errors import InvalidInputError


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign rename runs/labels --unnamed ana[/bold]")
def rename(
    directory: Folder,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="OLD NEW", help="The name so far, and the name from now on.")
    ] = None,
    unnamed: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose the answers without a name are, in place of OLD NEW.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="Only answers that came with this file, by name or content.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(metavar="N", help="Only answers to this batch.")] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="NEW has answers already and is the same person.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last renaming back.")] = False,
    by: By = "owner",
    reason: Reason = "not said",
    dry_run: DryRun = False,
    pool: Moved = None,
) -> None:
    """Rename an annotator, or say whose the answers without a name are. Rows keep the name that was told.

    A name that is replaced holds for files that are told later under the old one, too. Answers without a name are
    somebody's only as far as they were told, and so are those of a file or batch.
    """
    from bayesrm.campaign import Campaign

    campaign = Campaign.open(directory, pool)
    given = list(names or [])
    if undo:
        if given or unnamed is not None or file or batch or dry_run:
            raise InvalidInputError("--undo takes the last renaming back, and nothing else can be said beside it")
        say(campaign.undo_rename(by, reason))
        return
    if unnamed is not None:
        given = ["", unnamed, *given]
    if len(given) != 2:
        raise InvalidInputError(
            "expected the name so far and the new one, or --unnamed NAME alone for answers without a name, got "
            f"{len(names or [])} names{'' if unnamed is None else ' beside --unnamed'}"
        )
    old, new = given
    say(str(campaign.rename(old, new, file or (), batch or (), merge, by, reason, dry_run)))
