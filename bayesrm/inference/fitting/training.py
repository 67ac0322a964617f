r"""Training of encoder and last layer together: the MAP of the Pyro model, by Adam.

The objective is the log joint density of the model, Σ_k log p(y_k | η_k, ν) + log p(β) + log p(ν). On real
embeddings an MLP fits the labels perfectly within a few dozen steps and gets worse from there, so the default trains
one copy for each of four folds, finds the step at which the loss of the held-out comparisons is lowest, and trains a
fresh copy on all comparisons for as long. "paper" is the paper's: no prior, no held-out data, 600 steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.models.context import Context
from bayesrm.models.encoders import WithLinearFeatures
from bayesrm.models.nuisance import NuisanceSpace
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.progress import bar

PAPER_STEPS = 600
MAX_STEPS = 300
LEARNING_RATE = 1e-3
PATIENCE = 40
CHECK_EVERY = 2
"""Steps between two looks at the held-out loss."""
FOLDS = 4
BATCH = 2048
MIN_COMPARISONS = 16
"""With fewer labels (in rankings: choices) there is nothing to hold out: the encoder stays as it was initialised."""


Body = Callable[[Tensor], Tensor]
"""From inputs (response, embedding) to features (response, feature)."""


@dataclass(frozen=True)
class TrainingData:
    """Labelled comparisons with the inputs of their responses, each response once.

    Inputs are what the body of the encoder sees; beside its features stand covariates and prompt intercepts.
    Preparing embeddings learns nothing, so it is done once and not in every step.
    """

    inputs: Float[Tensor, "response embedding"]
    first: Int64[Tensor, "comparison"]
    second: Int64[Tensor, "comparison"]
    outcome: Float[Tensor, "comparison"]
    weight: Float[Tensor, "comparison"]
    beside: Float[Tensor, "response beside"]
    context: Context

    @classmethod
    def gather(
        cls,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> TrainingData:
        """Read and prepare the embeddings of the compared responses, and only those."""
        used, first, second = compact(preferences.first, preferences.second)
        weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
        beside = torch.zeros((len(used), model.features - model.encoder.features), device=device, dtype=dtype)
        model.fill_beside(beside, pool, used)
        with torch.no_grad():
            inputs = model.encoder.prepare(torch.from_numpy(pool.rows(used)).to(device))
        return cls(
            inputs.to(dtype),
            torch.from_numpy(first).to(device),
            torch.from_numpy(second).to(device),
            torch.from_numpy(preferences.outcome).to(device, dtype),
            torch.from_numpy(weight).to(device, dtype),
            beside,
            Context.of(preferences, device),
        )

    def __len__(self) -> int:
        return len(self.first)

    def take(self, index: Int64[Tensor, "part"]) -> TrainingData:
        """Some of the comparisons, with the inputs that they need."""
        ends = torch.cat([self.first[index], self.second[index]])
        used, local = torch.unique(ends, return_inverse=True)
        k = len(index)
        return TrainingData(
            self.inputs[used],
            local[:k],
            local[k:],
            self.outcome[index],
            self.weight[index],
            self.beside[used],
            self.context.take(index),
        )


@dataclass(frozen=True)
class Fold:
    """A copy of the model trained on some comparisons, and those that were held out."""

    model: RewardModel
    kept: TrainingData
    held_out: TrainingData


@dataclass(frozen=True)
class Training:
    """What comes out: the last layer and the nuisance parameters that were trained with the encoder, and the folds.

    Parameters
    ----------
    beta, nuisance
        (feature,) and (nuisance,), the latter unconstrained.
    folds
        Where comparisons were held out, what was trained without them, for as many steps.
    """

    beta: Float[Tensor, "feature"]
    nuisance: Float[Tensor, "nuisance"]
    folds: list[Fold]


def train(
    model: RewardModel,
    data: TrainingData,
    seed: int,
    method: type[Descent] | None = None,
) -> Training:
    """Train the encoder in place, as the model's ``training_name`` says.

    Parameters
    ----------
    model
        A fresh model, see :meth:`RewardModel.fresh`.
    data
        The labelled comparisons.
    seed
        Root of the random choices: folds, order of minibatches, initial β.
    method
        What is descended, by default the negative log joint density.
    """
    descend = Descent if method is None else method
    if model.training_name == "paper":
        descent = descend(model, data, seed, prior=False)
        for _ in _steps(PAPER_STEPS, data):
            descent.step()
        return Training(*descent.finish(), [])
    sets = data.context.choice_sets
    if (len(data) if sets is None else sets.count) < MIN_COMPARISONS:
        device = data.inputs.device
        space = model.nuisance_space(data.context, device)
        return Training(torch.zeros(model.features, device=device), space.start().float(), [])
    steps, folds = _hold_out(model, data, seed, descend)
    descent = descend(model, data, seed)
    for _ in range(steps):
        descent.step()
    return Training(*descent.finish(), folds)


def _hold_out(
    model: RewardModel, data: TrainingData, seed: int, descend: Callable[..., Descent]
) -> tuple[int, list[Fold]]:
    """The number of steps at which the held-out loss over all folds is lowest, and the folds trained so far."""
    fold = fold_of(data, rng.stream(seed, "folds"))
    held_out = [data.take((fold == k).nonzero()[:, 0]) for k in range(FOLDS)]
    kept = [data.take((fold != k).nonzero()[:, 0]) for k in range(FOLDS)]
    seeds = [rng.child(seed, "fold", k) for k in range(FOLDS)]
    descents = [descend(model.fresh(seeds[k]), kept[k], seeds[k]) for k in range(FOLDS)]
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
        start = data.inputs.new_tensor(rng.stream(seed, "beta").uniform(-1, 1, d) / math.sqrt(d))
        # A linear block beside a network needs no training: it is left to the last layer's own fit.
        self._body: Body = model.encoder.body
        self._trained = torch.ones_like(start)
        if isinstance(model.encoder.body, WithLinearFeatures):
            self._body = model.encoder.body.without_linear
            for name in model.encoder.linear_blocks:
                self._trained[model.blocks[name]] = 0.0
        self._free = start.requires_grad_(True)
        self._space = model.nuisance_space(data.context, data.inputs.device)
        self._nuisance = self._space.start().to(start).requires_grad_(True)
        parameters = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam([self._free, self._nuisance, *parameters], lr=LEARNING_RATE)
        self._minibatches = rng.stream(seed, "minibatches")
        self._taken = 0

    @property
    def _beta(self) -> Float[Tensor, "feature"]:
        return self._free * self._trained

    def step(self) -> None:
        """One step, on all comparisons or on a minibatch of many."""
        batch, scale = self._minibatch()
        self.model.encoder.train()
        with rng.fenced(rng.child(self._seed, "step", self._taken)):
            self._optimizer.zero_grad()
            loss = self._objective(batch, scale) / len(self._data)
            loss.backward()
            self._optimizer.step()
        self._taken += 1

    def _objective(self, batch: TrainingData, scale: float) -> Float[Tensor, ""]:
        return -self._log_joint(batch, self._prior, scale)

    def _minibatch(self) -> tuple[TrainingData, float]:
        """Some of the comparisons, whole choices where there are any, and how many times as many there are in all."""
        data, n = self._data, len(self._data)
        if n <= BATCH:
            return data, 1.0
        sets = data.context.choice_sets
        if sets is None:
            index = torch.from_numpy(self._minibatches.choice(n, BATCH, replace=False))
            return data.take(index.to(data.first.device)), n / BATCH
        count = max(1, round(BATCH * sets.count / n))
        drawn = torch.from_numpy(self._minibatches.choice(sets.count, count, replace=False))
        index = torch.isin(sets.number, drawn.to(sets.number.device)).nonzero()[:, 0]
        return data.take(index), sets.count / count

    def loss(self, held_out: TrainingData) -> float:
        """Negative log-likelihood of other comparisons, in nats."""
        self.model.encoder.eval()
        with torch.no_grad(), rng.fenced(self._seed):
            return -float(self._log_joint(held_out, prior=False))

    def state(self) -> dict[str, Tensor]:
        """A copy of the encoder's weights as they are now."""
        return {name: value.clone() for name, value in self.model.encoder.state_dict().items()}

    def finish(self) -> tuple[Float[Tensor, "feature"], Float[Tensor, "nuisance"]]:
        """The trained β and nuisance parameters; the encoder is set to evaluation."""
        self.model.encoder.eval()
        return self._beta.detach(), self._nuisance.detach()

    def _log_joint(self, data: TrainingData, prior: bool, scale: float = 1.0) -> Float[Tensor, ""]:
        reward = torch.cat([self._body(data.inputs), data.beside], dim=1) @ self._beta
        return log_joint(self.model, self._space, data, self._nuisance, self._beta, reward, prior, scale)


