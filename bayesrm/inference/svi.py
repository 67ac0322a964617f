r"""Variational inference: the Gaussian over x = (ν, β) with the largest ELBO, by Pyro's SVI on the Pyro model itself.

    ELBO(q) = E_q[log p(y, x) − log q(x)] = log p(y) − KL(q ‖ p(· | y)).

The guide lives in the coordinates ε of the Laplace approximation, x = x̂ + A ε with A Aᵀ = Λ⁻¹, and starts as it:
ε ~ Normal(m, T Tᵀ), m = 0, T = I. There one step size fits all parameters. Gradients are those of the path alone,
log q held constant (Roeder, Wu & Duvenaud 2017): they have no noise where q is the posterior, so that little is left
where it nearly is. The step size falls whenever the ELBO has stopped rising; the parameters of the last, smallest one
are averaged (Polyak & Juditsky 1992).
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
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.laplace import laplace_posterior
from bayesrm.models.context import Context
from bayesrm.models.features import encode
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences, ResponsePool, compact
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.factors import DenseFactor
from bayesrm.utils.linalg import cholesky_factor
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
    laplace = laplace_posterior(model, pool, preferences, joint, find_mode(joint, start))
    laplace = replace(laplace, refit=partial(refit, particles, seed), inference=Svi.name)
    found, cholesky = maximise_elbo(laplace, particles, seed)
    nu, beta = joint.split(found)
    _, precision = joint.prior(joint.nuisance.values(nu))
    q = len(nu)
    fitted = replace(
        laplace,
        location=beta,
        nuisance=nu,
        joint=DenseFactor(cholesky),
        information=DenseFactor(cholesky).last(q),
        prior_precision=precision,
    )
    # The ascent is noisy: where it has not helped, its start is the answer.
    scored = [replace(posterior, log_evidence=_elbo(posterior, joint, seed)) for posterior in (laplace, fitted)]
    return max(scored, key=lambda posterior: posterior.log_evidence)


def _elbo(posterior: GaussianPosterior, joint: LogJoint, seed: int) -> float:
    """E_q[log p(y, x) − log q(x)] in nats over fresh draws, the same noise for every q."""
    drawn = posterior.latent_draws(ELBO_DRAWS, rng.stream(seed, "elbo"))
    assert drawn.log_q is not None
    with torch.no_grad():
        log_p = torch.stack([joint(x) for x in drawn.latent[0]])
    return float((log_p - drawn.log_q[0]).mean())


def maximise_elbo(
    laplace: GaussianPosterior, particles: int, seed: int
) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent latent"]]:
    """Mean and Cholesky factor of the precision of the best Gaussian over x = (ν, β), started at Laplace.

    Parameters
    ----------
    laplace
        Where to start, with model and data.
    particles
        Draws for each step.
    seed
        Root of the draws.
    """
    location = torch.cat([laplace.nuisance, laplace.location])
    arguments = _arguments(laplace)
    with rng.fenced(seed), pyro.validation_enabled(False):
        kind = FullGuide if len(location) <= MOST_FULL else LowRankGuide
        guide = kind(laplace.model.last_layer, init_loc_fn=init_to_sample)
        guide._setup_prototype(*arguments)
        order = site_order(guide, laplace.log_joint.nuisance)
        covariance = torch.cholesky_inverse(laplace.joint_cholesky)[order][:, order]
        guide.start(location[order], cholesky_factor(covariance))
        _ascend(guide, laplace.model, arguments, particles)
        with torch.no_grad():
            mean, scale = guide.gaussian()
    found = torch.empty_like(location)
    found[order] = mean
    # Λ = K⁻ᵀ K⁻¹ with K the guide's factor, its rows in another order; a QR makes K⁻¹ triangular again.
    root = torch.empty_like(scale)
    identity = torch.eye(len(scale), dtype=scale.dtype, device=scale.device)
    root[:, order] = torch.linalg.solve_triangular(scale, identity, upper=False)
    upper = torch.linalg.qr(root, mode="r").R
    return found, (upper * torch.where(upper.diagonal() < 0, -1.0, 1.0)[:, None]).T.contiguous()


def _arguments(posterior: LastLayerPosterior) -> tuple[Any, ...]:
    """What the Pyro model of the last layer takes."""
    preferences, device = posterior.preferences, posterior.location.device
    if len(preferences) == 0:
        # Pyro has no plates of size zero: one comparison of no weight says as little.
        zero = torch.zeros(1, dtype=torch.int64, device=device)
        return posterior.location.new_zeros((1, len(posterior.location))), zero, zero, zero.double(), zero.double()
    used, first, second = compact(preferences.first, preferences.second)
    weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
    columns = (torch.from_numpy(column).to(device) for column in (first, second, preferences.outcome, weight))
    features = encode(posterior.model, posterior.pool, used, device)
    return (features, *columns, Context.of(preferences, device))


def _ascend(guide: Any, model: RewardModel, arguments: tuple[Any, ...], particles: int) -> None:
    """Steps of falling size, each size until the ELBO rises no more; the guide ends at the average of the last."""
    parameters = [parameter for _, parameter in sorted(guide.named_parameters())]
    program: Any = model.last_layer
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
