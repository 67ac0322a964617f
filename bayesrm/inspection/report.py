"""The report of a folder, of runs or of a campaign: one HTML page in it."""

from __future__ import annotations

from pathlib import Path

from bayesrm.campaign.rounds import fit_round
from bayesrm.campaign.status import status
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.campaigns import (
    Against,
    diagnose_campaign,
    explain_batch,
    history_of,
    is_campaign,
    open_campaign,
)
from bayesrm.reports import campaign as campaign_page
from bayesrm.reports import runs as runs_page


def write_report(directory: Path, pool: Path | None = None) -> Path:
    """Report on a campaign, or on all runs at or below a folder; returns the path of the page.

    Parameters
    ----------
    directory
        Of a campaign or of runs.
    pool
        Of a campaign, if it was moved.

    Raises
    ------
    InvalidInputError
        Where there is no such folder, no run in it, or the campaign has no answers; where runs come with a pool.
    """
    if not is_campaign(directory):
        if pool is not None and directory.is_dir():
            raise InvalidInputError(
                f"expected a pool (--pool) only with a campaign that was made of it, got one with {directory}, which "
                "is no campaign: a report of runs reads no pool, so leave it out"
            )
        return runs_page.write_report(directory)
    campaign, posterior = open_campaign(directory, pool)
    now = status(campaign)
    if not now.current:
        fit_round(campaign)
        now = status(campaign)
    history = history_of(campaign, posterior)
    explained = explain_batch(campaign) if now.batches else None
    diagnosis = diagnose_campaign(campaign, posterior, Against(), history)
    return campaign_page.write_report(campaign, now, diagnosis, explained)
