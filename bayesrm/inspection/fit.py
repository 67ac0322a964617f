"""Fits to the labels that a pool came with, without a campaign."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bayesrm.campaign import Campaign, unasked
from bayesrm.campaign.answers import used_answers
from bayesrm.campaign.findings import Findings
from bayesrm.campaign.rounds import CARD_FILE, POSTERIOR_FILE, fit_round
from bayesrm.campaign.tell import SHOWN, TellReport
from bayesrm.data.preferences import PREFERENCES, save_preferences
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.campaigns import is_campaign
from bayesrm.inspection.fitted import LABELS_FILE, RECORD, is_something_else, record_of
from bayesrm.inspection.recorded import has_indices
from bayesrm.utils.files import explaining_failed_write, read_json, replacing, write_json
from bayesrm.utils.wording import counted, one_or_many

FIT = "fit"
"""The folder of a pool that a fit is written to where nobody names another."""


@dataclass(frozen=True)
class Fitted:
    """What a fit to the labels of a pool found, wrote and used.

    Parameters
    ----------
    findings
        What was found.
    files
        What was written.
    origin
        Where its labels came from.
    """

    findings: Findings
    files: tuple[Path, ...]
    origin: Origin


@dataclass(frozen=True)
class Origin:
    """Where the labels of a fit came from.

    Parameters
    ----------
    of_pool, of_file
        How many of those that count came with the pool, and how many from a file.
    file
        The file; None where there was none.
    told
        What became of it.
    """

    of_pool: int
    of_file: int = 0
    file: Path | None = None
    told: TellReport | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        file = None if self.file is None else str(self.file.resolve())
        return {"labels_of_pool": self.of_pool, "labels_of_file": self.of_file, "labels_file": file}

    def __str__(self) -> str:
        text = f"Fitted to {counted(self.of_pool + self.of_file, 'label')}"
        if self.file is None or self.told is None:
            return f"{text} that came with the pool."
        if not self.of_pool:
            lines = [f"{text} of {self.file}: none came with the pool."]
        else:
            lines = [f"{text}: {self.of_file:,} of {self.file}, and {self.of_pool:,} that came with the pool."]
        if self.told.already is not None:
            lines.append(f"{self.file} is what came with the pool, and counts once.")
        elif self.told.repeated:
            counts = one_or_many(self.told.repeated, "counts", "count")
            lines.append(
                f"{counted(self.told.repeated, 'label')} of {self.file} {counts} already, and {counts} once."
            )
        if self.told.aside:
            lines.append(f"Set aside of {self.file}: {len(self.told.aside)}.")
            lines += [f"  {place}: {reason}" for place, reason in self.told.aside[:SHOWN]]
            if len(self.told.aside) > SHOWN:
                lines.append(f"  … and {len(self.told.aside) - SHOWN} more")
        return "\n".join(lines)


@contextmanager
def campaign_of(pool: Path, labels: Path | None = None, seed: int = 0, **settings: Any) -> Iterator[Campaign]:
    """A campaign that asked nothing, with the labels of a pool, in a folder that is removed again.

    Parameters
    ----------
    pool
        The pool.
    labels
        A file of labels beside those of the pool, see :func:`tell_labels`.
    seed, **settings
        Of the campaign.

    Raises
    ------
    InvalidInputError
        Where there are no labels.
    """
    with _begun(pool, labels, seed, **settings) as (campaign, _):
        yield campaign


@contextmanager
def _begun(pool: Path, labels: Path | None, seed: int, **settings: Any) -> Iterator[tuple[Campaign, Origin]]:
    """The same, and where its labels came from."""
    with TemporaryDirectory() as place:
        campaign = Campaign.create(Path(place) / "campaign", pool, seed=seed, **settings)
        of_pool = {answer.id for answer in campaign.store.answers()}
        told = None if labels is None else tell_labels(campaign, labels)
        used = used_answers(campaign.store.questions(), campaign.store.answers())
        if not used:
            raise InvalidInputError(
                f"expected labels in {pool / PREFERENCES}, and there are none: embed a source with answers that "
                "somebody compared, give a file of them with --labels, or ask people with bayesrm campaign init"
            )
        still = sum(answer.id in of_pool for answer in used)
        yield campaign, Origin(still, len(used) - still, labels, told)


def tell_labels(campaign: Campaign, labels: Path) -> TellReport:
    """Tell a campaign a file of labels, by texts as ``bayesrm campaign tell`` takes it, or by row numbers of the pool.

    Parameters
    ----------
    campaign
        The campaign.
    labels
        The file, or a pool directory, whose own labels are taken.

    Raises
    ------
    InvalidInputError
        Where it cannot be read, or is about another pool.
    """
    if is_campaign(labels):
        raise InvalidInputError(
            f"expected a file of labels, and {labels} is a campaign: bayesrm campaign labels {labels} --to csv writes "
            "one, and bayesrm export takes the campaign itself"
        )
    file = labels / PREFERENCES if labels.is_dir() else labels
    if not has_indices(file):
        return campaign.tell(file)
    found = unasked.by_rows(file, campaign.pool, "give labels of two responses each")
    return unasked.tell_votes(campaign.store, found)


def fit_pool(
    pool: Path, out: Path | None = None, labels: Path | None = None, seed: int = 0, **settings: Any
) -> Fitted:
    """Fit a reward model to the labels of a pool, and write the posterior as netCDF, a card of it, and its labels.

    The card says what was found, and how to make the fit again, see :mod:`bayesrm.inspection.fitted`.

    Parameters
    ----------
    pool
        The pool.
    out
        A folder; default ``fit`` in that of the pool.
    labels
        A file of labels beside those of the pool, see :func:`tell_labels`.
    seed, **settings
        As of a campaign: the same labels give the same posterior there.

    Returns
    -------
    Fitted
        What was found, the files, and where the labels came from.

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
    with _begun(pool, labels, seed, **settings) as (campaign, origin):
        findings = fit_round(campaign)
        used, card = campaign.preferences(), campaign.directory / CARD_FILE
        write_json(card, read_json(card) | {RECORD: record_of(campaign, used, folder) | origin.as_json()})
        save_preferences(campaign.directory / LABELS_FILE, used)
        files = [folder / name for name in (POSTERIOR_FILE, CARD_FILE, LABELS_FILE)]
        for file in files:
            with explaining_failed_write(file, "the fit"), replacing(file) as temporary:
                shutil.copyfile(campaign.directory / file.name, temporary)
    return Fitted(findings, tuple(files), origin)
