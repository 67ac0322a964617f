r"""Simulation-based calibration: does an inference return the posterior of its own model? (Talts et al. 2018.)

Each replication draws everything unknown from the prior, simulates answers to given pairs, fits, and takes the rank
of each true value among L posterior draws. If the fits are exact posteriors, (rank + u) / (L + 1) with u uniform on
[0, 1) is uniform, whatever the model. Too narrow a posterior gives values near 0 and 1 too often, a shifted one a
slope. The result has the layout that ArviZ's ``plot_ecdf_pit`` reads: a group ``prior_sbc``, a draw a replication.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyro
import torch
import xarray as xr
from jaxtyping import Float, Int64

from bayesrm import rng
from bayesrm.diagnostics.draws import quantities
from bayesrm.diagnostics.finding import Finding
from bayesrm.diagnostics.uniformity import ecdf, uniform_band
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.inference import fit
from bayesrm.inference.base import Inference, train_encoder
from bayesrm.models.context import Context
from bayesrm.models.features import encode
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import local_pairs
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Pairs, Preferences, ResponsePool
from bayesrm.utils.processes import worker_processes
from bayesrm.utils.progress import bar
from bayesrm.utils.wording import counted, one_or_many

CPU = torch.device("cpu")
LOGITS = 10
"""The number of pairs whose logit is ranked too."""
PROBABILITY = 0.95
FEW = 50
"""Replications below which a uniform outcome says little."""

Ranked = dict[str, np.ndarray]
"""PIT values of one replication, by site."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """What every replication shares; ``asked`` has answers that nobody looks at."""

    model: RewardModel
    pool: ResponsePool
    asked: Preferences
    inference: str | Inference
    draws: int
    seed: int


def simulate_calibration(
    model: RewardModel,
    pool: ResponsePool,
    pairs: Pairs,
    inference: str | Inference = "laplace",
    replications: int = 200,
    draws: int = 199,
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
) -> xr.DataTree:
    """Rank true values among posterior draws, over data simulated from the prior.

    Parameters
    ----------
    model
        With a prior scale; its encoder is kept as it is, standardisation follows the pool.
    pool, pairs
        The comparisons that are answered in every replication; of preferences also who answered, not what.
    inference
        What is checked.
    replications
        How many times to simulate and fit.
    draws
        L, posterior draws that a rank is taken among; of more, evenly spaced ones are taken.
    seed
        Root of all random choices; replication r depends on nothing but ``seed`` and r.
    workers
        Processes, of one thread each.
    progress
        Whether to show a bar on a terminal.

    Returns
    -------
    DataTree
        Group ``prior_sbc``: PIT values with dimensions chain (one), draw (the replications) and those of the site,
        one variable a site and ``logit`` for the first :data:`LOGITS` pairs.

    Raises
    ------
    InvalidInputError
        Where a prior scale is not fixed, or there is nothing to simulate.
    CapabilityError
        Where the inference gives no draws of a last layer, or answers are choices among several.
    """
    if model.program is None and (model.prior_scale is None or set(model.blocks) - _scaled(model)):
        raise InvalidInputError(
            f"expected a model with every prior scale fixed, got prior_scale={model.prior_scale}: simulation draws "
            "from the prior"
        )
    if replications < 1 or draws < 1 or len(pairs.first) < 1:
        raise InvalidInputError(
            f"expected at least one replication, draw and pair, got {replications}, {draws} and {len(pairs.first)}"
        )
    if isinstance(pairs, Preferences) and pairs.choice is not None:
        raise CapabilityError(
            "simulation-based calibration draws answers to single comparisons, and these are choices among several"
        )
    asked = Preferences(pairs.first, pairs.second, np.zeros(len(pairs.first)), getattr(pairs, "annotator", None))
    experiment = Experiment(frozen(model, pool, asked), pool, asked, inference, draws, seed)
    ranked = list(bar(_replicate_all(experiment, replications, workers), "Simulating", replications, progress))
    variables = {}
    coordinates: dict[str, Int64[np.ndarray, "_"]] = {"chain": np.arange(1), "draw": np.arange(replications)}
    for name in ranked[0]:
        values = np.stack([one[name] for one in ranked])[None]
        axes = [f"{name}_dim_{k}" for k in range(values.ndim - 2)]
        coordinates |= {axis: np.arange(size) for axis, size in zip(axes, values.shape[2:], strict=True)}
        variables[name] = (("chain", "draw", *axes), values)
    return xr.DataTree.from_dict({"prior_sbc": xr.Dataset(variables, coordinates, {"draws_ranked_among": draws})})


def frozen(model: RewardModel, pool: ResponsePool, preferences: Preferences) -> RewardModel:
    """A copy whose encoder is final, so that no fit trains or initialises it."""
    copied = copy.deepcopy(model)
    copied.custom_encoder = True
    copied.encoder.requires_grad_(False)
    copied.encoder.final = True
    return train_encoder(copied, pool, preferences, seed=0, device=CPU).model


def calibration_verdict(tree: xr.DataTree, name: str, seed: int = 0) -> Finding:
    """Whether the PIT values of every quantity are uniform, all curves at once.

    Parameters
    ----------
    tree
        What :func:`simulate_calibration` returns.
    name
        Of the inference, for the sentence.
    seed
        Of the simulation of the band.

    Returns
    -------
    Finding
        Variables ``ecdf`` (quantity, point) with ``lower`` and ``upper`` (point), the band that all curves stay
        within with probability 95% (Bonferroni over quantities), and ``p_value`` (quantity).
    """
    table = quantities(tree, "prior_sbc")
    pit = table.values[0]
    count, several = pit.shape
    band = uniform_band(count, 1 - (1 - PROBABILITY) / several, rng.stream(seed, "uniform band"))
    p_value = np.array([band.p_value(column) for column in pit.T])
    data = xr.Dataset(
        {
            "ecdf": (("quantity", "point"), np.stack([ecdf(column, band.points) for column in pit.T])),
            "lower": ("point", band.lower),
            "upper": ("point", band.upper),
            "p_value": ("quantity", p_value),
        },
        {"quantity": table["quantity"].values, "point": band.points},
        {"replications": count},
    )
    outside = [str(q) for q, column in zip(data["quantity"].values, pit.T, strict=True) if not band.holds(column)]
    if outside:
        shown = ", ".join(outside[:3]) + (", …" if len(outside) > 3 else "")
        return Finding(
            "sbc",
            "bad",
            f"The {name} posterior is not that of its model: over {counted(count, 'simulated data set')} the ranks of "
            f"{len(outside)} of {several} quantities ({shown}) are not uniform ({_shape(pit)}).",
            data,
        )
    sets = counted(count, "simulated data set")
    within = f"Over {sets} the ranks of all {several} quantities are uniform within the 95% band"
    if count < FEW:
        few = one_or_many(count, "is", "are")
        return Finding("sbc", "note", f"{within}, but {count} {few} few: only gross errors would show.", data)
    return Finding("sbc", "good", f"{within}: nothing tells the {name} posterior from the exact one.", data)


def _shape(pit: Float[np.ndarray, "replication quantity"]) -> str:
    """How values that are not uniform depart from it: by the mean distance of theirs from ½, which is ¼."""
    distance = float(np.abs(pit - 0.5).mean())
    if abs(distance - 0.25) < 0.005:
        return "shifted"
    return "too often extreme: too narrow" if distance > 0.25 else "too rarely extreme: too wide"


def _replicate_all(experiment: Experiment, replications: int, workers: int) -> Iterator[Ranked]:
    if workers <= 1:
        for replication in range(replications):
            yield _replicate(experiment, replication)
        return
    with worker_processes(workers, _prepare, experiment) as executor:
        yield from executor.map(_replicate_shared, range(replications))


def _scaled(model: RewardModel) -> set[str]:
    """The blocks of features that have a prior scale."""
    if isinstance(model.prior_scale, dict):
        return set(model.prior_scale)
    return set() if model.prior_scale is None else set(model.encoder.blocks)


_SHARED: list[Experiment] = []
"""In a worker process: the experiment, sent once instead of with every replication."""


def _prepare(experiment: Experiment) -> None:
    torch.set_num_threads(1)
    _SHARED[:] = [experiment]


def _replicate_shared(replication: int) -> Ranked:
    return _replicate(_SHARED[0], replication)


def _replicate(experiment: Experiment, replication: int) -> Ranked:
    """Simulate, fit, rank."""
    model, asked, seed = experiment.model, experiment.asked, experiment.seed
    used, first, second = local_pairs(asked)
    features, context = encode(model, experiment.pool, used, CPU), Context.of(asked, CPU)
    with rng.fenced(rng.child(seed, "simulation", replication)), torch.no_grad():
        trace = pyro.poutine.trace(model.last_layer).get_trace(features, first, second, context=context)
    simulated: dict[str, Any] = {name: node.get("value") for name, node in trace.nodes.items()}
    answered = replace(asked, outcome=simulated["outcome"].double().numpy())
    posterior = fit(model, experiment.pool, answered, experiment.inference, rng.child(seed, "fit", replication))
    if not isinstance(posterior, LastLayerPosterior) or "spread" not in posterior.provides:
        raise CapabilityError(
            "simulation-based calibration needs draws of a last layer over fixed features, and "
            f"{type(posterior).__name__} has none: use inference='laplace', 'svi' or 'nuts'"
        )
    drawn = posterior.latent_draws(experiment.draws, rng.stream(seed, "draws", replication)).latent
    latent = drawn.reshape(-1, drawn.shape[-1])
    latent = latent[torch.linspace(0, len(latent) - 1, min(experiment.draws, len(latent))).round().long()]
    space = posterior.model.nuisance_space(context)
    beta = latent[:, space.size :]
    difference = features[first[:LOGITS]] - features[second[:LOGITS]]
    truth = {"beta": simulated["beta"], "logit": difference @ simulated["beta"]}
    draws = {"beta": beta, "logit": beta @ difference.T}
    if space.sites:
        values = [space.constrain(nu) for nu in latent[:, : space.size]]
        for site in space.sites:
            truth[site.name] = simulated[site.name]
            draws[site.name] = torch.stack([value[site.name] for value in values])
    ties = rng.stream(seed, "ties", replication)
    return {name: _pit(truth[name].numpy(), draws[name].numpy(), ties) for name in truth}


def _pit(
    truth: Float[np.ndarray, "*shape"], draws: Float[np.ndarray, "draw *shape"], generator: np.random.Generator
) -> Float[np.ndarray, "*shape"]:
    """(rank + u) / (L + 1), which is uniform on [0, 1) where the truth is one more draw."""
    rank = (draws < truth).sum(axis=0)
    return np.asarray((rank + generator.random(truth.shape)) / (len(draws) + 1))
