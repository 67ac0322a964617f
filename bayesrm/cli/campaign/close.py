"""``bayesrm campaign close``."""

from __future__ import annotations

from typing import Annotated

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import Batch, By, Folder, Moved, Reason, campaign_app


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign close runs/labels --batch 1 --reason 'the pilot is over'[/bold]"
)
def close(
    directory: Folder,
    batch: Batch,
    reopen: Annotated[bool, typer.Option("--reopen", help="Take answers to it again.")] = False,
    by: By = "owner",
    reason: Reason = "not said",
    pool: Moved = None,
) -> None:
    """Take no further answers to a batch: those that come are set aside, and its pairs are not open.

    Its pairs are not asked again; release them where they should be.
    """
    from bayesrm.campaign import Campaign

    say(str(Campaign.open(directory, pool).close(batch, reopen, by, reason)))
