r"""Variational inference: the Gaussian over x = (ν, β) with the largest ELBO, by Pyro's SVI on the Pyro model itself.

    ELBO(q) = E_q[log p(y, x) − log q(x)] = log p(y) − KL(q ‖ p(· | y)).

The guide lives in the coordinates ε of the Laplace approximation, x = x̂ + A ε with A Aᵀ = Λ⁻¹, and starts as it:
ε ~ Normal(m, T Tᵀ), m = 0, T = I. There one step size fits all parameters. Gradients are those of the path alone,
log q held constant (Roeder, Wu & Duvenaud 2017): they have no noise where q is the posterior, so that little is left
where it nearly is. The step size falls whenever the ELBO has stopped rising; the parameters of the last, smallest one
are averaged (Polyak & Juditsky 1992).

Where features are many more than labels the guide is over their span alone, see
:mod:`bayesrm.inference.fitting.span`: what is orthogonal to it has its prior, which the best Gaussian has too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyro
import torch
from jaxtyping import Float
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import init_to_sample
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting.elbo_descent import ElboDescent
from bayesrm.inference.fitting.guides import FullGuide, LowRankGuide, site_order
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.span import coordinates
from bayesrm.inference.laplace import laplace_posterior
from bayesrm.models.context import Context
from bayesrm.models.features import encode
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.gaussian import GaussianPosterior, gaussian_draws
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.factors import DenseFactor
from bayesrm.utils.linalg import cholesky_factor, lower_root
from bayesrm.utils.progress import bar

MOST_FULL = 300
"""Above this many dimensions the guide differs from Laplace by a diagonal and a low-rank term only."""
RATES = (0.01, 0.003, 0.001)
"""In units of standard deviations of Laplace, for up to 64 dimensions; then they fall with the root of the size, as
does the noise that the D² entries of T may have together."""
PATIENCE = 2
"""Windows in a row without a rise after which a step size has done its work."""
WINDOW = 40
"""Steps whose mean ELBO is compared with that of the steps before them."""
MOST_WINDOWS = 40
"""For each step size."""
ELBO_DRAWS = 400
LONG_WORK = 4_000_000


class Svi(Inference):
    """A Gaussian with a full covariance that maximises the ELBO, started at Laplace.

    Parameters
    ----------
    joint
        Whether an encoder that has weights is trained on the ELBO, together with a guide, rather than for the MAP;
        the guide is then fitted on until the ELBO on the features that came out of it has converged.
    particles
        Draws of the guide for each step.
    """

    name: ClassVar[str] = "svi"

    @checked
    def __init__(self, joint: bool = False, particles: Count = 2) -> None:
        self.joint, self.particles = joint, particles

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> GaussianPosterior:
        """Train the encoder, choose the prior scale as Laplace does, and maximise the ELBO on its features."""
        trained = train_encoder(model, pool, preferences, seed, device, ElboDescent if self.joint else None)
        joint = trained.model.log_joint(trained.data, prior_precision(trained, pool))
        start = torch.cat([trained.nuisance, trained.beta])
        return _variational(trained.model, pool, preferences, joint, start, self.particles, rng.child(seed, "svi"))


def refit(particles: int, seed: int, posterior: LastLayerPosterior, preferences: Preferences) -> GaussianPosterior:
    """The ELBO's maximum with other preferences on the same features, started at Laplace with those."""
    joint = posterior.joint_after(preferences)
    same = joint.nuisance.size == len(posterior.nuisance)
    start = torch.cat([posterior.nuisance if same else joint.nuisance.start(), posterior.location])
    return _variational(posterior.model, posterior.pool, preferences, joint, start, particles, seed)


def _variational(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    joint: LogJoint,
    start: Float[Tensor, "latent"],
    particles: int,
    seed: int,
) -> GaussianPosterior:
    where = coordinates(joint)
    laplace = find_mode(where.joint, where.latent(start))
    features, *labels = _arguments(model, pool, preferences, joint.data.difference.device)
    program = model.last_layer if where.prior is None else partial(model.last_layer, prior=where.prior)
    arguments = (where.rows(features), *labels)
    found, cholesky = maximise_elbo(program, arguments, where.joint, laplace, particles, seed)
    nu, beta = where.joint.split(found)
    fitted = replace(laplace, nuisance=nu, beta=beta, joint=DenseFactor(cholesky))
    # The ascent is noisy: where it has not helped, its start is the answer.
    scored = [replace(mode, log_evidence=_elbo(mode, where.joint, seed)) for mode in (laplace, fitted)]
    best = where.outside(max(scored, key=lambda mode: mode.log_evidence))
    posterior = laplace_posterior(model, pool, preferences, joint, best)
    return replace(posterior, refit=partial(refit, particles, seed), refit_beta=None, inference=Svi.name)


