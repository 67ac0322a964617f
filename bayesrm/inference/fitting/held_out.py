"""How well a reward predicts labels of prompts that it has not learnt from: what shapes of a reward are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.prior_scale import log_predictive
from bayesrm.inference.fitting.training import FOLDS
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool


@dataclass(frozen=True)
class HeldOut:
    """Log probabilities of held-out labels.

    Parameters
    ----------
    log_prob
        (comparison,) of each label, by what was learnt without its fold, in nats.
    """

    log_prob: Float[Tensor, "comparison"]

    @property
    def total(self) -> float:
        """Of all labels."""
        return float(self.log_prob.sum())

    def better_than(self, other: HeldOut, errors: float) -> bool:
        """Whether labels are predicted better, by more than some standard errors of the difference over labels."""
        gained = self.log_prob - other.log_prob
        return bool(gained.sum() > errors * gained.std() * len(gained) ** 0.5)


def fold_of_each(
    data: LabelledDifferences, pool: ResponsePool, preferences: Preferences, seed: int
) -> Int64[Tensor, "comparison"]:
    """The fold of each label: prompts are held out whole; choices, where labels are of fewer prompts than folds."""
    sets = data.context.choice_sets
    choice = np.arange(len(preferences)) if sets is None else sets.number.cpu().numpy()
    _, first_of = np.unique(choice, return_index=True)
    owner = pool.group[preferences.first[first_of]]
    if len(np.unique(owner)) < FOLDS:
        owner = np.arange(len(first_of))
    names, owner = np.unique(owner, return_inverse=True)
    fold = rng.stream(seed, "held-out prompts").permutation(len(names)) % FOLDS
    return torch.from_numpy(fold[owner.reshape(-1)][choice]).to(data.outcome.device)


def modes_without(
    model: RewardModel,
    data: Sequence[LabelledDifferences],
    precision: Float[Tensor, "feature"],
    fold: Int64[Tensor, "comparison"],
    near: Sequence[Mode | None] = (None,) * FOLDS,
) -> list[Mode]:
    """The mode without the labels of each fold; ``data`` has all labels, as each fold sees their features."""
    parts = [model.log_joint(_some(own, fold != k), precision) for k, own in enumerate(data)]
    return [find_mode(part, start) for part, start in zip(parts, near, strict=True)]


def predicted(
    model: RewardModel, data: Sequence[LabelledDifferences], modes: list[Mode], fold: Int64[Tensor, "comparison"]
) -> HeldOut:
    """What these modes say of the labels of the fold that they have not seen."""
    log_prob = torch.zeros_like(data[0].outcome)
    for k, (mode, own) in enumerate(zip(modes, data, strict=True)):
        log_prob[fold == k] = log_predictive(model, mode, _some(own, fold == k))
    return HeldOut(log_prob)


def _some(data: LabelledDifferences, which: Bool[Tensor, "comparison"]) -> LabelledDifferences:
    """Those of the labels."""
    index = which.nonzero()[:, 0]
    return LabelledDifferences(
        data.difference[index], data.outcome[index], data.weight[index], data.context.take(index)
    )
