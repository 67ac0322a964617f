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

Values = dict[str, Tensor]
"""Nuisance parameters as a likelihood takes them, by name."""


@dataclass(frozen=True)
class Site:
    """A sample site: its place in ν, its unconstrained shape, and the map to its support."""

    name: str
    place: slice
    shape: tuple[int, ...]
    transform: Any


class NuisanceSpace:
    """The nuisance parameters of a program as a vector ν ∈ R^q.

    Parameters
    ----------
    program
        A Pyro program without arguments that samples the sites and returns the values that the likelihood takes.
    """

    def __init__(self, program: Callable[[], Values], device: torch.device | None = None) -> None:
        self._program, self.device = program, device or torch.device("cpu")
        self.sites: list[Site] = []
        with rng.fenced(0), torch.no_grad():
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
        self.size = at

    def constrain(self, nu: Float[Tensor, "nuisance"]) -> Values:
        """The value of every sample site."""
        return {site.name: site.transform(nu[site.place].reshape(site.shape)) for site in self.sites}

    def values(self, nu: Float[Tensor, "nuisance"]) -> Values:
        """What the program returns at ν: the nuisance parameters as the likelihood takes them."""
        if not self.sites:
            return {}
        with rng.fenced(0):
            returned: Values = pyro.poutine.condition(self._program, data=self.constrain(nu))()
        return returned

    def log_prior(self, nu: Float[Tensor, "nuisance"]) -> Float[Tensor, ""]:
        """log p(T(ν)) + log |det T′(ν)| in nats."""
        total = nu.new_zeros(())
        for site, (value, log_prob) in zip(self.sites, self.site_log_priors(nu).values(), strict=True):
            unconstrained = nu[site.place].reshape(site.shape)
            total = total + log_prob + site.transform.log_abs_det_jacobian(unconstrained, value).sum()
        return total

    def site_log_priors(self, nu: Float[Tensor, "nuisance"]) -> dict[str, tuple[Tensor, Float[Tensor, ""]]]:
        """The value of each sample site and its log prior density there, without Jacobian."""
        if not self.sites:
            return {}
        with rng.fenced(0):
            program = pyro.poutine.condition(self._program, data=self.constrain(nu))
            nodes: dict[str, Any] = dict(pyro.poutine.trace(program).get_trace().nodes)
        found = {site.name: nodes[site.name] for site in self.sites}
        return {name: (node["value"], node["fn"].log_prob(node["value"]).sum()) for name, node in found.items()}

    def sample_prior(self, seed: int) -> dict[str, Tensor]:
        """One prior draw of every site, and of what the program returns."""
        with rng.fenced(seed):
            nodes: dict[str, Any] = dict(pyro.poutine.trace(self._program).get_trace().nodes)
        return {site.name: nodes[site.name]["value"] for site in self.sites}

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
