"""Posteriors of the last layer against what there is elsewhere: Pyro's NUTS as it comes, and laplace-torch.

    python tests/benchmarks/inference.py          # a tenth of the issue's size
    python tests/benchmarks/inference.py --full   # 10,000 comparisons, 500 + 500 draws

laplace-torch is no dependency of the project: where it is not installed, that comparison is left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from importlib.util import find_spec
from typing import Any

import arviz as az
import numpy as np
import torch
from pyro.infer import MCMC, NUTS

from bayesrm import rng
from bayesrm.inference.fitting.newton import maximise
from bayesrm.inference.nuts import Sampling, sample
from bayesrm.models.features import difference
from bayesrm.models.log_joint import LabelledDifferences, LogJoint
from bayesrm.models.reward_model import RewardModel

FEATURES = 64


def problem(comparisons: int) -> tuple[RewardModel, tuple[torch.Tensor, ...], LogJoint]:
    """A model, features with pairs and outcomes, and their log joint; some directions matter ten times more."""
    random = np.random.default_rng(0)
    features = torch.from_numpy(random.standard_normal((2000, FEATURES)) * np.geomspace(1, 0.1, FEATURES))
    first = torch.from_numpy(random.integers(2000, size=comparisons))
    second = (first + torch.from_numpy(random.integers(1, 2000, size=comparisons))) % 2000
    z = difference(features, first, second)
    chosen = torch.sigmoid(z @ torch.from_numpy(random.standard_normal(FEATURES) * 0.3)).numpy()
    outcome = torch.from_numpy((random.random(comparisons) < chosen).astype(float))
    model = RewardModel(FEATURES, encoder="linear", prior_scale=1.0)
    joint = model.log_joint(
        LabelledDifferences(z, outcome, torch.ones_like(outcome)), torch.ones(FEATURES, dtype=torch.float64)
    )
    return model, (features, first, second, outcome), joint


def nuts_against_plain_pyro(comparisons: int = 1000, draws: int = 150) -> dict[str, Any]:
    """Seconds for 1,000 effective draws (the fewest of any weight): NUTS whitened by Laplace, and Pyro's NUTS as it is.

    One chain each on the same data, as many draws for tuning as are kept; ours includes finding the mode.
    """
    model, arguments, joint = problem(comparisons)
    start = time.perf_counter()
    ours = sample(joint, maximise(joint), Sampling(1, draws, draws), seed=0).latent[0].numpy()
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    with rng.fenced(0):
        plain = MCMC(NUTS(model.last_layer), num_samples=draws, warmup_steps=draws, disable_progbar=True)
        plain.run(*arguments)
    reference_seconds = time.perf_counter() - start
    theirs = plain.get_samples()["beta"].numpy()
    spread = ours.std(axis=0)
    assert np.abs((ours.mean(axis=0) - theirs.mean(axis=0)) / spread).max() < 0.6, "they sample the same density"
    per_thousand = [1000 * t / _fewest_effective(x) for t, x in ((seconds, ours), (reference_seconds, theirs))]
    return {
        "seconds": per_thousand[0],
        "reference_seconds": per_thousand[1],
        "times_faster": per_thousand[1] / per_thousand[0],
        "effective_draws": [_fewest_effective(ours), _fewest_effective(theirs)],
        "wall_seconds": [seconds, reference_seconds],
    }


def _fewest_effective(draws: np.ndarray) -> float:
    return float(min(az.ess(draws[None, :, j], method="bulk") for j in range(draws.shape[1])))


def laplace_against_laplace_torch(comparisons: int = 10_000, repeats: int = 5) -> dict[str, Any] | None:
    """Mode, Hessian and evidence from cold, d = 64, against laplace-torch's Hessian and evidence at the mode given.

    A linear layer of differences as a classifier with logits (0, zᵀβ): its generalised Gauss–Newton matrix, which
    laplace-torch sums over one batch of everything, is the exact Hessian. None where laplace-torch is absent.
    """
    if find_spec("laplace") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from laplace import Laplace
    _, _, joint = problem(comparisons)
    z, outcome = joint.data.difference, joint.data.outcome
    mode = maximise(joint)

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(FEATURES, 1, bias=False, dtype=torch.float64)
            self.last.weight.data.copy_(mode.beta[None])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logit = self.last(x)
            return torch.cat([torch.zeros_like(logit), logit], dim=1)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(z, outcome.long()), batch_size=comparisons)
    network = Classifier()

    def theirs() -> tuple[Any, float]:
        fitted = Laplace(
            network, "classification", subset_of_weights="all", hessian_structure="full", prior_precision=1.0
        )
        fitted.fit(loader)
        return fitted, float(fitted.log_marginal_likelihood().detach())

    fitted, evidence = theirs()
    torch.testing.assert_close(
        fitted.posterior_precision.double(), mode.joint_cholesky @ mode.joint_cholesky.T, rtol=1e-4, atol=1e-3
    )
    assert abs(evidence - mode.log_evidence) < 1e-3 * abs(evidence), (evidence, mode.log_evidence)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for taken, function in zip(times, (lambda: maximise(joint), theirs), strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return {
        "seconds": statistics.median(times[0]),
        "reference_seconds": statistics.median(times[1]),
        "times_faster": statistics.median(b / a for a, b in zip(*times, strict=True)),
    }


def main() -> None:
    """Run both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="10,000 comparisons and 500 + 500 draws for NUTS")
    full = parser.parse_args().full
    torch.set_num_threads(1)
    print("laplace:", laplace_against_laplace_torch() or "left out: laplace-torch is not installed")
    print("nuts:", nuts_against_plain_pyro(*((10_000, 500) if full else ())))


if __name__ == "__main__":
    main()
