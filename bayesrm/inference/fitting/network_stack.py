r"""Training of many networks of one architecture in one pass.

The weights of network m are slice m of stacked tensors. The loss is the sum of the networks' losses

    −Σ_k w_mk log p(y_k | η_mk, ν_m) − log p(β_m) − log p(ν_m),

so its gradient in slice m is that of network m; Adam works element by element; hence each network is trained as it
would be alone. A weight of zero hides a comparison from a network, which is how folds are held out. Networks share
the order of minibatches, so that a step reads each of its responses once.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import CapabilityError
from bayesrm.inference.fitting import training
from bayesrm.inference.fitting.linear_part import suggest_scales
from bayesrm.inference.fitting.training import TrainingData
from bayesrm.models.features import require_finite_features
from bayesrm.models.intercepts import PromptIntercepts
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.networks import State, network_rewards, stack
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.progress import bar

HELD_OUT_NETWORKS = 3
"""Networks for each fold: the best step is found more surely than with one."""


def enough_to_train(model: RewardModel, comparisons: int) -> bool:
    """Whether there are weights before the last layer, and labels enough to train them on."""
    least = 1 if model.training_name == "paper" else training.MIN_COMPARISONS
    return model.encoder.trainable and comparisons >= least


class NetworkStack:
    """Adam on the negative log joints of networks.

    Parameters
    ----------
    model
        Architecture, standardisation, prior and likelihood.
    data
        The labelled comparisons.
    seeds
        One for each network: root of its initial weights, which a user's own module keeps, and of its initial β.
    weight
        (network, comparison) w, the weights of the preferences included.
    seed
        Root of what networks share: minibatches, random layers such as dropout.
    prior
        Whether the objective has the priors of β and ν.
    """

    def __init__(
        self,
        model: RewardModel,
        data: TrainingData,
        seeds: list[int],
        weight: Float[Tensor, "network comparison"],
        seed: int,
        prior: bool = True,
    ) -> None:
        self.model, self._data, self._weight, self._seed, self._prior = model, data, weight, seed, prior
        self._body = model.fresh(0).encoder.body.train()
        self._state = stack([model.fresh(own).encoder.body for own in seeds])
        d = model.features
        start = [torch.from_numpy(rng.stream(own, "beta").uniform(-1, 1, d) / math.sqrt(d)) for own in seeds]
        self._beta = torch.stack(start).to(data.inputs).requires_grad_(True)
        self._space = model.nuisance_space(data.context, data.inputs.device)
        self._nuisance = self._space.start().to(self._beta).repeat(len(seeds), 1).requires_grad_(True)
        trainable = {name for name, value in model.encoder.body.named_parameters() if value.requires_grad}
        weights = [value.requires_grad_(True) for name, value in self._state.items() if name in trainable]
        self._optimizer = torch.optim.Adam([self._beta, self._nuisance, *weights], lr=training.LEARNING_RATE)
        self._minibatches = rng.stream(seed, "minibatches")
        self._taken = 0

    def train(self, steps: int) -> None:
        """Some steps, each on all comparisons or on a minibatch of many."""
        for _ in bar(range(steps), "Training networks", steps, show=len(self._data) * steps > 100_000):
            self.step()

    def step(self) -> None:
        """One step."""
        batch, weight, n = self._data, self._weight, len(self._data)
        if n > training.BATCH:
            index = torch.from_numpy(self._minibatches.choice(n, training.BATCH, replace=False)).to(weight.device)
            batch, weight = batch.take(index), weight[:, index]
        with rng.fenced(rng.child(self._seed, "step", self._taken)):
            self._optimizer.zero_grad()
            total = (weight * self._log_prob(self._logit(batch), batch)).sum() * (n / len(batch))
            if self._prior:
                total = total + self._log_prior()
            loss: Tensor = -total / n
            loss.backward()
            self._optimizer.step()
        self._taken += 1

    def log_probabilities(self) -> Float[Tensor, "network comparison"]:
        """log p(y_k | η_mk) of all comparisons, random layers off."""
        self._body.eval()
        with torch.no_grad(), rng.fenced(self._seed):
            found = self._log_prob(self._logit(self._data, at_once=1), self._data)
        self._body.train()
        return found

    def networks(self) -> tuple[State, Float[Tensor, "network feature"], Float[Tensor, "network nuisance"]]:
        """The weights as they are now, β and ν in float64."""
        state = {name: value.detach().clone() for name, value in self._state.items()}
        return state, self._beta.detach().double(), self._nuisance.detach().double()

    def _logit(self, data: TrainingData, at_once: int | None = None) -> Tensor:
        reward = network_rewards(self._body, self._state, self._beta, data.inputs, data.beside, at_once)
        return reward[:, data.first] - reward[:, data.second]

    def _log_prob(self, logit: Tensor, data: TrainingData) -> Tensor:
        likelihood, outcome = self.model.likelihood, data.outcome
        if self._space.size == 0:
            return likelihood.given({}, data.context).log_prob(logit, outcome.expand_as(logit))
        bound = [likelihood.given(self._space.values(nu), data.context) for nu in self._nuisance]
        return torch.stack([own.log_prob(eta, outcome) for own, eta in zip(bound, logit, strict=True)])

    def _log_prior(self) -> Tensor:
        """Of all networks together, up to a constant."""
        precision = self.model.prior_sd().to(self._beta).pow(-2)
        location = self.model.prior_location().to(self._beta)
        total = -0.5 * (precision * (self._beta - location).square()).sum()
        if self._space.size:
            total = total + sum(self._space.log_prior(nu) for nu in self._nuisance)
        return total


def best_steps(model: RewardModel, data: TrainingData, seed: int) -> int:
    """The number of steps at which a network predicts held-out comparisons best, on average and over all folds.

    Each for itself: the average of untrained networks knows that it knows nothing, and with few labels often loses to
    none that has learnt something.
    """
    fold = training.fold_of(data, rng.stream(seed, "folds"))
    owner = torch.arange(training.FOLDS, device=fold.device).repeat_interleave(HELD_OUT_NETWORKS)
    held_out = (fold == owner[:, None]).to(data.weight)
    seeds = [rng.child(seed, "network", k) for k in range(len(owner))]
    networks = NetworkStack(model, data, seeds, (1 - held_out) * data.weight, seed)
    best_step, best_loss = 0, math.inf
    total = training.MAX_STEPS
    for step in bar(range(total), "Finding when to stop", total, show=len(data) * total > 100_000):
        if step % training.CHECK_EVERY == 0:
            loss = -float((held_out * data.weight * networks.log_probabilities()).sum())
            if loss < best_loss:
                best_step, best_loss = step, loss
            elif step - best_step > training.PATIENCE:
                break
        networks.step()
    return best_step


def prepared(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, seed: int, device: torch.device
) -> RewardModel:
    """A copy with the pool's statistics and the prompt intercepts that these preferences ask for; not trained."""
    require_no_program(model)
    fitted = model.fresh(rng.child(seed, "encoder")).to(device)
    fitted.fit_pool(pool)
    fitted.encoder.eval()
    if model.prompt_intercept:
        fitted.intercepts = PromptIntercepts.of(pool, preferences)
    if model.custom_encoder:
        require_finite_features(fitted, pool, preferences, device)
    fitted.suggested_scale = suggest_scales(fitted, pool, preferences, device)
    return fitted


def require_no_program(model: RewardModel) -> None:
    """Raise CapabilityError for a user's Pyro program, which says nothing of the weights before the last layer."""
    if model.program is not None:
        raise CapabilityError(
            "a user's Pyro program describes the last layer only, and this inference is one of whole networks: "
            "fit with inference='laplace'"
        )
