r"""Which shape the reward of "auto" has: linear in the layers, or that and a Gaussian process, or that and a network.

Evidence says whether a process is needed beside the linear reward (:mod:`bayesrm.inference.fitting.nonlinearity`): it
can, since no feature of a process has seen a label. Those of a network have. So held-out labels say whether one is
needed (:mod:`bayesrm.inference.fitting.network_beside`): it has to predict the labels of prompts that it has not learnt
from better than the linear reward does, and better than the process does where there is one.
"""

from __future__ import annotations

from bayesrm.inference.fitting.held_out import HeldOut, modes_without, predicted
from bayesrm.inference.fitting.linear_part import linear_reward
from bayesrm.inference.fitting.network_beside import NetworkBeside, network_beside
from bayesrm.inference.fitting.nonlinearity import log_bayes_factor
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.trained import Trained
from bayesrm.inference.fitting.training import FOLDS, MIN_COMPARISONS
from bayesrm.models.encoders import WITH_A_KERNEL, WITH_A_NETWORK
from bayesrm.types import Preferences, ResponsePool

ENOUGH = 0.5
"""Nats that labels have to bring for a process. With less it was as often taken in vain as in time, see
studies/README.md."""
CLEARLY, ERRORS = 5.0, 1.5
"""Nats, and standard errors over answers, by which a network has to predict held-out answers better than the linear
reward does. They are the most of many steps, so that luck alone often brings two to four."""
FEWEST_FOR_A_NETWORK = 300
"""Answers. With 200 of AlpacaEval's, held-out ones spoke for a network in five campaigns of forty, and it ranked
worse."""


def choose_shape(linear: Trained, pool: ResponsePool, preferences: Preferences, seed: int) -> Trained:
    """A linear reward, or the sum of such a one and a process or a network where labels say that it takes one.

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
    chosen = linear
    if log_bayes_factor(model, pool, preferences, prior_precision(linear, pool)) >= ENOUGH:
        chosen = _beside_a_process(linear, pool, preferences)
    if linear.answers < FEWEST_FOR_A_NETWORK or model.training_name == "paper":
        return chosen
    sum_of_both = model.with_encoder(WITH_A_NETWORK).to(linear.beta.device)
    sum_of_both.encoder.fit_pool(pool)
    network = network_beside(linear, sum_of_both, pool, preferences, seed, only_if_better=True)
    if network is None or not _speaks_for(network):
        return chosen
    if chosen is not linear and _held_out(chosen, pool, network).total >= network.together.total:
        return chosen
    return network.trained


def _speaks_for(network: NetworkBeside) -> bool:
    """Whether held-out labels are predicted better with it than by the linear reward alone."""
    together, alone = network.together, network.alone
    return together.total > alone.total + CLEARLY and together.better_than(alone, ERRORS)


def _beside_a_process(linear: Trained, pool: ResponsePool, preferences: Preferences) -> Trained:
    device = linear.beta.device
    both = linear.model.with_encoder(WITH_A_KERNEL).to(device)
    both.encoder.fit_pool(pool)
    return linear_reward(both, pool, preferences, device)


def _held_out(process: Trained, pool: ResponsePool, network: NetworkBeside) -> HeldOut:
    """What the process makes of the labels that were held out from the network."""
    precision, same = prior_precision(process, pool), [process.data] * FOLDS
    return predicted(
        process.model, same, modes_without(process.model, same, precision, network.folds), network.folds
    )
