"""From the folder of a run to a reward model that others can load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bayesrm.data import load_pool
from bayesrm.data.directory import CARD
from bayesrm.diagnosed_run import refitted_run
from bayesrm.errors import InvalidInputError
from bayesrm.export import save_reward_model
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.storage import read_json


def export(
    directory: Path,
    out: Path,
    pool: Path,
    transformers: bool = False,
    name: str | None = None,
) -> RewardPosterior:
    """Fit the reward model of a finished run to all its labels, and save it.

    Parameters
    ----------
    directory
        Of a run of ``bayesrm run``.
    out
        The directory to make.
    pool
        Of the run, which does not say where it is.
    transformers, name
        See ``save_reward_model``.

    Raises
    ------
    InvalidInputError
        Where there is no run, or something is there already.
    """
    if not directory.is_dir():
        raise InvalidInputError(f"there is no folder {directory}: give that of a run")
    posterior, place = refitted_run(directory, load_pool(pool)), pool
    save_reward_model(out, posterior, embedding_of(place), name, transformers)
    return posterior


def embedding_of(pool: Path) -> dict[str, Any] | None:
    """How the texts of a pool were embedded, where its card says so."""
    card = pool / CARD
    if not card.is_file():
        return None
    described = read_json(card)
    settings = described.get("embedding") if isinstance(described, dict) else None
    return settings if isinstance(settings, dict) else None
