r"""A Bayesian neural network: mean-field variational inference over all weights, in Pyro (Blundell et al. 2015).

A weight matrix of a built-in encoder has the prior Normal(0, 2/fan_in) (He et al. 2015), vectors such as biases have
Normal(initial value, 0.1²), a user's own weights Normal(w₀, 2/fan_in) around what they came with, and β the prior
scale of the model, or the one that gives rewards a prior standard deviation of one logit. The guide is Normal and
independent for each weight; it maximises the evidence lower bound

    ELBO = E_q Σ_k v_k log p(y_k | η_k) − KL(q ‖ prior),

the divergence in closed form, the expectation by one draw a step. Weights are in units of their prior standard
deviation, so that one learning rate suits all layers. The rate falls whenever the ELBO has stopped rising, and the
fit ends when it has become small: at the first rate, Adam's jitter in tens of thousands of weights alone costs
hundreds of nats.

Independence across the weights of a wide network is a strong assumption: the optimum is closer to the prior than the
posterior is, and rewards are shrunk (Coker et al. 2022). The bound is not tempered.
"""

from __future__ import annotations

import functools
import math
from typing import ClassVar

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.infer.autoguide.initialization import init_to_value
from pyro.optim import PyroLRScheduler
from torch import Tensor
from torch.func import functional_call

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting import training
from bayesrm.inference.fitting.network_stack import prepared
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.training import TrainingData
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.networks import NetworkDraws, State, inputs
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.progress import bar

MAX_STEPS = 2000
WINDOW = 50
"""Steps whose average ELBO is held against the best window before."""
START_RATE, END_RATE, RATE_FACTOR = 0.1, 2e-3, 0.4
START_SD = 0.5
"""Initial standard deviation of the guide, in units of the prior's."""
VECTOR_SD = 0.1
SCALE_NETWORKS, SCALE_RESPONSES = 16, 512
BETA, NUISANCE = "last layer", "nuisance"

Weights = dict[str, Tensor]
"""Name in the body → values, in units of the prior's standard deviation; also β and ν."""


class BayesianNetwork(Inference):
    """Mean-field variational inference over all weights of encoder and last layer.

    Parameters
    ----------
    draws
        How many networks are drawn from the fitted guide.
    """

    name: ClassVar[str] = "bnn"

    @checked
    def __init__(self, draws: Count = 50) -> None:
        if draws < 2:
            raise InvalidInputError(f"expected at least 2 draws, got {draws}")
        self.draws = draws

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> NetworkDraws:
        """Maximise the ELBO, then draw networks; without labels they are draws of the prior."""
        fitted = prepared(model, pool, preferences, seed, device)
        if fitted.encoder.trainable:
            _choose_scale(fitted, pool, rng.child(seed, "prior"), device)
            precision = fitted.prior_sd().to(device).pow(-2)
        else:
            trained = train_encoder(model, pool, preferences, seed, device)
            fitted, precision = trained.model, prior_precision(trained, pool)
        data = TrainingData.gather(fitted, pool, preferences, device)
        network = BayesianWeights(fitted, data)
        with rng.fenced(rng.child(seed, "svi")), torch.no_grad():
            if len(preferences):
                with torch.enable_grad():
                    guide = _maximise_elbo(network, rng.stream(seed, "minibatches"))
                drawn = [guide(network.data) for _ in range(self.draws)]
            else:
                drawn = [network.prior_draw() for _ in range(self.draws)]
            state, beta, nuisance = network.stacked(drawn)
        fitted.encoder.requires_grad_(False)
        refit = functools.partial(self.fit, model, pool, seed=seed, device=device)
        return NetworkDraws(
            fitted, pool, preferences, state, beta, nuisance, precision, refit, inference=self.name
        )


