"""The reward model of a campaign: made of its settings, possible from the start, fitted to labels known by a digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from bayesrm.campaign.answers import choose_likelihood
from bayesrm.errors import InvalidInputError
from bayesrm.inference import fit
from bayesrm.models.likelihoods.graded import Graded
from bayesrm.models.reward_model import RewardModel
from bayesrm.runs.settings import CampaignSettings, ModelSettings
from bayesrm.types import Preferences, ResponsePool


def model_of(
    configuration: CampaignSettings, pool: ResponsePool, labels: Preferences, rankings: bool = False
) -> RewardModel:
    """A model of these settings; without a likelihood among them, of the one that the answers call for.

    With ``rankings`` that is one which knows them, whether there are some among the answers or not.
    """
    settings = configuration.part(ModelSettings)
    if configuration.points is not None:
        return RewardModel(pool, **settings | {"likelihood": Graded(configuration.points)})
    if configuration.likelihood == "auto":
        settings["likelihood"] = choose_likelihood(labels, rankings).name
    return RewardModel(pool, **settings)


def require_possible(configuration: CampaignSettings, pool: ResponsePool) -> None:
    """InvalidInputError for what no fit could do later, before anybody is asked."""
    if configuration.grades is not None and configuration.likelihood not in ("auto", "graded"):
        raise InvalidInputError(
            f"expected the likelihood graded for answers on {configuration.grades} points, got "
            f"{configuration.likelihood}: leave one of the two out"
        )
    model = model_of(configuration, pool, Preferences.none())
    if configuration.inference is not None:
        prior = fit(model, pool, Preferences.none(), configuration.inference)
        if "spread" not in prior.provides:
            raise InvalidInputError(
                f"expected an inference with a spread, of which a campaign's forecasts are made, got "
                f"{configuration.inference!r}, which gives a point: choose another one, such as laplace"
            )


def labels_digest(labels: Preferences) -> str:
    """What tells labels from others."""
    digest = hashlib.sha256()
    for column in (labels.first, labels.second, labels.outcome, labels.weight):
        if column is not None:
            digest.update(np.ascontiguousarray(column).tobytes())
    # With their name, so that they are not taken for weights, which have had none from the first campaigns on.
    if labels.choice is not None:
        digest.update(b"choice")
        digest.update(np.ascontiguousarray(labels.choice).tobytes())
    names: list[Any] = [] if labels.annotator is None else labels.annotator.tolist()
    digest.update(json.dumps(names).encode())
    return digest.hexdigest()
