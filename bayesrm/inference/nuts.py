r"""NUTS on x = (ν, β), whitened by the Laplace approximation (Hoffman & Gelman 2014, as Pyro has it).

With the mode x̂ and Λ = L Lᵀ the negative Hessian of the log joint f there, the sampler moves in ε,

    x = x̂ + L⁻ᵀ ε,        U(ε) = −f(x̂ + L⁻ᵀ ε),

where the posterior is close to Normal(0, I): the mass matrix is the identity and only the step size is adapted.
Where features are many more than labels it moves in the span of the labels alone, and what is orthogonal to it is drawn
from its prior, see :mod:`bayesrm.inference.fitting.span`. Encoder and prior scale are those of Laplace. Chains are
independent, each with a seed of its own, so draws are the same to the bit in one process or in several.
"""

from __future__ import annotations

import math
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pyro.infer import NUTS
from torch import Tensor

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.base import Inference, train_encoder
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.newton import Mode
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.span import coordinates
from bayesrm.inference.laplace import refit as laplace_refit
from bayesrm.inference.laplace import relearn
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.draws import DrawsPosterior, shrunk_information
from bayesrm.posteriors.last_layer import LastLayerPosterior, LatentDraws
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Count, checked
from bayesrm.utils.factors import DenseFactor
from bayesrm.utils.processes import worker_processes
from bayesrm.utils.progress import bar

MAX_TREE_DEPTH = 10
LONG_WORK = 2_000_000
"""Comparisons times iterations from which on a progress bar is worth its line."""


@dataclass(frozen=True)
class Sampling:
    """How much to sample.

    Parameters
    ----------
    chains, draws, warmup
        Chains, kept draws of each, and draws before them that only tune the step size.
    workers
        Processes for the chains, one thread each. More than one needs a script that is safe to import
        (``if __name__ == "__main__":``); inside a worker process, and for models that cannot be sent to another
        process, chains run one after another all the same.
    """

    chains: int = 4
    draws: int = 500
    warmup: int = 500
    workers: int = 1

    def __post_init__(self) -> None:
        for name, least in (("chains", 1), ("draws", 2), ("warmup", 1), ("workers", 1)):
            if getattr(self, name) < least:
                raise InvalidInputError(f"expected {name} of at least {least}, got {getattr(self, name)}")


class Nuts(Inference):
    """Exact draws by Pyro's NUTS, whitened by Laplace; 4 chains of 500 draws after 500 for tuning.

    Parameters
    ----------
    chains, draws, warmup, workers
        See :class:`Sampling`.
    """

    name: ClassVar[str] = "nuts"

    @checked
    def __init__(self, chains: Count = 4, draws: Count = 500, warmup: Count = 500, workers: Count = 1) -> None:
        self.sampling = Sampling(chains, draws, warmup, workers)

    def describe(self) -> dict[str, Any]:
        """How much is sampled, where it is not the usual; not the processes, which change no draw."""
        usual = Sampling(workers=self.sampling.workers)
        sampling = {
            each.name: getattr(self.sampling, each.name)
            for each in fields(Sampling)
            if getattr(self.sampling, each.name) != getattr(usual, each.name)
        }
        return super().describe() | sampling

    def fit(
        self,
        model: RewardModel,
        pool: ResponsePool,
        preferences: Preferences,
        seed: int,
        device: torch.device,
    ) -> DrawsPosterior:
        """Train the encoder and choose the prior scale as Laplace does, then sample the last layer."""
        trained = train_encoder(model, pool, preferences, seed, device)
        joint = trained.model.log_joint(trained.data, prior_precision(trained, pool))
        start = torch.cat([trained.nuisance, trained.beta])
        return _sampled(trained.model, pool, preferences, joint, start, self.sampling, rng.child(seed, "nuts"))


def refit(
    sampling: Sampling, seed: int, posterior: LastLayerPosterior, preferences: Preferences
) -> DrawsPosterior:
    """Fresh chains with other preferences on the same features, whitened at the new mode."""
    joint = posterior.joint_after(preferences)
    same = joint.nuisance.size == len(posterior.nuisance)
    start = torch.cat([posterior.nuisance if same else joint.nuisance.start(), posterior.location])
    return _sampled(posterior.model, posterior.pool, preferences, joint, start, sampling, seed)


