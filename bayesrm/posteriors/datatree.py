"""A posterior as an ``xarray.DataTree`` in ArviZ's schema, the same groups for every inference, for both its lines.

Draws of an approximation come with ``log_p`` (exact log joint density, unconstrained) and ``log_q`` (its own log
density), from which Pareto k̂ follows; there is one chain, so r_hat does not exist: ask
``az.summary(..., kind="stats")``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.models.log_joint import LogJoint
from bayesrm.types import Preferences
from bayesrm.versions import versions

Draws = dict[str, Float[np.ndarray, "_ _ ..."]]
"""Variables by name, each with its chains and draws in front."""
DRAW = ("chain", "draw")
PRIOR_DRAWS = 500


@dataclass(frozen=True)
class PosteriorDraws:
    """Draws, and what follows from each of them: what ArviZ's groups are made of.

    Parameters
    ----------
    posterior, prior
        Draws of β and of the nuisance parameters on their own scale.
    log_prior
        Their log prior density, (chain, draw) for each variable.
    log_likelihood
        (chain, draw, comparison) log p(y_k | draw) in nats, without weights.
    predictive
        (chain, draw, comparison) an outcome simulated from each draw.
    lp
        (chain, draw) log joint density in nats, of the unconstrained parameters, with weights.
    dimensions, coordinates
        For variables that have more dimensions than their draws: their names and coordinates.
    """

    posterior: Draws
    prior: Draws
    log_prior: Draws
    log_likelihood: Float[np.ndarray, "chain draw comparison"]
    predictive: Float[np.ndarray, "chain draw comparison"]
    lp: Float[np.ndarray, "chain draw"]
    dimensions: dict[str, tuple[str, ...]]
    coordinates: dict[str, Any]

    def tree(
        self,
        preferences: Preferences,
        stats: dict[str, Float[np.ndarray, "chain draw"]],
        log_q: Float[np.ndarray, "chain draw"] | None,
        approximation: xr.Dataset | None,
        constants: dict[str, tuple[str, np.ndarray]],
        log_likelihood: bool,
        attributes: dict[str, Any],
    ) -> xr.DataTree:
        """The groups.

        Parameters
        ----------
        preferences
            The labelled comparisons.
        stats
            Further statistics of the sampler, such as energy and divergences.
        log_q
            Log density of the draws under the approximation that they come from; None for exact draws.
        approximation
            The approximation itself.
        constants
            Further constants: name → (dimension, values); the dimension must be one of :attr:`coordinates`.
        log_likelihood
            Whether to add that group, 8 bytes × draws × comparisons.
        attributes
            Of the root.
        """
        axes = {"chain": np.arange(self.lp.shape[0]), "draw": np.arange(self.lp.shape[1])}
        prior_axes = {"chain": [0], "draw": np.arange(len(next(iter(self.prior.values()))[0]))}
        comparison = {"comparison": np.arange(len(preferences))}
        weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
        constant = {
            "first": ("comparison", preferences.first),
            "second": ("comparison", preferences.second),
            "weight": ("comparison", weight),
            **constants,
        }
        if preferences.annotator is not None:
            constant["annotator"] = ("comparison", np.asarray(preferences.annotator).astype(str))
        if preferences.choice is not None:
            constant["choice"] = ("comparison", preferences.choice)
        densities = {"lp": self.lp} if log_q is None else {"lp": self.lp, "log_p": self.lp, "log_q": log_q}
        outcome = (*DRAW, "comparison")
        groups = {
            "posterior": self._dataset(self.posterior, axes),
            "prior": self._dataset(self.prior, prior_axes),
            "log_prior": dataset({name: (DRAW, value) for name, value in self.log_prior.items()}, axes),
            "sample_stats": dataset({name: (DRAW, value) for name, value in (densities | stats).items()}, axes),
            "posterior_predictive": dataset({"outcome": (outcome, self.predictive)}, axes | comparison),
            "observed_data": dataset({"outcome": ("comparison", preferences.outcome)}, comparison),
            "constant_data": dataset(constant, comparison | self._coordinates_of(constants)),
        }
        if approximation is not None:
            groups["approximation"] = approximation
        if log_likelihood:
            groups["log_likelihood"] = dataset({"outcome": (outcome, self.log_likelihood)}, axes | comparison)
        for group in groups.values():
            group.attrs.update(provenance())
        tree = xr.DataTree.from_dict(groups)
        tree.attrs.update(provenance() | attributes)
        return tree

    def _dataset(self, draws: Draws, axes: dict[str, Any]) -> xr.Dataset:
        variables = {name: ((*DRAW, *self.dimensions.get(name, ())), value) for name, value in draws.items()}
        used = {axis for dims, _ in variables.values() for axis in dims}
        return dataset(variables, axes | {axis: at for axis, at in self.coordinates.items() if axis in used})

    def _coordinates_of(self, constants: dict[str, tuple[str, np.ndarray]]) -> dict[str, Any]:
        return {axis: self.coordinates[axis] for axis, _ in constants.values() if axis in self.coordinates}


def last_layer_draws(
    joint: LogJoint, blocks: dict[str, slice], latent: Float[Tensor, "chain draw latent"], seed: int
) -> PosteriorDraws:
    """What follows from draws of x = (ν, β) on fixed features.

    Parameters
    ----------
    joint
        The log joint density of x, with the labels.
    blocks
        The blocks of β; prompt intercepts become a variable of their own.
    latent
        The draws.
    seed
        Root of the simulated outcomes and of the prior draws.
    """
    chains, count, _ = latent.shape
    space, data = joint.nuisance, joint.data
    nu, beta = latent[..., : space.size], latent[..., space.size :]
    logit = beta @ data.difference.T
    log_likelihood, predictive = torch.empty_like(logit), torch.empty_like(logit)
    log_prior: dict[str, Tensor] = {name: latent.new_empty((chains, count)) for name in ("beta", *_names(space))}
    sites: dict[str, list[Tensor]] = {name: [] for name in _names(space)}
    lp = latent.new_zeros((chains, count))
    generator = rng.stream(seed, "posterior predictive")
    with torch.no_grad():
        for c in range(chains):
            # Without nuisance parameters all draws of a chain share one likelihood.
            for rows in [slice(None)] if space.size == 0 else [slice(s, s + 1) for s in range(count)]:
                at = nu[c, rows][0]
                likelihood = joint.likelihood.bound(space.values(at), data.context)
                outcome = data.outcome.expand_as(logit[c, rows])
                log_likelihood[c, rows] = likelihood.log_prob(logit[c, rows], outcome)
                predictive[c, rows] = likelihood.simulate(logit[c, rows], generator)
                location, precision = joint.prior(space.values(at))
                squares = (precision * (beta[c, rows] - location).square()).sum(dim=-1)
                log_prior["beta"][c, rows] = 0.5 * (torch.log(precision / (2 * math.pi)).sum() - squares)
                for name, (value, log_prob) in space.site_log_priors(at).items():
                    sites[name].append(value)
                    log_prior[name][c, rows] = log_prob
                jacobian = space.log_prior(at) - sum(log_prior[name][c, rows] for name in _names(space))
                lp[c, rows] = jacobian
    lp += sum(log_prior.values()) + log_likelihood @ data.weight
    posterior = _split_blocks(beta, blocks)
    posterior |= {name: torch.stack(value).unflatten(0, (chains, count)) for name, value in sites.items()}
    dimensions, coordinates = _axes(joint, blocks, posterior)
    return PosteriorDraws(
        posterior=_arrays(posterior),
        prior=_arrays(_prior_draws(joint, blocks, rng.child(seed, "prior"))),
        log_prior=_arrays(log_prior),
        log_likelihood=log_likelihood.cpu().numpy(),
        predictive=predictive.cpu().numpy().astype(np.float32),
        lp=lp.cpu().numpy(),
        dimensions=dimensions,
        coordinates=coordinates,
    )


def gaussian_approximation(
    location: Float[Tensor, "feature"],
    covariance_factor: Float[Tensor, "feature rank"],
    information: Float[Tensor, "feature feature"] | None,
) -> xr.Dataset:
    """The group of a Gaussian over β: location, scale_tril, and the information that designs use."""
    factor = {"feature": np.arange(len(location)), "factor": np.arange(len(location))}
    variables = {
        "location": (("feature",), location.cpu().numpy()),
        "scale_tril": (("feature", "factor"), _scale_tril(covariance_factor)),
    }
    if information is not None:
        variables["information"] = (("feature", "factor"), information.cpu().numpy())
    return dataset(variables, factor)


def dataset(variables: dict[str, Any], coordinates: dict[str, Any]) -> xr.Dataset:
    """A dataset in which every dimension has a coordinate, as both lines of ArviZ need."""
    return xr.Dataset(variables, coords=coordinates)


def provenance() -> dict[str, str]:
    """What made a file: the library and, as JSON, the versions of what it stands on."""
    return {"inference_library": "bayesrm", "versions": json.dumps(versions(), sort_keys=True)}


def _names(space: Any) -> list[str]:
    return [site.name for site in space.sites]


def _split_blocks(beta: Float[Tensor, "chain draw feature"], blocks: dict[str, slice]) -> dict[str, Tensor]:
    if "intercept" not in blocks:
        return {"beta": beta}
    start = blocks["intercept"].start
    return {"beta": beta[..., :start], "intercept": beta[..., start:]}


def _prior_draws(joint: LogJoint, blocks: dict[str, slice], seed: int) -> dict[str, Tensor]:
    """One chain of draws from the prior."""
    space, generator = joint.nuisance, rng.stream(seed, "beta")
    sites = [space.sample_prior(rng.child(seed, "sites", s)) for s in range(PRIOR_DRAWS if space.size else 1)]
    betas = []
    for at in sites:
        location, precision = joint.prior(space.values(space.unconstrain(at)))
        count = 1 if space.size else PRIOR_DRAWS
        noise = torch.from_numpy(generator.standard_normal((count, len(location)))).to(location.device)
        betas.append(location + noise * precision.rsqrt())
    drawn = _split_blocks(torch.cat(betas)[None], blocks)
    return drawn | {name: torch.stack([at[name] for at in sites])[None] for name in _names(space)}


def _axes(
    joint: LogJoint, blocks: dict[str, slice], posterior: dict[str, Tensor]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """Names and coordinates of the dimensions: features, prompts with an intercept, annotators."""
    dimensions: dict[str, tuple[str, ...]] = {}
    coordinates: dict[str, Any] = {}
    annotators = joint.data.context.annotators
    for name, value in posterior.items():
        shape = tuple(value.shape[2:])
        if name in ("beta", "intercept"):
            dimensions[name] = ("feature" if name == "beta" else "prompt",)
            coordinates[dimensions[name][0]] = np.arange(shape[0])
        elif annotators and shape == (len(annotators),):
            dimensions[name] = ("annotator",)
            coordinates["annotator"] = np.array(annotators)
        else:
            dimensions[name] = tuple(f"{name}_dim_{k}" for k in range(len(shape)))
            coordinates |= {axis: np.arange(n) for axis, n in zip(dimensions[name], shape, strict=True)}
    return dimensions, coordinates


def _arrays(tensors: dict[str, Tensor]) -> Draws:
    return {name: value.detach().cpu().double().numpy() for name, value in tensors.items()}


def _scale_tril(factor: Float[Tensor, "feature rank"]) -> np.ndarray:
    """The lower-triangular T with T Tᵀ = C Cᵀ: R of a QR of Cᵀ, transposed; zeros for a point."""
    d, rank = factor.shape
    if rank == 0:
        return np.zeros((d, d))
    padded = torch.cat([factor, factor.new_zeros((d, max(0, d - rank)))], dim=1)
    upper = torch.linalg.qr(padded.T, mode="r").R[:d]
    sign = torch.where(upper.diagonal() < 0, -1.0, 1.0)
    return (upper * sign[:, None]).T.cpu().numpy()
