"""``bayesrm campaign tell``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import DryRun, Folder, Moved, campaign_app
from bayesrm.errors import InvalidInputError


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign tell runs/labels runs/labels/batches/batch-001.csv[/bold]"
)
def tell(
    directory: Folder,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files that came back, in any of the formats, whole or in part; or data sets of labels."
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Their format, see [bold]bayesrm handoffs[/bold] and [bold]bayesrm formats[/bold]; default "
            "recognised.",
        ),
    ] = None,
    annotator: Annotated[str, typer.Option(help="Who answered, where a file does not say.")] = "",
    answers: Annotated[
        str | None,
        typer.Option(
            help="What words in the files mean: left, right, tie or skip, such as 1=left,2=right,0=tie. Numbers mean "
            "nothing before somebody says it."
        ),
    ] = None,
    users: Annotated[
        str | None,
        typer.Option(
            help="Who the users of a tool are, which its files call by a number or an address, such as 10=ana,11=bo."
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Also take answers that were taken back, files equal to another person's, and another campaign's "
            "sheets, by their texts.",
        ),
    ] = False,
    dry_run: DryRun = False,
    pool: Moved = None,
) -> None:
    """Take what annotators answered. A file goes in whole or, where this is killed, not at all: then tell it again.

    Partial files, late ones, repetitions, corrections (an annotator's later answer counts), ties and skips are all
    taken. Unknown ids, broken rows, and rows that show other texts than were asked are listed with the reason, and the
    rest of the file goes in. A file without any row of this campaign is refused, and other files beside it are taken. A
    file told twice changes nothing.

    Labels that you own already go in too, in TRL's form and every other that [bold]bayesrm formats[/bold] lists: pairs
    are found in the pool by their texts, and those that were never asked count like the others.
    """
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.meanings import parse_meanings
    from bayesrm.campaign.users import parse_users

    meanings = None if answers is None else parse_meanings(answers)
    named = None if users is None else parse_users(users)
    campaign = Campaign.open(directory, pool)
    refused: list[InvalidInputError] = []
    for file in files:
        try:
            say(str(campaign.tell(file, form, annotator, meanings, dry_run, again, named)))
        except InvalidInputError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise InvalidInputError(f"{len(refused)} files were refused: {'; '.join(map(str, refused))}")
