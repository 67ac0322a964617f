"""The beginning of a campaign: what is given is looked at first, and then its store is made, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from bayesrm import rng
from bayesrm.campaign import unasked
from bayesrm.campaign.asking import short_digest
from bayesrm.campaign.fitting import require_possible
from bayesrm.campaign.records import now
from bayesrm.campaign.source import paths_of, read_targets, seen_pool
from bayesrm.campaign.store import Store, leftovers
from bayesrm.campaign.writing import Telling
from bayesrm.data import load_pool
from bayesrm.data.fingerprint import Fingerprint
from bayesrm.errors import InvalidInputError
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import ResponsePool


def begin(
    directory: Path,
    pool_path: Path,
    target_prompts: Path | None,
    seed: int,
    labels: bool,
    configuration: CampaignSettings,
) -> tuple[Store, ResponsePool]:
    """Make the store of a campaign; its arguments are those of :meth:`bayesrm.Campaign.create`.

    Returns
    -------
    Store, ResponsePool
        The store, and the pool that the campaign is about.

    Raises
    ------
    InvalidInputError
        Where the folder is not empty, or the pool, the file or the settings cannot be used.
    """
    rng.child(seed)
    if directory.exists() and not directory.is_dir():
        raise InvalidInputError(f"expected a folder for the campaign, and {directory} is a file: choose another")
    if not isinstance(configuration.inference, str | None):
        raise InvalidInputError(
            "expected the name of an inference, which the campaign keeps, got an object: give that to fit() instead"
        )
    opened = load_pool(pool_path)
    require_possible(configuration, opened)
    targets = None if target_prompts is None else read_targets(target_prompts, opened)
    imported = unasked.came_with(pool_path, opened) if labels else None
    if directory.exists() and {*directory.iterdir()} - {*leftovers(directory)}:
        Store.refuse_second(directory)
        raise InvalidInputError(f"expected {directory} to be new or empty, and it has files: choose another")
    created, mark = now(), Fingerprint.of(opened).digest()
    kept = {
        **paths_of(pool_path, directory),
        "fingerprint": mark,
        "tag": short_digest(created, mark, str(directory.resolve()), seed)[:5],
        "targets": targets,
        "seed": seed,
        "created": created,
        "configuration": json.loads(configuration.model_dump_json(exclude_defaults=True)),
    }
    directory.mkdir(parents=True, exist_ok=True)
    seen = seen_pool(pool_path, opened)

    def fill(telling: Telling) -> None:
        telling.see_pool(seen)
        if imported is not None:
            unasked.take(telling, imported, kept["tag"], seed)

    return Store.create(directory, kept, fill), opened
