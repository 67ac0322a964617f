r"""A network beside a linear reward: it learns what the linear reward leaves of the labels, and no more.

The reward is fᵀβ + hᵀb with h the last hidden layer. Training starts at the linear reward of the largest evidence and
b = 0, and goes on with β, b and the network's weights together, by Adam on the negative log joint with b ~ Normal(0, I)
and the prior of β that evidence has chosen. So a network that is stopped at once has changed nothing. Prompts are split
in folds; networks that have not seen the labels of a fold, all in one stack with the one that has seen all labels, say
when that one is to stop: where held-out labels are predicted best.

Then h are features of the last layer like any others. They stand beside those of the linear reward and, where there is
one, of a Gaussian process: it had no part in the training, and shares the labels with the network now. The prior scale
σ of h is some multiple of the one under which hᵀb varies a priori as much as the trained network's does: the smallest
multiple that predicts held-out labels as well as the best does, up to one standard error of the difference (Breiman et
al. 1984).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import CapabilityError
from bayesrm.inference.fitting.held_out import (
    Folds,
    HeldOut,
    log_prob_of_fold,
    mode_without,
    modes_without,
    predicted,
)
from bayesrm.inference.fitting.linear_part import linear_reward
from bayesrm.inference.fitting.nested import ROUGHLY, find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.trained import Trained
from bayesrm.inference.fitting.training import (
    CHECK_EVERY,
    FOLDS,
    MAX_STEPS,
    MIN_COMPARISONS,
    PATIENCE,
)
from bayesrm.models.encoders.base import Encoder
from bayesrm.models.encoders.layers import Layers
from bayesrm.models.encoders.layers_mlp import MLP, BesideLayersAndNetwork, Network, hidden_features
from bayesrm.models.features import RESPONSE_BLOCK, KnownFeatures, difference, encode, labelled_differences
from bayesrm.models.log_joint import LabelledDifferences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.progress import bar

RATE = 3e-3
"""Of Adam. Three times that of other networks: it starts at nothing, and has to get somewhere while held-out labels are
patient."""
MULTIPLES = (0.25, 0.5, 1.0, 2.0)
"""Of the prior scale under which rewards vary as much as the trained network's."""
SMALLEST = 1 / 30
"""Prior sd of a typical reward, in logits, of a network that was stopped at once."""


@dataclass(frozen=True)
class NetworkBeside:
    """A network beside another reward.

    Parameters
    ----------
    trained
        The sum of both, with its prior scales.
    held_out
        What it makes of held-out labels.
    multiple
        Its prior scale, over the usual one.
    """

    trained: Trained
    held_out: HeldOut
    multiple: float


def fit_network_beside(model: RewardModel, pool: ResponsePool, preferences: Preferences, seed: int) -> Trained:
    """The reward without its network by evidence, then the network of a model whose encoder has one, in place.

    With fewer labels than can be held out, the network is left out: its features are 0.

    Raises
    ------
    CapabilityError
        For a user's program, and the paper's training: neither has a linear reward to start from.
    """
    encoder = _encoder(model)
    if model.program is not None or model.training_name == "paper":
        what = "a program" if model.program is not None else "training='paper'"
        raise CapabilityError(
            f"encoder {encoder.name!r} trains its network beside a linear reward that is fitted first, which "
            f"{what} has not: use encoder='mlp+linear'"
        )
    device, given = encoder.device, model.prior_scale
    of_network = given.get(MLP) if isinstance(given, dict) else given
    if not model.scale_given:  # what labels have chosen was for another network
        of_network = None

    def fitted(part: Encoder, scale: float | dict[str, float] | None) -> Trained:
        known = model.with_encoder(part).to(device)
        known.encoder.fit_pool(pool)
        known.prior_scale = scale
        if isinstance(scale, dict):
            known.prior_scale = {block: scale[block] for block in known.blocks if block in scale}
        return linear_reward(known, pool, preferences, device)

    linear = without = fitted(encoder.without_network(), given)
    if not isinstance(without.model.encoder, Layers):
        # Scales that labels have chosen beside a process are not those of a linear reward alone.
        layers = Layers(encoder.dim, encoder.inputs, encoder.input_blocks)
        linear = fitted(layers, given if model.scale_given else None)
    if linear.answers >= MIN_COMPARISONS:
        start = LinearStart.of(linear, encoder, pool, preferences)
        return Networks(start, seed).beside(without, model, of_network).trained
    encoder.network.set_weights([torch.zeros_like(part) for part in encoder.network.weights])
    model.prior_scale = _scales(without, pool) | {MLP: 1.0 if of_network is None else of_network}
    return linear_reward(model, pool, preferences, device)


