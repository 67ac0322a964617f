"""A trained encoder with what its last layer sees of the labels: where every inference of the last layer starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.inference.fitting.training import TrainingData
from bayesrm.models.features import difference
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel


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
    scales
        Prior scales of blocks that were chosen before the training, each as if the block were alone.
    network_share
        The part of the prior variance of a reward that a network beside linear features has.
    """

    model: RewardModel
    beta: Float[Tensor, "feature"]
    nuisance: Float[Tensor, "nuisance"]
    data: LabelledDifferences
    splits: list[Split]
    scales: dict[str, float] = field(default_factory=dict)
    network_share: float = 1.0

    @property
    def answers(self) -> int:
        """The number of labels; in rankings, of choices."""
        sets = self.data.context.choice_sets
        return len(self.data.outcome) if sets is None else sets.count


def seen_differences(model: RewardModel, part: TrainingData) -> LabelledDifferences:
    """Feature differences of training data under a model."""
    with torch.inference_mode():
        features = model.encoder.body(part.inputs).double()
        features = torch.cat([features, part.beside.double()], dim=1)
    return LabelledDifferences(
        difference(features, part.first, part.second), part.outcome.double(), part.weight.double(), part.context
    )


def select_blocks(data: LabelledDifferences, columns: list[slice]) -> LabelledDifferences:
    """Without the other features."""
    difference = torch.cat([data.difference[:, at] for at in columns], dim=1)
    rows = data.responses
    return replace(
        data,
        difference=difference,
        responses=None if rows is None else torch.cat([rows[:, at] for at in columns], dim=1),
    )
