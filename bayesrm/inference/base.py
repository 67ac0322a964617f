"""What an inference is: from a model, a pool and preferences to a posterior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.models.context import Context
from bayesrm.models.features import difference, labelled_differences
from bayesrm.models.intercepts import PromptIntercepts
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.models.training import Fold, TrainingData, train
from bayesrm.posteriors.base import RewardPosterior
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


@dataclass(frozen=True)
class Split:
    """Feature differences under an encoder that was trained on some preferences and not on others."""

    seen: LabelledDifferences
    unseen: LabelledDifferences


@dataclass(frozen=True)
class Trained:
    """A model with a trained, frozen encoder, and what its last layer sees of the preferences.

    Parameters
    ----------
    model
        The trained copy.
    beta, nuisance
        (feature,) and (nuisance,) the β and the unconstrained nuisance parameters that the encoder was trained with;
        where a search starts, where there was nothing to train.
    data
        Feature differences of all preferences.
    splits
        What encoders trained without a fold of the preferences make of both parts; none if nothing was held out.
    """

    model: RewardModel
    beta: Float[Tensor, "feature"]
    nuisance: Float[Tensor, "nuisance"]
    data: LabelledDifferences
    splits: list[Split]


def train_encoder(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, seed: int, device: torch.device
) -> Trained:
    """Train a copy of the model on the preferences, if its encoder has anything to train."""
    fitted = model.fresh(rng.child(seed, "encoder")).to(device)
    fitted.encoder.fit_statistics(pool)
    if model.prompt_intercept:
        fitted.intercepts = PromptIntercepts.of(pool, preferences)
    beta = torch.zeros(fitted.features, device=device)
    nuisance = fitted.nuisance_space(Context.of(preferences, device), device).start()
    folds: list[Fold] = []
    if fitted.encoder.trainable and len(preferences):
        training = train(
            fitted, TrainingData.gather(fitted, pool, preferences, device), rng.child(seed, "training")
        )
        beta, nuisance, folds = training.beta, training.nuisance, training.folds
    fitted.encoder.eval().requires_grad_(False)
    data = labelled_differences(fitted, pool, preferences, device)
    splits = [
        Split(_differences(fold.model, fold.kept), _differences(fold.model, fold.held_out)) for fold in folds
    ]
    return Trained(fitted, beta.double(), nuisance.double(), data, splits)


def _differences(model: RewardModel, part: TrainingData) -> LabelledDifferences:
    with torch.inference_mode():
        features = model.encoder(part.embeddings).double()
        features = torch.cat([features, part.intercept.double()], dim=1)
    return LabelledDifferences(
        difference(features, part.first, part.second), part.outcome.double(), part.weight.double(), part.context
    )
