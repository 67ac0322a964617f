r"""Training of encoder and last layer together: the MAP of the Pyro model, by Adam.

The objective is the log joint density of the model, Σ_k log p(y_k | η_k) + log p(β), read off its trace. On
real embeddings an MLP fits the labels perfectly within a few dozen steps and gets worse from there, so the
default trains one copy for each of four folds, finds the step at which the loss of the held-out comparisons is
lowest, and trains a fresh copy on all comparisons for as long. "paper" is the paper's: no prior, no held-out
data, 600 steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyro
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.models.reward_model import RewardModel
from bayesrm.progress import bar
from bayesrm.types import Preferences, ResponsePool, compact

PAPER_STEPS = 600
MAX_STEPS = 300
LEARNING_RATE = 1e-3
PATIENCE = 40
CHECK_EVERY = 2
"""Steps between two looks at the held-out loss."""
FOLDS = 4
BATCH = 2048
MIN_COMPARISONS = 16
"""With fewer labels than this there is nothing to hold out: the encoder stays as it was initialised."""


@dataclass(frozen=True)
class TrainingData:
    """Labelled comparisons with the embeddings of their responses, each response once."""

    embeddings: Float[Tensor, "response embedding"]
    first: Int64[Tensor, "comparison"]
    second: Int64[Tensor, "comparison"]
    outcome: Float[Tensor, "comparison"]
    weight: Float[Tensor, "comparison"]

    @classmethod
    def gather(
        cls,
        pool: ResponsePool,
        preferences: Preferences,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> TrainingData:
        """Read the embeddings of the compared responses, and only those."""
        used, first, second = compact(preferences.first, preferences.second)
        weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
        return cls(
            torch.from_numpy(pool.rows(used)).to(device, dtype),
            torch.from_numpy(first).to(device),
            torch.from_numpy(second).to(device),
            torch.from_numpy(preferences.outcome).to(device, dtype),
            torch.from_numpy(weight).to(device, dtype),
        )

    def __len__(self) -> int:
        return len(self.first)

    def take(self, index: Int64[Tensor, "part"]) -> TrainingData:
        """Some of the comparisons, with the embeddings that they need."""
        ends = torch.cat([self.first[index], self.second[index]])
        used, local = torch.unique(ends, return_inverse=True)
        k = len(index)
        return TrainingData(self.embeddings[used], local[:k], local[k:], self.outcome[index], self.weight[index])


@dataclass(frozen=True)
class Fold:
    """A copy of the model trained on some comparisons, and those that were held out."""

    model: RewardModel
    kept: TrainingData
    held_out: TrainingData


def train(model: RewardModel, data: TrainingData, seed: int) -> tuple[Float[Tensor, "feature"], list[Fold]]:
    """Train the encoder in place, as the model's ``training_name`` says.

    Parameters
    ----------
    model
        A fresh model, see :meth:`RewardModel.fresh`.
    data
        The labelled comparisons.
    seed
        Root of the random choices: folds, order of minibatches, initial β.

    Returns
    -------
    beta, folds
        The last layer that was trained with the encoder; and, where comparisons were held out, what was trained
        without them, for as many steps.
    """
    if model.training_name == "paper":
        descent = Descent(model, data, seed, prior=False)
        for _ in _steps(PAPER_STEPS, data):
            descent.step()
        return descent.finish(), []
    if len(data) < MIN_COMPARISONS:
        return torch.zeros(model.features, device=data.embeddings.device), []
    steps, folds = _hold_out(model, data, seed)
    descent = Descent(model, data, seed)
    for _ in range(steps):
        descent.step()
    return descent.finish(), folds


def _hold_out(model: RewardModel, data: TrainingData, seed: int) -> tuple[int, list[Fold]]:
    """The number of steps at which the held-out loss over all folds is lowest, and the folds trained so far."""
    fold = torch.from_numpy(rng.stream(seed, "folds").permutation(len(data)) % FOLDS).to(data.first.device)
    held_out = [data.take((fold == k).nonzero()[:, 0]) for k in range(FOLDS)]
    kept = [data.take((fold != k).nonzero()[:, 0]) for k in range(FOLDS)]
    seeds = [rng.child(seed, "fold", k) for k in range(FOLDS)]
    descents = [Descent(model.fresh(seeds[k]), kept[k], seeds[k]) for k in range(FOLDS)]
    best_step, best_loss, best_state = 0, math.inf, [descent.state() for descent in descents]
    for step in _steps(MAX_STEPS, data):
        if step % CHECK_EVERY == 0:
            loss = sum(descent.loss(part) for descent, part in zip(descents, held_out, strict=True))
            if loss < best_loss:
                best_step, best_loss, best_state = step, loss, [descent.state() for descent in descents]
            elif step - best_step > PATIENCE:
                break
        for descent in descents:
            descent.step()
    folds = []
    for k, descent in enumerate(descents):
        descent.model.encoder.load_state_dict(best_state[k])
        descent.finish()
        folds.append(Fold(descent.model, kept[k], held_out[k]))
    return best_step, folds


class Descent:
    """Adam on the negative log joint of a model, encoder (in place) and last layer together.

    Parameters
    ----------
    model, data
        What to train on what.
    seed
        Root of the initial β, the minibatches, and random layers such as dropout.
    prior
        Whether the objective has the prior of β; without, it is the likelihood alone.
    """

    def __init__(self, model: RewardModel, data: TrainingData, seed: int, prior: bool = True) -> None:
        self.model, self._data, self._seed, self._prior = model, data, seed, prior
        d = model.features
        start = rng.stream(seed, "beta").uniform(-1, 1, d) / math.sqrt(d)
        self._beta = data.embeddings.new_tensor(start).requires_grad_(True)
        parameters = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam([self._beta, *parameters], lr=LEARNING_RATE)
        self._minibatches = rng.stream(seed, "minibatches")
        self._taken = 0

    def step(self) -> None:
        """One step, on all comparisons or on a minibatch of many."""
        batch, n = self._data, len(self._data)
        if n > BATCH:
            index = torch.from_numpy(self._minibatches.choice(n, BATCH, replace=False))
            batch = batch.take(index.to(self._beta.device))
        self.model.encoder.train()
        with rng.fenced(rng.child(self._seed, "step", self._taken)):
            self._optimizer.zero_grad()
            loss = -log_joint(self.model, batch, self._beta, self._prior, n / len(batch)) / n
            loss.backward()
            self._optimizer.step()
        self._taken += 1

    def loss(self, held_out: TrainingData) -> float:
        """Negative log-likelihood of other comparisons, in nats."""
        self.model.encoder.eval()
        with torch.no_grad(), rng.fenced(self._seed):
            return -float(log_joint(self.model, held_out, self._beta, prior=False))

    def state(self) -> dict[str, Tensor]:
        """A copy of the encoder's weights as they are now."""
        return {name: value.clone() for name, value in self.model.encoder.state_dict().items()}

    def finish(self) -> Float[Tensor, "feature"]:
        """The trained β; the encoder is set to evaluation."""
        self.model.encoder.eval()
        return self._beta.detach()


def _steps(total: int, data: TrainingData) -> Iterator[int]:
    return bar(range(total), "Training the encoder", total, show=len(data) * total > 500_000)


def log_joint(
    model: RewardModel,
    data: TrainingData,
    beta: Float[Tensor, "feature"],
    prior: bool = True,
    scale: float = 1.0,
) -> Float[Tensor, ""]:
    """Log joint density in nats at β, from the Pyro model's own trace.

    ``scale`` multiplies the likelihood of a minibatch; without ``prior`` it is the log-likelihood.
    """
    conditioned = pyro.poutine.condition(model, data={"beta": beta})
    trace = pyro.poutine.trace(conditioned).get_trace(
        data.embeddings, data.first, data.second, data.outcome, data.weight
    )
    trace.compute_log_prob()
    total = scale * trace.nodes["outcome"]["log_prob_sum"]
    if prior:
        total = total + trace.nodes["beta"]["log_prob_sum"]
    return total