def log_joint(
    model: RewardModel,
    space: NuisanceSpace,
    data: TrainingData,
    nuisance: Float[Tensor, "nuisance"],
    beta: Float[Tensor, "feature"],
    reward: Float[Tensor, "response"],
    prior: bool = True,
    scale: float = 1.0,
) -> Float[Tensor, ""]:
    """Log joint density of the model in nats, at β, rewards and unconstrained nuisance parameters ν.

    ``scale`` multiplies the likelihood of a minibatch; without ``prior`` it is the log-likelihood.
    """
    at = space.at(nuisance)
    likelihood = model.likelihood.given(at.values, data.context)
    log_prob = likelihood.log_prob(reward[data.first] - reward[data.second], data.outcome)
    total = scale * (data.weight * log_prob).sum()
    if prior:
        precision = model.prior_sd().to(beta).pow(-2)
        location, precision = model.prior(precision)(at.values)
        normaliser = torch.log(precision / (2 * math.pi)).sum()
        total = total + 0.5 * (normaliser - (precision * (beta - location).square()).sum())
        total = total + at.log_prior
    return total


def fold_of(data: TrainingData, generator: np.random.Generator) -> Int64[Tensor, "comparison"]:
    """The fold of each comparison, at random; comparisons of one choice stay together."""
    device = data.first.device
    sets = data.context.choice_sets
    if sets is None:
        return torch.from_numpy(generator.permutation(len(data)) % FOLDS).to(device)
    fold = torch.from_numpy(generator.permutation(sets.count) % FOLDS).to(device)
    return fold[sets.number]


def _steps(total: int, data: TrainingData) -> Iterator[int]:
    return bar(range(total), "Training the encoder", total, show=len(data) * total > 500_000)
