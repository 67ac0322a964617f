r"""The log joint density of the last layer and the nuisance parameters, as a function of one vector x = (ν, β).

With z_k = φ_first − φ_second, weights v_k, β ~ Normal(μ, diag(τ)⁻¹) and unconstrained nuisance parameters ν,

    f(ν, β) = Σ_k v_k log p(y_k | z_kᵀβ, ν) + log p(β | ν) + log p(ν).

Its negative Hessian in β is Zᵀ diag(v ∘ c) Z + diag(τ), c the negative second derivatives of log p; what touches ν
is differentiated automatically, one pass a nuisance parameter. Without nuisance parameters all is in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.context import Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.nuisance import NuisancePoint, NuisanceSpace, Values, no_nuisance

Prior = Callable[[Values], tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]]
"""From nuisance parameters to the mean and the diagonal precision of β's Gaussian prior."""


@dataclass(frozen=True)
class LabelledDifferences:
    """What the last layer sees of the preferences: feature differences, outcomes, weights; float64.

    Parameters
    ----------
    difference
        (comparison, feature) z_k.
    outcome, weight
        (comparison,) y_k and v_k.
    context
        What else is known of the comparisons.
    responses
        (response, feature) those of the responses compared, where they are fewer than comparisons and features: what
        spans the differences.
    """

    difference: Float[Tensor, "comparison feature"]
    outcome: Float[Tensor, "comparison"]
    weight: Float[Tensor, "comparison"]
    context: Context = field(default_factory=Context)
    responses: Float[Tensor, "response feature"] | None = None


@dataclass(frozen=True)
class CentredPrior:
    """β ~ Normal(0, diag(τ)⁻¹), whatever the nuisance parameters are; can be sent to another process."""

    precision: Float[Tensor, "feature"]

    def __call__(self, values: Values) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
        """0 and τ."""
        return torch.zeros_like(self.precision), self.precision


@dataclass(frozen=True)
class GaussianPrior:
    """β ~ Normal(μ, diag(τ)⁻¹), whatever the nuisance parameters are; can be sent to another process."""

    location: Float[Tensor, "feature"]
    precision: Float[Tensor, "feature"]

    def __call__(self, values: Values) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
        """μ and τ."""
        return self.location, self.precision


@dataclass(frozen=True)
class LogJoint:
    """f as above.

    Parameters
    ----------
    likelihood
        Unbound: its nuisance parameters come from ν.
    data
        The labels.
    prior
        Of β.
    nuisance
        The nuisance parameters, none by default.
    """

    likelihood: Likelihood
    data: LabelledDifferences
    prior: Prior
    nuisance: NuisanceSpace = field(default_factory=lambda: NuisanceSpace(no_nuisance))

    @property
    def size(self) -> int:
        """The length q + d of x."""
        return self.nuisance.size + self.data.difference.shape[1]

    def start(self) -> Float[Tensor, "latent"]:
        """Where a search begins: nuisance parameters in the middle, β at its prior mean."""
        nu = self.nuisance.start()
        return torch.cat([nu, self.prior(self.nuisance.values(nu))[0]])

    def split(self, x: Float[Tensor, "latent"]) -> tuple[Float[Tensor, "nuisance"], Float[Tensor, "feature"]]:
        """(ν, β)."""
        return x[: self.nuisance.size], x[self.nuisance.size :]

    def log_likelihood(self, x: Float[Tensor, "latent"]) -> Float[Tensor, ""]:
        """Σ_k v_k log p(y_k | z_kᵀβ, ν)."""
        nu, beta = self.split(x)
        return self._log_likelihood(self.data.difference @ beta, self.nuisance.values(nu))

    def __call__(self, x: Float[Tensor, "latent"]) -> Float[Tensor, ""]:
        """f in nats; differentiable."""
        nu, beta = self.split(x)
        return self._value(self.data.difference @ beta, beta, self.nuisance.at(nu))

    def gradient(self, x: Float[Tensor, "latent"]) -> Float[Tensor, "latent"]:
        """∇f, without the cost of :meth:`curvature`."""
        along = self._along(x)[0]
        if self.nuisance.size == 0:
            return along
        with torch.inference_mode(False), torch.enable_grad():
            nu, beta = (part.clone().requires_grad_(True) for part in self.split(x.detach()))
            logit = (self.data.difference @ beta).detach()
            (slope,) = torch.autograd.grad(self._value(logit, beta, self.nuisance.at(nu)), nu)
        return torch.cat([slope, along])

    def curvature(
        self, x: Float[Tensor, "latent"]
    ) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent latent"]]:
        """The gradient of f, and its negative Hessian Λ."""
        gradient, likelihood, logit, precision = self._along(x)
        information = likelihood.information(self.data.difference, logit, self.data.outcome, self.data.weight)
        information.diagonal().add_(precision)
        return (gradient, information) if self.nuisance.size == 0 else self._bordered(x, gradient, information)

    def _along(
        self, x: Float[Tensor, "latent"]
    ) -> tuple[Float[Tensor, "feature"], Likelihood, Float[Tensor, "comparison"], Float[Tensor, "feature"]]:
        """The gradient in β, and what it was computed from: the likelihood, its logits, and τ."""
        nu, beta = self.split(x)
        values = self.nuisance.values(nu)
        data, (location, precision) = self.data, self.prior(values)
        likelihood = self.likelihood.given(values, data.context)
        logit = data.difference @ beta
        score, _ = likelihood.derivatives(logit, data.outcome)
        gradient = data.difference.T @ (data.weight * score) - precision * (beta - location)
        return gradient, likelihood, logit, precision

    def _bordered(
        self, x: Float[Tensor, "latent"], gradient: Float[Tensor, "feature"], information: Float[Tensor, "_ _"]
    ) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent latent"]]:
        """Gradient and information in β with those of the nuisance parameters put before them."""
        q, z = self.nuisance.size, self.data.difference
        with torch.inference_mode(False), torch.enable_grad():
            bordered = torch.empty((len(x), len(x)), dtype=x.dtype, device=x.device)
            bordered[q:, q:] = information
            nu, beta = (part.clone().requires_grad_(True) for part in self.split(x.detach()))
            logit = (z @ beta.detach()).clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(self._value(logit, beta, self.nuisance.at(nu)), nu, create_graph=True)
            for j in range(q):
                by_logit, by_beta, by_nu = torch.autograd.grad(
                    slope[j], (logit, beta, nu), retain_graph=True, materialize_grads=True
                )
                bordered[j, q:] = bordered[q:, j] = -(z.T @ by_logit + by_beta)
                bordered[j, :q] = -by_nu
        return torch.cat([slope.detach(), gradient]), bordered

    def _log_likelihood(self, logit: Float[Tensor, "comparison"], values: Values) -> Float[Tensor, ""]:
        likelihood = self.likelihood.given(values, self.data.context)
        return (self.data.weight * likelihood.log_prob(logit, self.data.outcome)).sum()

    def _value(self, logit: Float[Tensor, "comparison"], beta: Tensor, at: NuisancePoint) -> Float[Tensor, ""]:
        location, precision = self.prior(at.values)
        normaliser = torch.log(precision / (2 * math.pi)).sum()
        log_prior = 0.5 * (normaliser - (precision * (beta - location).square()).sum()) + at.log_prior
        return self._log_likelihood(logit, at.values) + log_prior
