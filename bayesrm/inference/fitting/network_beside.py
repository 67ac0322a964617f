r"""A network beside a linear reward: it learns what the linear reward leaves of the labels, and no more.

The reward is fᵀβ + hᵀb with h the last hidden layer. Training starts at the linear reward of the largest evidence and
b = 0, and goes on with β, b and the network's weights together, by Adam on the negative log joint with b ~ Normal(0, I)
and the prior of β that evidence has chosen. So a network that is stopped at once has changed nothing. Prompts are split
in folds; networks that have not seen the labels of a fold, all in one stack with the one that has seen all labels, say
when that one is to stop: where held-out labels are predicted best.

Then h are features of the last layer like any others. Their prior scale σ is some multiple of the one under which hᵀb
varies a priori as much as the trained network's does: the smallest multiple that predicts held-out labels as well as
the best does, up to one standard error of the difference (Breiman et al. 1984).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import CapabilityError
from bayesrm.inference.fitting.held_out import Folds, HeldOut, modes_without, predicted
from bayesrm.inference.fitting.linear_part import linear_reward
from bayesrm.inference.fitting.nested import find_mode
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
from bayesrm.models.encoders.layers import Layers
from bayesrm.models.encoders.layers_mlp import MLP, LayersMLP, Network, hidden_features
from bayesrm.models.features import RESPONSE_BLOCK, difference, encode, labelled_differences
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.progress import bar

RATE = 3e-3
"""Of Adam. Three times that of other networks: it starts at nothing, and has to get somewhere while held-out labels are
patient."""
MULTIPLES = (0.25, 0.5, 1.0, 2.0)
"""Of the prior scale under which rewards vary as much as the trained network's."""
NOTHING = 1 / 30
"""Prior sd of a typical reward, in logits, of a network that was stopped at once."""


@dataclass(frozen=True)
class NetworkBeside:
    """A network beside a linear reward.

    Parameters
    ----------
    trained
        The sum of the two, with its prior scales.
    folds
        How labels were held out.
    together, alone
        What the sum, and what the linear reward alone makes of held-out labels.
    """

    trained: Trained
    folds: Folds
    together: HeldOut
    alone: HeldOut


def fit_network_beside(model: RewardModel, pool: ResponsePool, preferences: Preferences, seed: int) -> Trained:
    """The linear reward by evidence, then the network of a model with an encoder "layers+mlp", trained in place.

    With fewer labels than can be held out, the network is left out: its features are 0.

    Raises
    ------
    CapabilityError
        For a user's program, and the paper's training: neither has a linear reward to start from.
    """
    if model.program is not None or model.training_name == "paper":
        what = "a program" if model.program is not None else "training='paper'"
        raise CapabilityError(
            f"encoder {LayersMLP.name!r} trains its network beside a linear reward that is fitted first, which "
            f"{what} has not: use encoder='mlp+linear'"
        )
    device, given = model.encoder.device, model.prior_scale
    of_network = given.get(MLP) if isinstance(given, dict) else given
    if not model.scale_given:  # what labels have chosen was for another network
        of_network = None
    linear_model = model.with_encoder(Layers.name).to(device)
    linear_model.encoder.fit_pool(pool)
    if given is not None:
        rest = {name: scale for name, scale in given.items() if name != MLP} if isinstance(given, dict) else given
        linear_model.prior_scale = rest
    linear = linear_reward(linear_model, pool, preferences, device)
    beside = None
    if linear.answers >= MIN_COMPARISONS:
        beside = network_beside(linear, model, pool, preferences, seed, of_network)
    if beside is not None:
        return beside.trained
    _network(model).set_weights([torch.zeros_like(part) for part in _network(model).weights])
    model.prior_scale = _scales(linear, pool) | {MLP: 1.0 if of_network is None else of_network}
    return linear_reward(model, pool, preferences, device)


