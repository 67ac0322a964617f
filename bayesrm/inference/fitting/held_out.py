"""How well a reward predicts labels of prompts that it has not learnt from: what shapes of a reward are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.fitting.nested import ROUGHLY, find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.prior_scale import log_predictive
from bayesrm.inference.fitting.trained import Trained
from bayesrm.inference.fitting.training import FOLDS
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool


@dataclass(frozen=True)
class Folds:
    """Which labels are held out together, and which are not learnt from meanwhile.

    Parameters
    ----------
    number
        (comparison,) the fold of each label.
    choice
        (comparison,) the choice of each label, counted from 0: comparisons of one choice are one answer.
    seen
        (fold, comparison) labels to learn from while a fold is held out: those that touch none of its prompts.
    """

    number: Int64[Tensor, "comparison"]
    choice: Int64[Tensor, "comparison"]
    seen: Bool[Tensor, "fold comparison"]

    @classmethod
    def of(cls, data: LabelledDifferences, pool: ResponsePool, preferences: Preferences, seed: int) -> Folds:
        """Prompts are held out whole; choices, where labels are of fewer prompts than there are folds.

        The fold of a comparison across prompts is that of its first response.
        """
        device, sets = data.outcome.device, data.context.choice_sets
        choice = np.arange(len(preferences)) if sets is None else sets.number.cpu().numpy()
        _, first_of = np.unique(choice, return_index=True)
        ends = np.stack([pool.group[preferences.first], pool.group[preferences.second]])
        if len(np.unique(ends[0])) < FOLDS:
            ends = np.stack([choice, choice])
        names, place = np.unique(ends, return_inverse=True)
        fold = (rng.stream(seed, "held-out prompts").permutation(len(names)) % FOLDS)[place.reshape(ends.shape)]
        touched = np.zeros((FOLDS, len(first_of)), dtype=bool)
        for end in fold:
            touched[end, choice] = True
        number = fold[0][first_of][choice]
        return cls(*(torch.from_numpy(part).to(device) for part in (number, choice, ~touched[:, choice])))

    def unseen(self, fold: int) -> Bool[Tensor, "comparison"]:
        """The labels of a fold."""
        return self.number == fold

    def held_out(self, log_prob: Float[Tensor, "comparison"]) -> HeldOut:
        """Log probabilities of comparisons, those of one choice together."""
        count = int(self.choice.max()) + 1
        return HeldOut(log_prob.new_zeros(count).index_add(0, self.choice, log_prob))


@dataclass(frozen=True)
class HeldOut:
    """Log probabilities of held-out answers.

    Parameters
    ----------
    log_prob
        (answer,) of each, by what was learnt without its fold, in nats.
    """

    log_prob: Float[Tensor, "answer"]

    @property
    def total(self) -> float:
        """Of all answers."""
        return float(self.log_prob.sum())

    def better_than(self, other: HeldOut, errors: float) -> bool:
        """Whether answers are predicted better, by more than some standard errors of the difference over answers."""
        return beyond_error(self.log_prob - other.log_prob, errors)


def beyond_error(gained: Float[Tensor, "answer"], errors: float) -> bool:
    """Whether what answers gain adds up to more than some standard errors of that sum over answers."""
    return bool(gained.sum() > errors * gained.std() * len(gained) ** 0.5)


def mode_without(
    fold: int,
    folds: Folds,
    model: RewardModel,
    data: LabelledDifferences,
    precision: Float[Tensor, "feature"],
    near: Mode | None = None,
) -> Mode:
    """The mode without the labels of a fold; ``data`` has all labels."""
    return find_mode(model.log_joint(_some(data, folds.seen[fold]), precision), near, ROUGHLY)


def log_prob_of_fold(
    fold: int, folds: Folds, model: RewardModel, data: LabelledDifferences, mode: Mode
) -> Float[Tensor, "unseen"]:
    """What a mode says of the labels of the fold that it has not seen."""
    return log_predictive(model, mode, _some(data, folds.unseen(fold)))


def modes_without(
    trained: Trained, precision: Float[Tensor, "feature"], folds: Folds, near: Mode | None = None
) -> list[Mode]:
    """The mode without each fold, of features that are the same for all: where one is, the next is near."""
    modes: list[Mode] = []
    for fold in range(FOLDS):
        beginning = near if near is not None or not modes else modes[-1]
        modes.append(mode_without(fold, folds, trained.model, trained.data, precision, beginning))
    return modes


def predicted(trained: Trained, modes: Sequence[Mode], folds: Folds) -> HeldOut:
    """What modes without a fold each say of its labels, of features that are the same for all."""
    log_prob = torch.zeros_like(trained.data.outcome)
    for fold, mode in enumerate(modes):
        log_prob[folds.unseen(fold)] = log_prob_of_fold(fold, folds, trained.model, trained.data, mode)
    return folds.held_out(log_prob)


def _some(data: LabelledDifferences, which: Bool[Tensor, "comparison"]) -> LabelledDifferences:
    """Those of the labels."""
    index = which.nonzero()[:, 0]
    return LabelledDifferences(
        data.difference[index], data.outcome[index], data.weight[index], data.context.take(index)
    )