class BayesianWeights:
    """The network as a Pyro program of its weights, in units of their priors.

    Parameters
    ----------
    model
        Encoder, prior scale of β and likelihood.
    data
        The labelled comparisons.
    """

    def __init__(self, model: RewardModel, data: TrainingData) -> None:
        self.model = model
        self.data = data
        self._space = model.nuisance_space(data.context, data.inputs.device)
        self._fixed = {name: value.detach().clone() for name, value in model.encoder.body.state_dict().items()}
        self._sd, self._middle, self.start = {}, {}, {}
        for name, parameter in model.encoder.body.named_parameters():
            if parameter.requires_grad:
                value = self._fixed.pop(name)
                matrix = value.ndim > 1
                self._sd[name] = math.sqrt(2 * len(value) / value.numel()) if matrix else VECTOR_SD
                self._middle[name] = torch.zeros_like(value) if matrix and not model.custom_encoder else value
                self.start[name] = (value - self._middle[name]) / self._sd[name]
        self._beta_sd, self._beta_location = (
            part.to(data.inputs) for part in (model.prior_sd(), model.prior_location())
        )
        self.start[BETA] = torch.zeros_like(self._beta_sd)
        if self._space.size:
            self.start[NUISANCE] = self._space.start().to(data.inputs)

    def program(self, data: TrainingData) -> None:
        """Sample all weights and score the labels, those of a minibatch as if they were all."""
        unit = {
            name: pyro.sample(name, dist.Normal(torch.zeros_like(value), 1.0).to_event(value.ndim))
            for name, value in self.start.items()
        }
        likelihood = self.model.likelihood.given({}, data.context)
        if self._space.size:
            nu = unit[NUISANCE]
            with pyro.poutine.block():
                likelihood = self.model.likelihood.given(self._space.values(nu), data.context)
                log_prior = self._space.log_prior(nu)
            # Sampled as a standard Normal for the closed form of the divergence; this puts its own prior in place.
            pyro.factor("nuisance prior", log_prior - dist.Normal(0.0, 1.0).log_prob(nu).sum())
        features = functional_call(self.model.encoder.body, self._network(unit), (data.inputs,))
        reward = torch.cat([features, data.beside], dim=1) @ (self._beta_location + self._beta_sd * unit[BETA])
        log_prob = likelihood.log_prob(reward[data.first] - reward[data.second], data.outcome)
        pyro.factor("outcome", len(self.data) / len(data) * (data.weight * log_prob).sum())

    def prior_draw(self) -> Weights:
        """Weights from their prior; nuisance parameters in the middle of theirs."""
        drawn = {name: torch.randn_like(value) for name, value in self.start.items()}
        return drawn | {name: value for name, value in self.start.items() if name == NUISANCE}

    def stacked(
        self, drawn: list[Weights]
    ) -> tuple[State, Float[Tensor, "draw feature"], Float[Tensor, "draw nuisance"]]:
        """The networks of some draws, with β and ν in float64."""
        networks = [self._network(unit) for unit in drawn]
        state = {name: value.expand(len(drawn), *value.shape) for name, value in self._fixed.items()}
        state |= {name: torch.stack([network[name] for network in networks]) for name in self._sd}
        beta = torch.stack([self._beta_location + self._beta_sd * unit[BETA] for unit in drawn]).double()
        nothing = beta.new_empty(0)
        return state, beta, torch.stack([unit.get(NUISANCE, nothing) for unit in drawn]).double()

    def _network(self, unit: Weights) -> State:
        return self._fixed | {name: self._middle[name] + sd * unit[name] for name, sd in self._sd.items()}


def _maximise_elbo(network: BayesianWeights, minibatches: np.random.Generator) -> AutoNormal:
    guide = AutoNormal(network.program, init_loc_fn=init_to_value(values=network.start), init_scale=START_SD)
    optimizer = PyroLRScheduler(
        torch.optim.lr_scheduler.ExponentialLR,
        {"optimizer": torch.optim.Adam, "optim_args": {"lr": START_RATE}, "gamma": RATE_FACTOR},
    )
    svi = SVI(network.program, guide, optimizer, TraceMeanField_ELBO())
    data, n, rate = network.data, len(network.data), START_RATE
    lowest, losses = math.inf, np.empty(WINDOW)
    for step in bar(range(MAX_STEPS), "Maximising the ELBO", MAX_STEPS, show=n > 500):
        batch = data
        if n > training.BATCH:
            index = torch.from_numpy(minibatches.choice(n, training.BATCH, replace=False))
            batch = data.take(index.to(data.first.device))
        losses[step % WINDOW] = svi.step(batch)
        if (step + 1) % WINDOW == 0:
            if losses.mean() > lowest - losses.std() / math.sqrt(WINDOW):
                optimizer.step()
                rate *= RATE_FACTOR
                if rate < END_RATE:
                    break
            lowest = min(lowest, float(losses.mean()))
    return guide


def _choose_scale(model: RewardModel, pool: ResponsePool, seed: int, device: torch.device) -> None:
    """Unless given, σ such that a typical reward has a standard deviation of one logit under prior networks."""
    if model.prior_scale is not None:
        return
    index = np.linspace(0, len(pool) - 1, min(len(pool), SCALE_RESPONSES)).round().astype(np.int64)
    x, _ = inputs(model, pool, index, device)
    empty = TrainingData.gather(model, pool, Preferences.none(), device)
    network = BayesianWeights(model, empty)
    squares = []
    with rng.fenced(seed), torch.no_grad():
        for _ in range(SCALE_NETWORKS):
            state, _, _ = network.stacked([network.prior_draw()])
            features = functional_call(model.encoder.body, {name: value[0] for name, value in state.items()}, (x,))
            squares.append(float((features - features.mean(dim=0)).square().sum(dim=1).mean()))
    mean_square = sum(squares) / len(squares)
    model.prior_scale = 1.0 / math.sqrt(mean_square) if mean_square > 1e-24 else 1.0