def network_beside(
    linear: Trained,
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    seed: int,
    scale: float | None = None,
    only_if_better: bool = False,
) -> NetworkBeside | None:
    """Train the network of a model whose linear part is known.

    Parameters
    ----------
    linear
        The linear reward; its prior scales are chosen where they are not yet.
    model
        With an encoder "layers+mlp" that knows the pool and no labels; it is trained in place.
    pool, preferences
        What the linear reward was fitted to.
    seed
        Root of the random choices: folds, and the weights that training starts from.
    scale
        The prior scale of the network's features, where it is given.
    only_if_better
        Whether there is none where training was stopped at once.
    """
    scales, device = _scales(linear, pool), linear.beta.device
    precision = linear.model.prior_sd().to(device).pow(-2)
    folds = Folds.of(linear.data, pool, preferences, seed)
    mode = find_mode(linear.model.log_joint(linear.data, precision))
    same = [linear.data] * FOLDS
    modes = modes_without(linear.model, same, precision, folds, [mode] * FOLDS)
    stack = _Stack(linear, model, pool, preferences, [*modes, mode], seed)
    before, after = stack.train(folds)
    if only_if_better and after.total <= before.total:
        return None
    _network(model).set_weights([part[-1] for part in stack.weights])
    data = labelled_differences(model, pool, preferences, device)
    at = model.blocks[MLP]
    seen = []
    for k in range(FOLDS):
        own = data.difference.clone()
        own[:, at] = stack.differences(k)
        seen.append(replace(data, difference=own, responses=None))
    usual = _usual_scale(data.difference[:, at], stack.b[-1])
    tried: list[tuple[float, HeldOut]] = []
    near: Sequence[Mode | None] = [None] * FOLDS
    for choice in [usual * multiple for multiple in MULTIPLES] if scale is None else [scale]:
        model.prior_scale = scales | {MLP: choice}
        known = model.prior_sd().to(device).pow(-2)
        near = modes_without(model, seen, known, folds, near)
        tried.append((choice, predicted(model, seen, near, folds)))
    best = max((held_out for _, held_out in tried), key=lambda held_out: held_out.total)
    choice, together = next(each for each in tried if not best.better_than(each[1], 1.0))
    model.prior_scale = scales | {MLP: choice}
    beta = torch.zeros(model.features, dtype=torch.float64, device=device)
    trained = Trained(model, beta, linear.nuisance, data, [])
    return NetworkBeside(trained, folds, together, predicted(linear.model, same, modes, folds))


class _Stack:
    """Networks beside linear rewards, trained together: one without the labels of each fold, and one with all.

    Parameters
    ----------
    linear, model, pool, preferences
        As of :func:`network_beside`.
    modes
        The linear rewards that they start from.
    seed
        Root of the initial weights.
    """

    def __init__(
        self,
        linear: Trained,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        modes: list[Mode],
        seed: int,
    ) -> None:
        device = linear.beta.device
        used, first, second = compact(preferences.first, preferences.second)
        self._first, self._second = torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
        sd = linear.model.prior_sd().to(device)  # β in units of its prior's
        self._linear = (encode(linear.model, pool, used, device) * sd).float()
        self._location = (linear.model.prior_location().to(device) / sd).float()
        with torch.no_grad():
            blocks = [used[start : start + RESPONSE_BLOCK] for start in range(0, len(used), RESPONSE_BLOCK)]
            rows = (model.encoder.prepare(torch.from_numpy(pool.rows(block)).to(device)) for block in blocks)
            self._inputs = torch.cat([_network(model).inputs(x) for x in rows])
        data, space = linear.data, linear.model.nuisance_space(linear.data.context, device)
        self._outcome, self._weight = data.outcome.float(), data.weight.float()
        self._likelihoods = [
            linear.model.likelihood.given(space.values(mode.nuisance.float()), data.context) for mode in modes
        ]
        parts = enumerate(_network(model).weights)
        self.weights = [_initial(part, len(modes), rng.child(seed, "weights", at)) for at, part in parts]
        self._beta = torch.stack([mode.beta / sd for mode in modes]).float()
        self.b = torch.zeros((len(modes), _network(model).hidden[-1]), device=device)

    @torch.enable_grad()
    def train(self, folds: Folds) -> tuple[HeldOut, HeldOut]:
        """Until networks that have not seen a fold predict its labels best; how they did before and after."""
        unseen = torch.stack([folds.unseen(k) for k in range(FOLDS)]) * self._weight
        seen = torch.cat([folds.seen * self._weight, self._weight[None]])
        parameters = [self._beta, self.b, *self.weights]
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
            prior = 0.5 * (self._beta - self._location).square().sum() + 0.5 * self.b.square().sum()
            loss = (prior - (seen * log_prob).sum()) / len(self._outcome)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._beta, self.b, *self.weights = kept
        assert before is not None
        assert best is not None
        return before, best

    def differences(self, network: int) -> Float[Tensor, "comparison feature"]:
        """Those of a network's features between the responses of each comparison, float64."""
        with torch.no_grad():
            h = hidden_features(self._inputs, [part[network] for part in self.weights]).double()
        return difference(h, self._first, self._second)

    def _log_prob(self) -> Float[Tensor, "network comparison"]:
        h = hidden_features(self._inputs, self.weights)
        reward = (h @ self.b[:, :, None])[:, :, 0] + self._beta @ self._linear.T
        logit = reward[:, self._first] - reward[:, self._second]
        own = zip(self._likelihoods, logit, strict=True)
        return torch.stack([likelihood.log_prob(eta, self._outcome) for likelihood, eta in own])


def _network(model: RewardModel) -> Network:
    assert isinstance(model.encoder, LayersMLP)
    return model.encoder.network


def _scales(linear: Trained, pool: ResponsePool) -> dict[str, float]:
    """The prior scale of each block of the linear reward."""
    prior_precision(linear, pool)
    sd = linear.model.prior_sd()
    return {name: float(sd[at][0]) for name, at in linear.model.blocks.items()}


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
    return max(math.sqrt(float((h @ b.double()).square().mean())), math.sqrt(2) * NOTHING) / size
