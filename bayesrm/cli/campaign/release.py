"""``bayesrm campaign release``."""

from __future__ import annotations

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import Batch, By, DryRun, Folder, Moved, Reason, campaign_app


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign release runs/labels --batch 1 --reason 'ana left'[/bold]"
)
def release(
    directory: Folder,
    batch: Batch,
    by: By = "owner",
    reason: Reason = "not said",
    dry_run: DryRun = False,
    pool: Moved = None,
) -> None:
    """Wait no longer for the unanswered pairs of a batch: they are not open, and ask may choose them again.

    An answer to one that comes late is taken all the same, and its pair is then not asked again.
    """
    from bayesrm.campaign import Campaign

    say(str(Campaign.open(directory, pool).release(batch, by, reason, dry_run)))
