"""The folder that ``bayesrm fit`` writes: what it records of a fit, and the same posterior again from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bayesrm import rng
from bayesrm.campaign import Campaign
from bayesrm.campaign.fitting import labels_digest, model_of
from bayesrm.campaign.rounds import CARD_FILE, POSTERIOR_FILE
from bayesrm.campaign.source import paths_of, prompt_texts
from bayesrm.campaign.store import STORE_FILE
from bayesrm.data import load_pool
from bayesrm.data.directory import EMBEDDINGS, WORK
from bayesrm.data.fingerprint import content_digest
from bayesrm.data.preferences import load_preferences
from bayesrm.errors import InvalidInputError
from bayesrm.inference import fit
from bayesrm.inspection.recorded import has_indices
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import Preferences
from bayesrm.utils.files import read_json

LABELS_FILE = "labels.parquet"
"""The labels that a fit used, wherever they came from; not the name of those beside a pool."""
RECORD = "fit"
"""The part of a fit's card that says how to make it again."""
NEEDED = frozenset({"pool", "pool_from_here", "pool_content", "labels_digest", "seed", "settings"})


def record_of(campaign: Campaign, labels: Preferences, folder: Path) -> dict[str, Any]:
    """What makes a fit again: the settings, the seed, and which pool and labels it was.

    Parameters
    ----------
    campaign
        That it was made with.
    labels
        What was fitted to.
    folder
        Where the record is going to lie.
    """
    return {
        **paths_of(campaign.pool_path, folder),
        "pool_content": campaign.store.pools()[0].content,
        "labels_digest": labels_digest(labels),
        "seed": int(campaign.settings["seed"]),
        "settings": json.loads(campaign.configuration.model_dump_json()),
    }


def is_fit(directory: Path) -> bool:
    """Whether a folder is one that ``bayesrm fit`` wrote; that of a campaign has files of the same names."""
    has_files = all((directory / name).is_file() for name in (CARD_FILE, POSTERIOR_FILE))
    return has_files and not is_something_else(directory)


def is_something_else(directory: Path) -> bool:
    """Whether a folder is that of a campaign or of a pool, whose card is another one."""
    return is_pool(directory) or (directory / STORE_FILE).exists()


def is_pool(directory: Path) -> bool:
    """Whether a folder is that of a pool, or of one that is being embedded."""
    return any((directory / name).exists() for name in (EMBEDDINGS, WORK))


def origin_of(directory: Path) -> tuple[Path | None, Path | None]:
    """The pool of a fit, and the file of texts that labels came from besides; None of what its card does not say."""
    record = read_json(directory / CARD_FILE).get(RECORD)
    record = record if isinstance(record, dict) else {}
    pool, file = (Path(record[name]) if record.get(name) else None for name in ("pool", "labels_file"))
    by_texts = file is not None and file.is_file() and not has_indices(file)
    return pool, file if by_texts else None


def refitted(directory: Path, pool: Path | None = None) -> tuple[RewardPosterior, Path]:
    """The posterior of a fit again, from its labels, settings and seed, and where its pool is.

    Parameters
    ----------
    directory
        That ``bayesrm fit`` wrote.
    pool
        Its pool, if it was moved.

    Raises
    ------
    InvalidInputError
        Where its card does not say how it was made, or its pool or its labels are gone or others.
    """
    record = read_json(directory / CARD_FILE).get(RECORD)
    if not isinstance(record, dict) or not record.keys() >= NEEDED:
        raise InvalidInputError(
            f"expected {directory / CARD_FILE} to say how the fit was made, and it does not, as of bayesrm before "
            "that was kept: fit again with bayesrm fit, and export that"
        )
    place = _place_of_pool(directory, record) if pool is None else pool
    opened = load_pool(place)
    if content_digest(opened, prompt_texts(place, opened)) != record["pool_content"]:
        raise InvalidInputError(
            f"the pool {place} is not the one that {directory} was fitted on, or was changed since: put the old one "
            "back, or fit again with bayesrm fit"
        )
    labels = load_preferences(directory / LABELS_FILE)
    if labels_digest(labels) != record["labels_digest"]:
        raise InvalidInputError(
            f"the labels in {directory / LABELS_FILE} are not those that {directory} was fitted to, or were changed "
            "since: put the old file back, or fit again with bayesrm fit"
        )
    configuration = CampaignSettings(**record["settings"])
    model = model_of(configuration, opened, labels)
    return fit(model, opened, labels, configuration.inference, rng.child(record["seed"], "fit")), place


def _place_of_pool(directory: Path, record: dict[str, Any]) -> Path:
    """Beside the fit, if both were moved, or where it was."""
    places = [(directory / record["pool_from_here"]).resolve(), Path(record["pool"])]
    # Beside a fit that was moved alone there may be any folder.
    found = next((place for place in places if place.is_file() or (place / EMBEDDINGS).is_file()), None)
    if found is None:
        raise InvalidInputError(
            f"expected the pool of the fit {directory} at {places[-1]}, and it is not there: put it back, or say where "
            "it is with --pool"
        )
    return found