def _sampled(
    model: RewardModel,
    pool: ResponsePool,
    preferences: Preferences,
    joint: LogJoint,
    start: Float[Tensor, "latent"],
    sampling: Sampling,
    seed: int,
) -> DrawsPosterior:
    where = coordinates(joint)
    mode = find_mode(where.joint, where.latent(start))
    inner = sample(where.joint, mode, sampling, seed)
    flat = inner.latent.flatten(0, 1)
    information = DenseFactor(shrunk_information(flat, flat.mean(dim=0), mode.joint_cholesky))
    drawn = replace(inner, latent=where.draws(inner.latent, rng.stream(seed, "outside the span")))
    nu, beta = joint.split(drawn.latent.flatten(0, 1).mean(dim=0))
    q = len(nu)
    _, precision = joint.prior(joint.nuisance.values(nu))
    return DrawsPosterior(
        model=model,
        pool=pool,
        preferences=preferences,
        location=beta,
        information=where.factor(information).last(q),
        prior_precision=precision,
        log_evidence=float("nan"),
        refit=partial(refit, sampling, seed),
        nuisance=nu,
        drawn=drawn,
        inference=Nuts.name,
        laplace=laplace_refit,
        relearn=relearn,
        attributes={
            "tuning_draws": sampling.warmup,
            "divergences": int(drawn.stats["diverging"].sum()),
            "max_treedepth_hits": int((drawn.stats["tree_depth"] >= MAX_TREE_DEPTH).sum()),
        },
    )


def sample(joint: LogJoint, mode: Mode, sampling: Sampling, seed: int) -> LatentDraws:
    """Draws of x from the density exp f, with the sampler's statistics under ArviZ's names.

    Parameters
    ----------
    joint, mode
        f and its maximum.
    sampling
        How much.
    seed
        Root of the chains.
    """
    start = mode.latent
    potential = WhitenedPotential(joint, start, mode.joint_cholesky)
    tasks = [_Chain(potential, sampling, rng.child(seed, "chain", c)) for c in range(sampling.chains)]
    white, stats = zip(*_run(tasks, sampling), strict=True)
    return LatentDraws(
        potential.latent(torch.stack(white)),
        stats={name: np.stack([chain[name] for chain in stats]) for name in stats[0]},
    )


