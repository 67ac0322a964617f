"""From the folder of a campaign, a fit or a run to a reward model that others can load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bayesrm.campaign import Campaign
from bayesrm.campaign.findings import answers_of
from bayesrm.campaign.store import STORE_FILE
from bayesrm.data import load_pool
from bayesrm.data.directory import CARD
from bayesrm.errors import InvalidInputError
from bayesrm.export.save import write_reward_model
from bayesrm.inspection.diagnose import refitted_run
from bayesrm.inspection.fit import campaign_of
from bayesrm.inspection.fitted import is_fit, is_pool, refitted
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.utils.files import read_json


def export(
    directory: Path,
    out: Path,
    pool: Path | None = None,
    inference: str | None = None,
    transformers: bool = False,
    name: str | None = None,
) -> RewardPosterior:
    """Fit the reward model of a campaign, a fit, a finished run, or a pool with labels, to all its labels, and save it.

    Parameters
    ----------
    directory
        Of a campaign, of what ``bayesrm fit`` wrote, of a run of ``bayesrm run``, or of a pool that came with labels.
    out
        The directory to make.
    pool
        Of the run, which does not say where it is; of a campaign or a fit, if it was moved.
    inference
        For a campaign or a pool, see ``fit``; a run and a fit have their own.
    transformers, name
        See ``save_reward_model``.

    Raises
    ------
    InvalidInputError
        Where there is nothing of these, the campaign has no answers yet, the pool or the labels of a fit changed, or
        something is there already.
    """
    if not directory.is_dir():
        raise InvalidInputError(f"there is no folder {directory}: give that of a campaign, of a fit or of a run")
    answers: int | None = None
    if (directory / STORE_FILE).exists():
        campaign = Campaign.open(directory, pool)
        labels = campaign.preferences()
        if not len(labels):
            raise InvalidInputError(
                f"the campaign {directory} has no answers yet: a reward model of nothing would be all prior; "
                "tell it some with `bayesrm campaign tell`"
            )
        posterior, place = campaign.fit(inference=inference, labels=labels), campaign.pool_path
        answers = answers_of(campaign, posterior)
    elif is_fit(directory):
        if inference is not None:
            raise InvalidInputError(
                "a fit was made with one inference, and that is exported: leave --inference out, or fit again with it"
            )
        posterior, place = refitted(directory, pool)
    elif pool is None and is_pool(directory):
        with campaign_of(directory) as own:
            posterior, place = own.fit(inference=inference), directory
            answers = answers_of(own, posterior)
    else:
        if pool is None:
            raise InvalidInputError(
                f"expected the folder of a campaign, of a fit or of a pool with labels, or --pool with that of a run, "
                f"and {directory} is no campaign, no fit and no pool"
            )
        if inference is not None:
            raise InvalidInputError(
                "a run was made with one inference, and that is exported: leave --inference out"
            )
        posterior, place = refitted_run(directory, load_pool(pool)), pool
    write_reward_model(out, posterior, embedding_of(place), name, transformers, answers)
    return posterior


def embedding_of(pool: Path) -> dict[str, Any] | None:
    """How the texts of a pool were embedded, where its card says so."""
    card = pool / CARD
    if not card.is_file():
        return None
    described = read_json(card)
    settings = described.get("embedding") if isinstance(described, dict) else None
    return settings if isinstance(settings, dict) else None
