"""Fits to the labels that a pool came with, without a campaign."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bayesrm.campaign import Campaign
from bayesrm.campaign.findings import Findings
from bayesrm.campaign.rounds import CARD_FILE, POSTERIOR_FILE, fit_round
from bayesrm.data.preferences import PREFERENCES, save_preferences
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.fitted import LABELS_FILE, RECORD, is_something_else, record_of
from bayesrm.utils.files import explaining_failed_write, read_json, replacing, write_json

FIT = "fit"
"""The folder of a pool that a fit is written to where nobody names another."""


@contextmanager
def campaign_of(pool: Path, labels: Path | None = None, seed: int = 0, **settings: Any) -> Iterator[Campaign]:
    """A campaign that asked nothing, with the labels of a pool, in a folder that is removed again.

    Parameters
    ----------
    pool
        The pool.
    labels
        A file of further labels, as ``bayesrm campaign tell`` takes it.
    seed, **settings
        Of the campaign.

    Raises
    ------
    InvalidInputError
        Where there are no labels.
    """
    with TemporaryDirectory() as place:
        campaign = Campaign.create(Path(place) / "campaign", pool, seed=seed, **settings)
        if labels is not None:
            campaign.tell(labels)
        if not len(campaign.preferences()):
            raise InvalidInputError(
                f"expected labels in {pool / PREFERENCES}, and there are none: embed a source with answers that "
                "somebody compared, give a file of them with --labels, or ask people with bayesrm campaign init"
            )
        yield campaign


def fit_pool(
    pool: Path, out: Path | None = None, labels: Path | None = None, seed: int = 0, **settings: Any
) -> tuple[Findings, list[Path]]:
    """Fit a reward model to the labels of a pool, and write the posterior as netCDF, a card of it, and its labels.

    The card says what was found, and how to make the fit again, see :mod:`bayesrm.inspection.fitted`.

    Parameters
    ----------
    pool
        The pool.
    out
        A folder; default ``fit`` in that of the pool.
    labels
        A file of further labels.
    seed, **settings
        As of a campaign: the same labels give the same posterior there.

    Returns
    -------
    tuple
        What was found, and the files.

    Raises
    ------
    InvalidInputError
        Where there are no labels, ``out`` is the folder of a pool or a campaign, or it is missing and the pool is no
        folder.
    """
    if out is None and pool.is_file():
        raise InvalidInputError(f"expected a folder to write to, and the pool {pool} is a file: say --out")
    folder = pool / FIT if out is None else out
    if is_something_else(folder):
        raise InvalidInputError(
            f"expected a folder for the fit, and {folder} is a pool or a campaign, whose card it would replace: say "
            "another one with --out"
        )
    with campaign_of(pool, labels, seed, **settings) as campaign:
        findings = fit_round(campaign)
        used, card = campaign.preferences(), campaign.directory / CARD_FILE
        write_json(card, read_json(card) | {RECORD: record_of(campaign, used, folder)})
        save_preferences(campaign.directory / LABELS_FILE, used)
        files = [folder / name for name in (POSTERIOR_FILE, CARD_FILE, LABELS_FILE)]
        for file in files:
            with explaining_failed_write(file, "the fit"), replacing(file) as temporary:
                shutil.copyfile(campaign.directory / file.name, temporary)
    return findings, files
