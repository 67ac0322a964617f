r"""Gaussian guides for Pyro's SVI that start as a Laplace approximation and live in its coordinates ε: x = x̂ + A ε.

Pyro's own guides are inside. Their draws have gradients, their densities have none, see
:mod:`bayesrm.inference.svi`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pyro
import torch
from jaxtyping import Float, Int64
from pyro.distributions import (
    LowRankMultivariateNormal,
    MultivariateNormal,
    TorchDistribution,
    TransformedDistribution,
)
from pyro.distributions.transforms import LowerCholeskyAffine
from pyro.infer.autoguide import AutoLowRankMultivariateNormal, AutoMultivariateNormal
from torch import Tensor
from torch.distributions import constraints

from bayesrm.models.nuisance import NuisanceSpace


class _PathGradient(TorchDistribution):
    """A distribution whose draws have gradients and whose density has none."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, drawn_from: Any, density: Any) -> None:
        super().__init__(drawn_from.batch_shape, drawn_from.event_shape, validate_args=False)
        self._drawn_from, self._density = drawn_from, density

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Reparameterised draws."""
        return self._drawn_from.rsample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """As a function of the value alone."""
        return self._density.log_prob(value)


class _Whitened:
    """What both guides share: Pyro's own Gaussian over ε inside, x = x̂ + A ε outside."""

    def start(self: Any, location: Float[Tensor, "latent"], factor: Float[Tensor, "latent latent"]) -> None:
        """Begin as Normal(x̂, A Aᵀ)."""
        self.affine = LowerCholeskyAffine(location, factor)
        self.loc = torch.nn.Parameter(torch.zeros_like(location))
        self.start_shape(torch.ones_like(location))

    def sample_latent(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        """A draw of x, with gradients of the path only."""
        inner = self.get_posterior()
        live, density = (TransformedDistribution(g, [self.affine]) for g in (inner, self.held(inner)))
        return pyro.sample("_latent", _PathGradient(live, density), infer={"is_auxiliary": True})

    def gaussian(self: Any) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent latent"]]:
        """Mean and scale_tril of x."""
        inner = self.get_posterior()
        return self.affine(inner.loc), self.affine.scale_tril @ inner.scale_tril


class FullGuide(_Whitened, AutoMultivariateNormal):
    """Any covariance."""

    def start_shape(self: Any, ones: Float[Tensor, "latent"]) -> None:
        """I."""
        self.scale, self.scale_tril = ones, torch.diag(ones)

    def held(self, inner: Any) -> Any:
        """The same without gradients."""
        return MultivariateNormal(inner.loc.detach(), scale_tril=inner.scale_tril.detach())


class LowRankGuide(_Whitened, AutoLowRankMultivariateNormal):
    """In the coordinates of Laplace a diagonal and a low rank, by default the root of the dimension."""

    def start_shape(self: Any, ones: Float[Tensor, "latent"]) -> None:
        """Hardly more than I: without any low rank its gradient would vanish."""
        self.scale = ones
        self.cov_factor = torch.nn.Parameter(0.01 * torch.randn_like(self.cov_factor, dtype=ones.dtype))

    def held(self, inner: Any) -> Any:
        """The same without gradients."""
        return LowRankMultivariateNormal(inner.loc.detach(), inner.cov_factor.detach(), inner.cov_diag.detach())


def site_order(guide: Any, nuisance: NuisanceSpace) -> Int64[Tensor, "latent"]:
    """For each place in the guide's vector, which has its sites in the order of the model, the place in (ν, β)."""
    places = {site.name: torch.arange(site.place.start, site.place.stop) for site in nuisance.sites}
    places["beta"] = torch.arange(nuisance.size, guide.latent_dim)
    return torch.cat([places[name] for name, _ in guide.prototype_trace.iter_stochastic_nodes()])
