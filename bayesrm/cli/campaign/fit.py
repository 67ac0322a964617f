"""``bayesrm campaign fit``."""

from __future__ import annotations

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import Folder, Moved, campaign_app
from bayesrm.cli.campaign.outlook import print_outlook
from bayesrm.cli.options import Device


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign fit runs/labels[/bold]")
def fit(directory: Folder, pool: Moved = None, device: Device = None) -> None:
    """Fit the reward model to all answers, and keep what it finds; posterior.nc opens in ArviZ.

    Unless init was told a likelihood, it follows from the answers: reliabilities where several annotators answer, a
    probability of ties where there are some, else Bradley–Terry.
    """
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.rounds import fit_round

    findings = fit_round(Campaign.open(directory, pool, device))
    print_outlook(findings)
    say(f"\nWritten: {directory / 'posterior.nc'}, {directory / 'card.json'}.")
