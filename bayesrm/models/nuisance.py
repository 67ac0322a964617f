r"""What is unknown beside the last layer: the nuisance parameters of a likelihood, as one unconstrained vector.

A Pyro program samples them; its trace says which sites there are, how they are constrained and how probable they
are. With ν the unconstrained vector and T the constraining map, the prior density of ν is p(T(ν)) |det T′(ν)|.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import biject_to

from bayesrm import rng
from bayesrm.models.site_names import require_names
from bayesrm.utils.devices import created_on

Values = dict[str, Tensor]
"""Nuisance parameters as a likelihood takes them, by name."""


@dataclass(frozen=True)
class Site:
    """A sample site: its place in ν, its unconstrained shape, and the map to its support."""

    name: str
    place: slice
    shape: tuple[int, ...]
    transform: Any


@dataclass(frozen=True)
class NuisancePoint:
    """What a program says of one ν.

    Parameters
    ----------
    values
        What it returns: the nuisance parameters as the likelihood takes them.
    sites
        The value T(ν) of every sample site.
    log_priors
        Their log prior densities in nats, without Jacobian.
    jacobian
        log |det T′(ν)|.
    """

    values: Values
    sites: Values
    log_priors: dict[str, Float[Tensor, ""]]
    jacobian: Float[Tensor, ""]

    @property
    def log_prior(self) -> Float[Tensor, ""]:
        """log p(T(ν)) + log |det T′(ν)| in nats."""
        return self.jacobian + sum(self.log_priors.values())


class NuisanceSpace:
    """The nuisance parameters of a program as a vector ν ∈ R^q.

    Parameters
    ----------
    program
        A Pyro program without arguments that samples the sites and returns the values that the likelihood takes.

    Raises
    ------
    InvalidInputError
        Where a site has a name under which its draws cannot be kept.
    """

    def __init__(self, program: Callable[[], Values], device: torch.device | None = None) -> None:
        self._program, self.device = program, device or torch.device("cpu")
        self.sites: list[Site] = []
        with rng.fenced(0), torch.no_grad(), created_on(self.device):
            trace = pyro.poutine.trace(program).get_trace()
        at = 0
        nodes: dict[str, Any] = dict(trace.nodes)
        for name, node in nodes.items():
            if is_random(node) and not node["is_observed"]:
                transform = biject_to(node["fn"].support)
                shape = tuple(transform.inv(node["value"]).shape)
                count = torch.Size(shape).numel()
                self.sites.append(Site(name, slice(at, at + count), shape, transform))
                at += count
        require_names((site.name for site in self.sites), "a model")
        self.size = at
        self._constant: Values = nodes["_RETURN"]["value"]

    def constrain(self, nu: Float[Tensor, "nuisance"]) -> Values:
        """The value of every sample site."""
        return {site.name: site.transform(nu[site.place].reshape(site.shape)) for site in self.sites}

    def at(self, nu: Float[Tensor, "nuisance"]) -> NuisancePoint:
        """Everything that one run of the program says of ν; differentiable."""
        if not self.sites:
            return NuisancePoint(self._constant, {}, {}, nu.new_zeros(()))
        sites = self.constrain(nu)
        # All that the program samples is given, so no generator is touched; a search may come to where a density is
        # not finite, which it handles, and the checks of Pyro would raise.
        with rng.alone(), pyro.validation_enabled(False), created_on(self.device):
            trace = pyro.poutine.trace(pyro.poutine.condition(self._program, data=sites)).get_trace()
        nodes: dict[str, Any] = dict(trace.nodes)
        log_priors = {name: nodes[name]["fn"].log_prob(value).sum() for name, value in sites.items()}
        jacobian = nu.new_zeros(())
        for site in self.sites:
            unconstrained = nu[site.place].reshape(site.shape)
            jacobian = jacobian + site.transform.log_abs_det_jacobian(unconstrained, sites[site.name]).sum()
        values: Values = nodes["_RETURN"]["value"]
        return NuisancePoint(values, sites, log_priors, jacobian)

    def place(self, name: str) -> slice | None:
        """Where a sample site is in ν; None where there is none of this name."""
        return next((site.place for site in self.sites if site.name == name), None)

    def holding(self, name: str, nu: Float[Tensor, "held"]) -> tuple[NuisanceSpace, Float[Tensor, ""]]:
        """The other nuisance parameters, with a site of its own prior held at this ν; and its log prior there."""
        site = next(site for site in self.sites if site.name == name)
        unconstrained = nu.reshape(site.shape)
        value = site.transform(unconstrained)
        program = pyro.poutine.condition(self._program, data={name: value})
        held = NuisanceSpace(program, self.device)
        with rng.alone(), pyro.validation_enabled(False), created_on(self.device), torch.no_grad():
            trace: Any = pyro.poutine.trace(program).get_trace()
        density = trace.nodes[name]["fn"].log_prob(value).sum()
        return held, density + site.transform.log_abs_det_jacobian(unconstrained, value).sum()

    def values(self, nu: Float[Tensor, "nuisance"]) -> Values:
        """What the program returns at ν: the nuisance parameters as the likelihood takes them."""
        return self.at(nu).values

    def log_prior(self, nu: Float[Tensor, "nuisance"]) -> Float[Tensor, ""]:
        """log p(T(ν)) + log |det T′(ν)| in nats."""
        return self.at(nu).log_prior

    def sample_prior(self, seed: int, draws: int = 1) -> list[tuple[Values, Values]]:
        """Draws from the prior: of each the values that the program returns, and those of its sites."""
        found = []
        with rng.fenced(seed), torch.no_grad(), created_on(self.device):
            for _ in range(draws):
                nodes: dict[str, Any] = dict(pyro.poutine.trace(self._program).get_trace().nodes)
                sites = {site.name: nodes[site.name]["value"] for site in self.sites}
                found.append((nodes["_RETURN"]["value"], sites))
        return found

    def unconstrain(self, sites: dict[str, Tensor]) -> Float[Tensor, "nuisance"]:
        """ν of these values of the sites."""
        parts = [site.transform.inv(sites[site.name]).reshape(-1).double() for site in self.sites]
        return torch.cat(parts) if parts else self.start()

    def start(self) -> Float[Tensor, "nuisance"]:
        """Where a search begins: zero, which is 1 for a positive parameter and ½ for a probability."""
        return torch.zeros(self.size, dtype=torch.float64, device=self.device)


def is_random(node: dict[str, Any]) -> bool:
    """Whether a node of a Pyro trace is a sample site, and not the subsampling of a plate."""
    return node["type"] == "sample" and type(node["fn"]).__name__ != "_Subsample"


def no_nuisance() -> Values:
    """The program of a likelihood without nuisance parameters."""
    return {}