@dataclass(frozen=True)
class LinearStart:
    """The linear reward that networks start at, and what they see: the same for all splits of the prompts.

    Parameters
    ----------
    reward
        The linear reward, with its prior scales.
    mode
        Its mode.
    pool, preferences
        What it was fitted to.
    used, first, second
        The responses compared, in ascending order; (comparison,) where among them those of each comparison are.
    features
        (response, feature) of the linear reward, float64.
    inputs
        (response, input) of the networks.
    network
        How many hidden layers networks have, and of which sizes.
    """

    reward: Trained
    mode: Mode
    pool: ResponsePool
    preferences: Preferences
    used: Int64[np.ndarray, "response"]
    first: Int64[Tensor, "comparison"]
    second: Int64[Tensor, "comparison"]
    features: Float[Tensor, "response feature"]
    inputs: Float[Tensor, "response input"]
    network: Network

    @classmethod
    def of(
        cls, linear: Trained, encoder: BesideLayersAndNetwork, pool: ResponsePool, preferences: Preferences
    ) -> LinearStart:
        """Of a linear reward, whose prior scales are chosen where they are not yet; the encoder knows the pool."""
        mode = find_mode(linear.model.log_joint(linear.data, prior_precision(linear, pool)), tolerance=ROUGHLY)
        device = linear.beta.device
        used, first, second = compact(preferences.first, preferences.second)
        with torch.no_grad():
            blocks = [used[start : start + RESPONSE_BLOCK] for start in range(0, len(used), RESPONSE_BLOCK)]
            rows = (encoder.prepare(torch.from_numpy(pool.rows(block)).to(device)) for block in blocks)
            inputs = torch.cat([encoder.network.inputs(x) for x in rows])
        first_at, second_at = torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
        features = encode(linear.model, pool, used, device)
        return cls(linear, mode, pool, preferences, used, first_at, second_at, features, inputs, encoder.network)

    def near(self, mode: Mode, model: RewardModel) -> Mode:
        """Where a search for the mode of a sum begins: at one of the linear reward, nothing beside it."""
        beta = mode.beta.new_zeros(model.features)
        for name, at in self.reward.model.blocks.items():
            beta[model.blocks[name]] = mode.beta[at]
        return replace(mode, beta=beta, given=None)

    def differences_with(
        self, without: Trained, model: RewardModel, h: Float[Tensor, "response hidden"]
    ) -> LabelledDifferences:
        """Of a reward and the last hidden layer beside it, in the blocks of ``model``."""
        own, device = self.features, h.device
        if without is not self.reward:
            own = encode(without.model, self.pool, self.used, device)
        features = own.new_zeros((len(own), model.features))
        for name, at in without.model.blocks.items():
            features[:, model.blocks[name]] = own[:, at]
        features[:, model.blocks[MLP]] = h
        return labelled_differences(
            model, self.pool, self.preferences, device, KnownFeatures(self.pool, self.used, features)
        )