class WhitenedPotential:
    """U(ε) as Pyro takes it, of ``{"epsilon": ε}``; counts its evaluations.

    Parameters
    ----------
    joint
        The log joint density f.
    location, cholesky
        x̂ and L.
    """

    def __init__(
        self, joint: LogJoint, location: Float[Tensor, "latent"], cholesky: Float[Tensor, "latent latent"]
    ) -> None:
        self.evaluations = 0
        self.comparisons = len(joint.data.outcome)
        self._location, self._cholesky = location.clone(), cholesky.clone()
        self._energy: Callable[[Tensor], Tensor]
        if joint.nuisance.size:
            self._energy = partial(_general_energy, joint, self._location, self._cholesky)
        else:
            self._energy = _LinearEnergy(joint, self._location, self._cholesky)

    def __call__(self, parameters: dict[str, Tensor]) -> Float[Tensor, ""]:
        """U in nats; differentiable."""
        self.evaluations += 1
        return self._energy(parameters["epsilon"])

    def latent(self, epsilon: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch latent"]:
        """x = x̂ + L⁻ᵀ ε."""
        flat = epsilon.reshape(-1, epsilon.shape[-1])
        offset = torch.linalg.solve_triangular(self._cholesky.T, flat.T, upper=True).T
        return (self._location + offset).reshape(epsilon.shape)

    @property
    def size(self) -> int:
        """The length of ε."""
        return len(self._location)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self._location.device


class _LinearEnergy:
    """U without nuisance parameters: logits and log prior are polynomials in ε whose coefficients are kept.

    With Z̃ = Z L⁻ᵀ, log p(β) is −½ εᵀ P ε − gᵀ ε up to a constant, P = L⁻¹ diag(τ) L⁻ᵀ and g = L⁻¹ τ ∘ (x̂ − μ).
    """

    def __init__(self, joint: LogJoint, location: Tensor, cholesky: Tensor) -> None:
        data, values = joint.data, joint.nuisance.values(location[:0])
        prior_location, precision = joint.prior(values)
        self._likelihood = joint.likelihood.given(values, data.context)
        self._outcome, self._weight = data.outcome.clone(), data.weight.clone()
        self._logit = data.difference @ location
        self._design = torch.linalg.solve_triangular(cholesky, data.difference.T, upper=False).T.contiguous()
        root = torch.linalg.solve_triangular(cholesky, torch.diag(precision.sqrt()), upper=False)
        offset = (precision * (location - prior_location))[:, None]
        self._quadratic = root @ root.T
        self._linear = torch.linalg.solve_triangular(cholesky, offset, upper=False)[:, 0]
        self._constant = 0.5 * (
            (precision * (location - prior_location).square()).sum() - torch.log(precision / (2 * math.pi)).sum()
        )

    def __call__(self, epsilon: Float[Tensor, "latent"]) -> Float[Tensor, ""]:
        log_prob = self._likelihood.log_prob(self._logit + self._design @ epsilon, self._outcome)
        prior = epsilon @ (0.5 * (self._quadratic @ epsilon) + self._linear)
        return self._constant + prior - self._weight @ log_prob


def _general_energy(joint: LogJoint, location: Tensor, cholesky: Tensor, epsilon: Tensor) -> Tensor:
    return -joint(location + torch.linalg.solve_triangular(cholesky.T, epsilon[:, None], upper=True)[:, 0])


class _Kernel(NUTS):
    """Pyro's NUTS, which remembers the kinetic energy with which the last trajectory began."""

    kinetic = 0.0

    def _sample_r(self, name: str) -> Any:
        r, unscaled = super()._sample_r(name)
        self.kinetic = float(self._kinetic_energy(unscaled))
        return r, unscaled


@dataclass(frozen=True)
class _Chain:
    """All that a chain needs, in whichever process."""

    potential: WhitenedPotential
    sampling: Sampling
    seed: int


_Drawn = tuple[Tensor, dict[str, np.ndarray]]


def _run(tasks: list[_Chain], sampling: Sampling) -> list[_Drawn]:
    workers = min(sampling.workers, len(tasks))
    if workers > 1 and _can_leave(tasks[0]):
        with worker_processes(workers) as executor:
            # As bytes: torch would share tensors through a socket in the temporary folder, whose path can be too long.
            jobs = [executor.submit(_draw_elsewhere, pickle.dumps(task)) for task in tasks]
            try:
                for _ in bar(as_completed(jobs), "Sampling chains", len(jobs)):
                    pass
                return [pickle.loads(job.result()) for job in jobs]
            finally:
                executor.shutdown(cancel_futures=True)
    work = len(tasks) * (sampling.warmup + sampling.draws) * tasks[0].potential.comparisons
    return [_draw_chain(task) for task in bar(tasks, "Sampling chains", len(tasks), show=work > LONG_WORK)]


def _draw_elsewhere(packed: bytes) -> bytes:
    """:func:`_draw_chain` in another process."""
    return pickle.dumps(_draw_chain(pickle.loads(packed)))


def _can_leave(task: _Chain) -> bool:
    """Whether chains may run in other processes: daemons have no children, and closures cannot be sent."""
    if multiprocessing.current_process().daemon or task.potential.device.type != "cpu":
        return False
    try:
        pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _draw_chain(task: _Chain) -> _Drawn:
    """(draw, latent) draws of ε of one chain, started at a draw of the Laplace approximation."""
    potential, sampling = task.potential, task.sampling
    kernel: Any = _Kernel(
        potential_fn=potential,
        step_size=min(1.0, potential.size**-0.25),
        adapt_mass_matrix=False,
        max_tree_depth=MAX_TREE_DEPTH,
    )
    draws, stats = [], []
    with rng.fenced(task.seed), one_thread():
        first = torch.randn(potential.size, dtype=torch.float64).to(potential.device)
        kernel.initial_params = {"epsilon": first}
        kernel.setup(sampling.warmup)
        at = kernel.initial_params
        for _ in range(sampling.warmup):
            at = kernel.sample(at)
        for s in range(sampling.draws):
            before, mean = potential.evaluations, kernel._mean_accept_prob if s else 0.0
            start = float(kernel._potential_energy_last)
            at = kernel.sample(at)
            steps = potential.evaluations - before
            draws.append(at["epsilon"])
            stats.append(
                {
                    "energy": start + kernel.kinetic,
                    "acceptance_rate": (s + 1) * kernel._mean_accept_prob - s * mean,
                    "step_size": kernel.step_size,
                    "n_steps": steps,
                    "tree_depth": math.ceil(math.log2(steps + 1)),
                }
            )
        diverging = np.zeros(sampling.draws, bool)
        diverging[kernel.diagnostics()["divergences"]] = True
    named = {name: np.array([row[name] for row in stats]) for name in stats[0]}
    return torch.stack(draws), named | {"diverging": diverging}


@contextmanager
def one_thread() -> Iterator[None]:
    """Steps of a chain are too small for threads to pay; results then do not depend on their number either."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
