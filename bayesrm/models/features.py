"""What the last layer sees: features of responses, and feature differences of labelled comparisons; float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.wording import counted

RESPONSE_BLOCK = 8192
"""Responses that are encoded at once."""


@dataclass(frozen=True, eq=False)
class KnownFeatures:
    """Features that were computed before, by a model that no longer changes.

    Parameters
    ----------
    pool
        The pool that the responses belong to.
    responses
        (response,) indices into it, ascending.
    features
        (response, feature) theirs.
    """

    pool: ResponsePool
    responses: Int64[np.ndarray, "response"]
    features: Float[Tensor, "response feature"]

    def of(self, pool: ResponsePool, index: Int64[np.ndarray, "wanted"]) -> Float[Tensor, "wanted feature"] | None:
        """The features of some responses, not to be written to; None where not all of them are known."""
        if pool is not self.pool or len(self.responses) == 0:
            return None
        if np.array_equal(self.responses, index):
            return self.features
        at = np.searchsorted(self.responses, index).clip(max=len(self.responses) - 1)
        if not np.array_equal(self.responses[at], index):
            return None
        return self.features.index_select(0, torch.from_numpy(at).to(self.features.device))


def encode(
    model: RewardModel,
    pool: ResponsePool,
    index: Int64[np.ndarray, "response"],
    device: torch.device,
    known: KnownFeatures | None = None,
) -> Float[Tensor, "response feature"]:
    """Features, encoded in blocks so that only the features of all responses are held; then what stands beside.

    Raises
    ------
    InvalidInputError
        Where a feature of the encoder is not finite.
    """
    looked_up = None if known is None else known.of(pool, index)
    if looked_up is not None:
        return looked_up
    features = torch.zeros((len(index), model.features), dtype=torch.float64, device=device)
    encoded = features[:, : model.encoder.features]
    with torch.inference_mode():
        for start in range(0, len(index), RESPONSE_BLOCK):
            rows = torch.from_numpy(pool.rows(index[start : start + RESPONSE_BLOCK])).to(device)
            encoded[start : start + len(rows)] = model.encoder(rows).double()
    _require_finite(model, index, encoded)
    model.fill_beside(features[:, model.encoder.features :], pool, index)
    return features


def require_finite_features(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> None:
    """Raise InvalidInputError where the encoder, as it is now, gives NaN or infinity for a compared response."""
    encode(model, pool, compact(preferences.first, preferences.second)[0], device)


def _require_finite(
    model: RewardModel, index: Int64[np.ndarray, "response"], features: Float[Tensor, "response feature"]
) -> None:
    if torch.isfinite(features).all():
        return
    wrong = ~torch.isfinite(features).all(dim=1).cpu().numpy()
    raise InvalidInputError(
        f"expected finite features from the encoder {model.encoder_name!r}, got NaN or infinity for {wrong.sum()} of "
        f"{counted(len(index), 'response')} (the first is response {index[wrong][0]}): look at what it does with the "
        "embeddings of these"
    )


def labelled_differences(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    device: torch.device,
    known: KnownFeatures | None = None,
) -> LabelledDifferences:
    """Feature differences of the preferences; each response is encoded once."""
    used, first, second = compact(preferences.first, preferences.second)
    features = encode(model, pool, used, device, known)
    weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
    return LabelledDifferences(
        difference(features, torch.from_numpy(first), torch.from_numpy(second)),
        torch.from_numpy(preferences.outcome).to(device),
        torch.from_numpy(weight).to(device),
        Context.of(preferences, device),
        features if len(used) < min(len(preferences), model.features) else None,
    )


def difference(
    rows: Float[Tensor, "response *rank"], first: Int64[Tensor, "pair"], second: Int64[Tensor, "pair"]
) -> Float[Tensor, "pair *rank"]:
    """rows[first] − rows[second]."""
    return rows.index_select(0, first.to(rows.device)).sub_(rows.index_select(0, second.to(rows.device)))
