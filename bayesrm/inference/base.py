"""What an inference is: from a model, a pool and preferences to a posterior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.fitting.linear_part import (
    fit_encoder_to_labels,
    fit_linear_part,
    linear_scales,
    suggest_scales,
)
from bayesrm.inference.fitting.network_beside import fit_network_beside
from bayesrm.inference.fitting.prior_scale import network_share
from bayesrm.inference.fitting.shape import choose_shape
from bayesrm.inference.fitting.trained import Split, Trained, seen_differences
from bayesrm.inference.fitting.training import Descent, Fold, TrainingData, train
from bayesrm.models.context import Context
from bayesrm.models.encoders.layers_mlp import BesideLayersAndNetwork
from bayesrm.models.features import labelled_differences
from bayesrm.models.intercepts import PromptIntercepts
from bayesrm.models.reward_model import MOST_FEATURES, RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.identity import settings_of


class Inference(ABC):
    """A way to fit. Deterministic: the same arguments give the same posterior, to the bit.

    Attributes
    ----------
    name : str
        What it is asked for by.

    See Also
    --------
    bayesrm.fit : Takes an inference by its name, or as an object with settings of its own.

    Examples
    --------
    A new inference: Laplace's posterior tempered, as if every answer counted only in part.

    >>> from dataclasses import replace
    >>> import numpy as np
    >>> import bayesrm as brm
    >>> from bayesrm.inference import Laplace
    >>> class Tempered(brm.Inference):
    ...     '''Laplace with every answer at half its weight.'''
    ...     name = "tempered"
    ...     def __init__(self, power=0.5):
    ...         self.power = power
    ...     def fit(self, model, pool, preferences, seed, device):
    ...         weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
    ...         tempered = brm.Preferences(
    ...             preferences.first, preferences.second, preferences.outcome, preferences.annotator,
    ...             weight * self.power,
    ...         )
    ...         return replace(Laplace().fit(model, pool, tempered, seed, device), inference=self.name)
    """

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

    def describe(self) -> dict[str, Any]:
        """Settings that are not the usual ones, ready for JSON: with them and its name a run says how it was fitted."""
        return settings_of(self)


def train_encoder(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    seed: int,
    device: torch.device,
    method: type[Descent] | None = None,
) -> Trained:
    """Train a copy of the model on the preferences, if its encoder has anything to train, by default for the MAP.

    A model whose encoder is "auto" gets a Gaussian process, a network, or both beside its linear features where labels
    say that rewards are not linear.
    """
    fitted = model.fresh(rng.child(seed, "encoder")).to(device)
    fitted.fit_pool(pool)
    if fitted.features > MOST_FEATURES:
        raise InvalidInputError(
            f"expected at most {MOST_FEATURES} features for the last layer, got {fitted.features}: their information "
            "matrix would not fit into memory; use an encoder that has fewer, such as encoder='mlp', or project the "
            "embeddings onto their principal components"
        )
    if model.prompt_intercept:
        fitted.intercepts = PromptIntercepts.of(pool, preferences)
    if isinstance(fitted.encoder, BesideLayersAndNetwork) and not fitted.encoder.final:
        return fit_network_beside(fitted, pool, preferences, rng.child(seed, "network beside"))
    linear = fit_linear_part(fitted, pool, preferences, device)
    fit_encoder_to_labels(fitted, pool, preferences, device)
    if fitted.encoder.trainable:
        fitted.suggested_scale = suggest_scales(fitted, pool, preferences, device)
    beta = torch.zeros(fitted.features, device=device)
    nuisance = fitted.nuisance_space(Context.of(preferences, device), device).start()
    folds: list[Fold] = []
    if fitted.encoder.trainable and len(preferences):
        labels = TrainingData.gather(fitted, pool, preferences, device)
        training = train(fitted, labels, rng.child(seed, "training"), method)
        beta, nuisance, folds = training.beta, training.nuisance, training.folds
    fitted.encoder.eval().requires_grad_(False)
    data = labelled_differences(fitted, pool, preferences, device)
    splits = [
        Split(seen_differences(fold.model, fold.kept), seen_differences(fold.model, fold.held_out))
        for fold in folds
    ]
    trained = Trained(
        fitted,
        beta.double(),
        nuisance.double(),
        data,
        splits,
        linear_scales(linear),
        network_share(pool, preferences),
    )
    return choose_shape(trained, pool, preferences, rng.child(seed, "network beside"))
