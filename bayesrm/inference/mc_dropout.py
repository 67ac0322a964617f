r"""Monte Carlo dropout: one network trained with dropout, whose masks are the posterior (Gal & Ghahramani 2016).

Training drops each hidden unit with probability p. A draw of the posterior is the trained network under one mask: a
unit is 0 with probability p, else multiplied by 1/(1 − p). Masks are drawn once, from the seed, and hold for every
response, so a draw is a function and the rewards of two responses have a covariance.

A built-in MLP gets dropout after each hidden layer; a user's module says with its nn.Dropout layers where and how
much; "auto", which is linear, becomes "mlp+linear". With fewer labels than can be held out the encoder is not
trained, and each draw's last layer is a randomised-MAP draw on its masked features, see
:mod:`bayesrm.inference.fitting.randomised_map`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting.network_stack import enough_to_train, require_no_program
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.randomised_map import randomised_map
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.networks import NetworkDraws, State, network_differences
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Count, checked

NETWORK = "mlp+linear"
"""What is trained where the encoder is "auto", whose linear features have nothing to drop."""


class MCDropout(Inference):
    """One network trained with dropout, under many fixed masks.

    Parameters
    ----------
    rate
        The probability p that a hidden unit of a built-in encoder is dropped.
    draws
        How many masks.
    """

    name: ClassVar[str] = "mc-dropout"

    @checked
    def __init__(self, rate: float = 0.1, draws: Count = 50) -> None:
        if not 0 < rate < 1:
            raise InvalidInputError(f"expected a dropout rate between 0 and 1, got {rate}")
        if draws < 2:
            raise InvalidInputError(f"expected at least 2 draws, got {draws}")
        self.rate, self.draws = rate, draws

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> NetworkDraws:
        """Train with dropout, then draw the masks.

        Raises
        ------
        InvalidInputError
            Where the encoder has nothing to drop.
        """
        require_no_program(model)
        if model.automatic and not isinstance(model.prior_scale, dict):
            network = model.with_encoder(NETWORK)
            network.prior_scale, network.scale_given = model.prior_scale, model.scale_given
            model = network
        dropping = copy.deepcopy(model)
        dropping.encoder.body = self._with_dropout(model)
        trained = train_encoder(dropping, pool, preferences, seed, device)
        fitted = trained.model
        fitted.encoder.body, masks = _masked(fitted.encoder.body, model.dim, self.draws, rng.stream(seed, "masks"))
        state = {
            name: masks[name].to(device) if name in masks else value.expand(self.draws, *value.shape)
            for name, value in fitted.encoder.body.state_dict().items()
        }
        if enough_to_train(model, len(preferences)):
            beta, nuisance = trained.beta.repeat(self.draws, 1), trained.nuisance.repeat(self.draws, 1)
            precision = fitted.prior_sd().to(device).pow(-2)
        else:
            precision = prior_precision(trained, pool)
            differences = network_differences(fitted, state, self.draws, pool, preferences, device)
            beta, nuisance = randomised_map(fitted, trained.data, differences, precision, seed)
        refit = functools.partial(self.fit, model, pool, seed=seed, device=device)
        return NetworkDraws(
            fitted, pool, preferences, state, beta, nuisance, precision, refit, inference=self.name
        )

    def _with_dropout(self, model: RewardModel) -> nn.Module:
        body = model.encoder.body
        if model.custom_encoder:
            found, wanted = copy.deepcopy(body), "with nn.Dropout layers, which say what to drop"
        else:
            found = _replaced(body, nn.GELU, lambda layer: nn.Sequential(layer, nn.Dropout(self.rate)))
            wanted = "with hidden layers"
        if not any(isinstance(module, nn.Dropout) for module in found.modules()):
            raise InvalidInputError(
                f"expected an encoder {wanted}, got {model.encoder_name!r}, in which there is nothing to drop: "
                "use encoder='mlp', or another inference"
            )
        return found


class Mask(nn.Module):
    """Dropout that drops the same units of every response: multiplication by a fixed mask."""

    mask: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(shape))

    def forward(self, hidden: Float[Tensor, "response *unit"]) -> Float[Tensor, "response *unit"]:
        """Drop."""
        return hidden * self.mask


def _masked(body: nn.Module, dim: int, draws: int, generator: np.random.Generator) -> tuple[nn.Module, State]:
    """The body with a mask in place of each dropout layer, and random masks by their names in its state."""
    device = next(body.parameters()).device
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def note(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        shapes[layer] = tuple(output.shape[1:])

    layers = [module for module in body.modules() if isinstance(module, nn.Dropout)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        body(torch.zeros(2, dim, device=device))
    for hook in hooks:
        hook.remove()
    rates = {name: layer.p for name, layer in body.named_modules() if isinstance(layer, nn.Dropout)}
    masked = _replaced(body, nn.Dropout, lambda layer: Mask(shapes[layer]))
    masks = {}
    for name, module in masked.named_modules():
        if isinstance(module, Mask):
            kept = generator.random((draws, *module.mask.shape)) >= rates[name]
            masks[f"{name}.mask"] = torch.from_numpy(kept / (1 - rates[name])).float()
    return masked.to(device), masks


def _replaced(body: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A copy with every module of a kind replaced, parameters shared."""
    if isinstance(body, kind):
        return make(body)
    replaced = copy.copy(body)
    replaced._modules = {
        name: None if child is None else _replaced(child, kind, make) for name, child in body._modules.items()
    }
    return replaced