class Networks:
    """Networks that are trained beside linear rewards, together: one without the labels of each fold, and one with all.

    Parameters
    ----------
    start
        The linear reward that they start at, and what they see.
    seed
        Root of the random choices: folds, and the weights that training starts from.

    Attributes
    ----------
    helped : bool
        Whether held-out labels were predicted better after some steps than before the first.
    """

    def __init__(self, start: LinearStart, seed: int) -> None:
        self._start, linear = start, start.reward
        precision, device = prior_precision(linear, start.pool), linear.beta.device
        self._folds = Folds.of(linear.data, start.pool, start.preferences, seed)
        self._modes = modes_without(linear, precision, self._folds, start.mode)
        sd = linear.model.prior_sd().to(device)  # β in units of its prior's
        self._linear = (start.features * sd).float()
        self._location = (linear.model.prior_location().to(device) / sd).float()
        data, space = linear.data, linear.model.nuisance_space(linear.data.context, device)
        self._outcome, self._weight = data.outcome.float(), data.weight.float()
        modes = [*self._modes, start.mode]
        self._likelihoods = [
            linear.model.likelihood.given(space.values(each.nuisance.float()), data.context) for each in modes
        ]
        parts = enumerate(start.network.weights)
        self._weights = [_initial(part, len(modes), rng.child(seed, "weights", at)) for at, part in parts]
        self._beta = torch.stack([each.beta / sd for each in modes]).float()
        self._b = torch.zeros((len(modes), start.network.hidden[-1]), device=device)
        before, after = self._train()
        self.helped = after.total > before.total

    def beside(
        self,
        without: Trained,
        model: RewardModel,
        scale: float | None = None,
        multiples: Sequence[float] = MULTIPLES,
    ) -> NetworkBeside:
        """The network that has seen all labels beside a reward.

        Parameters
        ----------
        without
            The reward: the linear one, or one that has a process, too.
        model
            The sum, which knows the pool and gets the network and its prior scales.
        scale
            The prior scale of the network's features, where it is given.
        multiples
            Of the usual prior scale, to choose among where it is not: in rising order.
        """
        _encoder(model).network.set_weights([part[-1] for part in self._weights])
        data = self._start.differences_with(without, model, self._hidden(-1))
        usual = _usual_scale(data.difference[:, model.blocks[MLP]], self._b[-1])
        choices = [usual * multiple for multiple in multiples] if scale is None else [scale]
        scales = _scales(without, self._start.pool)
        choice, held_out = self._choose_scale(model, scales, choices, data)
        model.prior_scale = scales | {MLP: choice}
        beta = torch.zeros(model.features, dtype=torch.float64, device=self._beta.device)
        trained = Trained(model, beta, self._start.reward.nuisance, data, [])
        return NetworkBeside(trained, held_out, choice / usual)

    def held_out(self, reward: Trained) -> HeldOut:
        """What a reward without a network makes of the labels that were held out."""
        modes = self._modes
        if reward is not self._start.reward:
            near = self._start.near(self._start.mode, reward.model)
            modes = modes_without(reward, prior_precision(reward, self._start.pool), self._folds, near)
        return predicted(reward, modes, self._folds)

    @torch.enable_grad()
    def _train(self) -> tuple[HeldOut, HeldOut]:
        """Until networks that have not seen a fold predict its labels best; how they did before and after."""
        folds = self._folds
        unseen = torch.stack([folds.unseen(k) for k in range(FOLDS)]) * self._weight
        seen = torch.cat([folds.seen * self._weight, self._weight[None]])
        parameters = [self._beta, self._b, *self._weights]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = torch.optim.Adam(parameters, lr=RATE)
        before, best, stop = None, None, 0
        kept: list[Tensor] = []
        show = len(self._outcome) * MAX_STEPS > 500_000
        for step in bar(range(MAX_STEPS), "Training a network beside the linear reward", MAX_STEPS, show=show):
            log_prob = self._log_prob()
            if step % CHECK_EVERY == 0:
                found = folds.held_out((unseen * log_prob[:FOLDS].detach()).sum(dim=0).double())
                before = before or found
                if best is None or found.total > best.total:
                    best, stop, kept = found, step, [parameter.detach().clone() for parameter in parameters]
                elif step - stop > PATIENCE:
                    break
            prior = 0.5 * (self._beta - self._location).square().sum() + 0.5 * self._b.square().sum()
            loss = (prior - (seen * log_prob).sum()) / len(self._outcome)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._beta, self._b, *self._weights = kept
        assert before is not None
        assert best is not None
        return before, best

    def _choose_scale(
        self, model: RewardModel, scales: dict[str, float], choices: list[float], data: LabelledDifferences
    ) -> tuple[float, HeldOut]:
        """The smallest prior scale of the network's features that is as good as the best, and what it says of labels.

        Scales of other blocks are known, and ``choices`` are in rising order: the search ends where they get worse.
        """
        tried: list[tuple[float, HeldOut]] = []
        near = [self._start.near(mode, model) for mode in self._modes]
        for choice in choices:
            model.prior_scale = scales | {MLP: choice}
            tried.append((choice, self._with_networks(model, data, near)))
            if len(tried) > 1 and tried[-1][1].total < tried[-2][1].total:
                break
        best = max((held_out for _, held_out in tried), key=lambda held_out: held_out.total)
        return next(each for each in tried if not best.better_than(each[1], 1.0))

    def _with_networks(self, model: RewardModel, data: LabelledDifferences, near: list[Mode]) -> HeldOut:
        """What sums with networks that have not seen a fold each make of its labels; ``near`` is where modes may be."""
        precision, log_prob = model.prior_sd().to(data.outcome.device).pow(-2), torch.zeros_like(data.outcome)
        for k in range(FOLDS):
            features = data.difference.clone()
            features[:, model.blocks[MLP]] = difference(self._hidden(k), self._start.first, self._start.second)
            own = replace(data, difference=features, responses=None)
            mode = near[k] = mode_without(k, self._folds, model, own, precision, near[k])
            log_prob[self._folds.unseen(k)] = log_prob_of_fold(k, self._folds, model, own, mode)
        return self._folds.held_out(log_prob)

    def _hidden(self, network: int) -> Float[Tensor, "response hidden"]:
        """The last hidden layer of a network, float64."""
        with torch.no_grad():
            return hidden_features(self._start.inputs, [part[network] for part in self._weights]).double()

    def _log_prob(self) -> Float[Tensor, "network comparison"]:
        h = hidden_features(self._start.inputs, self._weights)
        reward = (h @ self._b[:, :, None])[:, :, 0] + self._beta @ self._linear.T
        logit = reward[:, self._start.first] - reward[:, self._start.second]
        own = zip(self._likelihoods, logit, strict=True)
        return torch.stack([likelihood.log_prob(eta, self._outcome) for likelihood, eta in own])


def _encoder(model: RewardModel) -> BesideLayersAndNetwork:
    assert isinstance(model.encoder, BesideLayersAndNetwork)
    return model.encoder


def _scales(trained: Trained, pool: ResponsePool) -> dict[str, float]:
    """The prior scale of each block."""
    prior_precision(trained, pool)
    sd = trained.model.prior_sd()
    return {name: float(sd[at][0]) for name, at in trained.model.blocks.items()}


def _initial(like: Tensor, networks: int, seed: int) -> Float[Tensor, "network *shape"]:
    """Uniform matrices, biases of 0."""
    if len(like) == 1:
        return torch.zeros((networks, *like.shape), device=like.device)
    draws = rng.stream(seed).uniform(-1, 1, (networks, *like.shape)) / math.sqrt(len(like))
    return torch.from_numpy(draws).to(like)


def _usual_scale(h: Float[Tensor, "comparison feature"], b: Float[Tensor, "feature"]) -> float:
    """σ under which hᵀb varies a priori as much as it does for this b."""
    size = math.sqrt(float(h.square().sum(dim=1).mean()))
    if size == 0:
        return 1.0
    return max(math.sqrt(float((h @ b.double()).square().mean())), math.sqrt(2) * SMALLEST) / size