def _elbo(mode: Mode, joint: LogJoint, seed: int) -> float:
    """E_q[log p(y, x) − log q(x)] in nats over fresh draws, the same noise for every q."""
    latent, log_q = gaussian_draws(mode.latent, mode.joint, ELBO_DRAWS, rng.stream(seed, "elbo"))
    with torch.no_grad():
        log_p = torch.stack([joint(x) for x in latent])
    return float((log_p - log_q).mean())


def maximise_elbo(
    program: Any, arguments: tuple[Any, ...], joint: LogJoint, laplace: Mode, particles: int, seed: int
) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent latent"]]:
    """Mean and Cholesky factor of the precision of the best Gaussian over x = (ν, β), started at Laplace.

    Parameters
    ----------
    program, arguments
        The Pyro model of the last layer, and what it takes.
    joint
        Its log joint density.
    laplace
        Where to start.
    particles
        Draws for each step.
    seed
        Root of the draws.
    """
    location = laplace.latent
    with rng.fenced(seed), pyro.validation_enabled(False):
        kind = FullGuide if len(location) <= MOST_FULL else LowRankGuide
        guide = kind(program, init_loc_fn=init_to_sample)
        guide._setup_prototype(*arguments)
        order = site_order(guide, joint.nuisance)
        covariance = torch.cholesky_inverse(laplace.joint_cholesky)[order][:, order]
        guide.start(location[order], cholesky_factor(covariance))
        _ascend(guide, program, arguments, particles)
        with torch.no_grad():
            mean, scale = guide.gaussian()
    found = torch.empty_like(location)
    found[order] = mean
    # Λ = K⁻ᵀ K⁻¹ with K the guide's factor, its rows in another order; a QR makes K⁻¹ triangular again.
    root = torch.empty_like(scale)
    identity = torch.eye(len(scale), dtype=scale.dtype, device=scale.device)
    root[:, order] = torch.linalg.solve_triangular(scale, identity, upper=False)
    return found, lower_root(root.T)


def _arguments(
    model: RewardModel, pool: ResponsePool, preferences: Preferences, device: torch.device
) -> tuple[Any, ...]:
    """What the Pyro model of the last layer takes."""
    if len(preferences) == 0:
        # Pyro has no plates of size zero: one comparison of no weight says as little.
        zero = torch.zeros(1, dtype=torch.int64, device=device)
        features = torch.zeros((1, model.features), dtype=torch.float64, device=device)
        return features, zero, zero, zero.double(), zero.double()
    used, first, second = compact(preferences.first, preferences.second)
    weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
    columns = (torch.from_numpy(column).to(device) for column in (first, second, preferences.outcome, weight))
    return (encode(model, pool, used, device), *columns, Context.of(preferences, device))


def _ascend(guide: Any, program: Any, arguments: tuple[Any, ...], particles: int) -> None:
    """Steps of falling size, each size until the ELBO rises no more; the guide ends at the average of the last."""
    parameters = [parameter for _, parameter in sorted(guide.named_parameters())]
    negative_elbo = Trace_ELBO(num_particles=particles)(program, guide)
    optimizer = torch.optim.Adam(parameters)
    show = len(arguments[1]) * particles * WINDOW * MOST_WINDOWS > LONG_WORK
    for rate in bar(RATES, "Maximising the ELBO", len(RATES), show):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, 8 / math.sqrt(guide.latent_dim))
        best: list[float] = []
        tired, taken, sums = 0, 0, [torch.zeros_like(parameter) for parameter in parameters]
        for _ in range(MOST_WINDOWS):
            elbo = []
            taken += WINDOW
            for _ in range(WINDOW):
                optimizer.zero_grad()
                loss = negative_elbo(*arguments)
                loss.backward()
                optimizer.step()
                elbo.append(-loss.item())
                torch._foreach_add_(sums, [parameter.detach() for parameter in parameters])
            if not best or _rises(best, elbo):
                best, tired = elbo, 0
            else:
                tired += 1
            if tired == PATIENCE:
                break
    with torch.no_grad():
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.copy_(total / taken)


def _rises(before: list[float], after: list[float]) -> bool:
    """Whether the mean ELBO rose by more than its Monte Carlo standard error."""
    error = np.sqrt((np.var(before) + np.var(after)) / WINDOW)
    return bool(np.mean(after) - np.mean(before) > error)
