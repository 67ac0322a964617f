"""What an inference is: from a model, a pool and preferences to a posterior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.newton import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.models.training import TrainingData, train
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import encode
from bayesrm.types import Preferences, ResponsePool


class Inference(ABC):
    """A way to fit. Deterministic: the same arguments give the same posterior, to the bit."""

    name: ClassVar[str]

    @abstractmethod
    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> RewardPosterior:
        """Fit a copy of the model; the one given stays as it is."""


def train_encoder(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, seed: int, device: torch.device
) -> tuple[RewardModel, Float[Tensor, "feature"]]:
    """A trained copy of the model with frozen encoder, and the β it was trained with (0 if nothing to train)."""
    fitted = model.fresh(rng.child(seed, "encoder")).to(device)
    fitted.encoder.fit_statistics(pool)
    beta = torch.zeros(fitted.features, device=device)
    if fitted.encoder.trainable and len(preferences):
        data = TrainingData.gather(pool, preferences, device)
        beta = train(fitted, data, rng.child(seed, "training"))
    fitted.encoder.eval().requires_grad_(False)
    return fitted, beta.double()


def labelled_differences(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> LabelledDifferences:
    """Feature differences of the preferences; each response is encoded once."""
    used, local = np.unique(np.concatenate([preferences.first, preferences.second]), return_inverse=True)
    features = encode(model, pool, used.astype(np.int64), device)
    k = len(preferences)
    weight = np.ones(k) if preferences.weight is None else preferences.weight
    return LabelledDifferences(
        features[local[:k]] - features[local[k:]],
        torch.from_numpy(preferences.outcome).to(device),
        torch.from_numpy(weight).to(device),
    )
