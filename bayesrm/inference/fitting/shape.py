r"""Which shape the reward of "auto" has: linear in the layers, beside that a Gaussian process or not, a network or not.

Evidence says whether a process is needed beside the linear reward (:mod:`bayesrm.inference.fitting.nonlinearity`): it
can, since no feature of a process has seen a label. Those of a network have. So held-out labels say whether one is
needed (:mod:`bayesrm.inference.fitting.network_beside`): beside the linear reward the labels of prompts that it has not
learnt from have to be predicted clearly better with it than without. Beside a process it then stays where it helps.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.fitting.held_out import beyond_error
from bayesrm.inference.fitting.linear_part import linear_reward
from bayesrm.inference.fitting.network_beside import MULTIPLES, LinearStart, NetworkBeside, Networks
from bayesrm.inference.fitting.nonlinearity import log_bayes_factor
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.trained import Trained
from bayesrm.inference.fitting.training import MIN_COMPARISONS
from bayesrm.models.encoders import WITH_A_KERNEL, WITH_A_NETWORK, WITH_BOTH
from bayesrm.models.encoders.layers_mlp import BesideLayersAndNetwork
from bayesrm.models.reward_model import RewardModel
from bayesrm.types import Preferences, ResponsePool

ENOUGH = 0.5
"""Nats that labels have to bring for a process. With less it was as often taken in vain as in time, see
studies/README.md."""
CLEARLY, ERRORS = 5.0, 1.5
"""Nats, and standard errors over answers, by which held-out answers have to be predicted better with a network."""
SPLITS, WORTH_ASKING_AGAIN = 3, 1.0
"""How often prompts are split in folds, and the nats that the first split has to bring for the others to be asked. What
one brings is the most of many steps: it was 6 nats in a campaign of AlpacaEval where three more brought 1."""
FEWEST_FOR_A_NETWORK = 300
"""Answers. With 200 of AlpacaEval's, held-out ones spoke for a network in five campaigns of forty, and it ranked
worse."""


def choose_shape(linear: Trained, pool: ResponsePool, preferences: Preferences, seed: int) -> Trained:
    """A linear reward, or its sum with a process, a network, or both, where labels say that it takes them.

    Prior scales that were given, and programs of the user's, are for the features as they are: there nothing is added.

    Parameters
    ----------
    linear
        A reward that is linear in the layers, with open prior scales.
    pool, preferences
        What it was fitted to.
    seed
        Root of a network's random choices.
    """
    model = linear.model
    final = model.custom_encoder or model.program is not None or model.scale_given
    if not model.automatic or final or len(preferences) < MIN_COMPARISONS:
        return linear
    without = linear
    if log_bayes_factor(model, pool, preferences, prior_precision(linear, pool)) >= ENOUGH:
        without = linear_reward(_another(linear, WITH_A_KERNEL, pool), pool, preferences, linear.beta.device)
    if linear.answers < FEWEST_FOR_A_NETWORK or model.training_name == "paper":
        return without
    network = _needed_network(linear, pool, preferences, seed)
    if network is None:
        return without
    if without is linear:
        return network.alone.trained
    both = network.networks.beside(without, _another(linear, WITH_BOTH, pool))
    return both.trained if both.held_out.total > network.networks.held_out(without).total else without


@dataclass(frozen=True)
class _Network:
    """Networks, that of all labels beside the linear reward, and what each held-out answer gains by it, in nats."""

    networks: Networks
    alone: NetworkBeside
    gain: Float[Tensor, "answer"]


def _needed_network(linear: Trained, pool: ResponsePool, preferences: Preferences, seed: int) -> _Network | None:
    """The network beside the linear reward, where it clearly predicts held-out labels better; else none.

    Where it may, others are trained with other folds and from other weights, and what they gain on average decides, all
    at the same multiple of the usual prior scale. They are not asked where the first would do if they gained nothing.
    """
    model = _another(linear, WITH_A_NETWORK, pool)
    assert isinstance(model.encoder, BesideLayersAndNetwork)
    start = LinearStart.of(linear, model.encoder, pool, preferences)
    first = _network(start, model, seed, MULTIPLES)
    if first is None or float(first.gain.sum()) < WORTH_ASKING_AGAIN:
        return None
    if _clear(first.gain / SPLITS):
        return first
    seeds = (rng.child(seed, "split", k) for k in range(1, SPLITS))
    others = [_network(start, copy.deepcopy(model), other, [first.alone.multiple]) for other in seeds]
    gain = (first.gain + sum(other.gain for other in others if other is not None)) / SPLITS
    return first if _clear(gain) else None


def _clear(gain: Float[Tensor, "answer"]) -> bool:
    return float(gain.sum()) > CLEARLY and beyond_error(gain, ERRORS)


def _network(start: LinearStart, model: RewardModel, seed: int, multiples: Sequence[float]) -> _Network | None:
    """That of one split, in ``model``; None where training was stopped at once."""
    networks = Networks(start, seed)
    if not networks.helped:
        return None
    alone, before = networks.beside(start.reward, model, multiples=multiples), networks.held_out(start.reward)
    return _Network(networks, alone, alone.held_out.log_prob - before.log_prob)


def _another(linear: Trained, encoder: str, pool: ResponsePool) -> RewardModel:
    model = linear.model.with_encoder(encoder).to(linear.beta.device)
    model.encoder.fit_pool(pool)
    return model
