"""A posterior as an ``xarray.DataTree`` in ArviZ's schema, the same groups for every inference, for both its lines.

- ``posterior``, ``prior``: β as ``beta`` (feature) and, of prompt intercepts, ``intercept`` (prompt); nuisance
  parameters on their own scale; ``log_prior`` has their densities. ``posterior`` has ``reward`` (response) of those
  responses that were asked for, each draw less its mean over the pool.
- ``posterior_predictive``, ``observed_data``: ``outcome`` of the comparisons; ``constant_data``: what was compared.
- ``sample_stats``: ``lp``; of draws from an approximate density also ``log_p`` (the exact log joint density,
  unconstrained) and ``log_q`` (its own), from which Pareto k̂ follows; of a sampler what it did.
- ``approximation``: ``location`` and ``scale_tril`` of x = (β, ν), nuisance parameters ν unconstrained: the Gaussian
  itself, the moments of draws, or a point without spread. As β stands first, the leading block of ``scale_tril`` is
  that of β alone.
- ``log_likelihood`` on request.

Independent draws, of an approximation or of networks, come in four chains of equal size where they fill them
(:mod:`bayesrm.posteriors.chains`), and ``sample_stats`` says so. Both lines of ArviZ smooth the largest
min(S/5, 3 √(S / reff)) of S importance weights, 0.23 with that number rounded up and 1.x with it rounded down, so
``az.loo(tree, reff=1.0)`` has the same elpd and k̂ in both where S is a square above 225 or a multiple of five below,
and differs by 1e-3 or so elsewhere, and where draws repeat each other. In its standard error 0.23 divides by n and 1.x
by n − 1. Fewer than 25 draws have no tail: 1.x refuses them, 0.23 says k̂ = ∞.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from bayesrm import rng
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.nuisance import Values
from bayesrm.models.program import BETA_PRIOR
from bayesrm.posteriors.chains import INDEPENDENT
from bayesrm.types import Preferences
from bayesrm.utils.versions import versions

Draws = dict[str, Float[np.ndarray, "_ _ ..."]]
"""Variables by name, each with its chains and draws in front."""
Weights = TypeVar("Weights", Tensor, np.ndarray)
DRAW = ("chain", "draw")
PRIOR_DRAWS = 500
CHUNK = 64
"""Draws whose likelihood is computed at once, where each has nuisance parameters of its own."""


@dataclass(frozen=True)
class Gaussian:
    """The Gaussian that a posterior is, or the one with its moments, of x = (β, ν).

    Parameters
    ----------
    location
        Mean of x.
    scale_tril
        Lower-triangular T with Cov(x) = T Tᵀ; zeros for a point.
    information
        Of β, where designs have one to use.
    """

    location: Float[Tensor, "latent"]
    scale_tril: Float[Tensor, "latent latent"]
    information: Float[Tensor, "feature feature"] | None = None


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
    weights, unconstrained
        Names of the elements of β and of ν.
    """

    posterior: Draws
    prior: Draws
    log_prior: Draws
    log_likelihood: Float[np.ndarray, "chain draw comparison"]
    predictive: Shaped[np.ndarray, "chain draw comparison"]
    lp: Float[np.ndarray, "chain draw"]
    dimensions: dict[str, tuple[str, ...]]
    coordinates: dict[str, Any]
    weights: list[str]
    unconstrained: list[str]

    def with_rewards(
        self, reward: Float[Tensor, "chain draw response"], responses: Int64[np.ndarray, "response"]
    ) -> PosteriorDraws:
        """The same, with draws of the rewards of some responses."""
        return replace(
            self,
            posterior=self.posterior | {"reward": reward.cpu().numpy()},
            dimensions=self.dimensions | {"reward": ("response",)},
            coordinates=self.coordinates | {"response": responses},
        )

    def tree(
        self,
        preferences: Preferences,
        stats: dict[str, Shaped[np.ndarray, "chain draw"]],
        log_q: Float[np.ndarray, "chain draw"] | None,
        approximation: Gaussian,
        prior_precision: Float[np.ndarray, "feature"],
        log_likelihood: bool,
        attributes: dict[str, Any],
        independent: bool = True,
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
            The approximation itself, or the moments of the draws.
        prior_precision
            Of β.
        log_likelihood
            Whether to add that group, 8 bytes × draws × comparisons.
        attributes
            Of the root.
        independent
            Whether draws are, and not of Markov chains.
        """
        axes = {"chain": np.arange(self.lp.shape[0]), "draw": np.arange(self.lp.shape[1])}
        prior_axes = {"chain": [0], "draw": np.arange(len(next(iter(self.prior.values()))[0]))}
        comparison = {"comparison": np.arange(len(preferences))}
        weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
        constant = {
            "first": ("comparison", preferences.first),
            "second": ("comparison", preferences.second),
            "weight": ("comparison", weight),
        }
        precision = split_blocks(prior_precision, len(self.coordinates["feature"]))
        constant["prior_precision"] = ("feature", precision["beta"])
        if "intercept" in precision:
            constant["intercept_prior_precision"] = ("prompt", precision["intercept"])
        weight_axes = {axis: at for axis, at in self.coordinates.items() if axis in ("feature", "prompt")}
        if preferences.annotator is not None:
            constant["annotator"] = ("comparison", np.asarray(preferences.annotator).astype(str))
        if preferences.choice is not None:
            constant["choice"] = ("comparison", preferences.choice)
        densities = {"lp": self.lp} if log_q is None else {"lp": self.lp, "log_p": self.lp, "log_q": log_q}
        outcome = (*DRAW, "comparison")
        observed = preferences.outcome
        if self.predictive.dtype == np.int8 and np.isin(observed, (0, 1)).all():
            observed = observed.astype(np.int8)
        groups = {
            "posterior": self._dataset(self.posterior, axes),
            "prior": self._dataset(self.prior, prior_axes),
            "log_prior": dataset({name: (DRAW, value) for name, value in self.log_prior.items()}, axes),
            "sample_stats": dataset({name: (DRAW, value) for name, value in (densities | stats).items()}, axes),
            "posterior_predictive": dataset({"outcome": (outcome, self.predictive)}, axes | comparison),
            "observed_data": dataset({"outcome": ("comparison", observed)}, comparison),
            "constant_data": dataset(constant, comparison | weight_axes),
            "approximation": self._approximation(approximation),
        }
        # Nearly all of a file without likelihoods, and few different values.
        groups["posterior_predictive"]["outcome"].encoding = {"zlib": True, "complevel": 4}
        if log_likelihood:
            groups["log_likelihood"] = dataset({"outcome": (outcome, self.log_likelihood)}, axes | comparison)
        for group in groups.values():
            group.attrs.update(provenance())
        groups["sample_stats"].attrs[INDEPENDENT] = int(independent)
        tree = xr.DataTree.from_dict(groups)
        tree.attrs.update(provenance() | attributes)
        return tree

    def _dataset(self, draws: Draws, axes: dict[str, Any]) -> xr.Dataset:
        variables = {name: ((*DRAW, *self.dimensions.get(name, ())), value) for name, value in draws.items()}
        used = {axis for dims, _ in variables.values() for axis in dims}
        return dataset(variables, axes | {axis: at for axis, at in self.coordinates.items() if axis in used})

    def _approximation(self, gaussian: Gaussian) -> xr.Dataset:
        names = [*self.weights, *self.unconstrained]
        coordinates = {"latent": names, "latent_factor": names}
        variables = {
            "location": (("latent",), gaussian.location.cpu().numpy()),
            "scale_tril": (("latent", "latent_factor"), gaussian.scale_tril.cpu().numpy()),
        }
        if gaussian.information is not None:
            coordinates |= {"weight": self.weights, "other_weight": self.weights}
            variables["information"] = (("weight", "other_weight"), gaussian.information.cpu().numpy())
        return dataset(variables, coordinates)


def last_layer_draws(
    joint: LogJoint,
    blocks: dict[str, slice],
    latent: Float[Tensor, "chain draw latent"],
    seed: int,
    logit: Float[Tensor, "chain draw comparison"] | None = None,
) -> PosteriorDraws:
    """What follows from draws of x = (ν, β).

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
    logit
        η_k under each draw where draws have features of their own; by default those of ``joint``.
    """
    shape = latent.shape[:2]
    space, data = joint.nuisance, joint.data
    nu, beta = latent[..., : space.size], latent[..., space.size :]
    logit = beta @ data.difference.T if logit is None else logit
    outcome_log_probs, unobserved, log_prior, jacobian = _of_draws(
        joint, nu.flatten(0, 1), beta.flatten(0, 1), logit.flatten(0, 1)
    )
    outcome = data.outcome.expand(len(outcome_log_probs), -1)
    log_likelihood = joint.likelihood.of_outcome(outcome_log_probs, outcome).unflatten(0, shape)
    predictive = joint.likelihood.drawn(outcome_log_probs.exp(), rng.stream(seed, "posterior predictive"))
    log_prior = {name: value.unflatten(0, shape) for name, value in log_prior.items()}
    lp = jacobian.unflatten(0, shape) + sum(log_prior.values()) + log_likelihood @ data.weight
    features = blocks["intercept"].start if "intercept" in blocks else beta.shape[-1]
    posterior = split_blocks(beta, features)
    posterior |= {name: value.unflatten(0, shape) for name, value in unobserved.items()}
    dimensions, coordinates = _axes(joint, posterior)
    integers = all(float(value).is_integer() for value in joint.likelihood.outcomes)
    return PosteriorDraws(
        posterior=_arrays(posterior),
        prior=_arrays(_prior_draws(joint, features, rng.child(seed, "prior"))),
        log_prior=_arrays(log_prior),
        log_likelihood=log_likelihood.cpu().numpy(),
        predictive=predictive.unflatten(0, shape).cpu().numpy().astype(np.int8 if integers else np.float32),
        lp=lp.cpu().numpy(),
        dimensions=dimensions,
        coordinates=coordinates,
        weights=[
            f"{name}[{k}]" for name, value in split_blocks(beta[0, 0], features).items() for k in range(len(value))
        ],
        unconstrained=[
            site.name + (f"[{', '.join(map(str, index))}]" if index else "")
            for site in space.sites
            for index in np.ndindex(site.shape)
        ],
    )


def moment_factor(draws: Float[Tensor, "draw latent"]) -> Float[Tensor, "latent rank"]:
    """C with C Cᵀ the covariance of draws, no wider than they are many; of width zero for a single draw.

    That is the centred ones, or where they are more than their variables Rᵀ of their QR.
    """
    if len(draws) < 2:
        return draws.new_empty((draws.shape[1], 0))
    centred = (draws - draws.mean(dim=0)) / math.sqrt(len(draws) - 1)
    if len(draws) <= draws.shape[1]:
        return centred.T.contiguous()
    return torch.linalg.qr(centred, mode="r").R.T.contiguous()


def beta_first(size: int, nuisance: int) -> Int64[Tensor, "latent"]:
    """The places in (ν, β) of the elements of (β, ν)."""
    return torch.arange(size).roll(-nuisance)


def dataset(variables: dict[str, Any], coordinates: dict[str, Any]) -> xr.Dataset:
    """A dataset in which every dimension has a coordinate, as both lines of ArviZ need."""
    return xr.Dataset(variables, coords=coordinates)


def provenance() -> dict[str, str]:
    """What made a file: the library and, as JSON, the versions of what it stands on."""
    return {"inference_library": "bayesrm", "versions": json.dumps(versions(), sort_keys=True)}


def split_blocks(beta: Weights, features: int) -> dict[str, Weights]:
    """What is of the encoder's features, and what of prompt intercepts, if there are any; along the last axis."""
    if beta.shape[-1] == features:
        return {"beta": beta}
    return {"beta": beta[..., :features], "intercept": beta[..., features:]}


def _of_draws(
    joint: LogJoint,
    nu: Float[Tensor, "draw nuisance"],
    beta: Float[Tensor, "draw feature"],
    logit: Float[Tensor, "draw comparison"],
) -> tuple[Float[Tensor, "draw comparison outcome"], Values, Values, Float[Tensor, "draw"]]:
    """Of each draw: log p of every outcome, what is unobserved beside β, log prior densities, and the Jacobian."""
    space = joint.nuisance

    def of(nu: Tensor, beta: Tensor, logit: Tensor) -> tuple[Tensor, Values, Values, Tensor]:
        at = space.at(nu)
        location, precision = joint.prior(at.values)
        squares = (precision * (beta - location).square()).sum(dim=-1)
        of_beta = 0.5 * (torch.log(precision / (2 * math.pi)).sum() - squares)
        log_probs = joint.likelihood.given(at.values, joint.data.context).outcome_log_probs(logit)
        return log_probs, _unobserved(at.values, at.sites), {"beta": of_beta} | at.log_priors, at.jacobian

    with torch.no_grad():
        if space.size == 0:
            # All draws share one likelihood.
            log_probs, _, log_prior, _ = of(nu[0], beta, logit)
            return log_probs, {}, log_prior, logit.new_zeros(len(logit))
        try:
            mapped: tuple[Tensor, Values, Values, Tensor] = torch.func.vmap(of, chunk_size=CHUNK)(nu, beta, logit)
            return mapped
        except RuntimeError:  # a program may branch on its values: one draw after the other
            draws = list(map(of, nu, beta, logit))
            log_probs = torch.stack([table for table, _, _, _ in draws])
            jacobian = torch.stack([each for _, _, _, each in draws])
            return (
                log_probs,
                _stacked([draw[1] for draw in draws]),
                _stacked([draw[2] for draw in draws]),
                jacobian,
            )


def _stacked(draws: Sequence[Values]) -> Values:
    return {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}


def _unobserved(values: Values, sites: Values) -> Values:
    """The sites, and what the program makes of them: a temperature for each annotator, say."""
    return {name: value for name, value in values.items() if name not in BETA_PRIOR} | sites


def _prior_draws(joint: LogJoint, features: int, seed: int) -> dict[str, Tensor]:
    """One chain of draws from the prior."""
    generator = rng.stream(seed, "beta")
    points = joint.nuisance.sample_prior(rng.child(seed, "sites"), PRIOR_DRAWS if joint.nuisance.size else 1)
    betas = []
    for values, _ in points:
        location, precision = joint.prior(values)
        count = PRIOR_DRAWS // len(points)
        noise = torch.from_numpy(generator.standard_normal((count, len(location)))).to(location.device)
        betas.append(location + noise * precision.rsqrt())
    unobserved = _stacked([_unobserved(*point) for point in points])
    return split_blocks(torch.cat(betas)[None], features) | {
        name: value[None] for name, value in unobserved.items()
    }


def _axes(joint: LogJoint, posterior: dict[str, Tensor]) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
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
