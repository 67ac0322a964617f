r"""Deep ensemble: networks trained from different initialisations (Lakshminarayanan et al. 2017).

Each member is the whole network, trained on all labels as the model's ``training`` says and in one pass with the
others, see :mod:`bayesrm.inference.fitting.network_stack`. "early-stopped" means at the step at which networks
trained without a fold of the labels predict that fold best.

Members must differ in something that matters. A built-in encoder starts from random weights, and that is enough;
reweighting the labels as well made rewards worse on real embeddings. A user's module starts from its own weights in
every member, so there member m sees the labels with weights of Exponential(1), the Bayesian bootstrap. Where there
is no encoder to train ("linear"), or there are fewer labels than can be held out, the members are randomised-MAP
draws of the last layer, see :mod:`bayesrm.inference.fitting.randomised_map`: their spread is that of the posterior.
"""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting import training
from bayesrm.inference.fitting.network_stack import NetworkStack, best_steps, enough_to_train, prepared
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.randomised_map import randomised_map
from bayesrm.inference.fitting.training import TrainingData
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.networks import NetworkDraws, State, network_differences, stack
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Count, checked


class Ensemble(Inference):
    """Networks trained from different initialisations, in one vectorised pass.

    Parameters
    ----------
    members
        How many networks.
    """

    name: ClassVar[str] = "ensemble"

    @checked
    def __init__(self, members: Count = 10) -> None:
        if members < 2:
            raise InvalidInputError(f"expected an ensemble of at least 2 members, got {members}")
        self.members = members

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> NetworkDraws:
        """Train the members, or draw their last layers where encoders are not trained."""
        refit = functools.partial(self.fit, model, pool, seed=seed, device=device)
        fitted = prepared(model, pool, preferences, seed, device)
        seeds = [rng.child(seed, "member", m) for m in range(self.members)]
        if enough_to_train(model, len(preferences)):
            state, beta, nuisance = _train(fitted, pool, preferences, seeds, seed)
            precision = fitted.prior_sd().to(device).pow(-2)
        else:
            trained = train_encoder(model, pool, preferences, seed, device)
            fitted, precision = trained.model, prior_precision(trained, pool)
            state = stack([fitted.fresh(own).encoder.body for own in seeds])
            differences = network_differences(fitted, state, self.members, pool, preferences, device)
            beta, nuisance = randomised_map(fitted, trained.data, differences, precision, seed)
        fitted.encoder.requires_grad_(False)
        return NetworkDraws(
            fitted, pool, preferences, state, beta, nuisance, precision, refit, inference=self.name
        )


def _train(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, seeds: list[int], seed: int
) -> tuple[State, Float[Tensor, "member feature"], Float[Tensor, "member nuisance"]]:
    data = TrainingData.gather(model, pool, preferences, next(model.encoder.parameters()).device)
    paper = model.training_name == "paper"
    steps = training.PAPER_STEPS if paper else best_steps(model, data, rng.child(seed, "held out"))
    networks = NetworkStack(
        model, data, seeds, _weights(model, data, seeds), rng.child(seed, "training"), prior=not paper
    )
    networks.train(steps)
    return networks.networks()


def _weights(model: RewardModel, data: TrainingData, seeds: list[int]) -> Float[Tensor, "member comparison"]:
    """The weights of the preferences; where members start alike, times Exponential(1)."""
    weight = data.weight.repeat(len(seeds), 1)
    if not model.custom_encoder:
        return weight
    return weight * torch.stack(
        [torch.from_numpy(rng.stream(own, "weights").exponential(size=len(data))).to(weight) for own in seeds]
    )
