r"""Training of encoder and last layer together: the MAP of the Pyro model, by Adam.

The objective is the log joint density of the model, Σ_k log p(y_k | η_k) + log p(β), read off its trace. On
real embeddings an MLP fits the labels perfectly within a few dozen steps and gets worse from there, so the
default holds out comparisons, finds the step at which their loss is lowest, and trains a fresh copy on all
comparisons for as long. "paper" is the paper's: no prior, no held-out data, 600 steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyro
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.models.reward_model import RewardModel
from bayesrm.progress import bar
from bayesrm.types import Preferences, ResponsePool

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
        used, local = np.unique(np.concatenate([preferences.first, preferences.second]), return_inverse=True)
        k = len(preferences)
        weight = np.ones(k) if preferences.weight is None else preferences.weight
        return cls(
            torch.from_numpy(pool.rows(used)).to(device, dtype),
            torch.from_numpy(local[:k]).to(device),
            torch.from_numpy(local[k:]).to(device),
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


def train(model: RewardModel, data: TrainingData, seed: int) -> Float[Tensor, "feature"]:
    """Train the encoder in place; return the last layer β that was trained with it.

    Parameters
    ----------
    model
        A fresh model (see :meth:`RewardModel.fresh`); its ``training_name`` says how.
    data
        The labelled comparisons.
    seed
        Root of the random choices: held-out comparisons, order of minibatches, initial β.
    """
    if model.training_name == "paper":
        return _descend(model, data, PAPER_STEPS, seed, prior=False)
    if len(data) < MIN_COMPARISONS:
        return torch.zeros(model.features, device=data.embeddings.device)
    return _descend(model, data, stopping_step(model, data, seed), seed, prior=True)


def stopping_step(model: RewardModel, data: TrainingData, seed: int) -> int:
    """The number of steps after which the held-out loss, averaged over folds, is lowest."""
    fold = torch.from_numpy(rng.stream(seed, "folds").permutation(len(data)) % FOLDS).to(data.first.device)
    curves = []
    for k in range(FOLDS):
        copy_of_model = model.fresh(rng.child(seed, "fold", k))
        curve: list[float] = []
        kept, held_out = data.take((fold != k).nonzero()[:, 0]), data.take((fold == k).nonzero()[:, 0])
        _descend(copy_of_model, kept, MAX_STEPS, rng.child(seed, "fold", k), True, held_out, curve)
        curves.append(curve)
    length = min(map(len, curves))
    mean = np.mean([curve[:length] for curve in curves], axis=0)
    return int(mean.argmin()) * CHECK_EVERY


def _descend(
    model: RewardModel,
    data: TrainingData,
    steps: int,
    seed: int,
    prior: bool,
    held_out: TrainingData | None = None,
    curve: list[float] | None = None,
) -> Float[Tensor, "feature"]:
    """Adam on the negative log joint; with held-out data its loss goes to ``curve``."""
    d = model.features
    start = rng.stream(seed, "beta").uniform(-1, 1, d) / math.sqrt(d)
    beta = torch.tensor(start, dtype=data.embeddings.dtype, device=data.embeddings.device, requires_grad=True)
    parameters = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam([beta, *parameters], lr=LEARNING_RATE)
    order = rng.stream(seed, "minibatches")
    model.encoder.train()
    with rng.fenced(rng.child(seed, "descent")):
        for step in bar(range(steps), "Training the encoder", steps, show=len(data) * steps > 500_000):
            if held_out is not None and curve is not None and step % CHECK_EVERY == 0:
                curve.append(_held_out_loss(model, held_out, beta))
                if (len(curve) - 1 - int(np.argmin(curve))) * CHECK_EVERY > PATIENCE:
                    break
            batch = data
            if len(data) > BATCH:
                batch = data.take(torch.from_numpy(order.choice(len(data), BATCH, replace=False)).to(beta.device))
            optimizer.zero_grad()
            loss = -log_joint(model, batch, beta, prior, len(data) / len(batch)) / len(data)
            loss.backward()
            optimizer.step()
    model.encoder.eval()
    return beta.detach()


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


def _held_out_loss(model: RewardModel, data: TrainingData, beta: Float[Tensor, "feature"]) -> float:
    model.encoder.eval()
    with torch.no_grad():
        loss = -log_joint(model, data, beta, prior=False) / data.weight.sum()
    model.encoder.train()
    return float(loss)
